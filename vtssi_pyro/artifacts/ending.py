"""The work that follows a training, and how long it takes."""

from typing import NamedTuple

from vtssi_pyro.artifacts.figures import ANIMATED, LOOKED_AT
from vtssi_pyro.data import Dataset
from vtssi_pyro.data.clips import Clips
from vtssi_pyro.data.dataset import Part
from vtssi_pyro.evaluation.futures import TEMPERATURES, futures_at, tracked
from vtssi_pyro.evaluation.held_out import FOLLOWED, MOST
from vtssi_pyro.inference.standalone import SomeTracker
from vtssi_pyro.model.tracker import Tracker, at_once
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.outlook import FEW, scaled
from vtssi_pyro.train.splits import Splits

CALIBRATED = 150  # held-out sequences for the calibration: few, since it draws futures of each several times


class Ending(NamedTuple):
    """Seconds of the parts of the work that follows a training, in their order."""

    calibration: float
    judging: float
    drawing: float


def calibrated(config: Config, tracker: SomeTracker, held_out: Dataset) -> Dataset | None:
    """The held-out sequences that calibrate a run's predictions; None: it predicts none, or is not to be calibrated."""
    if not (tracker.predicts and config.calibration) or held_out.length <= config.observe:
        return None
    return Part(held_out, 0, min(len(held_out), CALIBRATED))


def expected(config: Config, splits: Splits, tracker: SomeTracker) -> Ending:
    """Estimate how long the work after a training takes, by tracking and sampling a few of the held-out sequences.

    Judging and drawing are counted in frames that are tracked or predicted: beside these their own work is little.

    Args:
        config: the run's configuration.
        splits: the sequences.
        tracker: a tracker of the run, trained or not, since both take about as long.
    """
    test, known, observe = splits.test, splits.calibration, config.observe
    total, length = len(test), test.length
    # smoothing takes about as long for a few sequences as for a whole batch
    smooth = isinstance(tracker, Tracker) and tracker.test_time.smooth
    first = at_once(tracker, known.length) if smooth else FEW
    tracking = scaled(lambda number: tracked(tracker, Part(known, 0, number)), len(known), first)
    frame = tracking / (len(known) * known.length)
    calibration, some = 0.0, calibrated(config, tracker, known)
    if some is not None:
        calibration = scaled(
            lambda number: futures_at(
                TEMPERATURES, tracker, Part(some, 0, number), observe, config.calibration
            ),
            len(some),
        )
        if some.truth is None:  # the tracker's own tracks are the truth
            calibration += frame * len(some) * some.length
    ahead = length if tracker.predicts else 0  # frames of a forecast, with the observed ones
    judged = total if test.truth is not None else 0
    if isinstance(test, Clips):
        judged += min(len(test.disjoint), MOST)
    judging = judged * (length + ahead)
    if splits.movie is None:
        judging += min(total, MOST) * length
    else:
        movie, held_out = splits.movie
        judging += min(len(movie), max(FOLLOWED, held_out))
    drawing = min(total, LOOKED_AT) * length + min(total, ANIMATED) * (length + 2 * ahead)
    drawing += length if config.data.movie else 0  # untrained, for comparison
    return Ending(calibration, frame * judging, frame * drawing)
