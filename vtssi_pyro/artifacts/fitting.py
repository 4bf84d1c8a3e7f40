"""A training in a run folder: train, calibrate, judge and draw."""

import os
import re
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from vtssi_pyro.artifacts.ending import Ending, calibrated, expected
from vtssi_pyro.artifacts.figures import LOOKED_AT, curves, pictures
from vtssi_pyro.artifacts.loading import Fitted
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.data import Dataset
from vtssi_pyro.data.clips import Clips
from vtssi_pyro.data.dataset import Part, units_of
from vtssi_pyro.errors import UsageError
from vtssi_pyro.evaluation.futures import calibrate_tracker
from vtssi_pyro.evaluation.held_out import familiar, familiar_end, reconstruct
from vtssi_pyro.evaluation.judge import judge
from vtssi_pyro.inference.model_tracker import ModelTracker
from vtssi_pyro.inference.standalone import SomeTracker
from vtssi_pyro.system.naming import result_names
from vtssi_pyro.system.provenance import versions
from vtssi_pyro.train import training
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.group import ALONE, Group
from vtssi_pyro.train.reporting import Reporter, Silent
from vtssi_pyro.train.splits import Splits


def machine_of(device: torch.device, group: Group = ALONE) -> dict[str, Any]:
    """The properties of the machine that determine a run's last bits, beside the configuration."""
    return {"threads": torch.get_num_threads(), "device": device.type, "processes": group.size}


def warn_of_changes(run: Run, machine: dict[str, Any], report: Reporter) -> None:
    """Warn of changes by which a resumed run may differ from an uninterrupted one."""
    here, before = {**versions(), **machine}, {"processes": 1, **run.versions, **run.machine}
    changed = [
        f"{key} {before[key]} before, {here[key]} now"
        for key in here
        if before.get(key, here[key]) != here[key]
    ]
    if changed:
        # each process, and each kind of device, draws noise of its own
        noisy = any(before.get(key, here[key]) != here[key] for key in ("processes", "device"))
        kind = "in noise" if noisy else "in the last bits"
        report.warn(f"results may differ {kind} from an uninterrupted run ({'; '.join(changed)})")


def numbered(parent: str | os.PathLike[str], config: Config, **kept: Any) -> Run:
    """Create a run in a folder of runs, named by variant and data and counted up; see :meth:`Run.create`."""
    data = re.sub("[^A-Za-z0-9_.-]+", "_", result_names([config.data.source])[0])
    return Run.numbered(f"{config.variant}-{data}", config, parent, **kept)


def conduct(
    run: Run,
    config: Config,
    splits: Splits,
    device: torch.device,
    report: Reporter,
    group: Group = ALONE,
    resume: bool = False,
    checkpoint_name: str = "last",
    begun: float | None = None,
) -> Fitted:
    """Train in a run folder, calibrate, judge and draw.

    Args:
        run: the run of this training.
        config: the run's configuration.
        splits: the sequences.
        device: the device to train on.
        report: receives all messages.
        group: the processes that train together, all of which call this function.
        resume: whether to continue from a checkpoint.
        checkpoint_name: that checkpoint, ``last`` or ``best``.
        begun: ``time.monotonic()`` when the work for which the user waits began, such as an inspection; None: now.
    """
    begun = time.monotonic() if begun is None else begun
    each = f"{group.size} processes, each on {device.type}" if group.size > 1 else str(device)
    report.say(f"run folder: {run.folder} ({each}, {torch.get_num_threads()} threads)")
    known = partial(metrics_so_far, observe=config.observe) if splits.validation.truth is not None else None
    ending = list[Ending]()  # as it was last estimated, of trainings that take some time

    def expect(tracker: SomeTracker) -> float:
        ending[:] = [expected(config, splits, tracker)]
        return sum(ending[0])

    def tell(done: int) -> None:
        for parts in ending:
            report.expects(sum(parts[done:]))

    tracker = training.train(
        config,
        splits.train,
        splits.validation,
        run,
        device,
        report,
        resume,
        group,
        known,
        checkpoint_name,
        expect,
    )

    def finish() -> dict[str, Any]:
        since = time.monotonic()
        with _told_how_to_go_on(run, group, report):
            tell(0)
            why_not = calibrate_run(config, run, tracker, splits.calibration, report)
            if why_not:
                report.say(f"predictions stay uncalibrated: {why_not}")
            tell(1)
            summary = summarise(config, run, tracker, splits.test, splits.movie, report)
            tell(2)
            curves(run)
            with report.watched(Part(splits.test, 0, min(len(splits.test), LOOKED_AT)), "drawing") as shown:
                pictures(run, config, tracker, shown)
            report.expects(0.0)
            waited, after = ((time.monotonic() - then) / 60 for then in (begun, since))
            report.say(
                f"{waited:.1f} minutes in all, of which calibration, judging and figures took {after:.1f}"
            )
        return summary

    return finished(run, tracker, group.once(finish))


