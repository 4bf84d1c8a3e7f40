"""The size of pixels and the pace of frames, as ImageJ, OME and the tags of a TIFF note them."""

import html
import re
from typing import NamedTuple

from vtssi_pyro.tracks.units import FRAME_RATE, PIXEL_SIZE, Units, known_length

# A camera's pixel is at most as large as a dot of the finest printers, 21 um (2.54 cm / 1200); resolutions up to that
# are those of a page, which programs write without anybody's asking.
PAGE = 1200 / 2.54  # dots per cm
RESOLUTION_UNITS = {2: 2.54, 3: 1.0}  # cm of the tag's unit: inch and cm; 1 is none
MICRONS = 1e4  # of a cm
SQUARE = 0.01  # by which width and height of a pixel may differ by rounding
# Seconds of the units of time that ImageJ and OME write.
SECONDS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0), **dict.fromkeys(("ms", "msec"), 1e-3),
    **dict.fromkeys(("us", "µs", "usec"), 1e-6), **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
}  # fmt: skip


class Resolution(NamedTuple):
    """The tags of a TIFF: pixels per unit."""

    x: float
    y: float
    unit: int  # 1 none, 2 inch, 3 cm


def noted(name: str, description: str, resolution: Resolution | None) -> tuple[Units, tuple[str, ...]]:
    """What a TIFF notes of its pixels and frames, and lines for people about notes that are not used.

    Args:
        name: the file, for these lines.
        description: the tag of that name.
        resolution: the tags of the resolution; None: there are none.
    """
    text = html.unescape(_as_utf8(description))
    if text.startswith("ImageJ="):
        return _imagej(name, text, resolution)
    if found := re.search(r"<(?:\w+:)?Pixels\b[^>]*>", text):
        return _ome(name, found[0])
    if resolution is None or resolution.unit not in RESOLUTION_UNITS:
        return Units(), ()
    x, y = (per / RESOLUTION_UNITS[resolution.unit] for per in resolution[:2])  # pixels per cm
    if x <= PAGE:
        return Units(), ()
    return _square(name, MICRONS / x, MICRONS / y if y else 0.0, "um")


def _imagej(name: str, text: str, resolution: Resolution | None) -> tuple[Units, tuple[str, ...]]:
    said = dict(re.findall(r"^(unit|finterval|fps|tunit)=(.+?)\s*$", text, re.MULTILINE))
    interval, rate = _number(said.get("finterval")), _number(said.get("fps"))
    seconds = SECONDS.get(said.get("tunit", "s"))
    pace = 1 / (interval * seconds) if interval and seconds else rate
    if resolution is None or not (resolution.x and resolution.y):
        return Units(frame_rate=_plausible_rate(pace)), ()
    units, lines = _square(name, 1 / resolution.x, 1 / resolution.y, said.get("unit", ""))
    return units.told(Units(frame_rate=_plausible_rate(pace))), lines


def _ome(name: str, pixels: str) -> tuple[Units, tuple[str, ...]]:
    said = dict(
        re.findall(r"\b((?:PhysicalSize[XY]|TimeIncrement)(?:Unit)?)\s*=\s*[\"']([^\"']*)[\"']", pixels)
    )
    interval = _number(said.get("TimeIncrement"))
    seconds = SECONDS.get(said.get("TimeIncrementUnit", "s"))
    rate = _plausible_rate(1 / (interval * seconds) if interval and seconds else None)
    x = _number(said.get("PhysicalSizeX")) or 0.0
    y = _number(said.get("PhysicalSizeY")) or x
    units, lines = _square(name, x, y, said.get("PhysicalSizeXUnit", "µm"))
    return units.told(Units(frame_rate=rate)), lines


def _square(name: str, x: float, y: float, unit: str) -> tuple[Units, tuple[str, ...]]:
    """Units of pixels of x by y, unless these or their unit mean no length."""
    if not (known_length(unit) and PIXEL_SIZE.accepts(x) and PIXEL_SIZE.accepts(y)):
        return Units(), ()
    if abs(x - y) > SQUARE * x:
        told = f"{name}: notes pixels of {x:g} x {y:g} {unit}, which are not square: lengths stay in pixels"
        return Units(), (told,)
    return Units(x, unit), ()


def _plausible_rate(rate: float | None) -> float | None:
    return rate if rate is not None and FRAME_RATE.accepts(rate) else None


def _number(text: str | None) -> float | None:
    """A number above 0; None of what is none."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None


def _as_utf8(text: str) -> str:
    """A text in UTF-8 that was read as Latin-1, as TIFF's ASCII tags are; others stay."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text
