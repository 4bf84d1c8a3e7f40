"""Movies that are arrays: in memory, mapped from ``.npy`` and ``.npz`` files, or read piece by piece (Dask, zarr)."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from vtssi_pyro.config import checked
from vtssi_pyro.movies.axes import Axes, axes_of_movie
from vtssi_pyro.movies.members import npy_array, npz_frames
from vtssi_pyro.movies.movie import Movie
from vtssi_pyro.movies.planes import Planes, movie_of_planes
from vtssi_pyro.movies.stored import Stored

PIXELS = "HWC"  # the axes of one frame


@runtime_checkable
class Arraylike(Protocol):
    """What is read like an array of NumPy, wherever its numbers are: of Dask, zarr, h5py or xarray."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its extents."""

    @property
    def dtype(self) -> Any:
        """The type of its numbers."""

    def __getitem__(self, index: Any) -> Any:
        """A part of it."""

    def __array__(self, dtype: Any = None) -> np.ndarray:
        """All of it as an array of NumPy."""


def array(path: Path, stored: Stored = Stored()) -> Movie:
    """Open the array of a ``.npy`` file, or of an ``.npz`` file ``frames`` or the only array, as a movie."""
    if path.suffix.lower() == ".npy":
        return array_movie(str(path), npy_array(path), stored)
    return array_movie(str(path), npz_frames(path, stored=stored)["frames"], stored)


@checked
def array_movie(name: str, frames: np.ndarray | Arraylike, stored: Stored = Stored()) -> Movie:
    """Make a movie of frames in an array; of one that is not in memory, such as Dask's, each is read by itself.

    Args:
        name: the movie's name in error messages.
        frames: (T, H, W), (T, H, W, C) or (T, C, H, W), also with an axis of length 1 in front; with other axes if
            ``stored`` names them.
        stored: how the frames are stored, as far as it is known.

    Raises:
        DataError: the shape is another, or has no frames.
    """
    return movie_of_planes(name, array_planes(frames, axes_of_movie(name, frames, stored)), stored)


def array_planes(frames: Arraylike, known: Axes) -> Planes:
    """The planes of an array whose axes are known.

    Args:
        frames: the array.
        known: its axes; that of sequences has a length of 1.
    """
    axes = known.letters
    sizes = dict(zip(axes, frames.shape, strict=True))

    def plane(time: int, depth: int, channels: Sequence[int]) -> np.ndarray:
        place: dict[str, int] = {"S": 0, "T": time, "Z": depth}
        if len(channels) == 1:  # others are not even read
            place["C"] = channels[0]
        shown = np.asarray(frames[tuple(place.get(axis, slice(None)) for axis in axes)])
        rest = [axis for axis in axes if axis not in place]
        shown = shown.transpose([rest.index(axis) for axis in PIXELS if axis in rest])
        return shown if "C" in rest else shown[..., None]

    return Planes(
        sizes, (sizes["H"], sizes["W"]), lambda: nullcontext(plane), known.colours, lines=known.lines
    )
