"""A tracker judged on a data set with truth, by the paper's procedure (App. D.2)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

from vtssi_pyro.data.dataset import Dataset
from vtssi_pyro.evaluation.metrics import Evaluation, evaluate
from vtssi_pyro.inference.filter import forecast, track
from vtssi_pyro.model.program import Tracker
from vtssi_pyro.ops.gaussian import average
from vtssi_pyro.tracks.tracks import Tracks, concatenated


@contextmanager
def as_published(tracker: Tracker) -> Iterator[None]:
    """Within, a tracker does no more at test time than the paper says, whatever it was built to do; its parts stay.

    What the objects are is decided once, on the first K frames; positions are the finder's own, fused by averages;
    tracks are the centres of attention windows.
    """
    changes: list[tuple[Any, str, Any]] = [
        (tracker, "rule", average),
        (tracker, "tight", False),
        (tracker.consensus, "tries", 1),
        (tracker.find, "refinement", 0),
    ]
    changes = [change for change in changes if hasattr(*change[:2])]
    before = [getattr(part, name) for part, name, _ in changes]
    try:
        for part, name, value in changes:
            setattr(part, name, value)
        yield
    finally:
        for (part, name, _), value in zip(changes, before, strict=True):
            setattr(part, name, value)


class Found(NamedTuple):
    """What a tracker made of a data set."""

    tracks: Tracks  # (S, T, N, 2), of all frames
    ahead: Tracks  # begun on the first ``observe`` frames alone, and predicted from there if the tracker predicts


def judge(tracker: Tracker, dataset: Dataset, observe: int = 5, limit: int | None = None) -> Evaluation:
    """Metrics of a tracker; it sees frames only, and the metrics see tracks only.

    Args:
        tracker: trained.
        dataset: with truth.
        observe: frames seen before the rest is predicted.
        limit: sequences used; None: all.
    """
    return compare(tracker, dataset, find(tracker, dataset, observe, limit), observe)


def find(tracker: Tracker, dataset: Dataset, observe: int = 5, limit: int | None = None) -> Found:
    """The tracks that a tracker is judged by; see :func:`judge`."""
    total = min(len(dataset), limit or len(dataset))
    device = next(tracker.parameters()).device
    observe = min(observe, dataset.length)
    horizon = dataset.length - observe if tracker.motion.predicts else 0
    found, ahead = [], []
    for index in torch.arange(total).split(64):
        frames = dataset.frames(index).to(device)
        found.append(track(tracker, frames).tracks.cpu())
        ahead.append(forecast(tracker, frames[:, :observe], horizon).tracks.cpu())
    return Found(concatenated(found), concatenated(ahead))


def compare(tracker: Tracker, dataset: Dataset, found: Found, observe: int = 5) -> Evaluation:
    """The metrics of what :func:`find` found."""
    truth = dataset.truth
    assert truth is not None, "a data set without truth has no metrics"
    truth = truth.part(slice(len(found.tracks.present)))
    return evaluate(
        truth,
        found.tracks,
        found.ahead if found.ahead.present.shape[1] > min(observe, dataset.length) else None,
        min(observe, dataset.length),
        per_frame_count=tracker.per_frame,
        begun=found.ahead,
        frame_size=dataset.frame_size,
    )
