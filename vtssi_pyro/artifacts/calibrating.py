"""Calibration of forecasts: finding the calibration of weights, and judging it."""

from typing import Any

from vtssi_pyro.artifacts.loading import Loaded
from vtssi_pyro.artifacts.reading import Source, called, sequences
from vtssi_pyro.data import Dataset
from vtssi_pyro.errors import DataError
from vtssi_pyro.evaluation.calibration import Calibration, assess
from vtssi_pyro.evaluation.futures import futures
from vtssi_pyro.model.program import Tracker
from vtssi_pyro.system.checkpoint import digest
from vtssi_pyro.train.reporting import Reporter


def calibration_of(
    loaded: Loaded, checkpoint: str, seen: int, samples: int, report: Reporter
) -> Calibration | None:
    """The calibration of these weights, or None, with a warning if intervals may not be honest."""
    if samples < 2 or loaded.source is None:
        return None
    found, name = loaded.calibration, loaded.name
    if found is None:
        report.warn(
            f"{name}: its intervals are as the model has them; vtssi-pyro calibrate tells how honest that is"
        )
    elif not found.is_of(digest(loaded.tracker.state_dict())):
        report.warn(
            f"{name}: its calibration is of other weights than checkpoint {checkpoint} and is left out; "
            f"vtssi-pyro calibrate {name}/checkpoints/{checkpoint}.pt makes one"
        )
        return None
    elif not found.fits(seen, samples):
        report.warn(
            f"{name}: was calibrated on {found.samples} futures after {found.observed} frames, "
            f"not {samples} after {seen}: its regions may hold less or more than they say"
        )
    return found


def known_sequences(source: Source, loaded: Loaded, seen: int) -> Dataset:
    """Sequences with truth, and with frames to predict."""
    found = sequences(source, loaded)
    if found.truth is None:
        raise DataError(f"{called(source)}: has no positions to judge by; expected positions (S, T, N, 2)")
    if found.length <= seen:
        raise DataError(
            f"{found.length} frames a sequence, of which {seen} are seen: none is left to predict"
        )
    return found


def assessed(
    tracker: Tracker, test: Dataset, calibration: Calibration | None, seen: int, samples: int, seed: int
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Assess forecasts before and after a calibration."""
    assert test.truth is not None
    before = assess(test.truth, futures(tracker, test, seen, samples, seed=seed), seen).as_dict()
    if calibration is None:
        return before, None
    drawn = futures(tracker, test, seen, samples, calibration.temperature, seed)
    return before, assess(test.truth, calibration(drawn, seen), seen).as_dict()
