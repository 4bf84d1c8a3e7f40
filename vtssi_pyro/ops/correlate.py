"""Cross-correlation of every frame of a sequence with that sequence's own kernels."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

# Responses of a processor that are computed together: some MiB with their transforms, which fit its cache. Of 64 frames
# with 30 templates all at once take more than twice as long.
AT_ONCE = 2**18


def correlate(
    frames: Tensor, kernels: Tensor, stride: int = 1, then: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Filter each sequence's frames with its own kernels, all frames at once.

    On a CPU one convolution per sequence, with time as its batch, beats a grouped convolution over all
    sequences; on a GPU it is the other way round.

    Args:
        frames: (B, T, C, H, W).
        kernels: (B, K, C, h, w).
        stride: of the convolution.
        then: applied to the responses (M, K, H', W') of each sequence while the processor's cache still holds them,
            such as pooling; channel by channel.

    Returns:
        responses (B, T, K, H', W'), as ``then`` leaves them.
    """
    batch, number = kernels.shape[:2]
    then = then or _unchanged
    if frames.device.type == "cpu":
        each = zip(frames, kernels, strict=True)
        return torch.stack([then(conv2d(channels_last(x), k, stride=stride)) for x, k in each])
    # (T, B K, H', W')
    out = conv2d(
        frames.transpose(0, 1).flatten(1, 2),
        kernels.flatten(0, 1),
        stride=stride,
        groups=batch,
    )
    return then(out).unflatten(1, (batch, number)).transpose(0, 1)


def channels_last(x: Tensor) -> Tensor:
    """Images (M, C, H, W) in the memory layout in which a CPU convolves, and above all pools, faster."""
    if x.device.type != "cpu":
        return x
    if x.shape[1] == 1:  # contiguous in either layout; torch goes by the strides
        return x.squeeze(1).unsqueeze(-1).movedim(-1, 1)
    return x.contiguous(memory_format=torch.channels_last)


def correlate_template(frames: Tensor, templates: Tensor) -> Tensor:
    """Correlate every frame with each object's one, large template; zeros surround the frame.

    The correlation theorem turns it into products of Fourier transforms, which on a CPU are several times faster than
    convolutions of a single channel.

    Args:
        frames: (B, T, C, H, W).
        templates: (..., B, N, C, h, w), odd h and w; a response at a pixel is that of a template centred on it.

    Returns:
        responses (..., B, T, N, H, W).
    """
    middle = [side // 2 for side in templates.shape[-2:]]
    size = [_fast(length + m) for length, m in zip(frames.shape[-2:], middle, strict=True)]
    # turned so that their centres are at the origin, and no response has to be
    short = [length - side for length, side in zip(size, templates.shape[-2:], strict=True)]
    centred = pad(templates, (0, short[1], 0, short[0])).roll([-m for m in middle], (-2, -1))
    spectra = torch.fft.rfft2(centred).conj().unsqueeze(-5)  # (..., B, 1, N, C, H', W'/2)
    scene = torch.fft.rfft2(frames, s=size).unsqueeze(-4)  # (B, T, 1, C, H', W'/2)
    pixels = templates[..., 0, 0, 0].numel() * math.prod(size)
    number = max(1, AT_ONCE // pixels) if frames.device.type == "cpu" else frames.shape[1]
    responses = [
        torch.fft.irfft2(_summed(some * spectra), s=size)[..., : frames.shape[-2], : frames.shape[-1]]
        for some in scene.split(number, 1)
    ]
    return responses[0] if len(responses) == 1 else torch.cat(responses, -4)


def _summed(product: Tensor) -> Tensor:
    """The sum (..., H, W) over channels (..., C, H, W); of a single one it would be a copy of the largest tensor."""
    return product.squeeze(-3) if product.shape[-3] == 1 else product.sum(-3)


def _fast(length: int) -> int:
    """The next 2^a or 3 * 2^a, lengths of which fast Fourier transforms are fast."""
    return min(base * 2 ** max(0, math.ceil(math.log2(length / base))) for base in (1, 3))


def _unchanged(x: Tensor) -> Tensor:
    return x
