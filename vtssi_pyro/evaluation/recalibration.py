"""From a tracker and sequences that it has not learned from to a calibration of its forecasts."""

import torch

from vtssi_pyro.data import Dataset
from vtssi_pyro.data.dataset import Part
from vtssi_pyro.errors import UsageError
from vtssi_pyro.evaluation.calibration import FEWEST, TOO_FEW, Calibration, assess, calibrate
from vtssi_pyro.inference.filter import forecast, track
from vtssi_pyro.model.program import Tracker
from vtssi_pyro.system.checkpoint import digest
from vtssi_pyro.tracks.tracks import Tracks, concatenated

TEMPERATURES = (1.0, 0.4, 0.2, 0.1, 0.05, 0.025)  # tried until one is worse than the one before
FEW, DRAWS = 80, 20  # sequences and futures of each that tell temperatures apart
PART = 64  # sequences at a time


def recalibrate(
    tracker: Tracker,
    dataset: Dataset,
    observed: int,
    samples: int = 50,
    seed: int = 0,
    truth: Tracks | None = None,
) -> Calibration:
    """The temperature of the least CRPS, then the regions that hold what they say.

    Args:
        tracker: trained, with a model of motion.
        dataset: not learned from, longer than ``observed``.
        observed: frames seen before the rest is predicted.
        samples: futures drawn of each sequence, 2 or more.
        seed: of the draws.
        truth: where the objects are, (B, T, N, 2), px; None: where the tracker itself finds them once it has seen all
            frames, give or take its own standard deviations, for the truth is that far from what it finds.

    Raises:
        UsageError: too few objects to tell.
    """
    truth = _give_or_take(found(tracker, dataset), seed) if truth is None else truth
    if int(truth.present[:, observed].sum()) < FEWEST:
        raise UsageError(TOO_FEW)
    some = Part(dataset, 0, min(len(dataset), FEW))
    known = truth.part(slice(len(some)))
    best, least = TEMPERATURES[0], float("inf")
    for temperature in TEMPERATURES:
        drawn = futures(tracker, some, observed, min(samples, DRAWS), temperature, seed)
        scores = [score for score in assess(known, drawn, observed).crps if score is not None]
        if not sum(scores) < least:
            break
        best, least = temperature, sum(scores)
    drawn = futures(tracker, dataset, observed, samples, best, seed)
    return calibrate(truth, drawn, observed, digest(tracker.state_dict()), best)


def futures(
    tracker: Tracker, dataset: Dataset, observed: int, samples: int, temperature: float = 1.0, seed: int = 0
) -> Tracks:
    """Forecasts, on the CPU, of all frames of a data set after the first ``observed`` ones."""
    device, horizon = next(tracker.parameters()).device, dataset.length - observed
    parts = []
    for index in torch.arange(len(dataset)).split(PART):
        x = dataset.frames(index, length=observed).to(device)
        drawn = forecast(tracker, x, horizon, samples, seed=seed + int(index[0]), temperature=temperature)
        parts.append(drawn.tracks.cpu())
    return concatenated(parts)


def found(tracker: Tracker, dataset: Dataset) -> Tracks:
    """What a tracker finds in all frames of a data set, on the CPU."""
    device, parts = next(tracker.parameters()).device, []
    for index in torch.arange(len(dataset)).split(PART):
        parts.append(track(tracker, dataset.frames(index).to(device)).tracks.cpu())
    return concatenated(parts)


def _give_or_take(tracks: Tracks, seed: int) -> Tracks:
    """Tracks as far off as their standard deviations say."""
    assert tracks.scale is not None
    noise = torch.randn(tracks.position.shape, generator=torch.Generator().manual_seed(seed))
    return tracks._replace(position=tracks.position + tracks.scale * noise.to(tracks.position.dtype))
