"""Positions made exact: each object's glimpse is slid to where it leaves least of the frame unexplained."""

from collections.abc import Callable

import torch
from torch import Tensor

from vtssi_pyro.ops.spatial import SIZE_LIMITS, crop

FARTHEST = 2.0  # pixels of the glimpse that one step may move
INTERPOLATED = 0.05  # pixels: what glimpses on a grid leave open, however little noise there is
RIDGE = 1e-3  # of the normal equations, relative: a glimpse without edges stays where it is
FAINTEST = 0.01  # noise, of full scale, that is taken to be there at least
PRIOR = 0.3  # frames that a glimpse counts for beside those it is averaged with


def register(
    frames: Tensor,
    draw: Callable[[Tensor], Tensor],
    glimpses: Tensor,
    position: Tensor,
    size: Tensor,
    steps: int,
) -> Tensor:
    """Gauss-Newton steps on the squared error of the rendered frames, in the objects' positions alone.

    Every object is moved to explain what all of them together have left over around it, so that overlapping ones do not
    drag each other along. Nothing is learned and no gradient goes through.

    Args:
        frames: (B, T, C, H, W), intensities.
        draw: frames (..., B, T, C, H, W) with the objects at positions (..., B, T, N, 2).
        glimpses: what the objects look like, scaled by their step values, (..., B, N, C, G, G).
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
        slope = torch.stack([along_x, along_y], -1).flatten(-4, -2)  # (..., N, C G G, 2)
        curvature = slope.mT @ slope  # (..., N, 2, 2)
        (xx, xy), (_, yy) = (row.unbind(-1) for row in curvature.unbind(-2))
        ridge = RIDGE * (xx + yy) + 1e-6
        xx, yy = xx + ridge, yy + ridge
        # written out, since torch's own solver halts a GPU to look for singular matrices
        inverse = torch.stack([torch.stack([yy, -xy], -1), torch.stack([-xy, xx], -1)], -2)
        inverse = inverse / (xx * yy - xy.square())[..., None, None]
        solve = inverse @ slope.mT  # (..., N, 2, C G G)
        pixel = 2 * size.unsqueeze(-3) / side  # of the glimpse, frame coordinates: (..., 1, N, 2)
        for _ in range(steps):
            left = (frames - draw(position)).unsqueeze(-4)
            around = crop(left, position, size.unsqueeze(-3).expand_as(position), side).flatten(-3)
            moved = (solve.unsqueeze(-4) @ around.unsqueeze(-1)).squeeze(-1)  # (..., T, N, 2)
            position = position - moved.clamp(-FARTHEST, FARTHEST) * pixel
    return position


def precision(left: Tensor, glimpses: Tensor, position: Tensor, size: Tensor) -> Tensor:
    """Standard deviations of registered positions (..., B, T, N, 2), frame coordinates.

    The sandwich estimate of least squares: what all objects together leave over around each one pulls at the slopes of
    its glimpse as it would by chance, displaced anywhere. What is left over may be of any strength and grain, noise of
    single pixels or a wrong shape; the longer its reach, the further it can move an object.

    Args:
        left: what all objects together leave of the frames, (..., B, T, C, H, W).
        glimpses: (..., B, N, C, G, G).
        position: (..., B, T, N, 2), registered.
        size: (..., B, N, 2), fractions of the frame.
    """
    side, (height, width) = glimpses.shape[-1], left.shape[-2:]
    with torch.no_grad():
        size = size.clamp(*SIZE_LIMITS)
        sizes = size.unsqueeze(-3).expand_as(position)
        around = crop(left.unsqueeze(-4), position, sizes, side)  # (..., T, N, C, G, G)
        along_y, along_x = torch.gradient(glimpses, dim=(-2, -1))
        slope = torch.stack([along_x, along_y], -4).unsqueeze(-6)  # (..., 1, N, 2, C, G, G)
        curvature = slope.square().sum((-3, -2, -1))  # (..., 1, N, 2)
        # all displacements at once, by Parseval's theorem: the mean square of what is left times the slopes
        powers = [
            torch.fft.fft2(x, s=(2 * side, 2 * side)).abs().square() for x in (slope, around.unsqueeze(-4))
        ]
        pull = (powers[0] * powers[1]).sum((-3, -2, -1)) / (2 * side * side) ** 2  # (..., T, N, 2)
        pixel = size * torch.tensor([width, height]).to(size) / side  # of the glimpse, px: (..., N, 2)
        faintest = FAINTEST**2 / curvature.clamp_min(1e-6)
        variance = pull / curvature.square().clamp_min(1e-9) * pixel.square().unsqueeze(-3)
        pixels = (variance.maximum(faintest) + INTERPOLATED**2).sqrt()
        return pixels * torch.tensor([2 / width, 2 / height], dtype=pixels.dtype, device=pixels.device)


def sharpen(
    frames: Tensor,
    drawn: Tensor,
    others: Tensor,
    visible: Tensor,
    glimpses: Tensor,
    position: Tensor,
    size: Tensor,
) -> Tensor:
    """Glimpses by the frames themselves: as they were, plus what they leave over around them, on average.

    A pixel counts by how far no other object covers it, and the glimpse as it was like :data:`PRIOR` frames.

    Args:
        frames: (B, T, C, H, W), intensities.
        drawn: the frames with all objects, (..., B, T, C, H, W).
        others: the frames as they would be without each object, (..., B, T, N, C, H, W).
        visible: weights (..., B, T, N) of frames; an object that is never seen keeps its glimpse.
        glimpses: (..., B, N, C, G, G).
        position: (..., B, T, N, 2), exact to a fraction of a pixel.
        size: (..., B, N, 2), fractions of the frame.

    Returns:
        glimpses (..., B, N, C, G, G).
    """
    side = glimpses.shape[-1]
    with torch.no_grad():
        free = (1 - others.clamp(0, 1)).square() * visible[..., None, None, None]
        left = (frames - drawn).unsqueeze(-4) * free
        sizes = size.unsqueeze(-3).expand_as(position)
        change, weight = (crop(x, position, sizes, side).sum(-5) for x in (left, free))  # (..., N, C, G, G)
        return (glimpses + change / (weight + PRIOR)).clamp(0, 1)
