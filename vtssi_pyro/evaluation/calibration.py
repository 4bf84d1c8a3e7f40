"""Calibration of sampled forecasts: the assessment of their regions, and the mending of them.

A forecast of an object's position is a cloud of samples. Its region of level p is the ellipse around their mean, shaped
as their covariance, that holds the share p of them. A :class:`Calibration` makes two changes. Futures are drawn at a
temperature, which makes whole paths as sharp as possible (least CRPS; Gneiting and Raftery 2007). If the regions then
hold more or less of the truth than p, factors for each horizon shrink or widen them, and the samples move with them
(quantile recalibration, Kuleshov et al. 2018, of the Mahalanobis distance). The fit concerns the regions of found
objects, frame by frame. Intervals of x and of y alone are not fitted, but they are assessed; whole paths are neither.

Samples that are not finite are passed over. An object with fewer than two finite samples is in no region and in no
interval.

Statistics are in double precision, independent of that of the samples. Few samples lie on a line, or nearly; if it
is a hundred pixels long, single precision loses the width :data:`FLOOR` that makes its covariance positive definite.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vtssi_pyro.errors import UsageError
from vtssi_pyro.evaluation.events import reach
from vtssi_pyro.evaluation.reliability import Reliability, reliability
from vtssi_pyro.tracks.matching import assign, cut, pairs
from vtssi_pyro.tracks.meetings import WITHIN, meetings
from vtssi_pyro.tracks.tracks import Tracks

LEVELS = tuple(
    round(0.05 * i, 2) for i in range(1, 20)
)  # 0.5 and 0.9, which are written and drawn, among them
FLOOR = 0.01  # px, added to every spread, since a cloud may collapse to a point: no registration is as exact
# Of a cloud's extent, likewise added: ten times the width that rounding gives a line of 1,000 samples.
GRAIN = 1e-6
EQUAL = 1e-9  # share of a cloud's spread: smaller differences of distances are rounding
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
                scale[:, t] = _spread(samples[:, :, t])
        return tracks._replace(samples=samples, scale=scale)

    def _moved(self, samples: Tensor, horizon: int) -> Tensor:
        """Move the samples (S, ..., 2), px, of one frame."""
        samples, factors = _known(samples).double(), self.factors[min(horizon, len(self.factors) - 1)]
        mean = samples.nanmean(0)
        # Two samples are equally far from their mean, and so are three but for the floor. In single precision they are
        # ties, which the order of the draws decides, not rounding.
        away = mahalanobis(samples, samples).float()
        rank = away.argsort(dim=0, stable=True).argsort(0).double()  # (S, ...), NaN last
        level = (rank + 0.5) / _number(samples)
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


@dataclass(frozen=True)
class Assessment:
    """Scores of sampled forecasts of found objects, by horizon 1, 2, ...; None at a horizon without an object."""

    objects: list[int]
    levels: tuple[float, ...]
    coverage: list[list[float] | None]  # share of the matched objects within the region of each level
    coverage_x: list[list[float] | None]  # share of their x within the central interval of each level
    coverage_y: list[list[float] | None]
    crps: list[float | None]  # continuous ranked probability score, px, mean of x and y
    nll: list[float | None]  # of the normal density with the samples' mean and covariance, nats per object
    # of the probabilities that an object is there; None if nobody may leave
    presence: Reliability | None = None
    meetings: Reliability | None = None  # of the pairs' probabilities to meet soon; None without boxes

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return asdict(self)


def assess(truth: Tracks, tracks: Tracks, observed: int) -> Assessment:
    """Compare sampled forecasts with the truth.

    Args:
        truth: (B, T, N, 2), px.
        tracks: over the same frames, with samples (S, B, T, M, 2), S >= 2; assigned on the observed frames.
        observed: number of frames that the tracker saw.

    Returns:
        The scores by horizon.
    """
    levels = torch.tensor(LEVELS, dtype=torch.float64)
    rows = list(_rows(truth, tracks, observed))
    matched = [row if len(row.truth) else None for row in rows]
    forecast = [row if row and len(row.truth) else None for row in map(_Row.forecast, rows)]
    intervals = [row and row.within(levels).double().mean(1) for row in matched]  # (L, 2)
    return Assessment(
        [len(row.truth) for row in rows],
        LEVELS,
        [row and (row.distance <= row.radius(levels)).double().mean(-1).tolist() for row in matched],
        [None if share is None else share[:, 0].tolist() for share in intervals],
        [None if share is None else share[:, 1].tolist() for share in intervals],
        [row and _crps(row.samples, row.truth) for row in forecast],
        [row and _nll(row.samples, row.truth) for row in forecast],
        presences(truth, tracks, observed),
        _meetings(truth, tracks, observed),
    )


def presences(truth: Tracks, tracks: Tracks, observed: int) -> Reliability | None:
    """Judge the probabilities that an object is there: ``confidence`` of the tracks of the last observed frame, later.

    A track that is of no object there, such as a second one of the same object, is of none later.

    Args:
        truth: (B, T, N, 2), px.
        tracks: (B, T, M, 2), px, over the same frames.
        observed: number of frames that the tracker saw.

    Returns:
        of all later frames together; None without such probabilities, as of trackers whose objects never leave.
    """
    last = slice(observed - 1, observed)
    true, found = (each.cpu().part(frames=last) for each in (truth, tracks))
    if tracks.confidence is None or not found.present.shape[2]:
        return None
    known = found.present & ~tracks.confidence[:, observed:].isnan().any(1).cpu().unsqueeze(1)  # (B, 1, M)
    slots = pairs(true, found, reach(true)).squeeze(1)  # (B, N)
    later = truth.present[:, observed:].cpu()  # (B, T', N)
    own = slots.unsqueeze(-1) == torch.arange(known.shape[-1])  # (B, N, M)
    there = (later.unsqueeze(-1) & own.unsqueeze(1)).any(2)  # (B, T', M)
    judged = reliability(tracks.confidence[:, observed:].cpu().where(known, torch.nan), there)
    return judged if judged.forecasts else None


def _meetings(truth: Tracks, tracks: Tracks, observed: int) -> Reliability | None:
    """Whether two found objects meet within some frames after the observed ones, as forecast and in truth."""
    if truth.box is None or tracks.box is None:
        return None
    frames = slice(observed, observed + WITHIN)
    forecast, true = (meetings(each.part(frames=frames).cpu())[:, 0] for each in (tracks, truth))  # (B, N, N)
    slots = assign(truth, tracks, observed)
    found = (slots >= 0).unsqueeze(-1) & (slots >= 0).unsqueeze(-2)
    which = slots.clamp_min(0)
    forecast = forecast.take_along_dim(which.unsqueeze(-1), 1).take_along_dim(which.unsqueeze(-2), 2)
    judged = (found & true.isfinite()).triu(1)  # each pair once
    return reliability(forecast.where(judged, torch.nan), true > 0.5)


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
    for row in map(_Row.forecast, _rows(truth, tracks, observed)):
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


class _Row(NamedTuple):
    """One frame's matched objects."""

    truth: Tensor  # (R, 2)
    samples: Tensor  # (S, R, 2)

    @property
    def distance(self) -> Tensor:
        """Mahalanobis distance of the truth from the samples' mean, (R,)."""
        return mahalanobis(self.truth.unsqueeze(0), self.samples)[0].clamp_min(EQUAL)

    def radius(self, levels: Tensor) -> Tensor:
        """Return the Mahalanobis distances that hold these shares of the samples, (L, R)."""
        away = mahalanobis(self.samples, self.samples).nanquantile(levels, 0).clamp_min(EQUAL)
        return away * (1 + EQUAL)

    def within(self, levels: Tensor) -> Tensor:
        """Tell whether x and y are within the central intervals that hold these shares of the samples, (L, R, 2)."""
        low, high = (self.samples.nanquantile(q, 0) for q in ((1 - levels) / 2, (1 + levels) / 2))
        slack = EQUAL * (high - low)
        return (low - slack <= self.truth) & (self.truth <= high + slack)

    def forecast(self) -> "_Row":
        """Return the row without the objects that have fewer than two finite samples."""
        some = _number(self.samples) > 1
        return _Row(self.truth[some], self.samples[:, some])


