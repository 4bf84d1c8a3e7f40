"""Zoomed and shifted pictures as products of matrices: a spatial transformer without rotation, axis by axis.

Pictures span [-1, 1] between the *centres* of their outer pixels (``align_corners=True``), as in DDPAE and SQAIR; in
:mod:`~vtssi_pyro.ops.spatial` their edges are there instead. Beyond a picture there is 0.
"""

from typing import Any

import torch
from torch import Tensor


def weights(zoom: Tensor, shift: Tensor, pixels: int, source: int) -> Tensor:
    """Bilinear weights with which the pixels of one axis read a source at ``zoom * place + shift``.

    Args:
        zoom: (...), factor on a pixel's place in [-1, 1].
        shift: (...), in [-1, 1] of the source.
        pixels: number of pixels P.
        source: number of pixels G of the source.

    Returns:
        weights (..., P, G), at most two of each row above 0.
    """
    place = torch.linspace(-1, 1, pixels, dtype=zoom.dtype, device=zoom.device)
    read = ((zoom.unsqueeze(-1) * place + shift.unsqueeze(-1)) + 1) * ((source - 1) / 2)  # (..., P)
    made: Tensor = _Bilinear.apply(read, source)
    return made


class _Bilinear(torch.autograd.Function):
    """Weights (..., P, G) with which places (..., P) read pixels 0 to G - 1; of each row two are touched at most.

    Autograd would pass over all of them several times, forwards and backwards.
    """

    @staticmethod
    def forward(ctx: Any, read: Tensor, source: int) -> Tensor:
        low = read.floor()
        share = read - low
        index = torch.stack([low, low + 1], -1)  # (..., P, 2)
        inside = (index >= 0) & (index < source)
        index = index.clamp(0, source - 1).long()
        ctx.save_for_backward(index, inside)
        weight = torch.stack([1 - share, share], -1) * inside
        return read.new_zeros(*read.shape, source).scatter_add_(-1, index, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        index, inside = ctx.saved_tensors
        left, right = (grad.gather(-1, index) * inside).unbind(-1)
        return right - left, None


def paste(pictures: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Sum pictures of objects in every frame.

    Args:
        pictures: (..., N, C, G, G), the same in all frames.
        rows: weights (..., T, N, H, G).
        columns: weights (..., T, N, W, G).

    Returns:
        frames (..., T, C, H, W).
    """
    height, frames = rows.shape[-2], rows.shape[-4]
    tall = rows.transpose(-4, -3).flatten(-3, -2).unsqueeze(-3) @ pictures  # (..., N, C, T H, G)
    tall = tall.unflatten(-2, (frames, height))  # (..., N, C, T, H, G)
    tall = tall.movedim((-3, -4, -2, -5), (-5, -4, -3, -2)).flatten(-2)  # (..., T, C, H, N G)
    wide = columns.transpose(-3, -2).flatten(-2).unsqueeze(-3)  # (..., T, 1, W, N G)
    return tall @ wide.mT


def crop(frames: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Cut a picture of each object out of every frame.

    Args:
        frames: (..., T, C, H, W).
        rows: weights (..., T, N, G, H).
        columns: weights (..., T, N, G, W).

    Returns:
        pictures (..., T, N, C, G, G).
    """
    objects, side = rows.shape[-3:-1]
    tall = rows.flatten(-3, -2).unsqueeze(-3) @ frames  # (..., T, C, N G, W)
    tall = tall.unflatten(-2, (objects, side)).movedim(-3, -4)  # (..., T, N, C, G, W)
    return tall @ columns.unsqueeze(-3).mT
