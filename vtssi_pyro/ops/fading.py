"""Filters with fading memory, which estimate velocities, and the reflection of paths at walls."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

# a place (..., 2) and the step to it, after any turn
Turn = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Pace(NamedTuple):
    """Estimates of A filters: of one frame or, with a further axis before N, of several."""

    place: Tensor  # (..., N, A, 2)
    velocity: Tensor  # (..., N, A, 2), a frame
    surprise: Tensor  # (..., N, A), squared distance of the last position from its prediction
    age: Tensor  # (..., N), frames so far

    def anew(self, new: Tensor, position: Tensor) -> "Pace":
        """Begin anew at positions (..., N, 2) for objects that are new, bool (..., N)."""
        of_filter = new.unsqueeze(-1)
        where = of_filter.unsqueeze(-1)
        return Pace(
            torch.where(where, position.unsqueeze(-2), self.place),
            self.velocity * ~where,
            self.surprise * ~of_filter,
            self.age * ~new,
        )


def paces(position: Tensor, fading: Tensor, turn: Turn, before: Pace | None = None) -> tuple[Pace, Pace]:
    """Estimate velocities by filters for objects that go straight on between turns.

    Each filter is a regression that weighs frames by ``fading ** age``: with 0 the velocity is the last difference,
    near 1 that of all frames alike. The velocity in a first frame is 0.

    Args:
        position: (..., T, N, 2).
        fading: factors in [0, 1], (A,).
        turn: turns predicted places and steps.
        before: the estimates in the frame before these; None: these are the first.

    Returns:
        the estimates in all frames, each tensor with an axis T before N, and those in the last one.

    Reference: N. Morrison, Introduction to Sequential Smoothing and Prediction (1969), chapters 9 and 13.
    """
    kept = fading.unsqueeze(-1)  # (A, 1)
    if before is None:
        start = position[..., 0, :, :]
        rest = start.new_zeros(*start.shape[:-1], len(fading), 2)
        before = Pace(rest, rest, rest[..., 0], start.new_zeros(start.shape[:-1]))
        before = before.anew(torch.ones_like(before.age, dtype=torch.bool), start)
    place, velocity, _, age = before
    made = []
    for seen in position.unbind(-3):
        n = age[..., None, None]
        # those of a plain regression over n + 1 frames, until the fading ones are larger
        gain = torch.maximum(1 - kept.square(), 2 * (2 * n + 1) / ((n + 1) * (n + 2)))
        pull = torch.maximum((1 - kept).square(), 6 / ((n + 1) * (n + 2))) * (n > 0)
        ahead, velocity = turn(place + velocity, velocity)
        error = seen.unsqueeze(-2) - ahead
        place, velocity, age = ahead + gain * error, velocity + pull * error, age + 1
        made.append(Pace(place, velocity, error.square().sum(-1), age))
    frames = [
        torch.stack(values, axis)
        for values, axis in zip(zip(*made, strict=True), (-4, -4, -3, -2), strict=True)
    ]
    return Pace(*frames), made[-1]


def reflected(place: Tensor, step: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Reflect places (..., 2) to which a step has led beyond walls, and the steps.

    Args:
        place: the places.
        step: the steps (..., 2); one from outside back in is not reflected.
        low: the lower walls in x and y, (2,).
        high: the upper ones.
    """
    over, under = (place > high) & (step > 0), (place < low) & (step < 0)
    turned = torch.where(over, 2 * high - place, torch.where(under, 2 * low - place, place))
    return turned, torch.where(over | under, -step, step)
