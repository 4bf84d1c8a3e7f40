"""A training in a run folder: its configuration resolved, the tracker trained, calibrated, judged and drawn."""

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from vtssi_pyro.artifacts.figures import curves, pictures
from vtssi_pyro.artifacts.loading import Trained
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.config import override
from vtssi_pyro.data import FLAVOURS, Dataset
from vtssi_pyro.data.dataset import Part
from vtssi_pyro.errors import UsageError
from vtssi_pyro.evaluation.calibration import Calibration
from vtssi_pyro.evaluation.held_out import reconstruct
from vtssi_pyro.evaluation.judge import judge
from vtssi_pyro.evaluation.recalibration import recalibrate
from vtssi_pyro.model.program import Tracker
from vtssi_pyro.model.variants import build
from vtssi_pyro.movies.prepared import PreparedMovie
from vtssi_pyro.system.provenance import versions
from vtssi_pyro.train import training
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.group import ALONE, Group
from vtssi_pyro.train.movies import suited
from vtssi_pyro.train.reporting import Reporter
from vtssi_pyro.train.splits import Halves, Splits, of_flavour, of_movie, of_sequences, open_file

JUDGED = 200  # held-out sequences that the metrics see while training goes on
CALIBRATED = 150  # held-out sequences that predictions are calibrated on
FROM_DATA = ("data.length", "data.sequences", "data.validation_sequences")
CHOSEN_ELSEWHERE = {
    "variant": "--variant",
    "preset": "--preset",
    "data.source": "the argument DATA",
    "start": "--from",
}

Changes = Mapping[str, str]  # assignments to keys of the configuration, by what errors call them


@dataclass(frozen=True)
class Fitted:
    """A trained tracker and what is known of it.

    Args:
        tracker: ready to track.
        metrics: of the held-out sequences, by ``Evaluation.as_dict``; of a movie, by ``reconstruct``; else empty.
        calibration: of its sampled predictions; None where too little was held out.
        run: the folder with everything the training left.
    """

    tracker: Tracker
    metrics: dict[str, Any]
    calibration: Calibration | None
    run: Run


def configured(
    recipe: Config,
    data: str | Halves | PreparedMovie,
    changes: Changes,
    start: Trained | None = None,
) -> Config:
    """A recipe, then what the data say, then the changes.

    Args:
        recipe: to begin with.
        data: a flavour, a file's path, sequences or a movie.
        changes: to single keys.
        start: whose weights to start from; its model then stays as it is, whatever the data.
    """
    refuse_misplaced(changes)
    flavour = isinstance(data, str) and data in FLAVOURS
    digits = _naming(changes, ("data.digits",))
    if digits and not flavour:
        name = data if isinstance(data, str) else data.name
        raise UsageError(
            f"{digits}, --mnist: {name} is no flavour of moving digits but a file; leave them out"
        )
    if isinstance(data, PreparedMovie):
        config, keys = (recipe if start else suited(recipe, data)), of_movie(data)
    elif isinstance(data, str) and flavour:
        config, keys = recipe, of_flavour(data)
    else:
        config, keys = recipe, of_sequences(open_file(data) if isinstance(data, str) else data)
    for key, value in keys.items():
        if not (start and key.startswith("model.")):  # frames of another size are refused later
            config = override(config, [f"{key}={json.dumps(value)}"])
    fixed = None if flavour else _naming(changes, FROM_DATA[isinstance(data, PreparedMovie) :])
    if fixed:
        raise UsageError(f"{fixed}: number and length of the sequences come from the file; leave it out")
    config = override(config, list(changes.values()))
    return replace(config, start=start.name) if start else config


def refuse_misplaced(changes: Changes) -> None:
    """Refuse changes to keys that arguments of their own decide."""
    for name, assignment in changes.items():
        if (key := _key(assignment)) in CHOSEN_ELSEWHERE:
            raise UsageError(f"{name}: {key} is chosen with {CHOSEN_ELSEWHERE[key]}")


def check_start(start: Trained, config: Config, changes: Changes) -> None:
    """Refuse changes that make a model of other sizes or parts than the one to start from."""
    before = start.config
    theirs, own = (
        {name: tuple(tensor.shape) for name, tensor in build(c.variant, c.model).state_dict().items()}
        for c in (before, config)
    )
    differing = sorted(name for name in theirs | own if theirs.get(name) != own.get(name))
    if differing:
        bare = replace(config, model=before.model)
        changed = [name for name, text in changes.items() if override(bare, [text]) != bare]
        first = differing[0]
        raise UsageError(
            f"{', '.join(changed)}: the weights of {start.name} would not fit ({first}: {theirs.get(first)} there, "
            f"{own.get(first)} here); leave that out, or --from"
        )


def check_same(run: Run, config: Config, data: str | None, changes: Changes) -> None:
    """Refuse what contradicts the configuration of a run that is to be resumed."""
    differing = [name for name, assignment in changes.items() if override(config, [assignment]) != config]
    moved = config.data.movie and data is not None and Path(data).exists()  # its frames are compared later
    if data is not None and not moved and config.data.source not in (data, str(Path(data).resolve())):
        differing.insert(0, f"DATA {data}")
    if differing:
        raise UsageError(
            f"{run.folder}: was made with another configuration than {', '.join(differing)}; leave that out, "
            "or start a new run without --resume and with another --out"
        )


