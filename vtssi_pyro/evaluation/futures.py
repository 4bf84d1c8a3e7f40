"""A tracker's sampled futures of a data set: their calibration and their assessment.

The sequences are none that the tracker was trained on.
"""

from collections.abc import Sequence
from typing import Any

import torch

from vtssi_pyro.data import Dataset
from vtssi_pyro.errors import UsageError
from vtssi_pyro.evaluation.assessment import assess
from vtssi_pyro.evaluation.calibration import FEWEST, TOO_FEW, Calibration, calibrate
from vtssi_pyro.inference.filter import forecasts, track
from vtssi_pyro.inference.standalone import SomeTracker
from vtssi_pyro.system.checkpoint import digest
from vtssi_pyro.system.memory import places, refuse_beyond_memory
from vtssi_pyro.tracks.tracks import Tracks, concatenated

# Finer around 1, the temperature of futures that mean what they say; then each is half of the one before.
TEMPERATURES = (1.4, 1.0, 0.7, 0.4, 0.2, 0.1, 0.05, 0.025)
PART = 64  # sequences at a time, whose frames and samples are held at once
COPIES = 3  # of all sampled positions that are held at the peak, while they are joined and scored


def calibrate_tracker(
    tracker: SomeTracker,
    dataset: Dataset,
    observed: int,
    samples: int = 50,
    seed: int = 0,
    truth: Tracks | None = None,
) -> Calibration:
    """Find the temperature of the least CRPS, then fit the factors of the regions (Kuleshov et al. 2018).

    Args:
        tracker: trained, with a motion that predicts.
        dataset: held-out sequences, longer than ``observed``.
        observed: number of frames observed before the rest is predicted.
        samples: futures of each sequence, 2 or more.
        seed: seed of the draws.
        truth: true tracks, (B, T, N, 2), px; None: the tracker's own, inferred from all frames, plus noise of their own
            standard deviations, since the truth is that far from them.

    Returns:
        The calibration, with the digest of the tracker's weights.

    Raises:
        UsageError: fewer objects than a calibration needs.
    """
    truth = _perturbed(tracked(tracker, dataset), seed) if truth is None else truth
    if int(truth.present[:, observed].sum()) < FEWEST:
        raise UsageError(TOO_FEW)
    tried = futures_at(TEMPERATURES, tracker, dataset, observed, samples, seed)
    best = min(range(len(TEMPERATURES)), key=lambda i: _crps(truth, tried[i], observed))
    return calibrate(truth, tried[best], observed, digest(tracker.state_dict()), TEMPERATURES[best])


def assess_tracker(
    tracker: SomeTracker,
    dataset: Dataset,
    calibration: Calibration | None,
    observed: int,
    samples: int,
    seed: int,
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Assess a tracker's futures before and after a calibration.

    Args:
        tracker: trained, with a motion that predicts.
        dataset: sequences with true positions, longer than ``observed``.
        calibration: the calibration; None: there is no second assessment.
        observed: number of observed frames.
        samples: futures of each sequence, 2 or more.
        seed: seed of the draws.

    Returns:
        both as by :meth:`Assessment.as_dict`.
    """
    assert dataset.truth is not None
    temperatures = (1.0,) if calibration is None else (1.0, calibration.temperature)
    drawn = futures_at(temperatures, tracker, dataset, observed, samples, seed)
    before = assess(dataset.truth, drawn[0], observed).as_dict()
    if calibration is None:
        return before, None
    return before, assess(dataset.truth, calibration(drawn[1], observed), observed).as_dict()


def futures(
    tracker: SomeTracker,
    dataset: Dataset,
    observed: int,
    samples: int,
    temperature: float = 1.0,
    seed: int = 0,
) -> Tracks:
    """Forecast all frames of a data set after the first ``observed`` ones.

    Args:
        tracker: trained, with a motion that predicts.
        dataset: sequences longer than ``observed``.
        observed: number of observed frames.
        samples: futures of each sequence.
        temperature: factor on the deviations of draws from their means.
        seed: seed of the draws.

    Returns:
        tracks (B, T, N, 2), px, with samples (S, B, T, N, 2), on the CPU.
    """
    (drawn,) = futures_at((temperature,), tracker, dataset, observed, samples, seed)
    return drawn


def futures_at(
    temperatures: Sequence[float],
    tracker: SomeTracker,
    dataset: Dataset,
    observed: int,
    samples: int,
    seed: int = 0,
) -> list[Tracks]:
    """Forecast at several temperatures after one inference; each forecast is that of :func:`futures`."""
    device, horizon = next(tracker.parameters()).device, dataset.length - observed
    refuse_beyond_memory(
        places(COPIES, len(temperatures), samples, len(dataset), dataset.length, tracker.num_objects),
        f"{samples:,} futures of each of {len(dataset):,} sequences",
        "draw fewer",
    )
    parts = []
    for index in torch.arange(len(dataset)).split(PART):
        x = dataset.frames(index, length=observed).to(device)
        drawn = forecasts(tracker, x, horizon, samples, temperatures, seed=seed + int(index[0]))
        parts.append([estimate.tracks.cpu() for estimate in drawn])
    return [concatenated(tracks) for tracks in zip(*parts, strict=True)]


def tracked(tracker: SomeTracker, dataset: Dataset) -> Tracks:
    """Track all frames of a data set; the tracks (B, T, N, 2), px, are on the CPU."""
    device, parts = next(tracker.parameters()).device, []
    for index in torch.arange(len(dataset)).split(PART):
        parts.append(track(tracker, dataset.frames(index).to(device)).tracks.cpu())
    return concatenated(parts)


def _perturbed(tracks: Tracks, seed: int) -> Tracks:
    """Add noise of the tracks' own standard deviations to their positions."""
    assert tracks.scale is not None
    noise = torch.randn(tracks.position.shape, generator=torch.Generator().manual_seed(seed))
    return tracks._replace(position=tracks.position + tracks.scale * noise.to(tracks.position.dtype))


def _crps(truth: Tracks, drawn: Tracks, observed: int) -> float:
    """The CRPS of futures, summed over the horizons with a truth."""
    return sum(score for score in assess(truth, drawn, observed).crps if score is not None)
