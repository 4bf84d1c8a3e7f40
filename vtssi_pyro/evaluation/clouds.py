"""Statistics of clouds: the samples of an object's position at one time.

Samples that are not finite are passed over. Statistics are in double precision, whatever that of the samples: few
samples lie on a line, or nearly, and if it is a hundred pixels long, single precision loses the width :data:`FLOOR`
that makes their covariance positive definite.
"""

import math

import torch
from torch import Tensor

FLOOR = 0.01  # px, added to every spread, since a cloud may collapse to a point: no registration is as exact
# Share of a cloud's extent, likewise added: ten times the width that rounding gives a line of 1,000 samples.
GRAIN = 1e-6


def finite_points(points: Tensor) -> Tensor:
    """Set points (..., 2) to NaN in both coordinates if either is not finite."""
    return points.where(points.isfinite().all(-1, keepdim=True), torch.nan)


def finite_number(samples: Tensor) -> Tensor:
    """Count the finite samples of (S, ..., 2): (...)."""
    return samples[..., 0].isfinite().sum(0)


def standard_deviation(samples: Tensor) -> Tensor:
    """Standard deviation (..., 2) of samples (S, ..., 2), float64; NaN for fewer than two."""
    samples = samples.double()
    square = (samples - samples.nanmean(0)).square().nansum(0)
    number = finite_number(samples).unsqueeze(-1)
    return (square / (number - 1)).sqrt().where(number > 1, torch.nan)


def moments(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Compute mean (..., 2), px, and covariance (..., 2, 2), px^2, of samples (S, ..., 2), in float64.

    The covariance is positive definite. Samples that are not finite are passed over.
    """
    samples = finite_points(samples).double()
    mean = samples.nanmean(0)
    away = (samples - mean).nan_to_num(0.0)
    number = finite_number(samples)[..., None, None]
    covariance = torch.einsum("s...i,s...j->...ij", away, away) / (number - 1).clamp_min(1)
    extent = covariance.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    floor = FLOOR**2 + GRAIN**2 * extent
    return mean, covariance + floor * torch.eye(2, dtype=samples.dtype, device=samples.device)


def mahalanobis(points: Tensor, samples: Tensor) -> Tensor:
    """Compute Mahalanobis distances (K, ...), float64, of points (K, ..., 2) from clouds (S, ..., 2).

    A point that is not finite has the distance NaN.
    """
    mean, covariance = moments(samples)
    away = (finite_points(points) - mean).unsqueeze(-1)
    return torch.linalg.solve_triangular(torch.linalg.cholesky(covariance), away, upper=False).norm(
        dim=(-2, -1)
    )


def crps(samples: Tensor, truth: Tensor) -> float:
    """Estimate the CRPS E|s - y| - E|s - s'| / 2 without bias, px, the mean over truths (R, 2) and axes.

    Args:
        samples: (S, R, 2), px.
        truth: (R, 2), px.

    Reference: Gneiting and Raftery, Strictly proper scoring rules, prediction, and estimation, 2007.
    """
    number = samples.isfinite().sum(0)  # (R, 2)
    place = torch.arange(len(samples))[:, None, None]
    weight = 2.0 * place - (number - 1)
    ordered = samples.sort(0).values  # NaN last
    spread = (weight * ordered).nansum(0) / (number * (number - 1))
    return float(((samples - truth).abs().nanmean(0) - spread).mean())


def nll(samples: Tensor, truth: Tensor) -> float:
    """Mean negative log density of truths (R, 2), nats, under normal densities with the clouds' (S, R, 2) moments."""
    mean, covariance = moments(samples)
    # written out: torch's own distribution imports sympy, which takes more than a second
    factor = torch.linalg.cholesky(covariance)
    away = torch.linalg.solve_triangular(factor, (truth - mean).unsqueeze(-1), upper=False)
    volume = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return float((away.square().sum((-2, -1)) / 2 + volume + math.log(2 * math.pi)).mean())
