"""Tracks of objects that come and go: slots are reused, identities are not."""

import torch
from torch import Tensor

from vtssi_pyro.ops.spatial import extract_glimpses
from vtssi_pyro.tracks.tracks import Tracks, unknown
from vtssi_pyro.types import Pose


def by_identity(tracks: Tracks, identity: Tensor) -> Tracks:
    """Give each object a slot of its own, throughout its sequence.

    Args:
        tracks: (B, T, N, ...), by the slots of the model.
        identity: number of the object in each slot, (B, T, N), from 0 in the order of entrances, -1 before any.

    Returns:
        tracks (B, T, M, ...) of all M objects that a sequence of the batch has had so far, one slot at least.
    """
    number = max(1, int(identity.max()) + 1)
    slot = torch.where(tracks.present, identity, torch.full_like(identity, number)).long()

    def spread(values: Tensor, axis: int) -> Tensor:
        axis += 2  # that of slots
        shape = [*values.shape[:axis], number + 1, *values.shape[axis + 1 :]]
        index = slot.reshape(*slot.shape, *(1,) * (values.dim() - axis - 1)).expand(values.shape)
        return values.new_full(shape, unknown(values)).scatter(axis, index, values).narrow(axis, 0, number)

    return tracks.mapped(spread)


def descriptions_of(description: Tensor, identity: Tensor, present: Tensor) -> Tensor:
    """The last description of each object, (B, M, D), from those of slots (B, T, N, D); NaN of objects without any."""
    number = max(1, int(identity.max()) + 1)
    found = description.new_full((len(description), number + 1, description.shape[-1]), torch.nan)
    slot = torch.where(present, identity, torch.full_like(identity, number)).long()
    for t in range(slot.shape[1]):
        index = slot[:, t].unsqueeze(-1).expand(description[:, t].shape)
        found = found.scatter(1, index, description[:, t])
    return found[:, :number]


def share_within(pose: Pose, frame_size: int) -> Tensor:
    """The share of each object that is within the frame, by the squares of its glimpse's intensities, (..., T, N)."""
    assert pose.appearance is not None
    energy = pose.appearance.square().sum(-3, keepdim=True)  # (..., T, N, 1, G, G)
    size = pose.size.unsqueeze(-3).expand(pose.position.shape)
    inside = extract_glimpses(
        energy.new_ones(1, frame_size, frame_size), pose.position, size, energy.shape[-1]
    )
    return (energy * inside).sum((-3, -2, -1)) / energy.sum((-3, -2, -1)).clamp_min(1e-6)
