"""Frames that users bring as a data set: arrays, ``.npz`` and ``.npy``, and movies that fit into memory."""

import os
from pathlib import Path

import numpy as np
from torch import Tensor

from vtssi_pyro.data.array import ArrayDataset
from vtssi_pyro.data.store import read
from vtssi_pyro.errors import DataError
from vtssi_pyro.movies import Movie, luminance, open_movie

MAX_PIXELS = 2**31  # of all frames of a movie together; they are held in memory


def open_frames(source: str | os.PathLike[str] | np.ndarray | Tensor) -> ArrayDataset:
    """Open an array, or a file or folder of frames; a movie is one sequence, without truth.

    Colour and more than 8 bits become luminance in steps of 1/255, what is transparent becomes black; floating point
    numbers stay as they are, in [0, 1] or 0 to 255.
    """
    if isinstance(source, Tensor):
        source = as_array(source)
    if isinstance(source, np.ndarray):
        return ArrayDataset("frames", source)
    path = Path(source)
    if path.suffix.lower() in (".npz", ".npy"):
        return read(path)
    return ArrayDataset(path, _stack(open_movie(path)))


def as_array(frames: Tensor) -> np.ndarray:
    """A tensor's numbers; those of half precision become single, which numpy knows and files hold."""
    frames = frames.detach().cpu()
    return (frames.float() if frames.is_floating_point() else frames).numpy()


def _stack(movie: Movie) -> np.ndarray:
    """All frames (T, H, W)."""
    frames: list[np.ndarray] = []
    pixels = movie.size[0] * movie.size[1]
    if pixels * (movie.length or 1) > MAX_PIXELS:
        raise _too_large(movie)
    for frame in movie:
        if pixels * (len(frames) + 1) > MAX_PIXELS:
            raise _too_large(movie)
        grey = luminance(frame)
        exact = frame.dtype.kind == "f"
        frames.append(grey if exact else (grey * 255).round().clip(0, 255).astype(np.uint8))
    return np.stack(frames)


def _too_large(movie: Movie) -> DataError:
    return DataError(
        f"{movie.name} unpacks to more than {MAX_PIXELS} pixels: make it smaller, or convert it to an "
        "uncompressed .npz, which is not held in memory"
    )
