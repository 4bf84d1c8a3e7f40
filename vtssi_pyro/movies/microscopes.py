"""Files of microscopes, read by their makers' or users' own libraries, each an extra that is imported here alone.

Nikon's .nd2 (nd2), Zeiss' .czi (czifile), Leica's .lif (readlif) and .zarr folders, also of OME-NGFF (zarr).
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vtssi_pyro.errors import Argument, DataError, VtssiError
from vtssi_pyro.movies.movie import Movie
from vtssi_pyro.movies.stored import Stored
from vtssi_pyro.system.extras import extra
from vtssi_pyro.tracks.units import FRAME_RATE, NO_UNITS, PIXEL_SIZE, Units

PLANE = "TZC"  # the axes of planes: times, depths, channels
MICRONS = ("micrometer", "um", "µm")
OTHERS = "positions, tiles or series"


class Planes(NamedTuple):
    """The planes of a file."""

    counts: Mapping[str, int]  # along the axes of PLANE; one that is missing has a length of 1
    size: tuple[int, int]  # (H, W)
    plane: Callable[[int, int, int], np.ndarray]  # (H, W) of a time, a depth and a channel
    units: Units = NO_UNITS


def microscope(path: Path, stored: Stored = Stored()) -> Movie:
    """Open a file of a microscope; its planes are read one by one, but those of .czi together.

    Raises:
        DataError: it cannot be read, or holds several positions.
        UsageError: the package that reads it is not installed.
    """
    name = str(path)
    if stored.axes is not None:
        raise DataError(f"{name}: holds planes whose axes are known; leave out ", Argument("axes"))
    try:
        planes = READERS[path.suffix.lower()](path, stored)
        counts = {axis: planes.counts.get(axis, 1) for axis in PLANE}
        channel = stored.chosen_channel(name, counts["C"])
        depths = stored.chosen_planes(name, counts["Z"])
    except VtssiError:
        raise
    except Exception as error:  # whatever these packages raise of a file that is none of theirs
        raise DataError(f"{name}: cannot be read ({type(error).__name__}: {error})") from error
    channels = range(counts["C"]) if channel is None else [channel]

    def read() -> Iterator[np.ndarray]:
        for time in range(counts["T"]):
            try:
                shown = np.stack([
                    np.stack([np.asarray(planes.plane(time, depth, c)) for c in channels], -1) for depth in depths
                ])  # fmt: skip
            except Exception as error:  # likewise
                raise DataError(
                    f"{name}: time {time} cannot be read ({type(error).__name__}: {error})"
                ) from error
            frame = stored.projected(shown)
            yield frame[..., 0] if len(channels) == 1 else frame

    return Movie(name, planes.size, counts["T"], planes.units.frame_rate, read, stored, noted=planes.units)


def _units(microns: float | None, rate: float | None = None) -> Units:
    """Units of a pixel of so many micrometres, if it is a length."""
    rate = rate if rate is not None and FRAME_RATE.accepts(rate) else None
    if microns is None or not PIXEL_SIZE.accepts(microns):
        return Units(frame_rate=rate)
    return Units(microns, "um", rate)


def _refuse_several(path: Path, count: int) -> None:
    if count > 1:
        raise DataError(f"{path}: holds {count} {OTHERS}, and a movie is one: save each as a file of its own")


def _nd2(path: Path, stored: Stored) -> Planes:
    file = extra("nd2", "nd2", ".nd2 files need nd2").ND2File(str(path))
    sizes = dict(file.sizes)
    loops = [
        axis for axis in sizes if axis not in ("C", "Y", "X", "S")
    ]  # of which each has frames of its own
    for axis in loops:
        if axis not in PLANE:
            _refuse_several(path, sizes[axis])
    channels = sizes.get("C", 1) * sizes.get("S", 1)  # S: of a colour camera

    def plane(time: int, depth: int, channel: int) -> np.ndarray:
        place = {"T": time, "Z": depth}
        index = [place.get(axis, 0) for axis in loops]
        number = int(np.ravel_multi_index(index, [sizes[axis] for axis in loops])) if loops else 0
        frame = np.asarray(file.read_frame(number))
        height, width = sizes["Y"], sizes["X"]
        if sizes.get("S", 1) > 1:
            return frame.reshape(-1, height, width, sizes["S"])[0, ..., channel]
        return frame.reshape(-1, height, width)[channel]

    counts = {"T": sizes.get("T", 1), "Z": sizes.get("Z", 1), "C": channels}
    return Planes(counts, (sizes["Y"], sizes["X"]), plane, _units(float(file.voxel_size().x)))


def _czi(path: Path, stored: Stored) -> Planes:
    with extra("czifile", "czi", ".czi files need czifile").CziFile(str(path)) as file:
        axes, shape = file.axes, file.shape
        stored.refuse_more(str(path), int(np.prod(shape, dtype=np.int64)) * np.dtype(file.dtype).itemsize)
        whole = file.asarray()
    sizes = dict(zip(axes, shape, strict=True))
    for axis, count in sizes.items():
        if axis not in "TZCYX0":
            _refuse_several(path, count)
    colours = sizes.get("0", 1)  # of a colour camera
    order = [axis for axis in "TZCYX0" if axis in axes]
    kept = whole.reshape([sizes[axis] for axis in axes if axis in order])
    kept = kept.transpose([[axis for axis in axes if axis in order].index(axis) for axis in order])
    kept = kept.reshape([sizes.get(axis, 1) for axis in "TZCYX0"])
    if sizes.get("C", 1) > 1 and colours > 1:
        _refuse_several(path, sizes["C"])
    counts = {"T": sizes.get("T", 1), "Z": sizes.get("Z", 1), "C": sizes.get("C", 1) * colours}

    def plane(time: int, depth: int, channel: int) -> np.ndarray:
        found: np.ndarray = (
            kept[time, depth, 0, ..., channel] if colours > 1 else kept[time, depth, channel, ..., 0]
        )
        return found

    return Planes(counts, (sizes["Y"], sizes["X"]), plane)


def _lif(path: Path, stored: Stored) -> Planes:
    images = list(
        extra("readlif.reader", "lif", ".lif files need readlif").LifFile(str(path)).get_iter_image()
    )
    _refuse_several(path, len(images))
    image = images[0]
    _refuse_several(path, image.dims.m)
    counts = {"T": image.dims.t, "Z": image.dims.z, "C": image.channels}
    scale = image.scale  # pixels a micrometre along x and y, then z, and frames a second
    rate = float(scale[3]) if len(scale) > 3 and scale[3] else None

    def plane(time: int, depth: int, channel: int) -> np.ndarray:
        return np.asarray(image.get_frame(z=depth, t=time, c=channel))

    return Planes(
        counts, (image.dims.y, image.dims.x), plane, _units(1 / scale[0] if scale[0] else None, rate)
    )


def _zarr(path: Path, stored: Stored) -> Planes:
    found: Any = extra("zarr", "zarr", ".zarr folders need zarr").open(str(path), mode="r")
    axes, units = None, NO_UNITS
    if not hasattr(found, "shape"):  # a group, as of OME-NGFF
        attributes = dict(found.attrs)
        images = attributes.get("ome", attributes).get("multiscales") or []
        if not images:
            raise DataError(
                f"{path}: is a group without an image of OME-NGFF: give the path of an array in it"
            )
        _refuse_several(path, len(images))
        noted = [{"name": axis} if isinstance(axis, str) else axis for axis in images[0].get("axes", [])]
        whole = images[0]["datasets"][0]  # the finest
        axes, units = "".join(axis["name"].upper() for axis in noted) or None, _of_ngff(noted, whole)
        found = found[whole["path"]]
    axes = axes or {3: "TYX", 4: "TCYX", 5: "TCZYX"}.get(len(found.shape), "")
    known = len(set(axes)) == len(axes) == len(found.shape)
    if not known or not {"Y", "X"} <= set(axes) <= {*PLANE, "Y", "X"}:
        raise DataError(
            f"{path}: an array of shape {found.shape}, with axes {axes or 'unknown'}: expected TCZYX, or some of them"
        )
    sizes = dict(zip(axes, found.shape, strict=True))

    def plane(time: int, depth: int, channel: int) -> np.ndarray:
        place = {"T": time, "Z": depth, "C": channel}
        shown = np.asarray(found[tuple(place.get(axis, slice(None)) for axis in axes)])
        return shown if axes.index("Y") < axes.index("X") else shown.T

    return Planes({axis: sizes.get(axis, 1) for axis in PLANE}, (sizes["Y"], sizes["X"]), plane, units)


def _of_ngff(axes: list[dict[str, Any]], whole: Mapping[str, Any]) -> Units:
    """The units of an image of OME-NGFF, whose transformation scales pixels and times."""
    scales = [
        each["scale"] for each in whole.get("coordinateTransformations", []) if each.get("type") == "scale"
    ]
    if not scales or len(scales[0]) != len(axes):
        return NO_UNITS
    scale = {
        axis["name"]: (float(value), axis.get("unit")) for axis, value in zip(axes, scales[0], strict=True)
    }
    side, step = scale.get("x", (None, None)), scale.get("t", (None, None))
    square = side == scale.get("y")
    rate = 1 / step[0] if step[0] and step[1] in ("second", "s") else None
    return _units(side[0] if square and side[1] in MICRONS else None, rate)


READERS: dict[str, Callable[[Path, Stored], Planes]] = {
    ".nd2": _nd2,
    ".czi": _czi,
    ".lif": _lif,
    ".zarr": _zarr,
}
