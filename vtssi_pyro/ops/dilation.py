"""Grey dilation: the largest value near each pixel."""

import torch
from torch import Tensor
from torch.nn.functional import pad


def dilated(frames: Tensor, reach: int) -> Tensor:
    """The largest intensity within ``reach`` pixels of each pixel, in x and in y.

    A window is the union of two that are half as long, so that its cost grows with the logarithm of its length.

    Args:
        frames: (..., H, W), intensities.
        reach: pixels.

    Returns:
        intensities (..., H, W).
    """
    wide = pad(frames, (reach,) * 4, value=-torch.inf)
    for axis in (-2, -1):
        length = 1  # of the windows so far
        while length <= 2 * reach:
            step = min(length, 2 * reach + 1 - length)
            kept = wide.shape[axis] - step
            wide = torch.maximum(wide.narrow(axis, 0, kept), wide.narrow(axis, step, kept))
            length += step
    return wide
