"""The axes of frames: which of an array's axes are sequences, times, depths, channels, rows and columns.

What had to be assumed is described in lines for people.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from vtssi_pyro.errors import Argument, DataError
from vtssi_pyro.movies.stored import AXES, Stored

COLOURS = 4  # red, green, blue and transparency: a last axis no longer than this holds channels, not columns
# Names of axes in other people's files and libraries, by the letters of :class:`~vtssi_pyro.Stored`.
NAMES = {
    **dict.fromkeys(("t", "time", "times", "frame", "frames"), "T"),
    **dict.fromkeys(("z", "depth", "plane", "slice"), "Z"),
    **dict.fromkeys(("c", "channel", "channels", "s", "rgb"), "C"),
    **dict.fromkeys(("y", "row", "rows", "height"), "H"),
    **dict.fromkeys(("x", "column", "columns", "width"), "W"),
}
MIXED = 0.7  # share by which neighbours on the first axis must be more alike than on the second to look like times
NEAR, GRID = 8, 32  # sequences, frames of each, and pixels along a side of these, that are compared for this


WAVELENGTHS = ("c", "channel", "channels")  # names of an axis whose values need not be red, green and blue


class NoMovie(DataError):
    """An array whose shape is not that of one movie."""


class Axes(NamedTuple):
    """The axes of one movie's array."""

    letters: str
    colours: bool = True  # whether 3 or 4 channels are red, green, blue and opacity, and no wavelengths
    lines: tuple[str, ...] = ()  # what was assumed


class Arranged(NamedTuple):
    """Frames whose axes are known."""

    frames: np.ndarray
    axes: str  # as they were stored
    lines: tuple[str, ...] = ()  # what was assumed


