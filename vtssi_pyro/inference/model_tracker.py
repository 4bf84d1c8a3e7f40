"""The model's tracker with the interface of any tracker: frames go in, tracks come out."""

from dataclasses import dataclass

from torch import Tensor

from vtssi_pyro.inference.filter import forecast, track
from vtssi_pyro.model.config import TestTime
from vtssi_pyro.model.program import Tracker
from vtssi_pyro.tracks.tracks import Tracks


@dataclass(frozen=True)
class ModelTracker:
    """A trained tracker as a :class:`~vtssi_pyro.evaluation.judge.MultiObjectTracker`, to be judged beside others.

    Args:
        tracker: a trained tracker.
        test_time: the procedure at test time; None: the tracker's own.
    """

    tracker: Tracker
    test_time: TestTime | None = None

    @property
    def per_frame_count(self) -> bool:
        """Whether each frame is a scene of its own, with its own count."""
        return self.tracker.per_frame

    def track(self, frames: Tensor) -> Tracks:
        """Tracks (B, T, N, 2), px, of frames (B, T, C, H, W), every variable at its mode."""
        return track(self.tracker, self._near(frames), test_time=self.test_time).tracks

    def forecast(self, frames: Tensor, horizon: int, samples: int) -> Tracks | None:
        """Tracks (B, T + horizon, N, 2), px, at their modes, and samples; None without a model of motion."""
        if not self.tracker.motion.predicts:
            return None
        near = self._near(frames)
        return forecast(self.tracker, near, horizon, samples, test_time=self.test_time).tracks

    def _near(self, frames: Tensor) -> Tensor:
        """The frames on the tracker's device."""
        return frames.to(next(self.tracker.parameters()).device)
