"""Positions made exact: each object's glimpse is slid to where it leaves least of the frame unexplained."""

import torch
from torch import Tensor

from vtssi_pyro.ops.spatial import SIZE_LIMITS, crop, paste

FARTHEST = 2.0  # pixels of the glimpse that one step may move
RIDGE = 1e-3  # of the normal equations, relative: a glimpse without edges stays where it is


def register(frames: Tensor, glimpses: Tensor, position: Tensor, size: Tensor, steps: int) -> Tensor:
    """Gauss-Newton steps on the squared error of the rendered frames, in the objects' positions alone.

    Every object is moved to explain what all of them together have left over around it, so that overlapping ones do not
    drag each other along. Nothing is learned and no gradient goes through.

    Args:
        frames: (B, T, H, W), intensities.
        glimpses: what the objects look like, scaled by their step values, (..., B, N, G, G).
        position: where they are to a few pixels, (..., B, T, N, 2), frame coordinates.
        size: (..., B, N, 2), fractions of the frame.
        steps: number of steps; two leave hundredths of a pixel.

    Returns:
        positions (..., B, T, N, 2).
    """
    side = glimpses.shape[-1]
    with torch.no_grad():
        size = size.clamp(*SIZE_LIMITS)
        along_y, along_x = torch.gradient(glimpses, dim=(-2, -1))
        slope = torch.stack([along_x, along_y], -1).flatten(-3, -2)  # (..., N, G G, 2)
        curvature = slope.mT @ slope  # (..., N, 2, 2)
        trace = curvature.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
        identity = torch.eye(2, dtype=slope.dtype, device=slope.device)
        solve = torch.linalg.solve(
            curvature + (RIDGE * trace + 1e-6) * identity, slope.mT
        )  # (..., N, 2, G G)
        pixel = 2 * size.unsqueeze(-3) / side  # of the glimpse, frame coordinates: (..., 1, N, 2)
        for _ in range(steps):
            left = (frames - paste(glimpses, position, size, frames.shape[-2:])).unsqueeze(-3)
            around = crop(left, position, size.unsqueeze(-3).expand_as(position), side).flatten(-2)
            moved = (solve.unsqueeze(-4) @ around.unsqueeze(-1)).squeeze(-1)  # (..., T, N, 2)
            position = position - moved.clamp(-FARTHEST, FARTHEST) * pixel
    return position
