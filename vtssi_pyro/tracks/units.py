"""Physical units: the length that a pixel stands for, and the time that a frame does."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from vtssi_pyro.config import Declared, Range, Text
from vtssi_pyro.errors import Argument, UsageError

# Of any unit: an atom is 1e-10 m, a light year 1e16 m.
PIXEL_SIZE = Range(1e-12, 1e18)
FRAME_RATE = Range(1e-9, 1e9)  # per second: one a century, and what no camera reaches
FRAME, STEPS = Range(0, 2**53), Range(1, 2**53)  # of frames: as far as any file counts
# Names that files and people have for the same unit, by the name of its columns.
ALIASES = {
    "um": ("µm", "μm", "micron", "microns", "micrometer", "micrometers", "micrometre", "micrometres"),
    "nm": ("nanometer", "nanometers", "nanometre", "nanometres"),
    "mm": ("millimeter", "millimeters", "millimetre", "millimetres"),
    "cm": ("centimeter", "centimeters", "centimetre", "centimetres"),
    "m": ("meter", "meters", "metre", "metres"),
    "inch": ("inches",),
    "angstrom": ("Å", "angstroms"),
}
NO_LENGTHS = ("px", "pixel", "pixels", "s", "sec", "frame", "frames", "per")  # that columns use otherwise
LETTERS = 32  # of a unit's name, which is a part of columns' names: no unit has as many
_NAMES = {alias: name for name, aliases in ALIASES.items() for alias in aliases}


def unit_name(text: str) -> str:
    """The name of a unit of length as columns have it: ``um`` for ``µm`` and ``micron``."""
    text = text.strip().replace("\\u00B5", "µ")  # as ImageJ escapes it
    return _NAMES.get(text, _NAMES.get(text.lower(), text))


def known_length(text: str) -> bool:
    """Whether a text can name a unit of length; ``pixel`` cannot."""
    name = unit_name(text)
    return re.fullmatch(f"[A-Za-z]{{1,{LETTERS}}}", name) is not None and name.lower() not in NO_LENGTHS


@dataclass(frozen=True)
class Units(Declared):
    """The length that a pixel stands for, and the time that a frame does; a None is unknown.

    Args:
        pixel_size: side of a pixel, in ``unit``.
        unit: name of the unit of length, such as ``um``; ``µm`` and ``micron`` are the same.
        frame_rate: frames per second.
        times: seconds of each frame, where frames are not evenly spaced; others follow at the frame rate.
        first: the number, in its movie, of the first frame that was read.
        step: frames of the movie from one that was read to the next.

    Raises:
        UsageError: a pixel's size without its unit, or a unit alone.

    Example:
        >>> from vtssi_pyro import Units
        >>> Units(0.106, "um", 25.0).line()
        'a pixel is 0.106 um, 25 frames a second'
    """

    pixel_size: Annotated[float | None, PIXEL_SIZE] = None
    unit: Annotated[str | None, Text("a word of letters, such as um")] = None
    frame_rate: Annotated[float | None, FRAME_RATE] = None
    times: tuple[float, ...] | None = None
    first: Annotated[int, FRAME] = 0
    step: Annotated[int, STEPS] = 1

    def __post_init__(self) -> None:
        """Refuse half of what makes a length."""
        super().__post_init__()
        if self.unit is not None:
            if not known_length(self.unit):
                raise UsageError(Argument("unit"), f" {self.unit}: expected a word of letters, such as um")
            object.__setattr__(self, "unit", unit_name(self.unit))
        if (self.pixel_size is None) != (self.unit is None):
            said, other = ("pixel_size", "unit") if self.unit is None else ("unit", "pixel_size")
            raise UsageError(Argument(said), ": means nothing alone; say ", Argument(other), ", too")

    def told(self, said: "Units") -> "Units":
        """These units, of which ``said`` replaces what it knows."""
        length = said if said.unit is not None else self
        pace = said if said.frame_rate is not None else self  # a rate that is said replaces times, too
        return Units(length.pixel_size, length.unit, pace.frame_rate, pace.times, self.first, self.step)

    @property
    def even(self) -> "Units":
        """The same with evenly spaced frames, at the frame rate."""
        return Units(self.pixel_size, self.unit, self.frame_rate, None, self.first, self.step)

    @property
    def counting(self) -> "Units":
        """The numbers of the frames alone."""
        return Units(first=self.first, step=self.step)

    @property
    def known(self) -> bool:
        """Whether anything but them is known."""
        return self != self.counting

    def numbered(self, frame: np.ndarray) -> np.ndarray:
        """The numbers in the movie of frames that are counted, from 0, as they were read."""
        return self.first + self.step * np.asarray(frame)

    def counted(self, number: int) -> int:
        """The count, from 0, of the frame with a number in the movie.

        Raises:
            ValueError: it was not read.
        """
        count, rest = divmod(number - self.first, self.step)
        if rest or count < 0:
            raise ValueError(f"frame {number} was not read")
        return count

    def time(self, frame: np.ndarray) -> np.ndarray:
        """Seconds of frames by number, from 0; NaN if no rate is known."""
        frame = np.asarray(frame, np.float64)
        step = math.nan if self.frame_rate is None else 1 / self.frame_rate
        if self.times is None:
            return frame * step
        known = np.array(self.times)
        inside = known[np.clip(frame, 0, len(known) - 1).astype(int)]
        return inside + np.maximum(frame - (len(known) - 1), 0) * (step if self.frame_rate else np.nan)

    def factor(self, length: int, time: int, frame: np.ndarray) -> np.ndarray | float:
        """The factor from pixels**length frames**time to these units; what is unknown stays.

        Args:
            length: power of lengths.
            time: power of times: 0, or -1 of what is measured since the frame before.
            frame: the frames of the values; pace differs among them if times are known.
        """
        factor: np.ndarray | float = 1.0 if self.pixel_size is None else self.pixel_size**length
        if time and self.frame_rate is not None:
            factor = factor * self._pace(frame) ** (-time)
        return factor

    def _pace(self, frame: np.ndarray) -> np.ndarray | float:
        """Frames per second since the frame that was read before; NaN without one."""
        if self.times is None:
            return self.frame_rate or np.nan
        before = frame - self.step
        since = np.where(before >= 0, self.time(frame) - self.time(np.maximum(before, 0)), 0.0)
        return np.divide(float(self.step), since, out=np.full(since.shape, np.nan), where=since > 0)

    def name(self, length: int, time: int) -> str:
        """The unit of pixels**length frames**time: ``um``, ``um2`` or ``um_per_s``; empty for none."""
        power = f"{self.unit or 'px'}{length if length > 1 else ''}" if length else ""
        pace = f"per_{'s' if self.frame_rate is not None else 'frame'}" if time else ""
        return "_".join(part for part in (power, pace) if part)

    def changes(self, length: int, time: int) -> bool:
        """Whether pixels**length frames**time has another name in these units."""
        return bool((length and self.unit is not None) or (time and self.frame_rate is not None))

    def length(self, pixels: float) -> str:
        """A length for people: in pixels and, if their size is known, in the unit, too."""
        known = "" if self.pixel_size is None else f" ({pixels * self.pixel_size:.3g} {self.unit})"
        return f"{pixels:.2f} px{known}"

    def as_dict(self) -> dict[str, Any]:
        """What is known but the times, ready for JSON."""
        known = {"pixel_size": self.pixel_size, "unit": self.unit, "frame_rate": self.frame_rate}
        return known | ({"first": self.first, "step": self.step} if (self.first, self.step) != (0, 1) else {})

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Units":
        """The inverse of :meth:`as_dict`; what is missing is not known."""
        numbers = int(plain.get("first", 0)), int(plain.get("step", 1))
        return cls(plain.get("pixel_size"), plain.get("unit"), plain.get("frame_rate"), None, *numbers)

    def line(self, said: "Units | None" = None) -> str:
        """What is known, for people; empty if nothing is.

        Args:
            said: what a user says of it, the rest being from a file, to tell which is which; None: that is not told.
        """

        def by(told: object) -> str:
            return "" if said is None else " (from the file)" if told is None else " (as told)"

        parts = []
        if self.unit is not None:
            parts.append(f"a pixel is {self.pixel_size:g} {self.unit}{by(said and said.unit)}")
        if self.frame_rate is not None:
            parts.append(f"{self.frame_rate:g} frames a second{by(said and said.frame_rate)}")
        return ", ".join(parts)


NO_UNITS = Units()
