"""The channel axis: frames have one, and grey ones that are given without it get it here."""

from typing import TypeVar

import numpy as np
from torch import Tensor

Frames = TypeVar("Frames", Tensor, np.ndarray)


def channels_first(image: np.ndarray) -> np.ndarray:
    """An image (C, H, W) of one with channels last, (H, W, C), or in grey, (H, W)."""
    return image[None] if image.ndim == 2 else np.moveaxis(image, -1, 0)


def channelled(frames: Frames) -> Frames:
    """Frames (B, T, C, H, W); those without a channel axis, (B, T, H, W), are grey."""
    return frames[:, :, None] if frames.ndim == 4 else frames
