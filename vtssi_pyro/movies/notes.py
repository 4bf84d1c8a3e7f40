"""What files note of pixels, times, channels and depths: TIFF (OME's XML, ImageJ's notes, the tags) and .czi."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from vtssi_pyro.errors import DataError
from vtssi_pyro.movies.pace import paced
from vtssi_pyro.system.files import regular
from vtssi_pyro.tracks.units import FRAME_RATE, PIXEL_SIZE, Units, known_length

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage, TiffPageSeries

# A camera's pixel is at most as large as a dot of the finest printers, 21 um (2.54 cm / 1200); resolutions up to that
# are those of a page, which programs write without anybody's asking.
PAGE = 1200 / 2.54  # dots per cm
CENTIMETRES = {2: 2.54, 3: 1.0, 4: 0.1, 5: 1e-4}  # of the tag's unit: inch, cm, mm, um; 1 is none
MICRONS = 1e4  # of a cm
METRES_OF_UM = 1e-6
DECIMALS = 9  # of a length in um that was noted in metres: what comes after them is rounding
ROUNDED = 0.01  # by which two notes of the same length or rate may differ by rounding
# Seconds of the units of time that ImageJ and OME write.
SECONDS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0), **dict.fromkeys(("ms", "msec"), 1e-3),
    **dict.fromkeys(("us", "µs", "usec"), 1e-6), **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
}  # fmt: skip
MOST_BITS = 1023  # whose largest number still is a float


class Notes(NamedTuple):
    """What a file notes; see :class:`vtssi_pyro.movies.planes.Planes`."""

    names: Mapping[str, Sequence[str]] = {}
    units: Units = Units()
    bits: int | None = None
    lines: tuple[str, ...] = ()


def completed(path: Path, file: "TiffFile") -> str | None:
    """OME's XML with what it leaves out: that pages are in order, and which file it is in; None: it is complete.

    Raises:
        DataError: it names files of other folders, or such as are missing, or leaves all to another file.
    """
    root = _root(file)
    if root is None:
        return None
    for each in _all(root, "BinaryOnly"):
        master = each.get("MetadataFile")
        raise DataError(f"{path}: is a part of a movie in several files: give its master, {master}")
    parts = [each for each in _all(root, "UUID") if each.get("FileName") is not None]
    known = {(each.get("FileName"), each.text) for each in parts}
    lacking = root.get("UUID") is None and len(known) == 1 and bool(parts[0].text)
    if lacking:  # all is in one file, which this is
        root.set("UUID", str(parts[0].text))
    for each in parts:
        other = each.get("FileName", "")
        renamed = each.text is not None and each.text == root.get("UUID")
        if other != path.name and not renamed:
            if Path(other).name != other:
                raise DataError(f"{path}: its notes name a file of another folder, {other}")
            try:
                regular(path.parent / other)
            except OSError as error:
                raise DataError(
                    f"{path}: its other part, {other}, cannot be read: {error.strerror}"
                ) from error
    bare = [
        each for each in _all(root, "Pixels") if not any(_all(each, kind) for kind in ("TiffData", "BinData"))
    ]
    for pixels in bare:
        ElementTree.SubElement(pixels, pixels.tag.replace("Pixels", "TiffData"))
    return ElementTree.tostring(root, encoding="unicode") if bare or lacking else None


def of_tiff(name: str, file: "TiffFile", series: "TiffPageSeries", sizes: Mapping[str, int]) -> Notes:
    """What is noted of a series of pages.

    Args:
        name: the file, for lines about notes that are not used.
        file: the file.
        series: the pages.
        sizes: lengths along the axes of the pages, that which changes slowest first.
    """
    bits = bits_of(series.keyframe)
    if series.kind == "ome":
        pixels = next((each for each in _all(_root(file), "Pixels") if _all(each, "TiffData")), None)
        if pixels is not None:
            found = _ome(name, pixels, sizes)
            return found._replace(bits=min(filter(None, (bits, found.bits)), default=None))
    if series.kind == "imagej":
        return _imagej(name, file, series, sizes)._replace(bits=bits)
    page = series.keyframe
    centimetres = CENTIMETRES.get(page.resolutionunit)
    x, y = page.resolution
    if centimetres is None or not (x and y) or x / centimetres <= PAGE:  # without the tags x and y are 1
        return Notes(bits=bits)
    units, lines = square(name, MICRONS * centimetres / x, MICRONS * centimetres / y, "um")
    return Notes({}, units, bits, lines)


def of_czi(name: str, text: str | None, channels: int, dtype: np.dtype | None) -> Notes:
    """What the XML of a .czi notes; lengths are in metres there, times in seconds.

    Args:
        name: the file, for lines about notes that are not used.
        text: the XML; None: there is none.
        channels: number of channels.
        dtype: of the pixels' numbers.

    Reference: Zeiss, ZISRAW file format (https://zeiss-microscopy.github.io/libczi).
    """
    try:
        root = ElementTree.fromstring(text or "")
    except ElementTree.ParseError:  # the pixels are whole all the same
        return Notes()
    sides = {each.get("Id"): _number(each.findtext("Value")) for each in _all(root, "Distance")}
    x, y = (round((sides.get(axis) or 0.0) / METRES_OF_UM, DECIMALS) for axis in "XY")
    units, lines = square(name, x, y, "um")
    image = root.find(".//Information/Image")
    step, bits, called = None, None, []
    if image is not None:
        step = _number(image.findtext("Dimensions/T/Positions/Interval/Increment"))
        bits = _number(image.findtext("ComponentBitCount"))
        called = [each.get("Name", "") for each in image.findall("Dimensions/Channels/Channel")]
    named = {"C": called} if all(called) and len(called) == channels else {}
    known = _fewer(int(bits), dtype) if bits and bits < MOST_BITS else None
    return Notes(
        named, Units(units.pixel_size, units.unit, known_rate(1 / step if step else None)), known, lines
    )


def known_rate(rate: float | None) -> float | None:
    """A frame rate, if it can be one."""
    return rate if rate is not None and FRAME_RATE.accepts(rate) else None


def _root(file: "TiffFile") -> Element | None:
    try:
        return ElementTree.fromstring(file.ome_metadata) if file.ome_metadata else None
    except ElementTree.ParseError:  # the series then is no longer of that kind, which is told
        return None


def _all(element: Element | None, kind: str) -> list[Element]:
    """The elements of a kind in another, in whatever namespace."""
    return [] if element is None else [each for each in element.iter() if each.tag.endswith(kind)]


def bits_of(page: "TiffPage") -> int | None:
    """Bits of the numbers of a page's pixels, if they are fewer than those of the numbers that hold them."""
    highest = page.tags.valueof(281)  # MaxSampleValue
    said = math.log2(highest + 1) if isinstance(highest, int) and highest > 0 else page.bitspersample
    return _fewer(int(said) if said == int(said) else None, page.dtype)


def _fewer(bits: int | None, dtype: np.dtype | None) -> int | None:
    if dtype is None or dtype.kind != "u" or bits is None:
        return None
    return bits if 1 < bits < 8 * dtype.itemsize else None


def _ome(name: str, pixels: Element, sizes: Mapping[str, int]) -> Notes:
    interval = _number(pixels.get("TimeIncrement"))
    seconds = SECONDS.get(pixels.get("TimeIncrementUnit", "s"))
    rate = known_rate(1 / (interval * seconds) if interval and seconds else None)
    x = _number(pixels.get("PhysicalSizeX")) or 0.0
    y = _number(pixels.get("PhysicalSizeY")) or x
    units, lines = square(name, x, y, pixels.get("PhysicalSizeXUnit", "µm"))
    steady, times, uneven = _times(name, pixels, sizes.get("T", 1))
    channels = [each.get("Name", "") for each in _all(pixels, "Channel")]
    named = {"C": channels} if all(channels) and len(channels) == sizes.get("C", 1) else {}
    bits = _number(pixels.get("SignificantBits"))
    dtype = np.dtype(pixels.get("Type", "")) if pixels.get("Type") in ("uint8", "uint16", "uint32") else None
    known = _fewer(int(bits), dtype) if bits and bits < MOST_BITS else None
    if rate and steady and abs(rate - steady) > ROUNDED * steady:  # what was planned, and what was measured
        lines += (f"{name}: notes {rate:g} frames a second, but times of {steady:g} a second, which count",)
    units = Units(units.pixel_size, units.unit, steady or rate, times)
    return Notes(named, units, known, (*lines, *uneven))


def _times(
    name: str, pixels: Element, count: int
) -> tuple[float | None, tuple[float, ...] | None, tuple[str, ...]]:
    """The usual rate of the planes of the first depth and channel, their times if these are uneven, and a line."""
    found: dict[int, float] = {}
    for each in _all(pixels, "Plane"):
        seconds = SECONDS.get(each.get("DeltaTUnit", "s"))
        place = [each.get(f"The{axis}", "0") for axis in "ZC"]
        try:
            if seconds and place == ["0", "0"]:
                found[int(each.get("TheT", ""))] = float(each.get("DeltaT", "")) * seconds
        except ValueError:  # no times are noted
            continue
    times = [found[time] for time in range(count) if time in found]
    if count < 2 or len(times) < count or not np.isfinite(times).all():
        return None, None, ()
    step = float(np.median(np.diff(times)))
    return known_rate(1 / step if step > 0 else None), *paced(name, times)


def _imagej(name: str, file: "TiffFile", series: "TiffPageSeries", sizes: Mapping[str, int]) -> Notes:
    said = file.imagej_metadata or {}
    interval, rate = _number(said.get("finterval")), _number(said.get("fps"))
    seconds = SECONDS.get(str(said.get("tunit", "s")))
    rate = known_rate(1 / (interval * seconds) if interval and seconds else rate)
    x, y = series.keyframe.resolution
    units, lines = square(name, 1 / x if x else 0.0, 1 / y if y else 0.0, str(said.get("unit", "")))
    return Notes(_labels(said.get("Labels"), sizes), Units(units.pixel_size, units.unit, rate), None, lines)


def _labels(labels: object, sizes: Mapping[str, int]) -> dict[str, list[str]]:
    """The names of channels and depths from the labels of all pages: those that are alike at all times."""
    if not isinstance(labels, list | tuple) or len(labels) != math.prod(sizes.values()):
        return {}
    pages = np.array([str(label).strip() for label in labels], object).reshape(tuple(sizes.values()))
    found = {}
    for axis in "ZC":
        if sizes.get(axis, 1) > 1:
            along = np.moveaxis(pages, list(sizes).index(axis), 0).reshape(sizes[axis], -1)
            names = along[:, 0].tolist()
            if (along == along[:, :1]).all() and all(names) and len(set(names)) == len(names):
                found[axis] = names
    return found


def square(name: str, x: float, y: float, unit: str) -> tuple[Units, tuple[str, ...]]:
    """Units of pixels of x by y, unless these or their unit mean no length."""
    if not (known_length(unit) and PIXEL_SIZE.accepts(x) and PIXEL_SIZE.accepts(y)):
        return Units(), ()
    if abs(x - y) > ROUNDED * x:
        told = f"{name}: notes pixels of {x:g} x {y:g} {unit}, which are not square: lengths stay in pixels"
        return Units(), (told,)
    return Units(x, unit), ()


def _number(value: object) -> float | None:
    """A number above 0; None of what is none."""
    try:
        found = float(str(value))
    except ValueError:
        return None
    return found if 0 < found < math.inf else None
