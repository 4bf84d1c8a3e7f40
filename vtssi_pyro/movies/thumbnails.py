"""A movie's frames for pictures: small, in its own colours, and of a contrast that suits eyes."""

from itertools import islice
from typing import NamedTuple

import numpy as np

from vtssi_pyro.movies.movie import Movie, colours, luminance, tinted
from vtssi_pyro.ops.channels import channels_first

# Quantiles that become black and white, so that single hot pixels do not take the contrast.
DARK, LIGHT = 0.001, 0.999


class Thumbnails(NamedTuple):
    """Some frames of a movie, and the factors of their reduction."""

    frames: np.ndarray  # (t, C, h, w) uint8; C = 3 of colours, C = 1 of greys
    ratio: np.ndarray  # (2,) pixels of a picture for one of the movie's, along x and y


def thumbnails(movie: Movie, widest: int, most: int, first: int = 0) -> Thumbnails:
    """Make thumbnails of a movie.

    Args:
        movie: any movie.
        widest: largest longer side of a thumbnail, px.
        most: largest number of frames.
        first: the first frame, counted from 0.

    Returns:
        The thumbnails.
    """
    from PIL import Image

    height, width = movie.size
    scale = min(1.0, widest / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))

    def reduced(channel: np.ndarray) -> np.ndarray:
        picture = Image.fromarray(np.ascontiguousarray(channel, np.float32))
        return np.asarray(picture.resize(size, Image.Resampling.BOX)).astype(np.float16)

    seen: list[np.ndarray] = []
    for frame in islice(movie, first, first + most):
        shown = channels_first(colours(frame) if tinted(frame) else luminance(frame))
        seen.append(np.stack([reduced(channel) for channel in shown]))
    channels = max(map(len, seen))
    frames = np.stack([np.broadcast_to(frame, (channels, *frame.shape[1:])) for frame in seen])
    dark, light = np.quantile(frames[:: max(1, len(frames) // 16)].astype(np.float32), (DARK, LIGHT))
    span = max(float(light - dark), 1e-9)
    shown = np.empty(frames.shape, np.uint8)
    for picture, frame in zip(shown, frames, strict=True):
        picture[:] = np.round(255 * ((frame.astype(np.float32) - dark) / span).clip(0, 1))
    return Thumbnails(shown, np.array([size[0] / width, size[1] / height]))
