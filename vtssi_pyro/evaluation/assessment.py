"""The assessment of sampled forecasts: coverage of their regions and intervals, CRPS, likelihood, probabilities."""

from dataclasses import asdict, dataclass
from typing import Any

import torch

from vtssi_pyro.evaluation.clouds import crps, nll
from vtssi_pyro.evaluation.events import reach
from vtssi_pyro.evaluation.regions import LEVELS, Row, matched_rows
from vtssi_pyro.evaluation.reliability import Reliability, reliability
from vtssi_pyro.tracks.matching import assign, pairs
from vtssi_pyro.tracks.meetings import WITHIN, meetings
from vtssi_pyro.tracks.tracks import Tracks


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
    rows = list(matched_rows(truth, tracks, observed))
    matched = [row if len(row.truth) else None for row in rows]
    forecast = [row if row and len(row.truth) else None for row in map(Row.forecast, rows)]
    intervals = [row and row.within(levels).double().mean(1) for row in matched]  # (L, 2)
    return Assessment(
        [len(row.truth) for row in rows],
        LEVELS,
        [row and (row.distance <= row.radius(levels)).double().mean(-1).tolist() for row in matched],
        [None if share is None else share[:, 0].tolist() for share in intervals],
        [None if share is None else share[:, 1].tolist() for share in intervals],
        [row and crps(row.samples, row.truth) for row in forecast],
        [row and nll(row.samples, row.truth) for row in forecast],
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
