"""Turned objects: the spatial transformer with a rotation, and registration in place and angle."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from vtssi_pyro.ops.registration import FARTHEST, RIDGE, mean_square_pull
from vtssi_pyro.ops.spatial import SIZE_LIMITS, centres, extent

# Radians that one step may turn, half of the angle between neighbours of a search over 16: further away, the edges of a
# long object no longer overlap with those of its picture.
FARTHEST_TURN = math.pi / 16


def paste_turned(
    glimpses: Tensor, position: Tensor, size: Tensor, angle: Tensor, frame_size: tuple[int, int]
) -> Tensor:
    """Paste each glimpse into a frame of its own, in a window that is turned about its centre.

    At an angle of 0 it equals :func:`~vtssi_pyro.ops.spatial.paste`.

    Args:
        glimpses: (..., C, G, G).
        position: centres (..., 2), frame coordinates.
        size: (..., 2), width and height of the unturned window, fractions of the frame.
        angle: (...), radians, from x towards y.
        frame_size: (H, W) of the frames, pixels.

    Returns:
        frames (..., C, H, W); leading axes broadcast.
    """
    lead = torch.broadcast_shapes(glimpses.shape[:-3], position.shape[:-1], size.shape[:-1], angle.shape)
    whole = extent(position, frame_size)
    window = size.clamp(*SIZE_LIMITS) * whole
    # from a place in the frame to the place in the unturned glimpse that is seen there
    turn = _rotation(-angle) * whole / window.unsqueeze(-1)  # (..., 2, 2)
    grid = _grid(turn, -(turn @ position.unsqueeze(-1)).squeeze(-1), frame_size)
    grid = grid.expand(*lead, *frame_size, 2).reshape(-1, *frame_size, 2)
    images = glimpses.expand(*lead, *glimpses.shape[-3:]).reshape(-1, *glimpses.shape[-3:])
    return grid_sample(images, grid, align_corners=False).view(*lead, images.shape[-3], *frame_size)


def extract_turned(frames: Tensor, position: Tensor, size: Tensor, angle: Tensor, glimpse: int) -> Tensor:
    """Cut K glimpses out of each frame, in windows that are turned about their centres.

    At an angle of 0 it equals :func:`~vtssi_pyro.ops.spatial.extract_glimpses`.

    Args:
        frames: (..., C, H, W), intensities.
        position: centres (..., K, 2), frame coordinates.
        size: (..., K, 2), width and height of the unturned windows, fractions of the frame.
        angle: (..., K), radians, from x towards y.
        glimpse: side G of the glimpses, pixels.

    Returns:
        glimpses (..., K, C, G, G); leading axes broadcast.
    """
    shape = torch.broadcast_shapes(position.shape[:-1], size.shape[:-1], angle.shape)
    lead = torch.broadcast_shapes(frames.shape[:-3], shape[:-1])
    whole = extent(frames, (frames.shape[-2], frames.shape[-1]))
    window = size.clamp(*SIZE_LIMITS) * whole
    turn = _rotation(angle) * window.unsqueeze(-2) / whole.unsqueeze(-1)  # (..., K, 2, 2)
    grid = _grid(turn, position, (glimpse, glimpse))
    grid = grid.expand(*lead, shape[-1], glimpse, glimpse, 2).reshape(-1, shape[-1] * glimpse, glimpse, 2)
    images = frames.expand(*lead, *frames.shape[-3:]).reshape(-1, *frames.shape[-3:])
    found = grid_sample(images, grid, align_corners=False)
    return found.view(*lead, frames.shape[-3], shape[-1], glimpse, glimpse).transpose(-4, -3)


def turned(glimpses: Tensor, size: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Turn looks in upright, square windows that hold them at any angle.

    Args:
        glimpses: (..., C, G, G).
        size: (..., 2), width and height of their windows, fractions of a square frame.
        angle: (...), radians, from x towards y.

    Returns:
        glimpses (..., C, G', G') and the sizes of their windows, (..., 2).
    """
    size = size.clamp(*SIZE_LIMITS)
    side = size.norm(dim=-1, keepdim=True)
    pixels = math.ceil(math.sqrt(2) * glimpses.shape[-1])
    whole = paste_turned(glimpses, torch.zeros_like(size), size / side, angle, (pixels, pixels))
    return whole, side.expand_as(size)


def match_angles(frames: Tensor, glimpses: Tensor, position: Tensor, size: Tensor, angle: Tensor) -> Tensor:
    """The share of each object's look that frames show at some angles; 1 for the whole look.

    Args:
        frames: what there is for each object to explain, (..., N, C, H, W), intensities.
        glimpses: (..., N, C, G, G).
        position: (..., N, 2), frame coordinates.
        size: (..., N, 2), fractions of the frame.
        angle: (..., N, A), radians.

    Returns:
        shares (..., N, A).
    """
    seen = extract_turned(frames, position.unsqueeze(-2), size.unsqueeze(-2), angle, glimpses.shape[-1])
    energy = glimpses.square().sum((-3, -2, -1)).clamp_min(1e-6)  # a black glimpse has none
    return (seen * glimpses.unsqueeze(-4)).sum((-3, -2, -1)) / energy.unsqueeze(-1)


