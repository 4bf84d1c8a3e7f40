"""The values of a frame, the densities of its sites, and how slots pass from frame to frame."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from pyro.distributions import Bernoulli, Categorical, Distribution
from torch import Tensor

WHERE = 4  # logits of the width and the height, then of the centre's x and y


class Slots(NamedTuple):
    """The objects of one frame; after :func:`merge` the present ones come first."""

    what: Tensor  # (..., B, N, W) appearance
    where: Tensor  # (..., B, N, 4) logits
    presence: Tensor  # (..., B, N) 1 or 0
    memory: Tensor  # (..., B, N, U) recurrent state of the guide or of the prior
    origin: Tensor  # (..., B, N) slot in the frame before; N and more: discovered in this frame


class Propagated(NamedTuple):
    """Densities of the objects of the frame before, batch (..., B, N)."""

    presence: Bernoulli
    where: Distribution  # event (4,)
    what: Distribution  # event (W,)
    memory: Tensor  # (..., B, N, U) the recurrent state after this frame


class Discovered(NamedTuple):
    """Densities of the objects that appear in a frame."""

    count: Categorical  # of 0 to N, batch (..., B, 1)
    # of discovery k, given the one before: batch (..., B, 1)
    where: Callable[[int, Tensor | None], Distribution]
    what: Distribution  # batch (..., B, N), event (W,)


class Dynamics(Protocol):
    """The densities of a chain of frames, frame by frame: those of the prior, or those of the guide."""

    @property
    def start(self) -> Tensor:
        """The recurrent state (U,) of a new object."""

    def propagate(self, t: int, before: Slots) -> Propagated:
        """The densities in frame t, from 1, of the objects of the frame before."""

    def discover(self, t: int, moved: Slots | None, given: Propagated | None) -> Discovered:
        """The densities of new objects in frame t, given the others and their densities; None in the first frame."""


def joined(*tensors: Tensor, dim: int = -1) -> Tensor:
    """Concatenate tensors along a negative axis; the axes before it broadcast."""
    lead = torch.broadcast_shapes(*(tensor.shape[:dim] for tensor in tensors))
    return torch.cat([tensor.expand(*lead, *tensor.shape[dim:]) for tensor in tensors], dim)


def merge(moved: Slots | None, found: Slots) -> Slots:
    """Bring the present objects to the front, the propagated ones first, and cut to N slots.

    Absent slots are set to 0: nothing depends on them, and they cannot grow from frame to frame.
    """
    size = found.presence.shape[-1]
    if moved is None:  # discoveries are in order already
        presence, first = found.presence, torch.arange(size, 2 * size, device=found.presence.device)
        origin, values = first.expand(presence.shape), [found.what, found.where, found.memory]
    else:
        both = joined(moved.presence, found.presence)
        origin = torch.argsort(both, dim=-1, descending=True, stable=True)[..., :size]
        presence = both.gather(-1, origin)
        pairs = ((moved.what, found.what), (moved.where, found.where), (moved.memory, found.memory))
        values = [taken(joined(*pair, dim=-2), origin) for pair in pairs]
    what, where, memory = (value * presence.unsqueeze(-1) for value in values)
    return Slots(what, where, presence, memory, origin)


def taken(values: Tensor, slots: Tensor) -> Tensor:
    """The values (..., M, E) of some slots (..., N)."""
    lead = torch.broadcast_shapes(values.shape[:-2], slots.shape[:-1])
    index = slots.unsqueeze(-1).expand(*lead, -1, values.shape[-1])
    return values.expand(*lead, *values.shape[-2:]).gather(-2, index)
