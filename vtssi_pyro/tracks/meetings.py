"""Objects that meet: whose centres come nearer than the mean of their sizes. Functions of tracks, or of their samples.

A size is the mean of the width and the height of an object's box. Of sampled positions the share of the samples in
which objects meet is the probability that they will; without samples it is 0 or 1, as of true tracks.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from vtssi_pyro.tracks.tracks import Tracks

WITHIN = 15  # frames of a look ahead: those that `predict` predicts by default


def meetings(tracks: Tracks, within: int = WITHIN) -> Tensor:
    """Probabilities (B, T, N, N) that two objects meet, in a frame or the ``within`` - 1 after it.

    Behind the last frame nobody meets. A sample counts if it is finite, a pair if both are present and have boxes; else
    its probability is NaN. It is of an object with itself, too.

    Args:
        tracks: (B, T, N, 2), px, with boxes, and perhaps with samples (S, B, T, N, 2).
        within: number of frames, at least 1.
    """
    near, known = zip(*_near(tracks), strict=True)
    return _share((_soon(pairs, within) for pairs in near), known)


def meeting(tracks: Tracks, within: int = WITHIN) -> Tensor:
    """Probabilities (B, T, N) that an object meets any other; NaN of one who cannot. See :func:`meetings`."""
    near, known = zip(*_near(tracks), strict=True)
    return _share((_soon(pairs.any(-1), within) for pairs in near), [pairs.any(-1) for pairs in known])


def _near(tracks: Tracks) -> Iterator[tuple[Tensor, Tensor]]:
    """For each sample whether two objects are near, and whether both are known, (B, T, N, N) bool each."""
    assert tracks.box is not None, "meetings need boxes"
    reach = _pairs(tracks.box.mean(-1)).sum(0) / 2  # NaN compares as false
    both = _pairs(tracks.present).all(0) & reach.isfinite()
    both = both & ~torch.eye(both.shape[-1], dtype=torch.bool, device=both.device)
    for position in tracks.position.unsqueeze(0) if tracks.samples is None else tracks.samples:
        one, other = _pairs(position)
        distance = (one - other).norm(dim=-1)
        known = both & distance.isfinite()
        yield known & (distance < reach), known


def _pairs(values: Tensor) -> Tensor:
    """Values (B, T, N, ...) of both objects of every pair, (2, B, T, N, N, ...)."""
    number = values.shape[2]
    shape = (*values.shape[:2], number, number, *values.shape[3:])
    return torch.stack([values.unsqueeze(3).expand(shape), values.unsqueeze(2).expand(shape)])


def _soon(near: Tensor, within: int) -> Tensor:
    """Whether (B, T, ...) it is so in a frame or one of those after it, ``within`` together."""
    later = near.new_zeros(near.shape[0], within - 1, *near.shape[2:])
    return torch.cat([near, later], 1).unfold(1, within, 1).any(-1)


def _share(happens: Iterator[Tensor], known: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
    """The share of the samples that are known in which something happens; NaN where none is."""
    number = torch.stack([each.double() for each in known]).sum(0)
    total = sum((one & each).double() for one, each in zip(happens, known, strict=True))
    return torch.where(number > 0, total / number, torch.nan)
