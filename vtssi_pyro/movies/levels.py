"""The range and the mask of frames: how stored numbers become ones in [0, 1], and which are refused.

Files, movies, arrays and tensors pass through it. What had to be assumed is described in lines for people.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import ndimage

from vtssi_pyro.errors import Argument, DataError
from vtssi_pyro.movies.stored import Stored

FULL = {"uint8": 255.0, "uint16": 65535.0, "bool": 1.0}  # the value of white, by dtype
WHITES = tuple(2.0**bits - 1 for bits in (1, 8, 10, 12, 14, 16))  # of binary pictures and of cameras
# Share of white by which resampling may overshoot: the first lobe of a sharp filter's step response reaches 9 %
# (Gibbs), of a narrow line's a little more.
OVERSHOOT = 0.15
# Floats whose largest value is that small a share of the next usual white are of no usual scale: 8-bit pictures whose
# brightest pixel is below 13 would be black to the eye.
DARK = 0.05
# Share of the frames whose largest values may be glitches, and of a frame's pixels: an object is seen in more of them.
ODD = 0.05
# Pixels of a frame beyond the scale of the others that may be a glitch in a movie of fewer frames than that share tells
# of: a cosmic ray or a hot pixel and its neighbours along a line; objects cover more.
GLITCH = 4
LARGEST = 1e18  # squares of larger numbers exceed single precision, and no camera counts so far
EDGE = 0.25  # share of a side of the frame that a region of NaN covers if it is a border, and no hole at the edge
SAMPLED = (
    32  # frames whose medians give the level that masked pixels get: the median of them is steady enough
)
_CHUNK = 2**24  # numbers checked at a time, 64 MiB of single-precision floats for files of any size
NEAR = 8  # sequences, and frames of each, that tell whether 8 bits are a mask of 0 and 1


@dataclass(frozen=True, eq=False)
class Levels:
    """The values of black and white, and the pixels that hold no value: how stored numbers become ones in [0, 1].

    Args:
        dtype: of the stored numbers.
        black: the value that becomes 0.
        white: the value that becomes 1.
        natural: whether that is the dtype's own range, which nothing exceeds.
        mask: (H, W), pixels that hold no value in some frame; None: all do.
        fill: in [0, 1], the level that they get.
        missing: frames without any value; they count through all sequences.
        lines: what was assumed, for people.
    """

    dtype: str
    black: float
    white: float
    natural: bool
    mask: np.ndarray | None = None
    fill: float = 0.0
    missing: frozenset[int] = frozenset()
    lines: tuple[str, ...] = ()

    def __call__(self, frames: np.ndarray, channels: int | None = None) -> np.ndarray:
        """Convert stored numbers to float32 in [0, 1].

        Args:
            frames: (..., H, W), or with channels behind that.
            channels: the axis of the channels if it is the last one, -1.
        """
        if frames.dtype.name in ("uint8", "bool") and frames.dtype.name != self.dtype:
            return frames.astype(np.float32) / np.float32(FULL[frames.dtype.name])
        wide: Any = np.float64 if frames.dtype.itemsize > 4 or frames.dtype.kind == "i" else np.float32
        found = (frames.astype(wide) - wide(self.black)) / wide(self.white - self.black)
        made = found.astype(np.float32).clip(0, 1)
        if self.mask is not None or self.missing:
            made[np.isnan(made)] = self.fill
        if self.mask is not None:
            made[(..., self.mask, slice(None)) if channels == -1 else (..., self.mask)] = self.fill
        return made

    def as_dict(self) -> dict[str, Any]:
        """What was assumed, ready for JSON."""
        return {
            "dtype": self.dtype,
            "range": [self.black, self.white],
            "masked_pixels": 0 if self.mask is None else int(self.mask.sum()),
            "missing_frames": sorted(self.missing),
            "assumed": list(self.lines),
        }


def natural(dtype: np.dtype) -> Levels:
    """The levels of a dtype's own range, that of floats [0, 1]."""
    return Levels(dtype.name, 0.0, FULL.get(dtype.name, 1.0), True)


