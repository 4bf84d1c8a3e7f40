"""Frames of any number read in parts, and draws of where objects go."""

from collections.abc import Callable, Iterator

import pyro
import torch
from pyro.poutine import Trace
from torch import Tensor

from vtssi_pyro.model.program import Tracker, at_once
from vtssi_pyro.types import Carry, Latents, Objects, State

WINDOW = 64  # frames that the model sees at a time at most; more would only take more memory

Guide = Callable[..., Latents]


def needed(tracker: Tracker) -> int:
    """Frames that the first reading must see at least, where there are so many."""
    return (
        1 if tracker.per_frame else max(tracker.consensus.K, getattr(tracker.find, "K", 1), tracker.motion.M)
    )


def windows(tracker: Tracker, x: Tensor, horizon: int) -> Iterator[tuple[Tensor, int]]:
    """The frames in parts that follow each other, the horizon beyond the last."""
    *parts, last = x.split(max(min(WINDOW, at_once(tracker, 1)), needed(tracker)), 1)
    for window in parts:
        yield window, 0
    yield last, horizon


def draw(tracker: Tracker, read: Trace, last: int, horizon: int, number: int) -> Tensor:
    """Sampled futures of the positions, (number, B, horizon, N, 2), frame coordinates.

    Where each object is in the last frame, and how it moves there, is drawn from q given the mode of all that came
    before; what follows is drawn from the transitions. What the objects are stays at its mode: draws that deal things
    to other slots, or follow another one, say nothing of where these things go.

    Args:
        tracker: whose guide was run.
        read: the guide's trace at its modes.
        last: the number of its last frame.
        horizon: frames to predict, 1 or more.
        number: of samples.
    """

    def drawn(name: str) -> Tensor:
        q = read.nodes[name]["fn"]
        sample: Tensor = pyro.sample(name, q.expand((number, *q.batch_shape)))
        return sample

    state, path = State(drawn(f"position_{last}"), drawn(f"motion_{last}")), []
    for t in range(last + 1, last + horizon + 1):
        state = tracker.motion.model(t, state, state.position, 0)
        path.append(state.position)
    return torch.stack(path, -3)


def box_of(tracker: Tracker, objects: Objects, carry: Carry) -> tuple[Tensor, Tensor]:
    """Offset and size of what tracks are read off: tight boxes, or attention windows."""
    if tracker.tight:
        return tracker.air.box(objects, carry.found)
    return torch.zeros_like(objects.size), objects.size
