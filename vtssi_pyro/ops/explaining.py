"""Explaining away: matching pursuit (Mallat and Zhang 1993) with the objects' own pictures as its dictionary."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from vtssi_pyro.ops.correlate import correlate_template
from vtssi_pyro.ops.peaks import vertex

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
    alone = pad(pictures, (width // 2,) * 2 + (height // 2,) * 2)
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
        mixed: responses by picture, template and displacement (:func:`crosstalk`), (..., N, N, k, k), odd k.
        energy: sums of the pictures' squares, (..., N).
        active: whether a slot holds an object, bool (..., N).
        expected: expected places; None: the objects are placed from nothing, :data:`ROUNDS` times.

    Returns:
        the shares that other objects explain, (..., N, h, w), and the objects' places.

    Reference: Mallat and Zhang, Matching pursuits with time-frequency dictionaries, 1993.
    """
    lead, slots = share.shape[:-3], torch.arange(share.shape[-3], device=share.device)
    faintest = energy.masked_fill(~active, torch.inf).amin(-1, keepdim=True)
    # evidence grows with an object's energy, so the prior counts less for a bright one
    prior = prior * (faintest / energy).clamp(max=1)[..., None, None]
    heeded = energy.unsqueeze(-1) > FAINT * energy.unsqueeze(-2)  # (..., N, N), the explaining object first
    if expected is None:
        placed = Placed(share.new_zeros(*share.shape[:-2], 2), share.new_zeros(share.shape[:-2]))
    else:
        placed = expected._replace(visible=expected.visible * active)
    energy, active, heeded, *known = (
        x.expand(*lead, *x.shape[x.dim() - own :]).reshape(-1, *x.shape[x.dim() - own :])
        for x, own in ((energy, 1), (active, 1), (heeded, 2), (placed.cell, 2), (placed.visible, 1))
    )
    placed, left = Placed(*known), _Left(share, prior, mixed)
    for _ in range(1 if expected else ROUNDS):
        waiting = active
        counts = heeded | ~waiting.unsqueeze(-1)
        left.begin(placed, placed.visible.unsqueeze(-1) * counts)
        for _ in slots:
            height, cell = left.summits()  # (L, N), (L, N, 2)
            gain = (energy * (2 * height - 1)).masked_fill(~waiting, -torch.inf)
            chosen = gain.argmax(-1, keepdim=True)  # (L, 1)
            mine = (slots == chosen) & waiting
            moves = mine.any(-1, keepdim=True)  # (L, 1), none of a scene whose objects are all placed
            cell = cell.take_along_dim(chosen.unsqueeze(-1), 1)  # (L, 1, 2)
            visible = left.at(chosen, cell).clamp(0, 1)  # (L, 1)
            # the chosen object alone moves, and from now on all others heed it
            before = placed.visible.take_along_dim(chosen, 1) * moves
            heed = heeded.take_along_dim(chosen.unsqueeze(-1), 1)  # (L, 1, N)
            left.explain(
                chosen.expand(-1, 2),
                torch.cat([placed.cell.take_along_dim(chosen.unsqueeze(-1), 1), cell], 1),
                torch.cat([-before.unsqueeze(-1) * heed, (visible * moves).unsqueeze(-1).expand_as(heed)], 1),
            )
            placed = Placed(
                torch.where(mine.unsqueeze(-1), cell, placed.cell), torch.where(mine, visible, placed.visible)
            )
            waiting = waiting & ~mine
    return share - left.maps.view_as(share), Placed(
        placed.cell.view(*lead, -1, 2), placed.visible.view(*lead, -1)
    )