@dataclass
class Scan:
    """Read frames once, block by block, for their range and mask.

    Args:
        name: the source in messages.
        dtype: of all frames.
        where: says of a frame's number which frame that is.
        signed: whether a movie's inspection will find the level of black, so that negative numbers have a meaning.
        bits: of the camera's numbers, as the file notes them; numbers beyond prove it wrong.
    """

    name: str
    dtype: np.dtype
    where: Callable[[int], str] = "frame {}".format
    signed: bool = False
    bits: int | None = None
    lows: list[float] = field(default_factory=list)
    highs: list[float] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    medians: list[float] = field(default_factory=list)
    # of the first frames: whether few pixels are beyond a lower scale
    few: list[bool] = field(default_factory=list)
    number: int = 0
    begun: int = 0  # the first frame of the present sequence
    mask: np.ndarray | None = None  # (H, W): pixels without a value in some sequence
    alike: bool = True  # whether these lack one in every frame
    border: np.ndarray | None = None  # (H, W): NaN at the frame's edge, in any frame
    always: np.ndarray | None = None  # (H, W): NaN in every frame
    holes: np.ndarray | None = None  # (H, W): the first frame in which a pixel is NaN elsewhere; -1: in none

    def __post_init__(self) -> None:
        """Refuse what is no number."""
        if self.dtype.kind not in "biuf":
            raise DataError(
                f"{self.name}: frames are {self.dtype}, expected numbers: bool, integers or floats"
            )

    def add(self, frames: np.ndarray, channels: int | None = None) -> None:
        """Take the next frames, (n, H, W), or with channels on the axis ``channels``.

        Raises:
            DataError: an infinite intensity, or one without a meaning.
        """
        within = tuple(range(1, frames.ndim))
        short = ODD * (len(self.highs) - len(self.missing)) < 1  # so far
        # NaN where any pixel is
        low, high = (np.asarray(found, np.float64) for found in (frames.min(within), frames.max(within)))
        if self.dtype.kind == "f" and not ((np.abs(low) < LARGEST) & (np.abs(high) < LARGEST)).all():
            low, high = self._unusual(frames, channels)
        elif self.always is not None:
            self.always[:] = False
        self.lows += low.tolist()
        self.highs += high.tolist()
        if short:
            most = min(GLITCH, ODD * frames[0].size)
            self.few += [_beyond(frame, float(top)) <= most for frame, top in zip(frames, high, strict=True)]
        first = frames[0][np.isfinite(frames[0])]
        if self.dtype.kind == "f" and len(self.medians) < SAMPLED and len(first):
            self.medians.append(float(np.median(first)))
        self.number += len(frames)

    def _unusual(self, frames: np.ndarray, channels: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Sort out the NaN of a block; the least and the largest value of each frame, NaN of a missing one."""
        lows, highs = np.full(len(frames), np.nan), np.full(len(frames), np.nan)
        for k, frame in enumerate(frames):
            number, axis = self.number + k, None if channels is None else channels % frames.ndim - 1
            wrong = np.isinf(frame) | (np.abs(frame.astype(np.float64)) >= LARGEST)
            if wrong.any():
                self._refuse(number, frame, wrong, axis)
            nan = np.isnan(frame)
            flat = nan if axis is None else nan.any(axis)
            if nan.all():
                self.missing.append(number)
                continue
            lows[k], highs[k] = np.nanmin(frame), np.nanmax(frame)
            if self.always is None:
                # frames before had none, if there were any
                seen = number - self.begun - len([m for m in self.missing if m >= self.begun])
                self.always = flat.copy() if seen == 0 else np.zeros(flat.shape, bool)
                self.border = np.zeros(flat.shape, bool)
                self.holes = np.full(flat.shape, -1)
            assert self.border is not None
            assert self.holes is not None
            self.always &= flat
            edge = _at_the_edge(flat)
            self.border |= edge
            self.holes[flat & ~edge & (self.holes < 0)] = number
        return lows, highs

    def _refuse(self, number: int, frame: np.ndarray, wrong: np.ndarray, axis: int | None) -> None:
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        row, column = index[:2] if axis is None else (i for k, i in enumerate(index) if k != axis)
        raise DataError(
            f"{self.name}: {self.where(number)} has the intensity {frame[index]} at row {row}, column {column}: "
            "expected finite numbers"
        )

    def close(self) -> None:
        """End a sequence: what is NaN in each of its frames is a mask.

        Raises:
            DataError: NaN that is neither a mask nor a missing frame.
        """
        seen = self.number - self.begun - len([m for m in self.missing if m >= self.begun])
        self.begun = self.number
        if self.always is None or self.border is None or self.holes is None:
            return
        always = self.always if seen > 1 else np.zeros_like(self.always)  # one frame tells of no other
        holes = (self.holes >= 0) & ~always
        if holes.any():
            first = self.holes[holes].min()
            row, column = (int(i) for i in np.argwhere(holes & (self.holes == first))[0])
            raise DataError(
                f"{self.name}: {self.where(int(first))} has the intensity nan at row {row}, column {column}: expected "
                "finite numbers; NaN along a border, in the same region of every frame, or in all of a frame, is "
                "understood"
            )
        self.alike &= not (self.border & ~always).any()
        mask = always | self.border
        self.mask = mask if self.mask is None else self.mask | mask
        self.always = self.border = self.holes = None

    def levels(self, stored: Stored = Stored()) -> Levels:
        """Decide, once all frames have been added.

        Raises:
            DataError: NaN that is neither a mask nor a missing frame, negative numbers without a range, or nothing.
        """
        name = self.name
        self.close()
        if len(self.missing) == self.number:
            raise DataError(f"{name}: every intensity is nan: expected numbers")
        mask, lines = self._masked()
        if self.missing:
            lines.append(
                f"{name}: {_counted(len(self.missing), 'frame')} without any value, the first "
                f"{self.where(self.missing[0])}: taken as missing"
            )
        black, white, said = self._range(stored)
        full = FULL.get(self.dtype.name, 1.0)
        low, high = float(np.nanmin(self.lows)), float(np.nanmax(self.highs))
        plain = (black, white) == (0.0, full) and low >= 0 and high <= full
        fill = float(np.median(self.medians)) if self.medians else 0.0
        return Levels(
            self.dtype.name, black, white, plain and mask is None and not self.missing, mask,
            float(np.clip((fill - black) / (white - black), 0, 1)), frozenset(self.missing), (*lines, *said),
        )  # fmt: skip

    def _glitches(self) -> int:
        """The number of frames whose largest values may be glitches: of few, those where few pixels are so large."""
        count = len(self.highs) - len(self.missing)
        if ODD * count >= 1:
            return int(ODD * count)
        seen = [pair for pair in zip(self.highs, self.few, strict=True) if not math.isnan(pair[0])]
        lasting = next((k for k, (_, few) in enumerate(sorted(seen, reverse=True)) if not few), count)
        return min(lasting, (count - 1) // 2)

    def _masked(self) -> tuple[np.ndarray | None, list[str]]:
        """The pixels without a value, and what they are taken for."""
        mask = self.mask
        if mask is None or not mask.any():
            return None, []
        if mask.all():
            raise DataError(f"{self.name}: no pixel has a value in every frame: expected numbers")
        count = int(mask.sum())
        have, they = ("have", "they show") if count > 1 else ("has", "it shows")
        when = "in any frame" if self.alike else "in some frames, at the border"
        return mask, [
            f"{self.name}: {_counted(count, 'pixel')} {have} no value (NaN) {when}: in all frames {they} an even grey, "
            "in which nothing is found"
        ]

    def _range(self, stored: Stored) -> tuple[float, float, list[str]]:
        """The values of black and white, and what was assumed."""
        name, kind = self.name, self.dtype.name
        # of the frames that have values
        lows, highs = (np.sort([x for x in ends if not math.isnan(x)]) for ends in (self.lows, self.highs))
        low, high = float(lows[0]), float(highs[-1])
        if stored.range is not None and stored.dtype in (None, kind):
            black, white = map(float, stored.range)
            cut = low < black or high > white
            beyond = [f"{name}: intensities from {low:g} to {high:g} are cut off at {black:g} and {white:g}"]
            return black, white, beyond if cut else []
        if kind == "bool":
            return 0.0, 1.0, []
        if self.bits is not None and self.dtype.kind != "f" and low >= 0 and high <= 2.0**self.bits - 1:
            return 0.0, 2.0**self.bits - 1, [f"{name}: {kind} of {self.bits} bits, as the file notes"]
        spared = 0.0 if self.dtype.kind != "f" else OVERSHOOT
        white = _white(high, spared, self.dtype)
        usual = float(highs[-1 - self._glitches()])
        typical = _white(usual, spared, self.dtype)
        # single glitches beyond a scale that nearly all frames fill
        if typical < white and typical in WHITES and usual >= typical / 2:
            white = typical
        black = 0.0
        # a negative number in one frame of several is a glitch in any scale
        usual_low = float(lows[min(max(1, int(ODD * len(lows))), (len(lows) - 1) // 2)])
        if low < -OVERSHOOT * white and usual_low < -OVERSHOOT * white:
            if not self.signed:
                place = int(np.nanargmin(self.lows))
                raise DataError(
                    f"{name}: {self.where(place)} has the intensity {low:g}: expected [0, 1], 0 to 255, or a "
                    "camera's 0 to 4,095 and the like; say the values of black and white with ",
                    Argument("range"),
                )
            black, white = low, max(high, low + 1e-9)
        lines = []
        if (black, white) != (0.0, FULL.get(kind, 1.0)):
            bits = f" ({round(math.log2(white + 1))} bits)" if black == 0 and white in WHITES[1:] else ""
            lines.append(
                f"{name}: {kind} from {low:.6g} to {high:.6g}, read as {black:.6g} to {white:.6g}{bits}; if black and "
                f"white are others, say range BLACK,WHITE"
            )
        if (low < black or high > white) and black == 0:
            lines.append(
                f"{name}: intensities from {low:.6g} to {high:.6g} are cut off at {black:g} and {white:g}"
            )
        if black == 0 and 0 < high < DARK * white:
            lines.append(
                f"{name}: dark, the brightest pixel is {high:.3g} of {white:g}; if that is white, say "
                f"range 0,{high:.3g}"
            )
        return black, white, lines


def _white(high: float, spared: float, dtype: np.dtype) -> float:
    """The value of white of frames whose largest value is ``high``."""
    if dtype.name == "uint8":
        return 1.0 if high == 1 else 255.0
    if dtype.kind != "f" and high == 0:
        return FULL.get(dtype.name, 255.0)
    white = next((white for white in WHITES if high <= white * (1 + spared)), high)
    return high if dtype.kind == "f" and white > 1 and high < DARK * white else white


def _bits(dtype: np.dtype) -> int | None:
    """Bits of a dtype whose largest number is white; None: it has no such number."""
    return round(math.log2(FULL[dtype.name] + 1)) if dtype.name in FULL else None


def _beyond(frame: np.ndarray, high: float) -> int:
    """The number of values of a frame beyond the largest usual white that its largest value, ``high``, exceeds."""
    below = [white * (1 + OVERSHOOT) for white in WHITES if white * (1 + OVERSHOOT) < high]
    return int((frame > below[-1]).sum()) if below else frame.size


def _at_the_edge(nan: np.ndarray) -> np.ndarray:
    """The connected regions of ``nan`` (H, W) that lie along an edge of the frame."""
    labels, count = ndimage.label(nan, np.ones((3, 3)))
    found = np.zeros(count + 1, bool)
    for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        found |= np.bincount(side, minlength=count + 1) >= EDGE * len(side)
    found[0] = False
    return found[labels]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def scanned(name: str, frames: np.ndarray, stored: Stored) -> Levels:
    """The levels of sequences (S, T, C, H, W)."""
    length = frames.shape[1]
    scan = Scan(name, frames.dtype, lambda k: f"sequence {k // length}, frame {k % length}")
    if stored.range is None and not _needed(frames):
        return natural(frames.dtype)
    at_once = max(1, _CHUNK // math.prod(frames.shape[2:]))  # frames
    for sequence in frames:
        for first in range(0, length, at_once):
            scan.add(np.asarray(sequence[first : first + at_once]), 1)
        scan.close()
    return scan.levels(stored)


def _needed(frames: np.ndarray) -> bool:
    """Whether frames must be read: 8 bits are, unless some are beyond a mask's 0 and 1."""
    if frames.dtype.name == "bool":
        return False
    if frames.dtype.name != "uint8":
        return True
    step = tuple(max(1, extent // NEAR) for extent in frames.shape[:2])
    return int(frames[:: step[0], :: step[1]].max()) <= 1


def surveyed(name: str, frames: Iterable[np.ndarray], stored: Stored, bits: int | None = None) -> Levels:
    """The levels of a movie's frames, (H, W) or (H, W, C), which are read if their range is not that of their dtype.

    Args:
        name: the movie.
        frames: all of its frames.
        stored: what a user says.
        bits: of the camera's numbers, as the file notes them.
    """
    scan: Scan | None = None
    for number, frame in enumerate(frames):
        if scan is None:
            given = stored.range is not None and stored.dtype in (None, frame.dtype.name)
            own = given and stored.range == (0.0, FULL.get(frame.dtype.name))  # which no frame can exceed
            full = stored.range is None and bits is not None and bits == _bits(frame.dtype)  # as of films
            if stored.plain or full or own or (frame.dtype.name in ("uint8", "bool") and not given):
                return natural(frame.dtype)
            scan = Scan(name, frame.dtype, signed=True, bits=bits)
        elif frame.dtype != scan.dtype:
            if frame.dtype.kind != scan.dtype.kind and "f" in (frame.dtype.kind, scan.dtype.kind):
                raise DataError(
                    f"{name}: frame {number} is {frame.dtype}, the first {scan.dtype}: expected one kind"
                )
            if frame.dtype.kind != "b":
                scan.dtype = np.promote_types(scan.dtype, frame.dtype)
        scan.add(frame[None], None if frame.ndim == 2 else -1)
    return scan.levels(stored) if scan else natural(np.dtype("uint8"))


def live(frames: Iterable[np.ndarray], stored: Stored, tell: Callable[[str], object]) -> Iterator[np.ndarray]:
    """Yield live frames like those of a movie; what is not known of their range, the first one decides.

    Args:
        frames: (H, W) or (H, W, C).
        stored: how they are stored, as the preparation of their camera has it.
        tell: receives what is assumed, and the first time that it proves wrong.

    Raises:
        DataError: an intensity that is not finite.
    """
    known = stored
    beyond = False
    for number, frame in enumerate(frames):
        shown = stored.shown(frame)
        given = known.range is not None and known.dtype in (None, shown.dtype.name)
        if not given and (stored.plain or shown.dtype.name in ("uint8", "bool")):
            yield shown
            continue
        channels = None if shown.ndim == 2 else -1
        scan = Scan(f"live frame {number}", shown.dtype, signed=True)
        scan.add(shown[None], channels)
        levels = scan.levels(known)
        if not given:
            known = replace(known, range=(levels.black, levels.white), dtype=shown.dtype.name)
        if levels.lines and (not given or not beyond):
            beyond = given
            for line in levels.lines:
                tell(line)
        yield shown if levels.natural and shown.dtype.kind != "f" else levels(shown, channels)
