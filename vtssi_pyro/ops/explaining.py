"""What one object explains of a frame is no evidence for another: matching pursuit with the objects' pictures."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vtssi_pyro.ops.correlate import match
from vtssi_pyro.ops.peaks import summit

ROUNDS = 2  # of placing all objects, where nothing is known of them
FAINT = 0.4  # of an object's energy: what has less waits for it, and does not explain it away by where it is expected


class Placed(NamedTuple):
    """Where objects are in a frame."""

    cell: Tensor  # (..., N, 2) rows and columns of the maps, not rounded
    seen: Tensor  # (..., N) how much of each there is to be seen, from 0 to 1


def crosstalk(pictures: Tensor, templates: Tensor) -> Tensor:
    """How well each object's template fits around the others' pictures, where there is nothing else.

    Args:
        pictures: what the objects look like, (..., N, C, h, w), odd h and w.
        templates: what they are looked for with, (..., N, C, h, w); see :func:`~vtssi_pyro.ops.correlate.match`.

    Returns:
        responses (..., N, N, 2h - 1, 2w - 1) by picture, template and displacement; 0 of an object's own picture, which
        it shares with nobody.
    """
    height, width = pictures.shape[-2:]
    alone = torch.nn.functional.pad(pictures, (width // 2,) * 2 + (height // 2,) * 2)
    others = 1 - torch.eye(pictures.shape[-4], device=pictures.device)
    return match(alone, templates) * others[..., None, None]


def explain(
    share: Tensor, prior: Tensor, mixed: Tensor, energy: Tensor, there: Tensor, before: Placed | None = None
) -> tuple[Tensor, Placed]:
    """How much of each object's match the others explain.

    The objects are placed one by one, with all the others where they are so far; the one that explains most of what is
    left of the frame comes first. Each takes as much as it is there to be seen, and no more than its picture has.

    Args:
        share: how much of each object's picture the frame has, by place, 1 for all of it; (..., N, h, w).
        prior: what else speaks for places, in units of the faintest one's share; 0 or less, (..., N, h, w).
        mixed: see :func:`crosstalk`.
        energy: of the pictures, sums of squares, (..., N).
        there: whether there is such an object, (..., N).
        before: where they are expected; None: they are placed from nothing, twice.

    Returns:
        explained shares (..., N, h, w), and where the objects are.
    """
    num_objects, *size = share.shape[-3:]
    slots = torch.arange(num_objects, device=share.device)
    faintest = energy.masked_fill(~there, torch.inf).amin(-1, keepdim=True)
    # the brighter an object, the more the frame tells beside the prior
    prior = prior * (faintest / energy).clamp(max=1)[..., None, None]
    heeded = energy.unsqueeze(-1) > FAINT * energy.unsqueeze(-2)  # (..., N, N), by whom first
    if before is None:
        placed = Placed(share.new_zeros(*share.shape[:-2], 2), share.new_zeros(share.shape[:-2]))
    else:
        placed = before._replace(seen=before.seen * there)
    by = placed.seen[..., None, None, None] * _around(mixed, placed.cell, size)  # (..., N, N, h, w)
    for _ in range(1 if before else ROUNDS):
        waiting = there
        for _ in range(num_objects):
            counts = heeded | ~waiting.unsqueeze(-1)
            left = share - (by * counts[..., None, None]).sum(-4)
            height, cell = summit(left + prior)  # (..., N), (..., N, 2)
            gain = (energy * (2 * height - 1)).masked_fill(~waiting, -torch.inf)
            chosen = gain.argmax(-1, keepdim=True)  # (..., 1)
            cell = cell.take_along_dim(chosen.unsqueeze(-1), -2).squeeze(-2)  # (..., 2)
            seen = _at(left.take_along_dim(chosen[..., None, None], -3).squeeze(-3), cell).clamp(0, 1)
            responses = mixed.take_along_dim(chosen[..., None, None, None], -4).squeeze(-4)
            now = seen[..., None, None, None] * _around(responses, cell, size)

            mine = (slots == chosen) & waiting
            by = torch.where(mine[..., None, None, None], now.unsqueeze(-4), by)
            placed = Placed(
                torch.where(mine.unsqueeze(-1), cell.unsqueeze(-2), placed.cell),
                torch.where(mine, seen.unsqueeze(-1), placed.seen),
            )
            waiting = waiting & ~mine
    return by.sum(-4), placed


def _around(responses: Tensor, cell: Tensor, size: Sequence[int]) -> Tensor:
    """Responses (..., N, h, w) by displacement as maps (..., N, H, W) around a cell (..., 2)."""
    grids = (torch.arange(side, device=cell.device) - side // 2 for side in responses.shape[-2:])
    rows, columns = (
        _cubic(torch.arange(length, device=cell.device) - at, grid)
        for length, at, grid in zip(size, cell.split(1, -1), grids, strict=True)
    )
    return rows.unsqueeze(-3) @ responses @ columns.unsqueeze(-3).mT


def _at(maps: Tensor, cell: Tensor) -> Tensor:
    """Values (...,) of maps (..., H, W) at cells (..., 2)."""
    rows, columns = (
        _cubic(at, torch.arange(length, device=cell.device))
        for length, at in zip(maps.shape[-2:], cell.split(1, -1), strict=True)
    )
    return (rows @ maps @ columns.mT).flatten(-3).squeeze(-1)


def _cubic(place: Tensor, grid: Tensor) -> Tensor:
    """Weights (..., L, G) of the points of a grid (G,), 1 apart, in what is interpolated at places (..., L)."""
    far = (place.unsqueeze(-1) - grid).abs()
    near, tail = ((1.5 * far - 2.5) * far) * far + 1, ((2.5 - 0.5 * far) * far - 4) * far + 2
    return near.where(far < 1, tail.where(far < 2, torch.zeros_like(far)))
