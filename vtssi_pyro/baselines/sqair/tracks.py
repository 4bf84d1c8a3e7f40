"""The tracks of SQAIR's objects, whose slots move up when others leave."""

from collections.abc import Mapping

import torch
from pyro.distributions import Distribution
from torch import Tensor

from vtssi_pyro.baselines.sqair import sites
from vtssi_pyro.baselines.sqair.config import SQAIRConfig
from vtssi_pyro.baselines.sqair.networks import Window, window
from vtssi_pyro.baselines.sqair.state import Slots, joined, taken
from vtssi_pyro.ops.spatial import size_to_pixels, to_pixels
from vtssi_pyro.tracks.tracks import Tracks


def tracks_of(
    slots: list[Slots], own: Tensor, densities: Mapping[str, Distribution], config: SQAIRConfig
) -> Tracks:
    """The tracks of the objects of T frames, in their windows.

    Args:
        slots: the objects of all frames from the first on.
        own: the column of each slot, (B, T, N).
        densities: those of the sites, by name.
        config: the sizes.
    """
    where = in_columns(torch.stack([slot.where for slot in slots], 1), own)
    present = in_columns(torch.stack([slot.presence for slot in slots], 1).unsqueeze(-1), own) > 0
    spread = torch.stack([_spread(slot, t, densities) for t, slot in enumerate(slots, 1)], 1)
    position, box = pixels(where, config)
    # tanh maps a logit to a centre between those of the frame's outer pixels
    slope = (config.frame_size - 1) / 2 * (1 - where[..., 2:].tanh().square())
    scale = in_columns(spread, own)[..., 2:] * slope
    position, box, scale = (values.where(present, torch.nan) for values in (position, box, scale))
    return Tracks(position, present.squeeze(-1), box, scale)


def pixels(where: Tensor, config: SQAIRConfig) -> Window:
    """The windows of logits (..., 4) in pixels."""
    size = (config.frame_size, config.frame_size)
    place = window(where, config.frame_size, config.glimpse)
    return Window(to_pixels(place.position, size), size_to_pixels(place.size, size))


def _spread(slots: Slots, t: int, densities: Mapping[str, Distribution]) -> Tensor:
    """The standard deviations (B, N, 4) of ``where`` in frame t, by slots."""
    numbers = range(1, slots.presence.shape[-1] + 1)
    new = joined(*(densities[sites.name(sites.NEW_WHERE, t, k)].stddev for k in numbers), dim=-2)
    moved = densities[sites.name(sites.WHERE, t)].stddev if t > 1 else new
    return taken(joined(moved, new, dim=-2), slots.origin)


def columns(slots: list[Slots]) -> Tensor:
    """The column of each slot in the tracks, a permutation in every frame, (..., B, T, N).

    An object stays in its column while slots move up. A new object takes the first column that is free, so that a
    column may hold one object after another, even without a frame between them.
    """
    size = slots[0].presence.shape[-1]
    every = torch.arange(size, device=slots[0].presence.device)
    column, found = every.expand(slots[0].presence.shape), []
    for slot in slots:
        stays = (slot.origin < size) & (slot.presence > 0)
        column = column.gather(-1, slot.origin.clamp(max=size - 1))
        busy = ((column.unsqueeze(-1) == every) & stays.unsqueeze(-1)).any(-2)  # (..., B, columns)
        chosen = []
        for k in range(size):
            free = (~busy).to(torch.uint8).argmax(-1)
            chosen.append(torch.where(stays[..., k], column[..., k], free))
            busy = busy | (chosen[-1].unsqueeze(-1) == every)
        column = torch.stack(chosen, -1)
        found.append(column)
    return torch.stack(found, -2)


def in_columns(values: Tensor, column: Tensor) -> Tensor:
    """Values (..., N, E) of slots at their columns (..., N)."""
    return values.gather(-2, column.argsort(-1).unsqueeze(-1).expand(values.shape))
