"""TIFF, page by page, by tifffile: stacks, hyperstacks of ImageJ, OME-TIFF, BigTIFF."""

import logging
import math
import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vtssi_pyro.errors import Argument, DataError, VtssiError
from vtssi_pyro.movies import notes
from vtssi_pyro.movies.movie import Movie, refuse_large
from vtssi_pyro.movies.planes import PLANE, Plane, Planes, movie_of_planes, told
from vtssi_pyro.movies.stored import Stored
from vtssi_pyro.movies.tiff_pages import CUT, has_colours, pictures_of
from vtssi_pyro.system.files import regular

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPageSeries

SUFFIXES = (".tif", ".tiff", ".tf2", ".tf8", ".btf")  # the last three: OME's names of BigTIFF
# First bytes of TIFF and of BigTIFF, in either order of bytes.
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
UNNAMED = "IQ"  # tifffile's letters of axes that no note names
# Programs whose notes give pages their meaning.
NOTED = {"ome": "OME", "imagej": "ImageJ", "shaped": "tifffile"}
REDUCED, MASK = 1, 4  # bits of a page's kind: it accompanies another page


def is_tiff(path: Path) -> bool:
    """Whether a file is a TIFF, whatever its name."""
    try:
        with regular(path).open("rb") as file:
            return file.read(4) in MAGIC
    except OSError:  # which reading it will report
        return False


