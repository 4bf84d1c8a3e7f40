"""Data sets of users' frames: arrays, ``.npz`` and ``.npy``, and movies that fit into memory."""

import os
from pathlib import Path

import numpy as np
from torch import Tensor

from vtssi_pyro.data.array import ArrayDataset
from vtssi_pyro.data.store import read
from vtssi_pyro.errors import DataError
from vtssi_pyro.movies import Movie, luminance, open_movie

MAX_PIXELS = 2**31  # of all frames of a movie, which are held in memory: 2 GiB of bytes


def open_frames(source: str | os.PathLike[str] | np.ndarray | Tensor) -> ArrayDataset:
    """Open an array, or a file or folder of frames; a movie is one sequence, without truth.

    Arrays keep their channels. Movies are grey: colour and more than 8 bits become luminance in steps of 1/255, and
    transparent pixels black; floating point numbers stay as they are, in [0, 1] or 0 to 255.

    Args:
        source: frames in grey, (S, T, H, W) or (T, H, W), or in C channels, (S, T, C, H, W), or the path of a file or
            folder.

    Returns:
        The data set.

    Raises:
        DataError: the source cannot be read as frames, or is too large for memory.
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
    """Convert a tensor to an array; half precision becomes single, which numpy and files have."""
    frames = frames.detach().cpu()
    return (frames.float() if frames.is_floating_point() else frames).numpy()


def _stack(movie: Movie) -> np.ndarray:
    """Read all frames (T, H, W)."""
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
