"""The tight box and the centre of the object in a glimpse, which the attention window only encloses."""

import torch
from torch import Tensor

from vtssi_pyro.ops.spatial import centres

# Share of a glimpse's brightest pixel from which on a pixel is the object's: at half of it a decoder's halo widens the
# box, at twice it the faint ends of strokes are lost.
INK = 0.25
# The upper threshold of the hysteresis: a pixel this bright is the object's even if no neighbour is
SURE = 0.5
# Share of the ink beyond each edge: noise has less; much more would cut off a stroke that sticks out.
TAIL = 0.02


def tight_box(glimpses: Tensor, size: Tensor, least: float = INK) -> tuple[Tensor, Tensor]:
    """Find the object's tight box inside its glimpse, to a fraction of a pixel.

    Args:
        glimpses: (..., N, C, G, G), intensities.
        size: of the attention window, (..., N, 2), fractions of the frame.
        least: share of the brightest pixel from which on a pixel is the object's.

    Returns:
        offset of the box's centre from the glimpse's, frame coordinates, and the box's width and height as fractions
        of the frame, both (..., N, 2).
    """
    edges, glimpses = [], glimpses.amax(-3)
    for axis in (-2, -1):  # brightest pixel of every column, of every row
        profile = glimpses.amax(axis)  # (..., N, G)
        level = least * profile.amax(-1, keepdim=True)
        before = torch.nn.functional.pad(profile, (1, 0))[..., :-1]
        after = torch.nn.functional.pad(profile, (0, 1))[..., 1:]
        inside = profile >= level
        low = (inside & (inside.cumsum(-1) == 1)).to(profile).argmax(-1, keepdim=True)
        high = profile.shape[-1] - 1 - inside.flip(-1).to(profile).argmax(-1, keepdim=True)
        edges.append(torch.cat([
            low + 0.5 - _share(profile, before, low, level),
            high + 0.5 + _share(profile, after, high, level),
        ], -1) / profile.shape[-1] * 2 - 1)  # fmt: skip
    edge = torch.stack(edges, -2)  # (..., N, 2 axes, low and high) in [-1, 1] of the glimpse
    return edge.mean(-1) * size, (edge[..., 1] - edge[..., 0]) / 2 * size


def without_halo(glimpses: Tensor, least: float = INK) -> Tensor:
    """Clear glimpses (..., C, G, G) of faint, separate regions: halos, and bits of neighbours.

    Hysteresis thresholding (Canny 1986): ink above a share ``least`` of the brightest pixel stays if it is connected to
    a pixel above :data:`SURE`.
    """
    brightest = glimpses.amax(-3, keepdim=True)  # of the channels
    share = brightest / brightest.amax((-2, -1), keepdim=True).clamp_min(1e-9)
    ink, kept = share >= least, (share >= SURE).to(glimpses)
    for _ in range(glimpses.shape[-1]):  # as far as a bent stroke may reach
        kept = torch.nn.functional.max_pool2d(kept.flatten(0, -3), 3, 1, 1).view_as(kept) * ink
    return glimpses * kept


def middle(glimpses: Tensor, size: Tensor) -> Tensor:
    """Find the middle between the lines that cut off a share :data:`TAIL` of the ink on either side.

    For strokes it is nearly the centre of the tight box, for a blob nearly the centre of mass; noise at the edges
    hardly moves it.

    Args:
        glimpses: (..., N, C, G, G), intensities.
        size: of the attention window, (..., N, 2), fractions of the frame.

    Returns:
        the offset from the glimpse's centre, frame coordinates, (..., N, 2).
    """
    side, glimpses = glimpses.shape[-1], glimpses.amax(-3)
    ink = (glimpses - INK * glimpses.amax((-2, -1), keepdim=True)).clamp_min(0)
    along = torch.stack([ink.sum(-2), ink.sum(-1)], -2)  # columns, rows: (..., N, 2, G)
    total = along.sum(-1, keepdim=True).clamp_min(1e-9)
    # the share of the ink to the left of each edge of a pixel
    before = torch.nn.functional.pad(along.cumsum(-1), (1, 0)) / total
    lines = torch.linspace(TAIL, 1 - TAIL, 2, dtype=along.dtype, device=along.device)
    beyond = torch.searchsorted(before, lines.expand(*before.shape[:-1], 2).contiguous()).clamp(1, side)
    low, high = before.gather(-1, beyond - 1), before.gather(-1, beyond)
    edges = beyond - 1 + (lines - low) / (high - low).clamp_min(1e-9)
    return (edges.mean(-1) / side * 2 - 1) * size


def long_axis(glimpses: Tensor, size: Tensor) -> Tensor:
    """Find the direction of each object's longer axis: that of the largest second moment of its ink.

    An object that is as long as wide has no such axis: its direction is then arbitrary, though always the same.

    Args:
        glimpses: (..., C, G, G), intensities.
        size: of their windows, (..., 2), fractions of a square frame.

    Returns:
        angles (...), radians from x towards y, in [-pi / 2, pi / 2].
    """
    brightest = glimpses.amax(-3)  # (..., G, G)
    ink = (brightest - INK * brightest.amax((-2, -1), keepdim=True)).clamp_min(0)
    ink = ink / ink.sum((-2, -1), keepdim=True).clamp_min(1e-9)
    axis = centres(glimpses.shape[-1], glimpses)
    x, y = axis * size[..., None, :1], axis * size[..., None, 1:]  # (..., 1, G)
    columns, rows = ink.sum(-2), ink.sum(-1)
    x = x.squeeze(-2) - (columns * x.squeeze(-2)).sum(-1, keepdim=True)
    y = y.squeeze(-2) - (rows * y.squeeze(-2)).sum(-1, keepdim=True)
    wide, high = (columns * x.square()).sum(-1), (rows * y.square()).sum(-1)
    mixed = (y.unsqueeze(-2) @ ink @ x.unsqueeze(-1)).squeeze((-2, -1))
    return torch.atan2(2 * mixed, wide - high) / 2


def _share(profile: Tensor, neighbour: Tensor, index: Tensor, level: Tensor) -> Tensor:
    """Distance from the centre of the pixel at ``index`` to the crossing of the level, in pixels."""
    at, beyond = profile.gather(-1, index), neighbour.gather(-1, index)
    return ((at - level) / (at - beyond).clamp_min(1e-6)).clamp(0, 1)
