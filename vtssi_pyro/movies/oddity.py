"""Frames unlike the rest of a movie: black ones, flashes, fades, dead ones. No single frame may decide anything."""

from collections.abc import Mapping

import numpy as np

GRAINS = 16  # squares along each side of the frame, whose means tell a frame: an object covers few of them
LOOKED_AT = 128  # pixels along a side that are looked at: eight for each square
REACH = 5  # neighbours to each side, with whose median a frame is compared, so that light may change slowly
# A square of a frame is unlike its neighbours' if it is that many times the usual difference away, or that share of
# the range of all squares.
SIGMAS, LEAST = 6.0, 0.04
MOST = 0.5  # share of such squares in an odd frame: what moves before the background covers less of it


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
    numbers, stack = list(seen), np.stack(list(seen.values())) if seen else np.zeros((0, 1, 1))
    if len(stack) <= REACH:
        return ()
    # at both ends fewer neighbours, not farther ones
    usual = np.stack([np.median(stack[max(0, t - REACH) : t + REACH + 1], 0) for t in range(len(stack))])
    away = np.abs(stack - usual)
    least = max(SIGMAS * float(np.median(away)), LEAST * float(np.ptp(usual)), 1e-9)
    share = (away > least).mean((1, 2))
    return tuple(number for number, much in zip(numbers, share, strict=True) if much > MOST)
