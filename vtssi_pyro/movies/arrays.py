"""Movies that are arrays, in memory or mapped from ``.npy`` and ``.npz`` files."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vtssi_pyro.errors import DataError
from vtssi_pyro.movies.members import npy_array, npz_arrays
from vtssi_pyro.movies.movie import Movie


def array(path: Path) -> Movie:
    """Open the array of a ``.npy`` file, or the array ``frames`` of an ``.npz`` file, as a movie."""
    frames = npy_array(path) if path.suffix.lower() == ".npy" else npz_arrays(path, ("frames",)).get("frames")
    if frames is None:
        raise DataError(f"{path} holds no array called frames: write it with numpy.savez(path, frames=...)")
    return array_movie(str(path), frames)


def array_movie(name: str, frames: np.ndarray) -> Movie:
    """Make a movie of frames in an array.

    Args:
        name: the movie's name in error messages.
        frames: (T, H, W), (T, H, W, 3) or (T, H, W, 4), also with an axis of length 1 in front; or one sequence as data
            sets give it, (1, T, 1, H, W).

    Raises:
        DataError: the shape is another, or has no frames.
    """
    if frames.ndim == 5 and frames.shape[2] == 1:
        frames = frames[:, :, 0]  # a movie's frames are pictures
    coloured = frames.ndim == 4 and frames.shape[-1] in (3, 4)
    if frames.ndim == 4 and not coloured and len(frames) == 1:
        frames = frames[0]
    if frames.ndim == 4 and frames.shape[-1] == 1:
        frames = frames[..., 0]
    if not coloured and frames.ndim != 3:
        raise DataError(
            f"{name}: frames have shape {frames.shape}, expected one movie: (T, H, W) in grey or (T, H, W, 3); "
            "numpy.moveaxis(frames, 1, -1) puts channels last"
        )
    if 0 in frames.shape:
        raise DataError(f"{name}: no frames, their shape is {frames.shape}")

    def read() -> Iterator[np.ndarray]:
        return (np.asarray(frame) for frame in frames)

    return Movie(name, (frames.shape[1], frames.shape[2]), len(frames), None, read)
