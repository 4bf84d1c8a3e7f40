"""Files of microscopes, read by their makers' or users' own libraries, each an extra that is imported here alone.

Nikon's .nd2 (nd2), Zeiss' .czi (czifile), Leica's .lif (readlif) and .zarr folders, also of OME-NGFF (zarr).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vtssi_pyro.errors import Argument, DataError
from vtssi_pyro.movies.arrays import array_planes
from vtssi_pyro.movies.axes import Axes, axes_of_movie, letters
from vtssi_pyro.movies.movie import Movie
from vtssi_pyro.movies.notes import known_rate, of_czi, square
from vtssi_pyro.movies.planes import PLANE, Plane, Planes, movie_of_planes, told
from vtssi_pyro.movies.stored import Stored
from vtssi_pyro.system.extras import extra

MICRONS = ("micrometer", "um", "µm")
OTHERS = "positions, tiles or series"


def microscope(path: Path, stored: Stored = Stored()) -> Movie:
    """Open a file of a microscope; its planes are read one by one, but those of .czi together.

    Raises:
        DataError: it cannot be read, or holds several positions.
        UsageError: the package that reads it is not installed.
    """
    name = str(path)
    with told(name):
        planes = READERS[path.suffix.lower()](path, stored)
    return movie_of_planes(name, planes, stored.without_axes)


def _refuse_axes(path: Path, stored: Stored) -> None:
    if stored.axes is not None:
        raise DataError(f"{path}: holds planes whose axes are known; leave out ", Argument("axes"))


def _units(name: str, microns: tuple[float, float] | None, rate: float | None = None) -> dict[str, Any]:
    """The units and lines of planes whose pixels have so many micrometres along x and y, if these are lengths."""
    units, lines = square(name, *(microns or (0.0, 0.0)), "um")
    return {"units": replace(units, frame_rate=known_rate(rate)), "lines": lines}


def _refuse_several(path: Path, count: int) -> None:
    if count > 1:
        raise DataError(f"{path}: holds {count} {OTHERS}, and a movie is one: save each as a file of its own")


def _nd2(path: Path, stored: Stored) -> Planes:
    _refuse_axes(path, stored)
    module = extra("nd2", "nd2", ".nd2 files need nd2")
    with module.ND2File(str(path)) as file:
        sizes = dict(file.sizes)
        first = (file.metadata.channels or [None])[0]
        calibrated = first is not None and all(first.volume.axesCalibrated[:2])
        sides = file.voxel_size()
        units = _units(str(path), (float(sides.x), float(sides.y)) if calibrated else None)
        names = [channel.channel.name for channel in file.metadata.channels or []]
        bits = file.attributes.bitsPerComponentSignificant
    # those of which each has frames of its own
    loops = [axis for axis in sizes if axis not in ("C", "Y", "X", "S")]
    for axis in loops:
        if axis not in PLANE:
            _refuse_several(path, sizes[axis])
    height, width, samples = sizes["Y"], sizes["X"], sizes.get("S", 1)  # S: of a colour camera

    @contextmanager
    def opened() -> Iterator[Plane]:
        with module.ND2File(str(path)) as file:

            def plane(time: int, depth: int, channels: Sequence[int]) -> np.ndarray:
                place = {"T": time, "Z": depth}
                index = [place.get(axis, 0) for axis in loops]
                number = int(np.ravel_multi_index(index, [sizes[axis] for axis in loops])) if loops else 0
                frame = np.asarray(file.read_frame(number)).reshape(-1, height, width, samples)
                return np.moveaxis(frame, 0, -2).reshape(height, width, -1)[..., list(channels)]

            yield plane

    counts = {"T": sizes.get("T", 1), "Z": sizes.get("Z", 1), "C": sizes.get("C", 1) * samples}
    named = {"C": names} if samples == 1 and len(names) == counts["C"] else {}
    return Planes(counts, (height, width), opened, sizes.get("C", 1) == 1, named, bits=bits, **units)


def _czi(path: Path, stored: Stored) -> Planes:
    _refuse_axes(path, stored)
    with extra("czifile", "czi", ".czi files need czifile").CziFile(str(path)) as file:
        axes, shape = file.axes, file.shape
        stored.refuse_more(str(path), int(np.prod(shape, dtype=np.int64)) * np.dtype(file.dtype).itemsize)
        whole, text = file.asarray(), file.metadata()
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

    def plane(time: int, depth: int, channels: Sequence[int]) -> np.ndarray:
        shown = kept[time, depth]  # (C, H, W, samples)
        shown = shown[0] if colours > 1 else np.moveaxis(shown[..., 0], 0, -1)
        return shown[..., list(channels)]

    noted = of_czi(str(path), text, counts["C"], whole.dtype)
    return Planes(
        counts, (sizes["Y"], sizes["X"]), lambda: nullcontext(plane), colours > 1, **noted._asdict()
    )


def _lif(path: Path, stored: Stored) -> Planes:
    _refuse_axes(path, stored)
    images = list(
        extra("readlif.reader", "lif", ".lif files need readlif").LifFile(str(path)).get_iter_image()
    )
    _refuse_several(path, len(images))
    image = images[0]
    _refuse_several(path, image.dims.m)
    counts = {"T": image.dims.t, "Z": image.dims.z, "C": image.channels}
    scale = image.scale  # pixels a micrometre along x and y, then z, and frames a second
    rate = float(scale[3]) if len(scale) > 3 and scale[3] else None

    def plane(time: int, depth: int, channels: Sequence[int]) -> np.ndarray:
        return np.stack([np.asarray(image.get_frame(z=depth, t=time, c=channel)) for channel in channels], -1)

    units = _units(str(path), (1 / scale[0], 1 / scale[1]) if scale[0] and scale[1] else None, rate)
    return Planes(counts, (image.dims.y, image.dims.x), lambda: nullcontext(plane), **units)


def _zarr(path: Path, stored: Stored) -> Planes:
    found: Any = extra("zarr", "zarr", ".zarr folders need zarr").open(str(path), mode="r")
    if hasattr(found, "shape"):  # an array, as those of numpy
        return array_planes(found, axes_of_movie(str(path), found, stored))
    attributes = dict(found.attrs)
    attributes = attributes.get("ome", attributes)
    images = attributes.get("multiscales") or []
    if not images:
        raise DataError(f"{path}: is a group without an image of OME-NGFF: give the path of an array in it")
    _refuse_axes(path, stored)
    _refuse_several(path, len(images))
    image = images[0]
    finest = image["datasets"][0]
    whole = found[finest["path"]]
    # before its version 0.4, axes were letters, and before 0.3 there was one order
    noted = [{"name": axis} if isinstance(axis, str) else axis for axis in image.get("axes") or "tczyx"]
    known = letters(axis["name"] for axis in noted)
    if known is None or len(known) != len(whole.shape):
        told_of = ", ".join(str(axis["name"]) for axis in noted)
        raise DataError(
            f"{path}: an array of shape {tuple(whole.shape)}, with axes {told_of}: expected some of t, c, z, y, x"
        )
    labels = [str(channel.get("label", "")) for channel in attributes.get("omero", {}).get("channels", [])]
    planes = array_planes(whole, Axes(known, colours=False))
    names = {"C": labels} if all(labels) and len(labels) == planes.counts.get("C", 1) else {}
    return planes._replace(names=names, **_of_ngff(str(path), noted, image, finest))


def _of_ngff(name: str, axes: list[dict[str, Any]], *noted: Mapping[str, Any]) -> dict[str, Any]:
    """The units and lines of an image of OME-NGFF, whose transformations, all in turn, scale pixels and times."""
    scale = np.ones(len(axes))
    for each in noted:
        for step in each.get("coordinateTransformations") or []:
            if step.get("type") == "scale" and len(step["scale"]) == len(axes):
                scale = scale * np.array(step["scale"], float)
    known = {axis["name"]: (float(value), axis.get("unit")) for axis, value in zip(axes, scale, strict=True)}
    (x, unit), (y, other), step = (known.get(axis, (0.0, None)) for axis in "xyt")
    rate = 1 / step[0] if step[0] and step[1] in ("second", "s") else None
    return _units(name, (x, y) if unit == other and unit in MICRONS else None, rate)


READERS: dict[str, Callable[[Path, Stored], Planes]] = {
    ".nd2": _nd2,
    ".czi": _czi,
    ".lif": _lif,
    ".zarr": _zarr,
}