def tiff(path: Path, stored: Stored = Stored()) -> Movie:
    """Open the pages of a TIFF as a movie.

    Raises:
        DataError: it is damaged or cut off, holds several series, or its notes do not fit its pages.
        UsageError: reading it needs imagecodecs, which is not installed.
    """
    name = str(path)
    with _opened(path) as (file, series), told(str(path)):
        axes, lengths, lines = _leading(name, series, stored)
        sizes = dict(zip(axes, lengths, strict=True))
        numbers = _in_order(axes, lengths)
        first = _first(path, file, series, stored)
        names, units, bits, doubts = notes.of_tiff(name, file, series, sizes)
    samples = first.shape[-1]
    coloured = sizes.get("C", 1) == 1 and has_colours(series.keyframe)

    @contextmanager
    def opened() -> Iterator[Plane]:
        with _opened(path, checked=False) as (_, pages), pictures_of(path, pages) as picture:

            def plane(time: int, depth: int, channels: Sequence[int]) -> np.ndarray:
                needed = {channel // samples for channel in channels}
                shown = {c: picture(int(numbers[time, depth, c])) for c in needed}
                if len(channels) == samples == shown[min(needed)].shape[-1] and len(needed) == 1:
                    return shown[min(needed)]
                return np.stack([shown[c // samples][..., c % samples] for c in channels], -1)

            yield plane

    counts = {**sizes, "C": sizes.get("C", 1) * samples}
    planes = Planes(
        counts,
        first.shape[:2],
        opened,
        coloured,
        names if samples == 1 else {},
        units,
        bits,
        (*lines, *doubts),
    )
    return movie_of_planes(name, planes, stored.without_axes)


def tiff_files(path: Path) -> list[Path]:
    """The files of the movie that a TIFF holds, itself first; itself alone if it is damaged."""
    import tifffile

    try:
        with told(str(path)), _silence():
            with tifffile.TiffFile(path) as file:
                if not file.is_ome:  # no others have several files
                    return [path]
            with _opened(path, checked=False) as (file, series):
                return [path, *(Path(part.filehandle.path) for part in _parts(file, series)[1:])]
    except VtssiError:
        return [path]


def tiff_picture(path: Path) -> tuple[np.ndarray, int]:
    """The first picture of a TIFF, (H, W) or (H, W, C), and the number of its pictures; see :func:`tiff`."""
    with _opened(path) as (file, series), told(str(path)):
        frame = _first(path, file, series, Stored())
        length = math.prod(series.shape) // max(1, math.prod(series.keyframe.shape))
    return frame[..., 0] if frame.shape[-1] == 1 else frame, length


@contextmanager
def _opened(path: Path, checked: bool = True) -> "Iterator[tuple[TiffFile, TiffPageSeries]]":
    """Open a TIFF, and the one series of pages in it that is the movie.

    Args:
        path: the file.
        checked: whether all of its pages are looked for first.

    Raises:
        DataError: it cannot be read, or does not hold one movie.
    """
    import tifffile

    with ExitStack() as stack, _silence():
        with told(str(path)):
            file = stack.enter_context(tifffile.TiffFile(regular(path)))
            if (whole := notes.completed(path, file)) is not None:
                file.close()
                file = stack.enter_context(tifffile.TiffFile(path, omexml=whole))
            if checked:
                _check_chain(path, file)
            series = _one_series(path, file)
            if checked:
                _check_pages(path, series)
        yield file, series


@contextmanager
def _silence() -> Iterator[None]:
    """Let tifffile log nothing: what it gives up is noticed, and told in one line."""
    log, none = logging.getLogger("tifffile"), logging.Filter("none of tifffile's")
    log.addFilter(none)
    try:
        yield
    finally:
        log.removeFilter(none)


def _check_chain(path: Path, file: "TiffFile") -> None:
    """Refuse a file whose list of pages is broken, which tifffile takes for its end, or goes round in circles."""
    form, handle = file.tiff, file.filehandle

    def number(place: int, kind: str, size: int) -> int:
        handle.seek(place)
        content = handle.read(size)
        if len(content) < size:
            raise DataError(f"{path} {CUT}")
        return int(struct.unpack(kind, content)[0])

    seen = set[int]()
    place = form.offsetsize  # of the first page's place: behind a head of as many bytes
    while page := number(place, form.offsetformat, form.offsetsize):
        if page in seen:
            raise DataError(f"{path}: its list of pages goes round in circles: the file is damaged")
        seen.add(page)
        place = page + form.tagnosize + number(page, form.tagnoformat, form.tagnosize) * form.tagsize
    if not seen:
        raise DataError(f"{path}: holds no pages")


def _one_series(path: Path, file: "TiffFile") -> "TiffPageSeries":
    """The series of pages that is the movie; reduced pictures and masks beside it are none."""
    kind = next((kind for kind in NOTED if getattr(file, f"is_{kind}")), None)
    found = [each for each in file.series if not each.keyframe.subfiletype & (REDUCED | MASK)]
    if kind is not None and found and found[0].kind in ("generic", "uniform"):
        pages = len(file.pages)
        raise DataError(
            f"{path}: the notes of {NOTED[kind]} do not fit the file, which has {pages} page{'s' * (pages > 1)}: copy "
            "it again, or save it anew"
        )
    if len(found) != 1:
        shapes = sorted({"x".join(map(str, each.keyframe.shape)) for each in found})
        raise DataError(
            f"{path}: holds {len(found)} series of pictures, of {', '.join(shapes)} pixels (H x W), and a movie is "
            "one, of one size: save each as a file of its own"
        )
    series = found[0]
    if 0 in series.shape or set(series.keyframe.axes) - set("YXS"):
        raise DataError(f"{path}: holds no pages of numbers, in rows and columns")
    return series


def _parts(file: "TiffFile", series: "TiffPageSeries") -> "list[TiffFile]":
    """The files of a series of pages, that which was opened first."""
    if not series.is_multifile:
        return [file]
    return list(dict.fromkeys([file, *(page.parent for page in series if page is not None)]))


def _check_pages(path: Path, series: "TiffPageSeries") -> None:
    """Refuse a series that lacks pages of which its notes tell, or the end of one."""
    if series.dataoffset is not None:  # one block
        return
    expected, found = math.prod(series.shape) // math.prod(series.keyframe.shape), 0
    for page in series:
        if page is not None:
            found, size = found + 1, page.parent.filehandle.size
            if any(a + n > size for a, n in zip(page.dataoffsets, page.databytecounts, strict=False)):
                raise DataError(f"{path} {CUT}")
    if found < expected:
        raise DataError(
            f"{path}: its notes tell of {expected} pages, of which {expected - found} are missing: copy the file again"
        )


def _leading(
    name: str, series: "TiffPageSeries", stored: Stored
) -> tuple[str, tuple[int, ...], tuple[str, ...]]:
    """The axes of pages, letters of PLANE, that which changes slowest first, their lengths, and what was assumed."""
    inner = len(series.keyframe.shape)
    every = [(axis, length) for axis, length in zip(series.axes, series.shape, strict=True)]
    while every and math.prod(length for _, length in every[-inner:]) != math.prod(series.keyframe.shape):
        inner += 1  # a page of one row or column, whose axis is left out
        if inner > len(every):
            raise DataError(f"{name}: its notes do not fit its pages")
    outer = [(axis, length) for axis, length in every[:-inner] if length > 1 or axis in PLANE]
    said = stored.axes and [axis for axis in stored.axes if axis not in "HW"]
    lines: tuple[str, ...] = ()
    if said:
        within = [axis for axis, _ in every[-inner:] if axis == "S"]  # samples, which a user calls channels
        said = said[: len(said) - len(within)] if len(said) > len(outer) else said
        if len(said) == 1:
            outer = [(said[0], math.prod(length for _, length in outer))]
        elif len(said) == len(outer):
            outer = [(letter, length) for letter, (_, length) in zip(said, outer, strict=True)]
        else:
            raise DataError(
                f"{name}: its pages have {len(outer)} axes, {_spelled(outer)}, but ", Argument("axes"),
                f" {stored.axes} names {len(said)} beside rows and columns",
            )  # fmt: skip
    unknown = [axis for axis, _ in outer if axis not in PLANE]
    known = dict(outer)
    if len(unknown) == 1 and unknown[0] in UNNAMED and known.get("T", 1) == 1:
        outer = [("T" if axis in UNNAMED else axis, n) for axis, n in outer if axis != "T"]
        unknown = []
    if unknown:
        raise DataError(
            f"{name}: holds pages along {_spelled(outer)}, whose meaning is not known: say their order with ",
            Argument("axes"),
            ", such as TCHW",
        )
    known = dict(outer)
    if not said and known.get("T", 1) == 1 and known.get("Z", 1) > 1:
        # programs call times depths until they are told otherwise
        outer = [({"Z": "T", "T": "Z"}.get(axis, axis), length) for axis, length in outer]
        lines = (f"{name}: {known['Z']} depths of one time are read as times",)
    return "".join(axis for axis, _ in outer), tuple(length for _, length in outer), lines


def _spelled(axes: list[tuple[str, int]]) -> str:
    return ", ".join(f"{length} of {axis if axis not in UNNAMED else 'no name'}" for axis, length in axes)


def _in_order(axes: str, lengths: tuple[int, ...]) -> np.ndarray:
    """The numbers of pages (T, Z, C) in a series."""
    numbers = np.arange(math.prod(lengths)).reshape(lengths)
    numbers = numbers.transpose([axes.index(axis) for axis in PLANE if axis in axes])
    return numbers[tuple(slice(None) if axis in axes else None for axis in PLANE)]


def _first(path: Path, file: "TiffFile", series: "TiffPageSeries", stored: Stored) -> np.ndarray:
    """The first picture (H, W, C), unless all together are too much."""
    page = series.keyframe
    refuse_large(str(path), (page.imagelength, page.imagewidth))
    stored.refuse_bomb(str(path), series.nbytes, sum(part.filehandle.size for part in _parts(file, series)))
    with pictures_of(path, series) as picture:
        return picture(0)
