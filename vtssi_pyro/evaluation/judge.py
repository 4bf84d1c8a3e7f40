"""Evaluation of any tracker on a data set with truth by the paper's procedure (App. D.2)."""

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from vtssi_pyro.data.dataset import Dataset
from vtssi_pyro.evaluation.events import comes_and_goes
from vtssi_pyro.evaluation.metrics import Evaluation, evaluate
from vtssi_pyro.tracks.tracks import Tracks, concatenated

PART = 64  # sequences at a time: their frames and tracks are held at once


@runtime_checkable
class MultiObjectTracker(Protocol):
    """The interface of any tracker: frames go in, tracks come out."""

    def track(self, frames: Tensor) -> Tracks:
        """Track the objects of the frames.

        Args:
            frames: (B, T, C, H, W), intensities in [0, 1].

        Returns:
            tracks (B, T, N, 2), px, of any number of slots.
        """
        ...

    def forecast(self, frames: Tensor, horizon: int, samples: int) -> Tracks | None:
        """Track the frames and predict those that follow; a tracker that cannot predict always returns None.

        Args:
            frames: (B, T, C, H, W), intensities in [0, 1].
            horizon: frames to predict, 1 or more.
            samples: number of sampled futures; 0: none.

        Returns:
            tracks (B, T + horizon, N, 2), px.
        """
        ...


@runtime_checkable
class FrameCounter(Protocol):
    """A tracker that says whether each frame is a scene of its own, with its own count; other trackers need not."""

    @property
    def per_frame_count(self) -> bool:
        """Whether the count is judged frame by frame."""
        ...


@runtime_checkable
class Counter(Protocol):
    """A tracker that says how many frames decide its count of a sequence's objects; other trackers need not."""

    def count_frames(self, length: int) -> int:
        """Number of frames of a sequence of ``length`` frames that decide its count."""
        ...


class Tracked(NamedTuple):
    """The tracks that a tracker is judged by."""

    tracks: Tracks  # (S, T, N, 2), of all frames
    ahead: Tracks  # from the first ``observe`` frames alone, followed by the predicted frames if the tracker predicts
    per_frame_count: bool = False
    count_frames: int | None = None  # number of frames of a sequence that decide its count, if it is known


def judge(
    tracker: MultiObjectTracker | Tracks,
    dataset: Dataset,
    observe: int = 5,
    limit: int | None = None,
    per_frame_count: bool | None = None,
) -> Evaluation:
    """Evaluate a tracker; it sees frames only, and the metrics see tracks only.

    Args:
        tracker: any tracker, or tracks (S, T, N, 2), px, that one has made of the data set.
        dataset: a data set with truth.
        observe: number of frames observed before the rest is predicted; objects are assigned on them.
        limit: number of sequences used; None: all.
        per_frame_count: whether the count is judged frame by frame; else one count holds for a sequence. None: as a
            :class:`FrameCounter` says; one count of any other tracker. Of tracks, by frame if the true objects come and
            go.

    Returns:
        The metrics.
    """
    return compare(dataset, find(tracker, dataset, observe, limit, per_frame_count), observe)


def find(
    tracker: MultiObjectTracker | Tracks,
    dataset: Dataset,
    observe: int = 5,
    limit: int | None = None,
    per_frame_count: bool | None = None,
) -> Tracked:
    """Collect the tracks that a tracker is judged by; see :func:`judge`.

    Finished tracks do not tell how they would have begun without the later frames, so their own beginning is used, and
    they predict nothing.
    """
    total = min(len(dataset), limit or len(dataset))
    observe = min(observe, dataset.length)
    by_frame = per_frame_count
    if by_frame is None and isinstance(tracker, Tracks):
        by_frame = dataset.truth is not None and comes_and_goes(dataset.truth)
    elif by_frame is None:
        by_frame = isinstance(tracker, FrameCounter) and tracker.per_frame_count
    if isinstance(tracker, Tracks):
        tracks = tracker.part(slice(total)).cpu()
        return Tracked(tracks, tracks.part(frames=slice(observe)), by_frame)
    horizon = dataset.length - observe
    found, ahead = [], []
    for index in torch.arange(total).split(PART):
        frames = dataset.frames(index)
        found.append(tracker.track(frames).cpu())
        if not horizon:  # all frames are observed
            ahead.append(found[-1])
            continue
        observed = frames[:, :observe]
        later = tracker.forecast(observed, horizon, 0)
        ahead.append((tracker.track(observed) if later is None else later).cpu())
    on = tracker.count_frames(dataset.length) if isinstance(tracker, Counter) else None
    return Tracked(concatenated(found), concatenated(ahead), by_frame, on)


def compare(dataset: Dataset, found: Tracked, observe: int = 5) -> Evaluation:
    """Compute the metrics of the tracks of :func:`find`."""
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
        count_frames=found.count_frames,
    )
