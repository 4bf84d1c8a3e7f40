"""Averages and products of independent normal distributions, in closed form."""

from typing import Any

import torch
from pyro.distributions import Independent, Normal
from torch import Tensor

from vtssi_pyro.ops.packing import Packed

# Standard deviations of a normal density in its median absolute deviation, 1 / Phi^-1(3/4) (Hampel 1974).
SIGMA_PER_MAD = 1.4826


def average(prediction: Independent, inference: Independent, weight: Tensor) -> Independent:
    """Average two independent diagonal normal variables: w X + (1 - w) Y, the fusion of App. B.2.3, Alg. 5, l. 8-9.

    Args:
        prediction: p~, batch (..., N), event (E,).
        inference: p^, the same shapes.
        weight: w in [0, 1], batch shape (..., N).

    Returns:
        Normal with batch shape (..., N) and event (E,).
    """
    w = weight.unsqueeze(-1)
    p, q = prediction.base_dist, inference.base_dist
    scale = torch.hypot(w * p.scale, (1 - w) * q.scale)
    return Normal(w * p.loc + (1 - w) * q.loc, scale).to_event(1)


def product(prediction: Independent, inference: Independent, weight: Tensor) -> Independent:
    """Multiply the two densities, p~^2w p^^2(1-w), and normalise: each counts by its precision.

    At w = 1/2 it is Bayes' rule for two independent measurements (the update of a Kalman filter). An alternative to
    :func:`average`, with the same arguments and shapes.
    """
    w = weight.unsqueeze(-1)
    p, q = prediction.base_dist, inference.base_dist
    first, second = 2 * w / p.scale**2, 2 * (1 - w) / q.scale**2
    precision = first + second
    return Normal((first * p.loc + second * q.loc) / precision, precision.rsqrt()).to_event(1)


def weighted_average(loc: Tensor, scale: Tensor, weight: Tensor) -> Normal:
    """Average K independent normal variables, sum_k w_k X_k: RECT's consensus (App. B.2.2, Alg. 4, l. 3-7).

    Args:
        loc: means (..., K, E).
        scale: standard deviations (..., K, E).
        weight: (..., K), summing to 1.

    Returns:
        Normal with batch shape (..., E).
    """
    w = weight.unsqueeze(-1)
    return Normal((w * loc).sum(-2), (w * scale).square().sum(-2).sqrt())


def chosen(mask: Tensor, one: Normal, other: Normal) -> Normal:
    """The density ``one`` where a mask (...,) holds, else the ``other``: normals with values (..., E)."""
    where = mask.unsqueeze(-1)
    return Normal(torch.where(where, one.loc, other.loc), torch.where(where, one.scale, other.scale))


def put(packed: Packed, whole: Normal, values: Normal) -> Normal:
    """The density ``whole``, in which that of the packed elements is that of ``values``."""
    return Normal(packed.put(whole.loc, values.loc), packed.put(whole.scale, values.scale))


class Drawn(Normal):
    """A normal of which some values were drawn before ("a single sample taken once", App. B).

    Args:
        loc: means.
        scale: standard deviations.
        value: the values drawn before.
        known: where they were, bool, broadcast against the values.
    """

    def __init__(self, loc: Tensor, scale: Tensor, value: Tensor, known: Tensor) -> None:
        super().__init__(loc, scale, validate_args=False)
        self.value, self.known = value, known

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Drawn":
        """The same density, of a larger batch; all of it shares the values drawn before."""
        shape = torch.Size(batch_shape)
        return Drawn(*(x.expand(shape) for x in (self.loc, self.scale, self.value, self.known)))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draw the other values."""
        return torch.where(self.known, self.value, super().rsample(torch.Size(sample_shape)))

    @property
    def mode(self) -> Tensor:
        """The means, and the values drawn before."""
        return torch.where(self.known, self.value, self.loc)