def finished(run: Run, tracker: SomeTracker, summary: Mapping[str, Any]) -> Fitted:
    """The result of a finished run, with the content of its ``summary.json``."""
    tracker = run.marked(tracker)
    return Fitted(tracker, summary.get("metrics") or summary.get("held_out") or {}, run.calibration, run)


def metrics_so_far(tracker: SomeTracker, validation: Dataset, observe: int) -> dict[str, float | None]:
    """The metrics of a validation record, on some held-out sequences."""
    found = judge(ModelTracker(tracker), validation, observe)
    return {
        "count_accuracy": found.count_accuracy,
        "inference_error": found.inference_error,
        "prediction_error": found.prediction_error,
    }


def calibrate_run(
    config: Config, run: Run, tracker: SomeTracker, held_out: Dataset, report: Reporter
) -> str | None:
    """Calibrate a run's predictions and keep the calibration; returns the reason if too little is held out.

    The truth is the positions of the held-out sequences or, without positions, the tracker's own from all frames.
    """
    some = calibrated(config, tracker, held_out)
    if some is None:
        return None
    try:
        with report.watched(some, "calibrating", 1 if some.truth is not None else 2) as seen:
            found = calibrate_tracker(tracker, seen, config.observe, config.calibration, truth=some.truth)
    except UsageError as error:
        return str(error)
    run.keep(found)
    return None


def summarise(
    config: Config,
    run: Run,
    tracker: SomeTracker,
    test: Dataset,
    movie: tuple[Tensor, int] | None = None,
    report: Reporter | None = None,
) -> dict[str, Any]:
    """Judge a trained tracker on held-out sequences; write, and return, the run's ``summary.json``.

    Args:
        config: the run's configuration.
        run: the run.
        tracker: trained.
        test: the held-out sequences.
        movie: the movie at whose end they are, and how many frames these are.
        report: is told how far this is.
    """
    judged = held_out = None
    with (report or Silent()).watched(test, "judging") as seen:
        if test.truth is not None:
            judged = judge(ModelTracker(tracker), seen, config.observe).as_dict()
        if config.data.movie:
            held_out = reconstruct(tracker, cast(Clips, seen), config.observe)
    summary = {
        "variant": config.variant,
        "preset": config.preset,
        "seed": config.seed,
        "steps": config.train.steps,
        "minutes": run.minutes,
        "observe": config.observe,
        "predicts": tracker.predicts,
        "metrics": judged,
        "held_out": held_out,
        "familiar": (familiar_end(tracker, *movie) if movie else familiar(tracker, test)).as_dict(),
        "units": units_of(test).as_dict() if units_of(test).known else None,
        "machine": run.machine,
        "versions": versions(),
    }
    run.write_summary(summary)
    return summary


@contextmanager
def _told_how_to_go_on(run: Run, group: Group, report: Reporter) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception):  # a signal
            again = f"{group.command} fit --out {shlex.quote(str(run.folder))} --resume"
            report.say(f"the trained weights are saved; finish with: {again}")
        raise