def machine_of(device: torch.device, group: Group = ALONE) -> dict[str, Any]:
    """What beside the configuration decides a run's last bits."""
    return {"threads": torch.get_num_threads(), "device": device.type, "processes": group.size}


def warn_of_changes(run: Run, machine: dict[str, Any], report: Reporter) -> None:
    """Say what may make a resumed run another than an uninterrupted one."""
    here, before = {**versions(), **machine}, {"processes": 1, **run.versions, **run.machine}
    changed = [
        f"{key} {before[key]} before, {here[key]} now"
        for key in here
        if before.get(key, here[key]) != here[key]
    ]
    if changed:
        kind = "in noise" if before["processes"] != here["processes"] else "in the last bits"
        report.warn(f"results may differ {kind} from an uninterrupted run ({'; '.join(changed)})")


def numbered(parent: str | os.PathLike[str], config: Config, **kept: Any) -> Run:
    """A new run in a folder of runs, named by variant and data and counted up; see :meth:`Run.create`."""
    data = re.sub("[^A-Za-z0-9_.-]+", "_", Path(config.data.source).stem)
    return Run.numbered(f"{config.variant}-{data}", config, parent, **kept)


def conduct(
    run: Run,
    config: Config,
    splits: Splits,
    device: torch.device,
    report: Reporter,
    group: Group = ALONE,
    resume: bool = False,
) -> Fitted:
    """Train in a run folder, calibrate, judge and draw.

    Args:
        run: made for this training.
        config: the run's.
        splits: the sequences.
        device: to train on.
        report: told of everything.
        group: the processes that train together, all of which call this.
        resume: whether to go on from the last checkpoint.
    """
    each = f"{group.size} processes, each on {device.type}" if group.size > 1 else str(device)
    report.say(f"run folder: {run.folder} ({each}, {torch.get_num_threads()} threads)")
    known = partial(metrics_so_far, observe=config.observe) if splits.validation.truth is not None else None
    tracker = training.train(
        config, splits.train, splits.validation, run, device, report, resume, group, known
    )

    def finish() -> dict[str, Any]:
        with _told_how_to_go_on(run, group, report):
            with report.watched(splits.calibration, "calibrating") as held_out:
                why_not = calibrate(config, run, tracker, held_out)
            if why_not:
                report.say(f"predictions stay uncalibrated: {why_not}")
            with report.watched(splits.test, "judging") as test:
                summary = summarise(config, run, tracker, test)
            curves(run)
            pictures(run, config, tracker, splits.test)
        return summary

    return finished(run, tracker, group.once(finish))


def finished(run: Run, tracker: Tracker, summary: Mapping[str, Any]) -> Fitted:
    """A run that was trained to the end, with what its ``summary.json`` holds."""
    return Fitted(tracker, summary["metrics"] or summary.get("held_out") or {}, run.calibration, run)


def metrics_so_far(tracker: Tracker, validation: Dataset, observe: int) -> dict[str, float | None]:
    """The figures of a validation record, of some held-out sequences."""
    found = judge(tracker, validation, observe, limit=JUDGED)
    return {
        "count_accuracy": found.count_accuracy,
        "inference_error": found.inference_error,
        "prediction_error": found.prediction_error,
    }


def calibrate(config: Config, run: Run, tracker: Tracker, held_out: Dataset) -> str | None:
    """Keep in a run what makes its sampled predictions honest; returns why not, where too little is held out.

    What counts as true are the positions of the held-out sequences; where these have none, what the tracker finds once
    it has seen all their frames.
    """
    if not (tracker.motion.predicts and config.calibration) or held_out.length <= config.observe:
        return None
    some = Part(held_out, 0, min(len(held_out), CALIBRATED))
    try:
        run.keep(recalibrate(tracker, some, config.observe, config.calibration, truth=some.truth))
    except UsageError as error:
        return str(error)
    return None


def summarise(config: Config, run: Run, tracker: Tracker, test: Any) -> dict[str, Any]:
    """Judge a trained tracker on held-out sequences; write, and return, the run's ``summary.json``."""
    judged = judge(tracker, test, config.observe).as_dict() if test.truth is not None else None
    summary = {
        "variant": config.variant,
        "preset": config.preset,
        "seed": config.seed,
        "steps": config.train.steps,
        "minutes": run.minutes,
        "observe": config.observe,
        "predicts": tracker.motion.predicts,
        "metrics": judged,
        "held_out": reconstruct(tracker, test, config.observe) if config.data.movie else None,
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


def _naming(changes: Changes, keys: tuple[str, ...]) -> str | None:
    """What the first change to one of the keys is called."""
    return next((name for name, assignment in changes.items() if _key(assignment) in keys), None)


def _key(assignment: str) -> str:
    return assignment.partition("=")[0].strip()