def sequences(name: str, frames: np.ndarray, stored: Stored = Stored()) -> Arranged:
    """Bring the axes of sequences to (S, T, C, H, W); a view, unless depths are projected.

    Raises:
        DataError: the shape is none of sequences.
    """
    _refuse_other(name, frames)
    stored.refuse_for_sequences(name)
    stored = stored.numbered(name, {})
    axes = stored.axes or {3: "THW", 4: "STHW", 5: "STCHW"}.get(frames.ndim)
    if axes is None:
        raise DataError(
            f"{name}: frames have shape {frames.shape}, expected (S, T, H, W) or (T, H, W) in grey, or "
            "(S, T, C, H, W); say the order of other axes with ",
            Argument("axes"),
        )
    if stored.axes is None and frames.ndim == 5 and frames.shape[2] > COLOURS >= frames.shape[-1]:
        raise DataError(
            f"{name}: frames have shape {frames.shape}, with channels last, expected (S, T, C, H, W): say ",
            Argument("axes"),
            " STHWC, or put them there with numpy.moveaxis(frames, -1, 2)",
        )
    if (
        axes == "STHW"
        and stored.axes is None
        and frames.shape[-1] in (3, 4)
        and min(frames.shape[1:3]) > 2 * COLOURS
    ):
        raise DataError(
            f"{name}: frames have shape {frames.shape}, which looks like colours behind rows and columns: say ",
            Argument("axes"),
            " THWC if so, else STHW",
        )
    brought = _brought(name, frames, axes)
    depths = stored.chosen_planes(name, brought.shape[2])
    if len(depths) == 1:
        brought = brought[:, :, depths[0]]
    else:
        stored.refuse_more(name, brought.nbytes // len(depths))
        brought = stored.projected(np.moveaxis(brought, 2, 0))
    if stored.single is not None:
        brought = brought[:, :, stored.chosen_channel(name, brought.shape[2])][:, :, None]
    elif stored.channel is not None and brought.shape[2] != 3:
        raise DataError(
            f"{name}: has {brought.shape[2]} channels, not red, green and blue: leave out ",
            Argument("channel"),
            f" {stored.channel}",
        )
    lines = () if stored.axes else _doubts_of_sequences(name, frames)
    return Arranged(brought, axes, lines)


def axes_of_movie(name: str, frames: Any, stored: Stored = Stored()) -> Axes:
    """The axes of one movie's array, as it or a user names them, or else as its shape suggests.

    Args:
        name: the movie's name in error messages.
        frames: the array, of NumPy or of a library whose arrays have a shape.
        stored: how the frames are stored, as far as it is known.

    Raises:
        NoMovie: the shape is none of a movie.
        DataError: the axes are not those of the shape, or there are no frames.
    """
    shape = tuple(getattr(frames, "shape", ()))
    if not shape:
        _refuse_other(name, frames)
    names = None if stored.axes else named(frames)
    axes = stored.axes or (letters(names) if names else _of_movie(shape, stored))
    if axes is None:
        raise NoMovie(
            f"{name}: frames have shape {shape}, expected one movie: (T, H, W) in grey, (T, H, W, 3) or "
            "(T, 3, H, W); say the order of other axes with ",
            Argument("axes"),
        )
    _refuse_misnamed(name, shape, axes)
    sequences = dict(zip(axes, shape, strict=True)).get("S", 1)
    if sequences > 1:
        raise NoMovie(f"{name}: holds {sequences} sequences, expected one movie")
    colours = names is None or not set(map(str.lower, names)) & set(WAVELENGTHS)
    return Axes(axes, colours, () if stored.axes or names else _doubts_of_movie(name, shape, axes))


def letters(names: Iterable[Any]) -> str | None:
    """The letters of axes that a file or a library names by words or letters; None: they are not those of frames."""
    found = "".join(NAMES.get(str(name).lower(), "?") for name in names)
    return found if {"H", "W"} <= set(found) <= set(AXES) and len(set(found)) == len(found) else None


def named(frames: Any) -> list[str] | None:
    """The names of an array's axes, if it knows them, as those of xarray and, in its metadata, zarr do.

    None: it does not, or they are not those of frames; see :func:`letters`.
    """
    kept: Any = getattr(frames, "attrs", None)
    noted = (
        getattr(frames, "dims", None),
        getattr(getattr(frames, "metadata", None), "dimension_names", None),
        kept.get("_ARRAY_DIMENSIONS") if hasattr(kept, "get") else None,  # xarray's note in a zarr array
    )
    found = ([str(each) for each in names] for names in noted if isinstance(names, tuple | list))
    return next(filter(letters, found), None)


def _refuse_other(name: str, frames: object) -> None:
    if not isinstance(frames, np.ndarray):
        raise DataError(
            f"{name}: a {type(frames).__name__} is no array of frames: numpy.stack(frames) makes one of a list, "
            "frames.numpy() of a tensor"
        )


def _brought(name: str, frames: np.ndarray, axes: str) -> np.ndarray:
    """Frames (S, T, Z, C, H, W); axes that they lack have a length of 1."""
    _refuse_misnamed(name, frames.shape, axes)
    found = frames.transpose([axes.index(letter) for letter in AXES if letter in axes])
    return found[tuple(slice(None) if letter in axes else None for letter in AXES)]


def _refuse_misnamed(name: str, shape: tuple[int, ...], axes: str) -> None:
    """Refuse axes that are not those of the frames, and frames that are none."""
    if len(axes) != len(shape):
        raise DataError(
            f"{name}: frames have shape {shape}, {len(shape)} axes, but ", Argument("axes"), f" {axes} names "
            f"{len(axes)}"
        )  # fmt: skip
    if 0 in shape:
        raise DataError(f"{name}: no frames, their shape is {shape}")


def _of_movie(shape: tuple[int, ...], stored: Stored) -> str | None:
    """The axes of a movie's array, as its shape suggests."""
    colours = (1, 3, 4) if stored.single is None else range(COLOURS + 1)
    if len(shape) == 3:
        return "THW"
    if len(shape) == 4 and shape[-1] in colours:
        return "THWC"
    if len(shape) == 4 and shape[0] == 1:
        return "STHW"
    if len(shape) == 4 and shape[1] in colours:
        return "TCHW"
    if len(shape) == 5 and shape[0] == 1:
        return "STCHW" if shape[2] in colours else "STHWC" if shape[-1] in colours else None
    return None


def _doubts_of_movie(name: str, shape: tuple[int, ...], axes: str) -> tuple[str, ...]:
    if axes == "THW" and 2 * shape[2] < min(shape[:2]):
        return (
            f"{name}: read as {shape[0]} frames of {shape[1]}x{shape[2]} pixels (H x W); if the array is (H, W, T), "
            "say axes HWT",
        )
    if axes == "TCHW" and shape[1] > 1:
        return (
            f"{name}: read as {shape[0]} frames of {shape[1]} channels; if they are sequences, say axes STHW",
        )
    return ()


def _doubts_of_sequences(name: str, frames: np.ndarray) -> tuple[str, ...]:
    """Tell of arrays whose first axis looks like time: there, neighbours are more alike than on the second axis."""
    if frames.ndim != 4 or min(frames.shape[:2]) < 2 or frames.dtype.kind not in "biuf":
        return ()
    rows, columns = (max(1, side // GRID) for side in frames.shape[2:])
    some = np.asarray(frames[:NEAR, :NEAR, ::rows, ::columns], np.float64)
    if not np.isfinite(some).all():
        return ()
    first, second = (float(np.abs(np.diff(some, axis=axis)).mean()) for axis in (0, 1))
    if not 0 < first < MIXED * second:
        return ()
    return (
        f"{name}: read as {frames.shape[0]} sequences of {frames.shape[1]} frames, but looks like "
        f"{frames.shape[1]} sequences of {frames.shape[0]} frames, (T, S, H, W): if it is so, say axes TSHW",
    )
