"""Bright things of about one size, found without having learned anything: the highest peaks of a blurred frame."""

import torch
from torch import Tensor

from vtssi_pyro.ops.spatial import centres, to_frame

BLUR = 0.25  # of the things' size: standard deviation, which makes one peak of one thing
APART = 0.5  # of the size: standard deviation of the hole that a peak leaves, so that it is found once


def peaks(frames: Tensor, size: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """The places of the highest peaks, the highest first.

    Args:
        frames: (..., C, H, W), intensities, objects bright on black; channels count alike.
        size: of the things, width and height, (2,), fractions of the frame.
        number: N, how many to find; where there are fewer things, the last peaks are low.

    Returns:
        places (..., N, 2), frame coordinates, and heights (..., N), the mean intensity around each, weighted by a
        Gaussian.
    """
    with torch.no_grad():
        grid = [centres(pixels, frames) for pixels in frames.shape[-2:]]
        down, across = (
            bump(axis, axis, 2 * BLUR * side) for axis, side in zip(grid, (size[1], size[0]), strict=True)
        )
        blurred = _normal(down) @ frames.mean(-3) @ _normal(across).mT
        places, heights = [], []
        for _ in range(number):
            height, cell = blurred.flatten(-2).amax(-1), summit(blurred)[1]
            place = to_frame(cell.flip(-1) + 0.5, (frames.shape[-2], frames.shape[-1]))
            hole = bump(place[..., 1:], grid[0], 2 * APART * size[1]).mT @ bump(
                place[..., :1], grid[1], 2 * APART * size[0]
            )
            blurred = blurred * (1 - hole)
            places.append(place)
            heights.append(height)
        return torch.stack(places, -2), torch.stack(heights, -1)


def summit(maps: Tensor) -> tuple[Tensor, Tensor]:
    """How high the highest peaks of maps (..., h, w) are, (...,), and where, rows and columns (..., 2), not rounded.

    They are those of parabolas through the highest cell and its neighbours.
    """
    height, width = maps.shape[-2:]
    values = maps.flatten(-2)
    here, cell = values.max(-1)
    top, places = here, []
    for index, last, stride in ((cell // width, height - 1, width), (cell % width, width - 1, 1)):
        before, after = (
            values.gather(-1, (cell + stride * step).unsqueeze(-1)).squeeze(-1)
            for step in (-(index > 0).long(), (index < last).long())
        )
        bend = (2 * here - before - after).clamp_min(1e-9)
        shift = ((after - before) / (2 * bend)).clamp(-0.5, 0.5)
        top = top + bend * shift.square() / 2
        places.append(index + shift)
    return top, torch.stack(places, -1)


def bump(centre: Tensor, grid: Tensor, width: Tensor) -> Tensor:
    """exp(-d^2 / 2 width^2) between centres (..., C) and an axis's coordinates (L,), (..., C, L)."""
    return torch.exp(-0.5 * ((centre.unsqueeze(-1) - grid) / width).square())


def _normal(rows: Tensor) -> Tensor:
    return rows / rows.sum(-1, keepdim=True)