def _rows(truth: Tracks, tracks: Tracks, observed: int) -> Iterator[_Row]:
    """Yield the matched objects frame by frame after the observed ones, on which they are assigned."""
    if tracks.samples is None or len(tracks.samples) < 2:
        raise UsageError("regions need samples: draw 2 futures or more")
    slots = assign(truth, tracks, observed)  # (B, N)
    true, drawn = cut(truth, 0), _known(tracks.samples.cpu().double())
    for t in range(observed, truth.present.shape[1]):
        b, n = (true.present[:, t] & (slots >= 0)).nonzero(as_tuple=True)
        yield _Row(true.position[b, t, n], drawn[:, b, t, slots[b, n]])


def moments(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Compute mean (..., 2), px, and covariance (..., 2, 2), px^2, of samples (S, ..., 2), in float64.

    The covariance is positive definite. Samples that are not finite are passed over.
    """
    samples = _known(samples).double()
    mean = samples.nanmean(0)
    away = (samples - mean).nan_to_num(0.0)
    number = _number(samples)[..., None, None]
    covariance = torch.einsum("s...i,s...j->...ij", away, away) / (number - 1).clamp_min(1)
    extent = covariance.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    floor = FLOOR**2 + GRAIN**2 * extent
    return mean, covariance + floor * torch.eye(2, dtype=samples.dtype, device=samples.device)


def mahalanobis(points: Tensor, samples: Tensor) -> Tensor:
    """Compute Mahalanobis distances (K, ...), float64, of points (K, ..., 2) from clouds (S, ..., 2).

    A point that is not finite has the distance NaN.
    """
    mean, covariance = moments(samples)
    away = (_known(points) - mean).unsqueeze(-1)
    return torch.linalg.solve_triangular(torch.linalg.cholesky(covariance), away, upper=False).norm(
        dim=(-2, -1)
    )


def _known(points: Tensor) -> Tensor:
    """Set points (..., 2) to NaN in both coordinates if either is not finite."""
    return points.where(points.isfinite().all(-1, keepdim=True), torch.nan)


def _number(samples: Tensor) -> Tensor:
    """Count the finite samples of (S, ..., 2): (...)."""
    return samples[..., 0].isfinite().sum(0)


def _spread(samples: Tensor) -> Tensor:
    """Standard deviation (..., 2) of samples (S, ..., 2), float64; NaN for fewer than two."""
    samples = samples.double()
    square = (samples - samples.nanmean(0)).square().nansum(0)
    number = _number(samples).unsqueeze(-1)
    return (square / (number - 1)).sqrt().where(number > 1, torch.nan)


def _between(level: Tensor, levels: tuple[float, ...], factors: tuple[float, ...]) -> Tensor:
    """Factors at any level, linearly interpolated, constant beyond the ends."""
    x, y = (torch.tensor(values, dtype=level.dtype, device=level.device) for values in (levels, factors))
    above = torch.searchsorted(x, level.contiguous()).clamp(1, len(x) - 1)
    share = ((level - x[above - 1]) / (x[above] - x[above - 1])).clamp(0, 1)
    return y[above - 1] + share * (y[above] - y[above - 1])


def _crps(samples: Tensor, truth: Tensor) -> float:
    """Estimate the CRPS E|s - y| - E|s - s'| / 2 (Gneiting and Raftery 2007) without bias, px."""
    number = samples.isfinite().sum(0)  # (R, 2)
    place = torch.arange(len(samples))[:, None, None]
    weight = 2.0 * place - (number - 1)
    ordered = samples.sort(0).values  # NaN last
    spread = (weight * ordered).nansum(0) / (number * (number - 1))
    return float(((samples - truth).abs().nanmean(0) - spread).mean())


def _nll(samples: Tensor, truth: Tensor) -> float:
    mean, covariance = moments(samples)
    return float(-torch.distributions.MultivariateNormal(mean, covariance).log_prob(truth).mean())
