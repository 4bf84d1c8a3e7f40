"""Calibration of sampled forecasts: a temperature and factors after which their regions hold what they promise.

A :class:`Calibration` makes two changes. Futures are drawn at a temperature, which makes whole paths as sharp as
possible (least CRPS; Gneiting and Raftery 2007). If the regions (:mod:`~vtssi_pyro.evaluation.regions`) then hold more
or less of the truth than their level says, factors for each horizon shrink or widen them, and the samples move with
them (quantile recalibration, Kuleshov et al. 2018, of the Mahalanobis distance). The fit concerns the regions of found
objects, frame by frame. Intervals of x and of y alone are assessed but not fitted; whole paths are neither.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from vtssi_pyro.errors import UsageError
from vtssi_pyro.evaluation.clouds import finite_number, finite_points, mahalanobis, standard_deviation
from vtssi_pyro.evaluation.regions import LEVELS, Row, matched_rows
from vtssi_pyro.tracks.tracks import Tracks

# Objects at a horizon: with fewer, the outer levels, 0.9 and above, all are the farthest object's.
FEWEST = 10
TOO_FEW = f"a calibration needs {FEWEST} objects that are predicted: give more sequences"


@dataclass(frozen=True)
class Calibration:
    """The temperature at which to draw samples, and factors on their distances from their mean."""

    levels: tuple[float, ...]
    factors: tuple[tuple[float, ...], ...]  # by horizon 1, 2, ... and by level; the last also holds beyond
    observed: int  # observed frames of the forecasts that it was fitted on
    samples: int  # of each of these forecasts; few samples tell their spread less well than many
    weights: str | None = None  # SHA-256 of the weights of the model, see checkpoint.digest; None: unknown
    temperature: float = 1.0  # temperature of the samples, in the fit and in use; see handlers.temper

    def __post_init__(self) -> None:
        """Refuse values that are no calibration."""
        rows = [len(row) for row in self.factors]
        if not rows or set(rows) != {len(self.levels)} or len(self.levels) < 2:
            raise ValueError(f"expected rows of {len(self.levels)} factors, found {rows}")
        if not all(0 < factor < float("inf") for row in self.factors for factor in row):
            raise ValueError("expected factors that are positive and finite")
        if not 0 < self.temperature < float("inf"):
            raise ValueError(f"expected a temperature that is positive and finite, found {self.temperature}")

    def is_of(self, weights: str) -> bool:
        """Tell whether it may be used with these weights, named by their digest."""
        return self.weights in (None, weights)

    def fits(self, observed: int, samples: int) -> bool:
        """Tell whether it suits forecasts of as many observed frames, or more, and about as many samples.

        Frames beyond those that tell number, looks and motion change little: docs/evaluation.md has the shares.
        """
        return observed >= self.observed and self.samples / 2 <= samples <= 2 * self.samples

    def __call__(self, tracks: Tracks, observed: int) -> Tracks:
        """Move the samples of the frames after the ``observed`` ones, and their scales with them.

        Args:
            tracks: (B, T, N, 2), px, with samples (S, B, T, N, 2).
            observed: number of frames that the tracker saw.

        Returns:
            tracks (B, T, N, 2), px.
        """
        if tracks.samples is None or len(tracks.samples) < 2:
            return tracks
        samples, scale = tracks.samples.clone(), None if tracks.scale is None else tracks.scale.clone()
        for t in range(observed, samples.shape[2]):
            samples[:, :, t] = self._moved(samples[:, :, t], t - observed)
            if scale is not None:
                scale[:, t] = standard_deviation(samples[:, :, t])
        return tracks._replace(samples=samples, scale=scale)

    def _moved(self, samples: Tensor, horizon: int) -> Tensor:
        """Move the samples (S, ..., 2), px, of one frame."""
        samples, factors = finite_points(samples).double(), self.factors[min(horizon, len(self.factors) - 1)]
        mean = samples.nanmean(0)
        # Two samples are equally far from their mean, and so are three but for the floor. In single precision they are
        # ties, which the order of the draws decides, not rounding.
        away = mahalanobis(samples, samples).float()
        rank = away.argsort(dim=0, stable=True).argsort(0).double()  # (S, ...), NaN last
        level = (rank + 0.5) / finite_number(samples)
        return mean + (samples - mean) * _between(level, self.levels, factors).unsqueeze(-1)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Calibration":
        """Restore a calibration from the fields of :meth:`as_dict`."""
        factors = tuple(tuple(map(float, row)) for row in values["factors"])
        levels, weights = tuple(map(float, values["levels"])), values.get("weights")
        kind = int(values["observed"]), int(values["samples"]), weights and str(weights)
        return cls(levels, factors, *kind, float(values.get("temperature", 1.0)))

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return asdict(self)


def calibrate(
    truth: Tracks, tracks: Tracks, observed: int, weights: str | None = None, temperature: float = 1.0
) -> Calibration:
    """Fit the calibration after which regions of level p hold the share p of the truth.

    Args:
        truth: see :func:`assess`.
        tracks: see :func:`assess`.
        observed: number of frames that the tracker saw.
        weights: the digest of the weights that made the forecasts.
        temperature: the temperature of the forecasts.

    Returns:
        The calibration.

    Raises:
        UsageError: fewer objects than :data:`FEWEST`.
    """
    levels = torch.tensor(LEVELS, dtype=torch.float64)
    factors = []
    for row in map(Row.forecast, matched_rows(truth, tracks, observed)):
        number = len(row.truth)
        if number < FEWEST:
            break
        ratio = row.distance / row.radius(levels)  # (L, R)
        place = (levels * (number + 1) / number).clamp(max=1)  # among these objects and the next
        factors.append(torch.stack([r.quantile(p) for r, p in zip(ratio, place, strict=True)]))
    if not factors:
        raise UsageError(TOO_FEW)
    smooth = torch.stack(factors).log()
    padded = torch.cat([smooth[:1], smooth, smooth[-1:]])
    smooth = ((padded[:-2] + padded[1:-1] + padded[2:]) / 3).exp()  # neighbouring horizons differ little
    assert tracks.samples is not None
    rows = tuple(tuple(row.tolist()) for row in smooth)
    return Calibration(LEVELS, rows, observed, len(tracks.samples), weights, temperature)


def _between(level: Tensor, levels: tuple[float, ...], factors: tuple[float, ...]) -> Tensor:
    """Factors at any level, linearly interpolated, constant beyond the ends."""
    x, y = (torch.tensor(values, dtype=level.dtype, device=level.device) for values in (levels, factors))
    above = torch.searchsorted(x, level.contiguous()).clamp(1, len(x) - 1)
    share = ((level - x[above - 1]) / (x[above] - x[above - 1])).clamp(0, 1)
    return y[above - 1] + share * (y[above] - y[above - 1])
