"""Frames of any number read in parts, and posterior draws of where objects are and go."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from vtssi_pyro.handlers import mode
from vtssi_pyro.ops.spatial import to_pixels
from vtssi_pyro.tracker import Tracker
from vtssi_pyro.types import Carry, Latents, Objects

WINDOW = 64  # frames that the model sees at a time; more would only take more memory

Guide = Callable[..., Latents]


def needed(tracker: Tracker) -> int:
    """Frames that the first reading must see at least, where there are so many."""
    return (
        1 if tracker.per_frame else max(tracker.consensus.K, getattr(tracker.find, "K", 1), tracker.motion.M)
    )


def windows(tracker: Tracker, x: Tensor, horizon: int) -> Iterator[tuple[Tensor, int]]:
    """The frames in parts that follow each other, the horizon beyond the last."""
    *parts, last = x.split(max(WINDOW, needed(tracker)), 1)
    for window in parts:
        yield window, 0
    yield last, horizon


def draw(tracker: Tracker, guide: Guide, x: Tensor, horizon: int, number: int) -> Tensor:
    """Posterior samples of the positions (number, B, T + horizon, N, 2), in pixels.

    What the objects are is held at its mode, and so are, in long sequences, all frames but the last few: draws that
    deal things to other slots, or follow another one, say nothing of where these things go.
    """
    least = needed(tracker)
    split = max(x.shape[1] - least, 0) if x.shape[1] > 2 * least else 0
    before, carry = [], None
    if split:
        with mode():
            for window, _ in windows(tracker, x[:, :split], 0):
                latents = guide(window, carry=carry)
                carry = latents.carry
                before.append(_placed(tracker, latents, x))
    drawn = []
    with mode(only=lambda name: not _moves(name)):
        for _ in range(number):
            latents = guide(x[:, split:], horizon=horizon, carry=carry)
            drawn.append(torch.cat([*before, _placed(tracker, latents, x)], 1))
    return torch.stack(drawn)


def _moves(name: str) -> bool:
    """Whether a site is a position or a motion at a time."""
    variable, _, time = name.rpartition("_")
    return variable in ("position", "motion") and time.isdecimal()


def _placed(tracker: Tracker, latents: Latents, x: Tensor) -> Tensor:
    """The positions of what tracks are read off, (B, T, N, 2), in pixels."""
    assert latents.carry is not None
    offset, _ = box_of(tracker, latents.objects, latents.carry)
    position = to_pixels(latents.position + offset.unsqueeze(-3), (x.shape[-2], x.shape[-1]))
    return position.reshape(x.shape[0], -1, *position.shape[-2:])


def box_of(tracker: Tracker, objects: Objects, carry: Carry) -> tuple[Tensor, Tensor]:
    """Offset and size of what tracks are read off: tight boxes, or attention windows."""
    if tracker.tight:
        return tracker.air.box(objects, carry.found)
    return torch.zeros_like(objects.size), objects.size
