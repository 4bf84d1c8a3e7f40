"""The one door: a line each for what is done most."""

from vtssi_pyro.data.dataset import Dataset
from vtssi_pyro.evaluation import judge as judging
from vtssi_pyro.evaluation.judge import MultiObjectTracker
from vtssi_pyro.evaluation.metrics import Evaluation
from vtssi_pyro.inference.model_tracker import ModelTracker
from vtssi_pyro.model.program import Tracker
from vtssi_pyro.tracks.tracks import Tracks


def judge(
    tracker: Tracker | MultiObjectTracker | Tracks,
    dataset: Dataset,
    observe: int = 5,
    limit: int | None = None,
) -> Evaluation:
    """Metrics of a tracker; it sees frames only, and the metrics see tracks only.

    Args:
        tracker: trained; or anything else that tracks; or tracks (S, T, N, 2), px, that something has made of the data.
        dataset: with truth.
        observe: frames seen before the rest is predicted; objects are matched on them.
        limit: sequences used; None: all.
    """
    judged = ModelTracker(tracker) if isinstance(tracker, Tracker) else tracker
    return judging.judge(judged, dataset, observe, limit)