def around_expected(mean: Tensor, scale: Tensor, number: int, floor: Tensor | float) -> tuple[Tensor, Tensor]:
    """Angles of a whole turn around expected ones, and their log prior: a normal on a floor of clutter.

    Args:
        mean: expected angles (...,), radians.
        scale: of their densities, (...,).
        number: A, angles of a whole turn.
        floor: log prior of an angle far from the expected one, nats.

    Returns:
        angles and log priors, nats, (..., A).
    """
    steps = torch.arange(number, dtype=mean.dtype, device=mean.device) - number // 2
    away = 2 * math.pi / number * steps
    near = -0.5 * (away / scale.unsqueeze(-1)).square()
    return mean.unsqueeze(-1) + away, torch.logaddexp(near, near.new_zeros(()) + floor)


def register_turned(
    frames: Tensor,
    draw: Callable[[Tensor, Tensor], Tensor],
    glimpses: Tensor,
    position: Tensor,
    angle: Tensor,
    size: Tensor,
    steps: int,
    still: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Take Gauss-Newton steps on the squared error of rendered frames, in the objects' positions and angles.

    It is :func:`~vtssi_pyro.ops.registration.register` with a third number: each object is fitted to the residual that
    all objects together leave in its turned window. Nothing is learned, and no gradient passes.

    Args:
        frames: (B, C, H, W), intensities.
        draw: frames (..., B, C, H, W) with the objects at positions (..., B, N, 2) and angles (..., B, N).
        glimpses: the objects' looks, scaled by their step values, (..., B, N, C, G, G).
        position: initial places, right to a few pixels, (..., B, N, 2), frame coordinates.
        angle: initial angles, right to some 20 degrees, (..., B, N), radians.
        size: (..., B, N, 2), fractions of the frame.
        steps: number of steps.
        still: whether positions are right already, so that angles alone change.

    Returns:
        positions, angles, and standard deviations of the angles by the sandwich estimator, (..., B, N).

    Reference: Lucas and Kanade, An iterative image registration technique, 1981; White, A
    heteroskedasticity-consistent covariance matrix estimator, 1980.
    """
    side, whole = glimpses.shape[-1], extent(glimpses, (frames.shape[-2], frames.shape[-1]))
    with torch.no_grad():
        window = size.clamp(*SIZE_LIMITS) * whole / 2  # half sides, px
        pixel = 2 * window / side  # of a glimpse, px of the frame: (..., N, 2)
        slope = slopes(glimpses, window)[..., 2 * still :]  # (..., N, C G G, 2 + 1 or 1)
        curvature = slope.mT @ slope
        ridge = RIDGE * torch.diag_embed(curvature.diagonal(dim1=-2, dim2=-1)) + 1e-6 * torch.eye(
            slope.shape[-1], dtype=slope.dtype, device=slope.device
        )
        # inv_ex does not halt a GPU to look for singular matrices
        solve = torch.linalg.inv_ex(curvature + ridge).inverse @ slope.mT

        def left() -> Tensor:
            """What all objects leave of the frames in each turned window, (..., N, C G G)."""
            residual = frames - draw(position, angle)
            return extract_turned(residual, position, size, angle, side).flatten(-3)

        for _ in range(steps):
            change = (solve @ left().unsqueeze(-1)).squeeze(-1)
            if not still:
                own = change[..., :2].maximum(-FARTHEST * pixel).minimum(FARTHEST * pixel)  # axes, px
                moved = (_rotation(angle) @ own.unsqueeze(-1)).squeeze(-1)
                position = position + 2 * moved / whole
            angle = angle + change[..., -1].clamp(-FARTHEST_TURN, FARTHEST_TURN)
        along = slope[..., -1]
        shape = glimpses.shape[-3:]
        pull = mean_square_pull(along.unflatten(-1, shape), left().unflatten(-1, shape)).sqrt()
        return position, angle, pull / along.square().sum(-1).clamp_min(1e-6)


def slopes(glimpses: Tensor, window: Tensor) -> Tensor:
    """Changes of a look's pixels as the object moves along its own two axes, by px, and turns, by radians.

    Args:
        glimpses: (..., C, G, G).
        window: half of the width and of the height of their windows, px, (..., 2).

    Returns:
        slopes (..., C G G, 3).
    """
    side = glimpses.shape[-1]
    along_y, along_x = torch.gradient(glimpses, dim=(-2, -1))
    half = window[..., None, None, None, :]
    along_x, along_y = along_x * side / (2 * half[..., 0]), along_y * side / (2 * half[..., 1])
    axis = centres(side, glimpses)
    x, y = axis * half[..., 0], axis.unsqueeze(-1) * half[..., 1]
    return torch.stack([-along_x, -along_y, along_x * y - along_y * x], -1).flatten(-4, -2)


def _grid(turn: Tensor, shift: Tensor, shape: tuple[int, int]) -> Tensor:
    """The places (..., h, w, 2) to which ``turn`` (..., 2, 2) and ``shift`` (..., 2) map the pixels of an image (h, w).

    It equals torch's ``affine_grid``, without its matrix product, which takes several times as long.
    """
    height, width = shape
    x, y = centres(width, turn), centres(height, turn)
    across = turn[..., None, :, 0] * x.unsqueeze(-1) + shift.unsqueeze(-2)  # (..., w, 2)
    down = turn[..., None, :, 1] * y.unsqueeze(-1)  # (..., h, 2)
    return across.unsqueeze(-3) + down.unsqueeze(-2)


def _rotation(angle: Tensor) -> Tensor:
    """Matrices (..., 2, 2) that turn (x, y) from x towards y."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
