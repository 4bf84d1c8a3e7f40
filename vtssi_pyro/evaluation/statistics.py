"""Means and standard errors of values, of which NaN are unknown."""

from torch import Tensor


def mean(values: Tensor) -> float | None:
    """Mean of the known values; None without any."""
    values = values[~values.isnan()]
    return values.mean().item() if values.numel() else None


def standard_error(values: Tensor) -> float | None:
    """Standard error of the mean over all values, (B, ...), when only sequences are independent.

    The mean is a ratio of two sums over sequences; this is its linearised (delta method) standard error,
    which is the usual s / sqrt(B) when every sequence has as many values.
    """
    known = (~values.isnan()).flatten(1).double() if values.numel() else values.new_zeros(0, 0)
    B, total = int(known.any(-1).sum()), known.sum()
    if B < 2 or not total:
        return None
    sums = values.nan_to_num(0.0).flatten(1).sum(-1)
    residual = sums - sums.sum() / total * known.sum(-1)
    return (residual.square().sum() * B / (B - 1)).sqrt().div(total).item()
