"""How honest probabilities are: forecasts of something that happens or not, beside how often it did."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

BINS = 10  # equally filled


@dataclass(frozen=True)
class Reliability:
    """Probabilities in equally filled bins, beside the share of them in which it happened."""

    forecasts: int
    happened: float | None  # share of all; None without forecasts
    probability: list[float]  # mean, by bin, from the lowest to the highest
    frequency: list[float]  # share in which it happened
    gap: float | None  # mean absolute difference of the two

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return asdict(self)


def reliability(probability: Tensor, happened: Tensor, bins: int = BINS) -> Reliability:
    """Compare forecasts with what happened; those that are NaN are passed over.

    Forecasts of one probability, such as 0, may fill several bins. Which of them is in which bin would then be chance;
    so each counts as having happened as often as they all did.

    Args:
        probability: forecasts (...), in [0, 1].
        happened: bool, of the same shape.
        bins: number of bins; fewer if there are fewer forecasts.
    """
    known = ~probability.isnan()
    forecast, outcome = probability[known].double().cpu(), happened[known].double().cpu()
    if not len(forecast):
        return Reliability(0, None, [], [], None)
    values, which, number = forecast.unique(return_inverse=True, return_counts=True)
    often = torch.zeros_like(values).index_add(0, which, outcome) / number
    order = forecast.argsort()
    parts = zip(forecast[order].tensor_split(bins), often[which[order]].tensor_split(bins), strict=True)
    said, seen = zip(*((float(p.mean()), float(f.mean())) for p, f in parts if len(p)), strict=True)
    gap = sum(abs(p - f) for p, f in zip(said, seen, strict=True)) / len(said)
    return Reliability(len(forecast), float(outcome.mean()), list(said), list(seen), gap)
