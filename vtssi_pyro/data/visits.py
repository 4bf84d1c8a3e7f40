"""Visits: objects that come one after another, cross the frame, and go."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from vtssi_pyro.data.motion import CHOSEN, refuse_large, uniform

# Pixels per frame of visitors. Below 2 a crossing of 50 pixels takes longer than a sequence of 20 frames, so that
# hardly anyone would come or go; above 5 they are faster than the paper's digits (reading D22).
SPEED = (2.0, 5.0)
# Longest time between two visits, frames: its mean is that of a crossing, so that a lane is busy half of the time.
PAUSE = 40.0


class Visits(NamedTuple):
    """Straight paths through the frame at constant velocity; axes are sequences and visits, (S, N)."""

    which: Tensor  # (S, N) int64, the sprite
    lane: Tensor  # (S, N) int64: visits of one lane follow each other, so there are as many objects at once as lanes
    first: Tensor  # (S, N) time of the beginning, frames
    stay: Tensor  # (S, N) duration, frames
    begin: Tensor  # (S, N, 2) place at the beginning, pixels
    velocity: Tensor  # (S, N, 2) pixels per frame

    def present(self, length: int) -> Tensor:
        """In which of the frames 0 to ``length`` - 1 each visitor is there, (S, T, N) bool."""
        elapsed = self._elapsed(length)
        return (elapsed >= 0) & (elapsed < self.stay.unsqueeze(1))

    def position(self, length: int) -> Tensor:
        """Places (S, T, N, 2), pixels; beyond the visits straight on."""
        return self.begin.unsqueeze(1) + self.velocity.unsqueeze(1) * self._elapsed(length).unsqueeze(-1)

    def within(self, length: int) -> "Visits":
        """The visits that the frames 0 to ``length`` - 1 show, in order of their beginnings, in the first slots.

        The others, of which as many are kept as fill up the slots, are of no frame.
        """
        shown = self.first.clamp_min(0).ceil() < (self.first + self.stay).clamp_max(length)  # (S, M)
        number = max(1, int(shown.sum(1).max()))
        refuse_large(f"{number:,} visitors in ", CHOSEN, len(shown), length, number)
        order = self.first.where(shown, torch.inf).argsort(1)[:, :number]  # (S, N)
        rows = torch.arange(len(order))[:, None]
        return Visits._make(values[rows, order] for values in self)

    def _elapsed(self, length: int) -> Tensor:
        """Time since the beginning of each visit, (S, T, N) frames."""
        return torch.arange(length, dtype=torch.float64)[:, None] - self.first.unsqueeze(1)


def crossings(
    sizes: Tensor,
    sequences: int,
    lanes: int,
    frame_size: tuple[int, int],
    length: int,
    generator: torch.Generator,
) -> Visits:
    """Draw visitors, any of the sprites, which enter on one side and leave on the opposite one.

    A visit begins when the box touches the frame from outside, and ends when it touches it for the last time. Sides are
    equally likely, places along them uniform.

    Args:
        sizes: (num, 2) width and height of the sprites' tight boxes, pixels.
        sequences: number of sequences S.
        lanes: largest number of visitors at once.
        frame_size: (H, W), pixels.
        length: number of frames T.
        generator: source of all randomness.

    Returns:
        the visits in these frames.
    """
    wall, largest = _wall(frame_size), sizes.double().amax(0)
    shortest = float(wall.min()) / SPEED[1]
    longest = float((wall + largest).norm()) / SPEED[0] + PAUSE
    shape = (sequences, lanes, number_of(shortest, longest, length))
    which = torch.randint(len(sizes), shape, generator=generator)
    half = sizes[which].double() / 2
    begin, end = opposite_places(-half, wall + half, half, wall - half, generator)
    speed = uniform(shape, SPEED, generator)
    way = (end - begin).norm(dim=-1)
    stay, wait = way / speed, PAUSE * uniform(shape, (0, 1), generator)
    velocity = (end - begin) * (speed / way).unsqueeze(-1)
    return timetable(which, stay, wait, begin, velocity, shortest, longest, generator).within(length)


def opposite_places(
    near: Tensor, far: Tensor, low: Tensor, high: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw a place on one of the four sides, and one on the opposite side.

    Args:
        near: (..., 2) x of places on the left side, and y on the upper one.
        far: (..., 2) x on the right side, and y on the lower one.
        low: (..., 2) least x and y of places along a side.
        high: (..., 2) largest x and y of places along a side.
        generator: source of all randomness.

    Returns:
        both places, (..., 2) each.
    """
    shape = near.shape[:-1]
    side = torch.randint(4, shape, generator=generator)
    # whether the axis leads to the other side, (..., 2)
    across = torch.arange(2) == (side // 2).unsqueeze(-1)
    back = (side % 2 == 1).unsqueeze(-1)
    places = (
        torch.where(across, at, low + (high - low) * uniform((*shape, 1), (0, 1), generator))
        for at in (torch.where(back, far, near), torch.where(back, near, far))
    )
    begin, end = places
    return begin, end


def timetable(
    which: Tensor, stay: Tensor, wait: Tensor, begin: Tensor, velocity: Tensor, shortest: float, longest: float,
    generator: torch.Generator,
) -> Visits:  # fmt: skip
    """Let the visits of each lane, (S, L, K) or (S, L, K, 2), follow each other after some waiting.

    They begin more than the longest time before frame 0, which then sees the lanes at any stage.

    Returns:
        the visits of all lanes, (S, L K).
    """
    start = (longest + shortest * uniform((*stay.shape[:2], 1), (0, 1), generator)).ceil()
    first = wait.cumsum(-1) + stay.cumsum(-1) - stay - start
    lane = torch.arange(stay.shape[1])[:, None].expand(stay.shape)
    return Visits._make(x.flatten(1, 2) for x in (which, lane, first, stay, begin, velocity))


def number_of(shortest: float, longest: float, length: int) -> int:
    """Number K of visits of a lane that surely go beyond frame ``length``, by the shortest and the longest time."""
    return math.ceil((length + longest + shortest + 1) / shortest)


def _wall(frame_size: tuple[int, int]) -> Tensor:
    height, width = frame_size
    return torch.tensor([width, height], dtype=torch.float64)
