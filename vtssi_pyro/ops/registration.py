"""Registration (Lucas and Kanade 1981): each object's glimpse moves to the place that leaves the least residual."""

from collections.abc import Callable

import torch
from torch import Tensor

from vtssi_pyro.ops.spatial import SIZE_LIMITS, extent, extract_glimpses

# Pixels of the glimpse that one step may move: a linearised image is no guide beyond its own edges' width.
FARTHEST = 2.0
# Px: the standard deviation that interpolation on the glimpse's grid leaves in a noiseless frame
INTERPOLATED = 0.05
# Of the normal equations, relative: a glimpse without edges stays in place, one with edges is slowed by 0.1 %.
RIDGE = 1e-3
# Least standard deviation of a pixel's noise, of full scale: a frame of 8 bits never has much less
FAINTEST = 0.01
# Weight of the former glimpse in frames: below one frame, so that few clear ones suffice to replace it.
PRIOR = 0.3


def register(
    frames: Tensor,
    draw: Callable[[Tensor], Tensor],
    glimpses: Tensor,
    position: Tensor,
    size: Tensor,
    steps: int,
    clear: Tensor | None = None,
) -> Tensor:
    """Take Gauss-Newton steps on the squared error of the rendered frames, in the objects' positions alone.

    Each object is fitted to the residual that all objects together leave around it, so that overlapping objects do not
    drag each other along. Nothing is learned, and no gradient passes.

    Args:
        frames: (B, T, C, H, W), intensities.
        draw: frames (..., B, T, C, H, W) with the objects at positions (..., B, T, N, 2).
        glimpses: the objects' looks, scaled by their step values, (..., B, N, C, G, G).
        position: initial places, right to a few pixels, (..., B, T, N, 2), frame coordinates.
        size: (..., B, N, 2), fractions of the frame.
        steps: number of steps; two leave hundredths of a pixel.
        clear: the share of each object that nothing hides at the initial places, by pixels, (..., B, T, N, 1, H, W), of
            which alone the steps are then; None: all of it.

    Returns:
        positions (..., B, T, N, 2), frame coordinates.

    Reference: Lucas and Kanade, An iterative image registration technique, 1981.
    """
    side = glimpses.shape[-1]
    with torch.no_grad():
        size = size.clamp(*SIZE_LIMITS)
        along_y, along_x = torch.gradient(glimpses, dim=(-2, -1))
        slope = torch.stack([along_x, along_y], -1).flatten(-4, -2).unsqueeze(-4)  # (..., 1, N, C G G, 2)
        if clear is not None:
            shares = extract_glimpses(clear, position, size.unsqueeze(-3).expand_as(position), side)
            shares = shares.expand(*shares.shape[:-3], *glimpses.shape[-3:])
            slope = slope * shares.flatten(-3).unsqueeze(-1)  # (..., T, N, C G G, 2)
        curvature = slope.mT @ slope  # (..., 1 or T, N, 2, 2)
        (xx, xy), (_, yy) = (row.unbind(-1) for row in curvature.unbind(-2))
        ridge = RIDGE * (xx + yy) + 1e-6
        xx, yy = xx + ridge, yy + ridge
        # written out, since torch's own solver halts a GPU to look for singular matrices
        inverse = torch.stack([torch.stack([yy, -xy], -1), torch.stack([-xy, xx], -1)], -2)
        inverse = inverse / (xx * yy - xy.square())[..., None, None]
        solve = inverse @ slope.mT  # (..., 1 or T, N, 2, C G G)
        pixel = 2 * size.unsqueeze(-3) / side  # of the glimpse, frame coordinates: (..., 1, N, 2)
        for _ in range(steps):
            residual = (frames - draw(position)).unsqueeze(-4)
            sizes = size.unsqueeze(-3).expand_as(position)
            around = extract_glimpses(residual, position, sizes, side).flatten(-3)
            moved = (solve @ around.unsqueeze(-1)).squeeze(-1)  # (..., T, N, 2)
            position = position - moved.clamp(-FARTHEST, FARTHEST) * pixel
    return position


