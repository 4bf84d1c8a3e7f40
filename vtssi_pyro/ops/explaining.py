"""Explaining away: matching pursuit (Mallat and Zhang 1993) with the objects' own pictures as its dictionary."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from vtssi_pyro.ops.correlate import correlate_template
from vtssi_pyro.ops.packing import some, waits
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
    Objects that are too far apart to change what the other finds at its place are placed at once.

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
    lead, number = share.shape[:-3], share.shape[-3]
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
    placed, left = Placed(*known), _Left(share, mixed)
    prior = prior.expand_as(share).reshape(left.share.shape)
    for _ in range(1 if expected else ROUNDS):
        waiting = active
        left.begin(placed, placed.visible.unsqueeze(-1) * (heeded | ~waiting.unsqueeze(-1)))
        for _ in range(number):
            if not some(waiting):
                break
            placed, waiting = left.place(placed, waiting, prior, energy, heeded)
    return (left.share - left.maps).view_as(share), Placed(
        placed.cell.view(*lead, -1, 2), placed.visible.view(*lead, -1)
    )


class _Left:
    """What is left to explain of all objects' shares.

    An object changes the maps of others within the reach of its picture alone, whatever the maps' size.

    Args:
        share: (..., N, h, w); of L scenes.
        mixed: responses by picture, template and displacement, (..., N, N, k, k).
    """

    def __init__(self, share: Tensor, mixed: Tensor) -> None:
        *_, number, height, width = share.shape
        side, device = mixed.shape[-1], share.device
        # Cubic interpolation spreads a response by a cell and a half to each side. A margin of as many cells as a
        # spread response has takes what is beyond the edges, so that no window has to be cut.
        self.reach = side + 3
        self.size = torch.stack([torch.full((), cells, device=device) for cells in (height, width)])
        self.grid = torch.arange(side, device=device) - side // 2
        self.window = torch.arange(self.reach, device=device) - side // 2 - 1
        # (L, N, k, N k): a response of rows and columns is then two large matrix products
        mixed = mixed.expand(*share.shape[:-2], *mixed.shape[-3:]).reshape(-1, *mixed.shape[-4:])
        self.mixed = mixed.movedim(-3, -2).flatten(-2)
        self.share = share.reshape(-1, number, height, width)
        self.scenes = torch.arange(len(self.share), device=device).unsqueeze(-1)  # (L, 1)
        self.slots = torch.arange(number, device=device)
        self.wide = pad(self.share, (self.reach,) * 4)

    @property
    def maps(self) -> Tensor:
        """(L, N, h, w)."""
        inner = slice(self.reach, -self.reach)
        return self.wide[..., inner, inner]

    def begin(self, placed: Placed, weight: Tensor) -> None:
        """Begin with all shares, less what objects (L, N) at their places explain, by weight (L, N, N)."""
        self.wide = pad(self.share, (self.reach,) * 4)
        self.explain(self.slots.expand(len(self.share), -1), placed.cell, weight)

    def place(
        self, placed: Placed, waiting: Tensor, prior: Tensor, energy: Tensor, heeded: Tensor
    ) -> tuple[Placed, Tensor]:
        """Place those objects that wait, and that no other one which gains more would disturb.

        Args:
            placed: where all objects are so far.
            waiting: which wait, bool (L, N).
            prior: of the places, (L, N, h, w).
            energy: of the objects, (L, N).
            heeded: whether an object that is placed explains of others, (L, N, N), the explaining one first.

        Returns:
            where all objects are now, and which still wait.
        """
        height, cell = summit(self.maps + prior)  # (L, N), (L, N, 2)
        gain = (energy * (2 * height - 1)).masked_fill(~waiting, -torch.inf)
        first = waiting & ~self.disturbed(gain, cell, placed)  # (L, N)
        number = len(self.slots) if waits(waiting) else int(first.sum(-1).max())
        which = first.int().topk(number).indices  # (L, P)
        moves = first.take_along_dim(which, 1)
        before, after = (at.take_along_dim(which.unsqueeze(-1), 1) for at in (placed.cell, cell))
        was = placed.visible.take_along_dim(which, 1) * moves
        shown = self.at(which, after).clamp(0, 1) * moves
        # from now on all others heed the placed ones
        heed = heeded.take_along_dim(which.unsqueeze(-1), 1)  # (L, P, N)
        taken, given = -was.unsqueeze(-1) * heed, shown.unsqueeze(-1).expand_as(heed)
        self.explain(
            torch.cat([which, which], 1), torch.cat([before, after], 1), torch.cat([taken, given], 1)
        )
        visible = torch.where(first, placed.visible.scatter(1, which, shown), placed.visible)
        return Placed(torch.where(first.unsqueeze(-1), cell, placed.cell), visible), waiting & ~first

    def disturbed(self, gain: Tensor, cell: Tensor, placed: Placed) -> Tensor:
        """Whether an object (L, N) would be placed elsewhere if another one that gains more were placed before it.

        Args:
            gain: of the objects, (L, N); -inf of those that are placed.
            cell: their next places, (L, N, 2).
            placed: their places so far.
        """
        # a peak is read off with the cells beside it, its value with two to each side
        far = self.reach / 2 + 2
        # (L, N, N), the disturbing one last
        next_to, beside = (
            (cell.unsqueeze(-2) - place.unsqueeze(-3)).abs().amax(-1) < far for place in (cell, placed.cell)
        )
        near = next_to | (beside & (placed.visible > 0).unsqueeze(-2))
        rank = gain.argsort(-1, descending=True).argsort(-1)
        sooner = rank.unsqueeze(-2) < rank.unsqueeze(-1)
        return (near & sooner & (gain > -torch.inf).unsqueeze(-2)).any(-1)

    def at(self, which: Tensor, cell: Tensor) -> Tensor:
        """What is left at cells (L, P, 2) of objects (L, P), by cubic interpolation."""
        near = torch.arange(4, device=cell.device) - 1
        first = cell.floor()
        down, across = cubic(cell - first, near).unbind(-2)  # (L, P, 4)
        rows, columns = (first.long().unsqueeze(-1) + near + self.reach).unbind(-2)  # (L, P, 4)
        scenes, which = self.scenes[..., None, None], which[..., None, None]
        values = self.wide[scenes, which, rows.unsqueeze(-1), columns.unsqueeze(-2)]  # (L, P, 4, 4)
        return (down.unsqueeze(-2) @ values @ across.unsqueeze(-1))[..., 0, 0]

    def explain(self, which: Tensor, cell: Tensor, weight: Tensor) -> None:
        """Subtract what objects (L, P) at cells (L, P, 2) explain of each, by weight (L, P, N)."""
        first = cell.floor()
        at = first.long().unsqueeze(-1) + self.window  # (L, P, 2, K)
        inside = (at >= 0) & (at < self.size.unsqueeze(-1))
        spread = cubic(self.window - (cell - first).unsqueeze(-1), self.grid) * inside.unsqueeze(-1)
        down, across = spread.unbind(-3)  # (L, P, K, k)
        tall = (down @ self.mixed[self.scenes, which]).unflatten(-1, (len(self.slots), -1))  # (L, P, K, N, k)
        drawn = tall.flatten(2, 3) @ across.mT  # (L, P, K N, K)
        drawn = drawn.unflatten(2, (-1, len(self.slots))) * weight[..., None, :, None]
        # what is far beyond the edges stays within the margin
        begin = (at[..., 0] + self.reach).clamp_min(0).minimum(self.size + self.reach)
        rows, columns = (begin.unsqueeze(-1) + (self.window - self.window[0])).unbind(-2)  # (L, P, K)
        height, width = self.wide.shape[-2:]
        lines = (self.slots * height + rows.unsqueeze(-1)) * width  # (L, P, K, N)
        cells = lines.unsqueeze(-1) + columns[..., None, None, :]
        self.wide.view(len(cells), -1).scatter_add_(1, cells.flatten(1), -drawn.flatten(1))


def cubic(place: Tensor, grid: Tensor) -> Tensor:
    """Keys' cubic weights (..., L, G) of a grid's points (G,), 1 apart, for interpolation at places (..., L)."""
    distance = (place.unsqueeze(-1) - grid).abs()
    inner = ((1.5 * distance - 2.5) * distance) * distance + 1
    outer = ((2.5 - 0.5 * distance) * distance - 4) * distance + 2
    return inner.where(distance < 1, outer.where(distance < 2, torch.zeros_like(distance)))
