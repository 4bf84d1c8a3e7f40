"""The pages of a TIFF stack by time, depth and channel, as ImageJ, OME and tifffile note them in its first page."""

import math
import re
from typing import NamedTuple

import numpy as np

from vtssi_pyro.errors import Argument, DataError
from vtssi_pyro.movies.stored import Stored
from vtssi_pyro.system.plain import parsed

LEADING = "TZC"  # the axes of pages, in the order to which they are brought
_IMAGEJ = {"T": "frames", "Z": "slices", "C": "channels"}


class Stack(NamedTuple):
    """The order of the pages of a file."""

    axes: str  # letters of LEADING, that which changes slowest first
    counts: tuple[int, ...]  # pages along each
    colours: int  # numbers of a pixel of a page
    lines: tuple[str, ...] = ()  # what was assumed, for people

    def numbers(self, name: str, stored: Stored) -> list[list[int]]:
        """The numbers of the pages that make each frame: one, or several depths to project.

        Args:
            name: the file in error messages.
            stored: the chosen channel and depth.

        Raises:
            DataError: there are several channels or depths, and none is chosen, or one that is not there.
        """
        pages = np.arange(math.prod(self.counts)).reshape(self.counts)
        pages = pages.transpose([self.axes.index(letter) for letter in LEADING if letter in self.axes])
        pages = pages[tuple(slice(None) if letter in self.axes else None for letter in LEADING)]
        planes = stored.chosen_planes(name, pages.shape[1])
        channel = _one_of(name, stored, pages.shape[2]) if pages.shape[2] > 1 else 0
        if stored.channel is not None and pages.shape[2] == 1:
            stored.chosen_channel(name, self.colours)
        return pages[:, planes, channel].tolist()


def described(name: str, description: str, pages: int, colours: int, stored: Stored) -> Stack:
    """Find the order of pages.

    Args:
        name: the file in error messages.
        description: the tag of that name of the first page; one of no known kind tells nothing, and pages are times.
        pages: their number.
        colours: numbers of a pixel of a page, which OME counts as channels.
        stored: the axes, if a user says them.

    Raises:
        DataError: the description contradicts the pages, or leaves open what they are.
    """
    known, lines = _noted(name, description, pages, colours)
    if stored.axes is not None:
        asked = [letter for letter in stored.axes if letter in LEADING]
        lengths = (
            list(known.values()) if len(known) == len(asked) else [known.get(letter, 0) for letter in asked]
        )
        known, lines = dict(zip(asked, lengths if len(asked) > 1 else [pages], strict=True)), ()
    if math.prod(known.values()) != pages:
        told = ", ".join(f"{count} of {axis}" for axis, count in known.items())
        raise DataError(f"{name}: announces {told} (times, depths, channels), but has {pages} pages")
    if unknown := [axis for axis in known if axis not in LEADING]:
        raise DataError(
            f"{name}: holds an array of {' x '.join(map(str, known.values()))} pages, whose axes {unknown} are not "
            "known: say their order with ",
            Argument("axes"),
            ", such as TCHW",
        )
    if "T" not in known or (known["T"] == 1 and known.get("Z", 1) > 1):
        # programs call times depths until they are told otherwise
        if known.get("Z", 1) > 1:
            swapped = {"Z": "T", "T": "Z"}
            known = {swapped.get(axis, axis): count for axis, count in known.items()}
            lines = (f"{name}: {known['T']} depths of one time are read as times",)
    return Stack("".join(known), tuple(known.values()), colours, lines)


def announced(description: str) -> int:
    """The number of pages that ImageJ announces, of which it writes but the first if they exceed 4 GB; else 1."""
    found = re.search(r"^images=(\d+)", description, re.MULTILINE)
    return int(found[1]) if found and description.startswith("ImageJ=") else 1


def _noted(name: str, description: str, pages: int, colours: int) -> tuple[dict[str, int], tuple[str, ...]]:
    """The number of pages along each axis, that which changes slowest first."""
    if description.startswith("ImageJ="):
        said = dict(re.findall(r"^(channels|slices|frames)=(\d+)", description, re.MULTILINE))
        counts = {axis: int(said.get(word, 1)) for axis, word in _IMAGEJ.items()}
        return (counts if math.prod(counts.values()) > 1 else {"T": pages}), ()
    if found := re.search(r"<(?:\w+:)?Pixels\b[^>]*>", description):
        said = dict(re.findall(r"\b(Size[TZC]|DimensionOrder)\s*=\s*[\"'](\w+)[\"']", found[0]))
        order = said.get("DimensionOrder", "XYCZT")[:1:-1]
        if sorted(order) != sorted(LEADING):
            raise DataError(f"{name}: has the impossible order of axes {order}")
        counts = {axis: int(said.get(f"Size{axis}", 1)) for axis in order}
        if colours > 1 and counts["C"] % colours == 0:
            counts["C"] //= colours
        return counts, ()
    if description.startswith('{"shape":'):
        return _of_tifffile(description, pages), ()
    return {"T": pages}, ()


def _of_tifffile(description: str, pages: int) -> dict[str, int]:
    """The axes of an array that tifffile wrote; unknown ones have numbers as names."""
    try:
        noted = parsed(description)
        shape, axes = [int(side) for side in noted["shape"]], noted.get("axes")
    except (ValueError, TypeError, KeyError, OverflowError):
        return {"T": pages}
    sides, before = [], 1
    for side in shape:  # those of pages; rows, columns and colours follow
        if before >= pages:
            break
        sides.append(side)
        before *= side
    if isinstance(axes, str) and len(axes) == len(shape) and len(set(axes)) == len(axes):
        return dict(zip(axes, sides, strict=False))
    sides = [side for side in sides if side > 1]
    return {str(k): side for k, side in enumerate(sides)} if len(sides) > 1 else {"T": pages}


def _one_of(name: str, stored: Stored, count: int) -> int:
    """The chosen one of several channels, each a page by itself, which no luminance joins."""
    if stored.single is None:
        raise DataError(
            f"{name}: has {count} channels: say which to read, ", Argument("channel"), f" 0 to {count - 1}"
        )
    channel = stored.chosen_channel(name, count)
    assert channel is not None
    return channel
