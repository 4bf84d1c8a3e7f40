"""The tight box of what a glimpse shows, which the attention window only encloses."""

import torch
from torch import Tensor

INK = 0.25  # a glimpse pixel at least this bright, relative to its brightest, belongs to the object


def tight_box(glimpses: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Where the object is inside its glimpse, to a fraction of a pixel.

    Args:
        glimpses: (..., N, G, G).
        size: of the attention window, (..., N, 2), fractions of the frame.

    Returns:
        offset of the box's centre from the glimpse's, frame coordinates, and the box's width and height as fractions
        of the frame, both (..., N, 2).
    """
    edges = []
    for axis in (-2, -1):  # brightest pixel of every column, of every row
        profile = glimpses.amax(axis)  # (..., N, G)
        level = INK * profile.amax(-1, keepdim=True)
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


def centre_of_mass(glimpses: Tensor, size: Tensor) -> Tensor:
    """Where the ink is inside a glimpse, each pixel counting by what it is brighter than the level.

    Args:
        glimpses: (..., N, G, G).
        size: of the attention window, (..., N, 2), fractions of the frame.

    Returns:
        the offset from the glimpse's centre, frame coordinates, (..., N, 2).
    """
    side = glimpses.shape[-1]
    mass = (glimpses - INK * glimpses.amax((-2, -1), keepdim=True)).clamp_min(0)
    places = (2 * torch.arange(side, dtype=glimpses.dtype, device=glimpses.device) + 1) / side - 1
    moments = torch.stack([(mass.sum(axis) * places).sum(-1) for axis in (-2, -1)], -1)  # x, y
    return moments / mass.sum((-2, -1)).clamp_min(1e-9).unsqueeze(-1) * size


def _share(profile: Tensor, neighbour: Tensor, index: Tensor, level: Tensor) -> Tensor:
    """How far beyond the centre of the pixel at ``index`` the profile crosses the level, in pixels."""
    at, beyond = profile.gather(-1, index), neighbour.gather(-1, index)
    return ((at - level) / (at - beyond).clamp_min(1e-6)).clamp(0, 1)