class _Left:
    """What is left to explain of all objects' shares, and the highest place of each at any time.

    An object changes the maps of others within the reach of its picture alone. The time of a change therefore does not
    depend on the maps' size, but for the rows within that reach, whose maxima are kept.

    Args:
        share: (..., N, h, w).
        prior: log prior of the places, (..., N, h, w).
        mixed: responses by picture, template and displacement, (..., N, N, k, k).
    """

    def __init__(self, share: Tensor, prior: Tensor, mixed: Tensor) -> None:
        *_, number, height, width = share.shape
        side, device = mixed.shape[-1], share.device
        # Cubic interpolation spreads a response by a cell and a half to each side. A margin of as many cells as a
        # spread response has takes what is beyond the edges, so that no window has to be cut.
        self.reach = side + 3
        self.size = torch.tensor([height, width], device=device)
        self.grid = torch.arange(side, device=device) - side // 2
        self.window = torch.arange(self.reach, device=device) - side // 2 - 1
        # (L, N, k, N k): a response of rows and columns is then two large matrix products
        mixed = mixed.expand(*share.shape[:-2], *mixed.shape[-3:]).reshape(-1, *mixed.shape[-4:])
        self.mixed = mixed.movedim(-3, -2).flatten(-2)
        # rows are the first axis, so that some of them are one piece of memory: (L, h + 2 reach, N, w + 2 reach)
        share, prior = (x.expand_as(share).reshape(-1, number, height, width) for x in (share, prior))
        self.share, self.along = (
            pad(x, (self.reach,) * 4, value=value).transpose(1, 2).contiguous()
            for x, value in ((share, 0.0), (prior, -torch.inf))
        )
        self.scenes = torch.arange(len(share), device=device).unsqueeze(-1)  # (L, 1)
        self.slots = torch.arange(number, device=device)
        self.left = self.highest = self.share  # until the pursuit begins

    @property
    def maps(self) -> Tensor:
        """(L, N, h, w)."""
        rows, columns = (slice(self.reach, self.reach + int(side)) for side in self.size)
        return self.left[:, rows, :, columns].transpose(1, 2).contiguous()

    def begin(self, placed: Placed, weight: Tensor) -> None:
        """Begin with all shares, less what objects (L, N) at their places explain, by weight (L, N, N)."""
        self.left = self.share.clone()
        self._subtract(self.mixed, placed.cell, weight)
        self.highest = (self.left + self.along).amax(-1)  # (L, rows, N)

    def explain(self, which: Tensor, cell: Tensor, weight: Tensor) -> None:
        """Subtract what some objects (L, P) at cells (L, P, 2) explain of each, by weight (L, P, N)."""
        rows = self._subtract(self.mixed[self.scenes, which], cell, weight).flatten(1)
        lines = self.left[self.scenes, rows] + self.along[self.scenes, rows]  # (L, P K, N, w)
        self.highest[self.scenes, rows] = lines.amax(-1)

    def summits(self) -> tuple[Tensor, Tensor]:
        """The heights (L, N) of all maps with their priors, and their cells (L, N, 2), as :func:`~.peaks.summit`."""
        top, row = self.highest.max(1)
        line = self.left[self.scenes, row, self.slots] + self.along[self.scenes, row, self.slots]  # (L, N, w)
        cell = torch.stack([row, line.argmax(-1)], -1)  # (L, N, 2)
        before, after = (cell - 1).clamp_min(self.reach), (cell + 1).minimum(self.size + self.reach - 1)
        beside = torch.stack([before, after])  # (2, L, N, 2)
        rows = torch.cat([beside[..., :1], cell[..., :1].expand_as(beside[..., :1])], -1)
        columns = torch.cat([cell[..., 1:].expand_as(beside[..., 1:]), beside[..., 1:]], -1)
        where = self.scenes.unsqueeze(-1), rows, self.slots.unsqueeze(-1), columns
        before, after = self.left[where] + self.along[where]  # (L, N, 2), above and to the left; the others
        rise, shift = vertex(before, top.unsqueeze(-1), after)
        return top + rise.sum(-1), cell - self.reach + shift

    def at(self, which: Tensor, cell: Tensor) -> Tensor:
        """What is left at cells (L, P, 2) of objects (L, P), by cubic interpolation."""
        near = torch.arange(4, device=cell.device) - 1
        first = cell.floor()
        down, across = cubic(cell - first, near).unbind(-2)  # (L, P, 4)
        rows, columns = (first.long().unsqueeze(-1) + near + self.reach).unbind(-2)  # (L, P, 4)
        scenes, which = self.scenes[..., None, None], which[..., None, None]
        values = self.left[scenes, rows.unsqueeze(-1), which, columns.unsqueeze(-2)]  # (L, P, 4, 4)
        return (down.unsqueeze(-2) @ values @ across.unsqueeze(-1))[..., 0, 0]

    def _subtract(self, mixed: Tensor, cell: Tensor, weight: Tensor) -> Tensor:
        """Subtract responses (L, P, k, N k) around cells (L, P, 2) by weight; returns the rows (L, P, K) changed."""
        first = cell.floor()
        at = first.long().unsqueeze(-1) + self.window  # (L, P, 2, K)
        inside = (at >= 0) & (at < self.size.unsqueeze(-1))
        spread = cubic(self.window - (cell - first).unsqueeze(-1), self.grid) * inside.unsqueeze(-1)
        down, across = spread.unbind(-3)  # (L, P, K, k)
        tall = (down @ mixed).unflatten(-1, (len(self.slots), -1))  # (L, P, K, N, k)
        drawn = tall.flatten(2, 3) @ across.mT  # (L, P, K N, K)
        drawn = drawn.unflatten(2, (-1, len(self.slots))) * weight[..., None, :, None]
        # what is far beyond the edges stays within the margin
        begin = (at[..., 0] + self.reach).clamp_min(0).minimum(self.size + self.reach)
        rows, columns = (begin.unsqueeze(-1) + (self.window - self.window[0])).unbind(-2)  # (L, P, K)
        _, _, number, width = self.left.shape
        cells = (rows.unsqueeze(-1) * number + self.slots).unsqueeze(-1) * width + columns[..., None, None, :]
        self.left.view(len(cells), -1).scatter_add_(1, cells.flatten(1), -drawn.flatten(1))
        return rows


def cubic(place: Tensor, grid: Tensor) -> Tensor:
    """Keys' cubic weights (..., L, G) of a grid's points (G,), 1 apart, for interpolation at places (..., L)."""
    distance = (place.unsqueeze(-1) - grid).abs()
    inner = ((1.5 * distance - 2.5) * distance) * distance + 1
    outer = ((2.5 - 0.5 * distance) * distance - 4) * distance + 2
    return inner.where(distance < 1, outer.where(distance < 2, torch.zeros_like(distance)))
