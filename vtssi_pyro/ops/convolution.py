"""Cubic convolution (Keys 1981): images between their samples, as products with one matrix for each axis."""

import torch
from torch import Tensor

# The parameter with which the error of a smooth image falls by the third power of the distance of samples.
BEND = -0.5


def cubic_weights(index: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    """The weights of an axis's samples at any places between them; beyond the last ones an image is 0.

    Args:
        index: places (..., L) in units of samples, of which the first is at 0.
        samples: number of samples.

    Returns:
        weights (..., L, samples), and their slopes along the axis, for one sample.

    Reference: Keys, Cubic convolution interpolation for digital image processing, 1981.
    """
    offset = index.unsqueeze(-1) - torch.arange(samples, dtype=index.dtype, device=index.device)
    near = offset.abs()
    far = near.clamp(1, 2)  # where both pieces and their slopes meet, and where the outer one ends
    near = near.clamp_max(1)
    inner = ((BEND + 2) * near - (BEND + 3)) * near.square() + 1
    outer = BEND * (((far - 5) * far + 8) * far - 4)
    slope = (3 * (BEND + 2) * near - 2 * (BEND + 3)) * near + BEND * ((3 * far - 10) * far + 8)
    return inner + outer, (slope - BEND) * offset.sign()


def between(image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """An image (..., C, G, G) at places, by weights of rows (..., H, G) and of columns (..., W, G): (..., C, H, W)."""
    return rows.unsqueeze(-3) @ image @ columns.mT.unsqueeze(-3)
