"""Bright things of about one size, found without having learned anything: the highest peaks of a blurred frame."""

import torch
from torch import Tensor

from vtssi_pyro.ops.spatial import centres

BLUR = 0.25  # of the things' size: standard deviation, which makes one peak of one thing
APART = 0.5  # of the size: standard deviation of the hole that a peak leaves, so that it is found once


def peaks(frames: Tensor, size: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """The places of the highest peaks, the highest first.

    Args:
        frames: (..., H, W), intensities, things bright on black.
        size: of the things, width and height, (2,), fractions of the frame.
        number: N, how many to find; where there are fewer things, the last peaks are low.

    Returns:
        places (..., N, 2), frame coordinates, and heights (..., N), the mean intensity around each, weighted by a
        Gaussian.
    """
    with torch.no_grad():
        grid = [centres(pixels, frames) for pixels in frames.shape[-2:]]
        down, across = (
            _bump(axis, axis, 2 * BLUR * side) for axis, side in zip(grid, (size[1], size[0]), strict=True)
        )
        blurred = _normal(down) @ frames @ _normal(across).mT
        places, heights = [], []
        for _ in range(number):
            height, index = blurred.flatten(-2).max(-1)
            row, column = index // frames.shape[-1], index % frames.shape[-1]
            place = torch.stack(
                [_vertex(blurred, row, column, 1, grid[1]), _vertex(blurred, row, column, 0, grid[0])], -1
            )
            hole = _bump(place[..., 1:], grid[0], 2 * APART * size[1]).mT @ _bump(
                place[..., :1], grid[1], 2 * APART * size[0]
            )
            blurred = blurred * (1 - hole)
            places.append(place)
            heights.append(height)
        return torch.stack(places, -2), torch.stack(heights, -1)


def highest(maps: Tensor, side: int) -> Tensor:
    """The highest value around each cell of maps (..., h, w), in a square of an odd ``side``."""
    maps = torch.nn.functional.pad(maps, (side // 2,) * 4, value=-torch.inf)
    return maps.unfold(-1, side, 1).amax(-1).unfold(-2, side, 1).amax(-1)


def _vertex(blurred: Tensor, row: Tensor, column: Tensor, axis: int, grid: Tensor) -> Tensor:
    """Where a parabola through a peak and its two neighbours along an axis is highest, frame coordinates."""
    index = column if axis else row
    last = len(grid) - 1
    width = blurred.shape[-1]
    values = []
    for step in (-1, 0, 1):
        there = (index + step).clamp(0, last)
        flat = row * width + there if axis else there * width + column
        values.append(blurred.flatten(-2).gather(-1, flat.unsqueeze(-1)).squeeze(-1))
    before, here, after = values
    bend = (2 * here - before - after).clamp_min(1e-9)
    shift = ((after - before) / (2 * bend)).clamp(-0.5, 0.5)
    return grid[index] + shift * (grid[1] - grid[0])


def _bump(centre: Tensor, grid: Tensor, width: Tensor) -> Tensor:
    """exp(-d^2 / 2 width^2) between centres (..., C) and an axis's coordinates (L,), (..., C, L)."""
    return torch.exp(-0.5 * ((centre.unsqueeze(-1) - grid) / width).square())


def _normal(rows: Tensor) -> Tensor:
    return rows / rows.sum(-1, keepdim=True)
