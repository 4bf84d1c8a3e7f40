"""Averages and products of independent normal distributions, in closed form."""

import torch
from pyro.distributions import Independent, Normal
from torch import Tensor


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
