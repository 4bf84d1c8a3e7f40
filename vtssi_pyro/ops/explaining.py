"""Explaining away: matching pursuit (Mallat and Zhang 1993) with the objects' own pictures as its dictionary."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vtssi_pyro.ops.correlate import correlate_template
from vtssi_pyro.ops.peaks import summit

# Placements of every object without an expectation: the second corrects those that the first made too early.
ROUNDS = 2
FAINT = 0.4  # share of an object's energy below which another must not explain it away by a mere expectation


class Placed(NamedTuple):
    """Objects' places in a frame, and how visible each is."""

    cell: Tensor  # (..., N, 2) rows and columns of the maps, not rounded
    visible: Tensor  # (..., N) share of each object's picture that the frame shows, in [0, 1]


def crosstalk(pictures: Tensor, templates: Tensor) -> Tensor:
    """Correlate each object's template with each other object's picture alone on black.

    Args:
        pictures: the objects' looks, (..., N, C, h, w), intensities, odd h and w.
        templates: the filters that find them, (..., N, C, h, w); see
            :func:`~vtssi_pyro.ops.correlate.correlate_template`.

    Returns:
        responses (..., N, N, 2h - 1, 2w - 1) by picture, template and displacement; 0 for an object's own picture.
    """
    height, width = pictures.shape[-2:]
    alone = torch.nn.functional.pad(pictures, (width // 2,) * 2 + (height // 2,) * 2)
    others = 1 - torch.eye(pictures.shape[-4], device=pictures.device)
    return correlate_template(alone, templates) * others[..., None, None]


def matching_pursuit(
    share: Tensor,
    prior: Tensor,
    mixed: Tensor,
    energy: Tensor,
    active: Tensor,
    expected: Placed | None = None,
) -> tuple[Tensor, Placed]:
    """Place the objects greedily, and tell how much of each object's match the others explain.

    The objects are placed one by one while all others stay at their places so far; the object that explains most of the
    residual frame comes first. Each takes the share of its picture that the residual shows, and at most all of it.

    Args:
        share: share of each object's picture that the frame shows, by place, 1 for all of it, (..., N, h, w).
        prior: log prior of the places in units of the faintest object's share, at most 0, (..., N, h, w).
        mixed: responses by picture, template and displacement (:func:`crosstalk`), (..., N, N, h', w').
        energy: sums of the pictures' squares, (..., N).
        active: whether a slot holds an object, bool (..., N).
        expected: expected places; None: the objects are placed from nothing, :data:`ROUNDS` times.

    Returns:
        the shares that other objects explain, (..., N, h, w), and the objects' places.

    Reference: Mallat and Zhang, Matching pursuits with time-frequency dictionaries, 1993.
    """
    num_objects, *size = share.shape[-3:]
    slots = torch.arange(num_objects, device=share.device)
    faintest = energy.masked_fill(~active, torch.inf).amin(-1, keepdim=True)
    # evidence grows with an object's energy, so the prior counts less for a bright one
    prior = prior * (faintest / energy).clamp(max=1)[..., None, None]
    heeded = energy.unsqueeze(-1) > FAINT * energy.unsqueeze(-2)  # (..., N, N), the explaining object first
    if expected is None:
        placed = Placed(share.new_zeros(*share.shape[:-2], 2), share.new_zeros(share.shape[:-2]))
    else:
        placed = expected._replace(visible=expected.visible * active)
    by = placed.visible[..., None, None, None] * _around(mixed, placed.cell, size)  # (..., N, N, h, w)
    for _ in range(1 if expected else ROUNDS):
        waiting = active
        counts = heeded | ~waiting.unsqueeze(-1)
        left = share - (by * counts[..., None, None]).sum(-4)
        for _ in range(num_objects):
            height, cell = summit(left + prior)  # (..., N), (..., N, 2)
            gain = (energy * (2 * height - 1)).masked_fill(~waiting, -torch.inf)
            chosen = gain.argmax(-1, keepdim=True)  # (..., 1)
            cell = cell.take_along_dim(chosen.unsqueeze(-1), -2).squeeze(-2)  # (..., 2)
            visible = _at(left.take_along_dim(chosen[..., None, None], -3).squeeze(-3), cell).clamp(0, 1)
            which = chosen[..., None, None, None]  # (..., 1, 1, 1, 1)
            responses = mixed.take_along_dim(which, -4).squeeze(-4)
            now = visible[..., None, None, None] * _around(responses, cell, size)

            mine = (slots == chosen) & waiting
            # The chosen row alone changes, and from now on all objects heed it. A sum over all rows would make the time
            # grow with the cube of their number.
            before = by.take_along_dim(which, -4).squeeze(-4)  # (..., N, h, w)
            heed = heeded.take_along_dim(chosen.unsqueeze(-1), -2).squeeze(-2)[..., None, None]
            waits = mine.any(-1)[..., None, None, None]
            now = torch.where(waits, now, before)
            left = left + waits * (heed * before - now)
            by.scatter_(-4, which.expand_as(by[..., :1, :, :, :]), now.unsqueeze(-4))
            placed = Placed(
                torch.where(mine.unsqueeze(-1), cell.unsqueeze(-2), placed.cell),
                torch.where(mine, visible.unsqueeze(-1), placed.visible),
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
    return (rows @ maps @ columns.mT)[..., 0, 0]


def _cubic(place: Tensor, grid: Tensor) -> Tensor:
    """Keys' cubic weights (..., L, G) of a grid's points (G,), 1 apart, for interpolation at places (..., L)."""
    distance = (place.unsqueeze(-1) - grid).abs()
    inner = ((1.5 * distance - 2.5) * distance) * distance + 1
    outer = ((2.5 - 0.5 * distance) * distance - 4) * distance + 2
    return inner.where(distance < 1, outer.where(distance < 2, torch.zeros_like(distance)))
