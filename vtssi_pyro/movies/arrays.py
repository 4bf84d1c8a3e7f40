"""Movies that are arrays, in memory or mapped from ``.npy`` and ``.npz`` files."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vtssi_pyro.config import checked
from vtssi_pyro.movies.axes import pictures
from vtssi_pyro.movies.members import npy_array, npz_frames
from vtssi_pyro.movies.movie import Movie
from vtssi_pyro.movies.stored import Stored


def array(path: Path, stored: Stored = Stored()) -> Movie:
    """Open the array of a ``.npy`` file, or of an ``.npz`` file ``frames`` or the only array, as a movie."""
    if path.suffix.lower() == ".npy":
        return array_movie(str(path), npy_array(path), stored)
    return array_movie(str(path), npz_frames(path, stored=stored)["frames"], stored)


@checked
def array_movie(name: str, frames: np.ndarray, stored: Stored = Stored()) -> Movie:
    """Make a movie of frames in an array.

    Args:
        name: the movie's name in error messages.
        frames: (T, H, W), (T, H, W, C) or (T, C, H, W), also with an axis of length 1 in front; with other axes if
            ``stored`` names them.
        stored: how the frames are stored, as far as it is known.

    Raises:
        DataError: the shape is another, or has no frames.
    """
    found = pictures(name, frames, stored)
    brought = found.frames  # (T, Z, C, H, W)
    channel, planes = (
        stored.chosen_channel(name, brought.shape[2]),
        stored.chosen_planes(name, brought.shape[1]),
    )

    def read() -> Iterator[np.ndarray]:
        for frame in brought:
            shown = stored.projected(np.asarray(frame[planes]))  # (C, H, W)
            if channel is not None or len(shown) == 1:
                yield shown[channel or 0]
            else:
                yield np.moveaxis(shown, 0, -1)

    return Movie(name, brought.shape[3:], len(brought), None, read, stored, found.lines)
