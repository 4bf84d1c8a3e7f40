"""Anything that tracks, judged on a data set with truth by the paper's procedure (App. D.2)."""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from vtssi_pyro.data.dataset import Dataset
from vtssi_pyro.evaluation.metrics import Evaluation, evaluate
from vtssi_pyro.tracks.tracks import Tracks, concatenated

PART = 64  # sequences at a time: their frames and tracks are held at once


class MultiObjectTracker(Protocol):
    """Anything that tracks, whatever it is made of: frames go in, tracks come out."""

    @property
    def per_frame_count(self) -> bool:
        """Whether it counts objects in every frame anew, and is judged so; else a count holds for its sequence."""
        ...

    def track(self, frames: Tensor) -> Tracks:
        """Tracks of the frames.

        Args:
            frames: (B, T, H, W), intensities in [0, 1].

        Returns:
            tracks (B, T, N, 2), px, of any number of slots.
        """
        ...

    def forecast(self, frames: Tensor, horizon: int, samples: int) -> Tracks | None:
        """Tracks of the frames and of those that follow, unseen; None, always, of a tracker that cannot predict.

        Args:
            frames: (B, T, H, W), intensities in [0, 1].
            horizon: frames to predict, 1 or more.
            samples: of the positions, to be drawn; 0: none.

        Returns:
            tracks (B, T + horizon, N, 2), px.
        """
        ...


class Found(NamedTuple):
    """The tracks that a tracker is judged by."""

    tracks: Tracks  # (S, T, N, 2), of all frames
    ahead: Tracks  # begun on the first ``observe`` frames alone, and predicted from there if the tracker predicts
    per_frame_count: bool = False


def judge(
    tracker: MultiObjectTracker | Tracks, dataset: Dataset, observe: int = 5, limit: int | None = None
) -> Evaluation:
    """Metrics of a tracker; it sees frames only, and the metrics see tracks only.

    Args:
        tracker: anything that tracks, or tracks (S, T, N, 2), px, that something has made of the data set.
        dataset: with truth.
        observe: frames seen before the rest is predicted; objects are matched on them.
        limit: sequences used; None: all.
    """
    return compare(dataset, find(tracker, dataset, observe, limit), observe)


def find(
    tracker: MultiObjectTracker | Tracks, dataset: Dataset, observe: int = 5, limit: int | None = None
) -> Found:
    """The tracks that a tracker is judged by; see :func:`judge`.

    Of tracks that are made already nobody knows how they would have begun without the later frames: they begin as
    they are, and predict nothing.
    """
    total = min(len(dataset), limit or len(dataset))
    observe = min(observe, dataset.length)
    if isinstance(tracker, Tracks):
        tracks = tracker.part(slice(total)).cpu()
        return Found(tracks, tracks.part(frames=slice(observe)))
    horizon = dataset.length - observe
    found, ahead = [], []
    for index in torch.arange(total).split(PART):
        frames = dataset.frames(index)
        found.append(tracker.track(frames).cpu())
        seen = frames[:, :observe]
        later = tracker.forecast(seen, horizon, 0) if horizon else None
        ahead.append((tracker.track(seen) if later is None else later).cpu())
    return Found(concatenated(found), concatenated(ahead), tracker.per_frame_count)


def compare(dataset: Dataset, found: Found, observe: int = 5) -> Evaluation:
    """The metrics of what :func:`find` found."""
    truth = dataset.truth
    assert truth is not None, "a data set without truth has no metrics"
    observe = min(observe, dataset.length)
    return evaluate(
        truth.part(slice(len(found.tracks.present))),
        found.tracks,
        found.ahead if found.ahead.present.shape[1] > observe else None,
        observe,
        per_frame_count=found.per_frame_count,
        begun=found.ahead,
        frame_size=dataset.frame_size,
    )
