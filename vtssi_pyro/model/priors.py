"""Priors as modules that return a distribution; assign another such module to swap one."""

from collections.abc import Sequence

import torch
from pyro.distributions import Independent, Normal
from pyro.nn import PyroModule
from torch import Tensor

from vtssi_pyro.types import Scalar


class DiagNormal(PyroModule):
    """A diagonal normal whose parameters are buffers, which follow ``.to()`` and are not trained.

    Args:
        loc: mean, one number per dimension.
        scale: standard deviation, one number or one per dimension.

    Example:
        >>> from vtssi_pyro import DiagNormal, build
        >>> tracker = build("vtssi")
        >>> tracker.scene.size = DiagNormal([0.2, 0.2], 0.05)
        >>> tracker.scene.size().mean
        tensor([0.2000, 0.2000])
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, loc: Sequence[float], scale: float | Sequence[float]) -> None:
        super().__init__()
        mean = torch.tensor(loc, dtype=torch.get_default_dtype())
        self.register_buffer("loc", mean)
        self.register_buffer("scale", torch.as_tensor(scale, dtype=mean.dtype).expand_as(mean).clone())

    def forward(self, shift: Scalar = 0.0) -> Independent:
        """The distribution, event shape (E,), with its mean shifted (an annealed prior)."""
        return Normal(self.loc + shift, self.scale).to_event(1)
