"""Cross-correlation of every frame of a sequence with that sequence's own kernels."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d


def correlate(frames: Tensor, kernels: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    """Filter each sequence's frames with its own kernels, all frames at once.

    On a CPU one convolution per sequence, with time as its batch, beats a grouped convolution over all
    sequences; on a GPU it is the other way round.

    Args:
        frames: (B, T, H, W).
        kernels: (B, C, h, w).
        stride: of the convolution.
        padding: zeros at each side, pixels.

    Returns:
        responses (B, T, C, H', W').
    """
    batch, channels = kernels.shape[:2]
    if frames.device.type == "cpu":
        pairs = zip(frames.unsqueeze(2), kernels.unsqueeze(2), strict=True)
        return torch.stack([conv2d(x, k, stride=stride, padding=padding) for x, k in pairs])
    out = conv2d(
        frames.transpose(0, 1),
        kernels.flatten(0, 1).unsqueeze(1),
        stride=stride,
        padding=padding,
        groups=batch,
    )  # (T, B C, H', W')
    return out.unflatten(1, (batch, channels)).transpose(0, 1)