def precision(residual: Tensor, glimpses: Tensor, position: Tensor, size: Tensor) -> Tensor:
    """Estimate the standard deviations of registered positions.

    The sandwich estimator of least squares (White 1980). Its middle factor is the mean square of the pull of the
    residual around an object on the slopes of the glimpse, over all displacements of the residual. The residual may be
    of any strength and grain, noise of single pixels or an error of shape; the longer its correlation, the further it
    can move an object.

    Args:
        residual: the frames less all objects, (..., B, T, C, H, W), intensities.
        glimpses: (..., B, N, C, G, G).
        position: (..., B, T, N, 2), registered.
        size: (..., B, N, 2), fractions of the frame.

    Returns:
        standard deviations (..., B, T, N, 2), frame coordinates.

    Reference: White, A heteroskedasticity-consistent covariance matrix estimator, 1980.
    """
    side, (height, width) = glimpses.shape[-1], residual.shape[-2:]
    with torch.no_grad():
        size = size.clamp(*SIZE_LIMITS)
        sizes = size.unsqueeze(-3).expand_as(position)
        around = extract_glimpses(residual.unsqueeze(-4), position, sizes, side)  # (..., T, N, C, G, G)
        along_y, along_x = torch.gradient(glimpses, dim=(-2, -1))
        slope = torch.stack([along_x, along_y], -4).unsqueeze(-6)  # (..., 1, N, 2, C, G, G)
        curvature = slope.square().sum((-3, -2, -1))  # (..., 1, N, 2)
        pull = mean_square_pull(slope, around.unsqueeze(-4))  # (..., T, N, 2)
        frame = extent(size, (height, width))
        pixel = size * frame / side  # of the glimpse, px: (..., N, 2)
        faintest = FAINTEST**2 / curvature.clamp_min(1e-6)
        variance = pull / curvature.square().clamp_min(1e-9) * pixel.square().unsqueeze(-3)
        pixels = (variance.maximum(faintest) + INTERPOLATED**2).sqrt()
        return pixels * (2 / frame)


def mean_square_pull(slope: Tensor, residual: Tensor) -> Tensor:
    """The mean square of the sum of residual times slope, over all displacements of the residual.

    Parseval's theorem gives all displacements at once.

    Args:
        slope: images (..., C, G, G).
        residual: images (..., C, G, G).

    Returns:
        mean squares (...).
    """
    side = slope.shape[-1]
    first, second = (torch.fft.rfft2(x, s=(2 * side, 2 * side)) for x in (slope, residual))
    powers = first.abs().square() * second.abs().square()
    # of real images the other half of the spectrum mirrors this one, but for its first and its last column
    whole = 2 * powers.sum((-3, -2, -1)) - powers[..., 0].sum((-2, -1)) - powers[..., -1].sum((-2, -1))
    return whole / (2 * side * side) ** 2


def sharpen(
    frames: Tensor,
    drawn: Tensor,
    others: Tensor,
    visible: Tensor,
    glimpses: Tensor,
    position: Tensor,
    size: Tensor,
    clear: Tensor | None = None,
) -> Tensor:
    """Sharpen glimpses by the frames: add the mean residual around each object to its glimpse.

    A pixel's weight falls as other objects cover it; the former glimpse weighs as much as :data:`PRIOR` frames.

    Args:
        frames: (B, T, C, H, W), intensities.
        drawn: the rendering of all objects, (..., B, T, C, H, W).
        others: the rendering without each object, (..., B, T, N, C, H, W).
        visible: weight of each object in each frame, (..., B, T, N); an object that is never visible keeps its glimpse.
        glimpses: (..., B, N, C, G, G).
        position: (..., B, T, N, 2), exact to a fraction of a pixel.
        size: (..., B, N, 2), fractions of the frame.
        clear: the share of each object that nothing hides, by pixels, (..., B, T, N, 1, H, W); None: all of it.

    Returns:
        glimpses (..., B, N, C, G, G), in [0, 1].
    """
    side = glimpses.shape[-1]
    with torch.no_grad():
        free = 1 - others.clamp(0, 1) if clear is None else (1 - others.clamp(0, 1)) * clear
        free = free.square() * visible[..., None, None, None]
        residual = (frames - drawn).unsqueeze(-4) * free
        sizes = size.unsqueeze(-3).expand_as(position)
        # (..., N, C, G, G)
        change, weight = (extract_glimpses(x, position, sizes, side).sum(-5) for x in (residual, free))
        return (glimpses + change / (weight + PRIOR)).clamp(0, 1)
