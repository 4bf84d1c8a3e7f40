"""A trained tracker with the interface of any tracker: frames go in, tracks come out."""

from dataclasses import dataclass

from torch import Tensor

from vtssi_pyro.inference.filter import count_frames, counts_each_frame, forecast, track
from vtssi_pyro.inference.standalone import SomeTracker
from vtssi_pyro.model.config import TestTime
from vtssi_pyro.tracks.tracks import Tracks


@dataclass(frozen=True)
class ModelTracker:
    """A trained tracker as a :class:`~vtssi_pyro.evaluation.judge.MultiObjectTracker`, to be judged beside others.

    Args:
        tracker: a trained tracker.
        test_time: the procedure at test time; None: the tracker's own.
        settle: number of first frames that decide the objects (:meth:`Filter.init
            <vtssi_pyro.inference.filter.Filter.init>`), such as the paper's K = 5; None: all.
    """

    tracker: SomeTracker
    test_time: TestTime | None = None
    settle: int | None = None

    @property
    def per_frame_count(self) -> bool:
        """Whether each frame is a scene of its own, with its own count."""
        return counts_each_frame(self.tracker)

    def count_frames(self, length: int) -> int:
        """Number of frames of a sequence of ``length`` frames that decide its count; 1 if each frame has its own."""
        return count_frames(self.tracker, length, self.settle, self.test_time)

    def track(self, frames: Tensor) -> Tracks:
        """Tracks (B, T, N, 2), px, of frames (B, T, C, H, W), every variable at its mode."""
        near = self._near(frames)
        return track(self.tracker, near, settle=self.settle, test_time=self.test_time).tracks

    def forecast(self, frames: Tensor, horizon: int, samples: int) -> Tracks | None:
        """Tracks (B, T + horizon, N, 2), px, at their modes, and samples; None without a model of motion."""
        if not self.tracker.predicts:
            return None
        near = self._near(frames)
        found = forecast(self.tracker, near, horizon, samples, settle=self.settle, test_time=self.test_time)
        return found.tracks

    def _near(self, frames: Tensor) -> Tensor:
        """The frames on the tracker's device."""
        return frames.to(next(self.tracker.parameters()).device)
