"""The observation noise of images: one scale for all pixels."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from pyro.distributions import TorchDistribution, constraints
from torch import Tensor


class PixelNormal(TorchDistribution):
    """Distribution of images with independent pixels N(mean, scale), all of one scale.

    Its density is that of ``Normal(mean, scale).to_event(3)``, computed in a third of the passes over the pixels and
    without a tensor made of the number ``scale``, which would halt a captured step.

    Args:
        mean: (..., C, H, W), intensities.
        scale: standard deviation of every pixel, intensity: a number, or a tensor without axes if it is learned.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.independent(constraints.real, 3)
    has_rsample = True

    def __init__(self, mean: Tensor, scale: float | Tensor) -> None:
        self.loc, self.scale = mean, scale
        super().__init__(mean.shape[:-3], mean.shape[-3:], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log density (...) of images (..., C, H, W), nats."""
        pixels = math.prod(self.event_shape)
        squares = (value - self.loc).square().sum((-3, -2, -1))
        log = self.scale.log() if isinstance(self.scale, Tensor) else math.log(self.scale)
        return squares * (-0.5 / self.scale**2) - pixels * (log + 0.5 * math.log(2 * math.pi))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draw images (*sample_shape, ..., C, H, W)."""
        loc = self.loc.expand(*sample_shape, *self.loc.shape)
        return loc + self.scale * torch.randn_like(loc)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> "PixelNormal":
        """Return the same distribution with more batch axes."""
        return PixelNormal(self.loc.expand(*batch_shape, *self.event_shape), self.scale)

    @property
    def mean(self) -> Tensor:
        """The mean images."""
        return self.loc

    mode = mean

    @property
    def variance(self) -> Tensor:
        """The variance of every pixel, (..., C, H, W)."""
        return torch.ones_like(self.loc) * self.scale**2
