"""Frames unlike the rest of a movie: black ones, flashes, fades, dead ones. No single frame may decide anything."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

GRAINS = 16  # squares along each side of the frame, whose means tell a frame: an object covers few of them
LOOKED_AT = 128  # pixels along a side that are looked at: eight for each square
REACH = 5  # neighbours to each side, with whose median a frame is compared, so that light may change slowly
# A square of a frame is unlike its neighbours' if it is that many times the usual difference away, or that share of
# the range of all squares.
SIGMAS, LEAST = 6.0, 0.04
MOST = 0.5  # share of such squares in an odd frame: what moves before the background covers less of it
# Share of the usual difference between the squares of a frame below which it shows nothing: light that fades to a tenth
# may still show objects.
BLANK = 0.1


def sparse(frame: np.ndarray) -> np.ndarray:
    """Return every so many-th pixel of a frame (H, W) or (H, W, C), LOOKED_AT along a side at most or little more."""
    return frame[:: max(1, frame.shape[0] // LOOKED_AT), :: max(1, frame.shape[1] // LOOKED_AT)]


def grains(frame: np.ndarray) -> np.ndarray:
    """Return the means of the squares of a frame (H, W), (GRAINS, GRAINS) at most."""
    height, width = (min(GRAINS, side) for side in frame.shape)
    rows, columns = frame.shape[0] // height, frame.shape[1] // width
    whole = frame[: rows * height, : columns * width]
    return whole.reshape(height, rows, width, columns).mean((1, 3))


def odd(seen: Mapping[int, np.ndarray]) -> tuple[int, ...]:
    """Find odd frames.

    Args:
        seen: the grains of frames, by their numbers.

    Returns:
        the numbers of the odd ones.
    """
    if len(seen) <= REACH:
        return ()
    stack = np.stack(list(seen.values()))
    usual, trend = (
        np.stack(each) for each in zip(*(_usual(stack, t) for t in range(len(stack))), strict=True)
    )
    away = np.minimum(np.abs(stack - usual), np.abs(stack - trend))
    return tuple(number for number, which in zip(seen, _unlike(away, usual), strict=True) if which)


def blank(seen: Mapping[int, np.ndarray]) -> tuple[int, ...]:
    """Find frames that are as even as those of a covered camera, however many follow each other.

    An even frame that is as bright as the usual one may be a ground without objects, and is none of these.

    Args:
        seen: the grains of frames, by their numbers.

    Returns:
        the numbers of the frames that show nothing.
    """
    if len(seen) <= REACH:
        return ()
    stack = np.stack(list(seen.values()))
    unlike = _unlike(np.abs(stack - np.median(stack, 0)), stack)
    spread = stack.std((1, 2))
    even = spread < BLANK * float(np.median(spread))
    return tuple(number for number, which in zip(seen, even & unlike, strict=True) if which)


def _unlike(away: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Which frames differ in most of their squares, (T,), by how far these are ``away`` from the usual, (T, h, w)."""
    least = max(SIGMAS * float(np.median(away)), LEAST * float(np.ptp(squares)), 1e-9)
    share: np.ndarray = (away > least).mean((1, 2))
    return share > MOST


def _usual(stack: np.ndarray, t: int) -> tuple[np.ndarray, np.ndarray]:
    """The median of a frame's neighbours, and the same moved by their slope: at both ends all are to one side."""
    first, last = max(0, t - REACH), min(len(stack), t + REACH + 1)
    usual = np.median(stack[first:last], 0)
    if t - first == last - 1 - t:  # as many to both sides
        return usual, usual
    middle = (first + last) // 2
    slope = (np.median(stack[middle:last], 0) - np.median(stack[first:middle], 0)) * 2 / (last - first)
    return usual, usual + slope * (t - (first + last - 1) / 2)


# A frame is bumped if it differs from both neighbours by that many times the usual difference, which these do not.
BUMPED, ALIKE = 2.0, 1.5
AGAIN = 0.05  # share of the usual difference from the frame before up to which a frame is that one again
OFTEN = 0.2  # share of frames that repeat others from which on that is the movie's rate, and nothing is odd


@dataclass
class Watch:
    """Watch all frames of a movie pass by, and remember little of each."""

    seen: dict[int, np.ndarray] = field(default_factory=dict)  # grains, by the frames' numbers
    # from the frame before, and from that before it
    changes: list[tuple[float, float]] = field(default_factory=list)
    last: list[np.ndarray] = field(default_factory=list)

    def add(self, number: int, frame: np.ndarray) -> None:
        """Take the next frame, (h, w) of few pixels."""
        self.seen[number] = grains(frame)
        away = [float(np.abs(frame - other).mean()) for other in self.last]
        self.changes.append((away[-1] if away else np.nan, away[0] if len(away) > 1 else np.nan))
        self.last = [*self.last[-1:], frame]

    def odd(self) -> tuple[int, ...]:
        """The numbers of frames unlike the rest: by their light, or since the camera was covered or bumped then."""
        return tuple(sorted({*odd(self.seen), *blank(self.seen), *self._bumped()}))

    def repeated(self) -> tuple[int, ...]:
        """The numbers of frames that are the ones before them."""
        before = np.array([change for change, _ in self.changes])
        usual = np.nanmedian(before) if len(before) > REACH else 0.0
        again = before <= AGAIN * usual
        return self._numbers(again) if usual > 0 and again.mean() < OFTEN else ()

    def _bumped(self) -> tuple[int, ...]:
        if len(self.changes) <= REACH:
            return ()
        before, second = np.array(self.changes).T
        usual, beyond = np.nanmedian(before), np.nanmedian(second)
        after, across = np.append(before[1:], np.nan), np.append(second[1:], np.nan)
        bumped = (np.minimum(before, after) > BUMPED * max(usual, 1e-9)) & (across < ALIKE * beyond)
        return self._numbers(bumped)

    def _numbers(self, which: np.ndarray) -> tuple[int, ...]:
        return tuple(number for number, chosen in zip(self.seen, which, strict=True) if chosen)
