"""A training from its first step to its last, in a run folder, resumable at any moment."""

import shlex
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NoReturn, Protocol

import pyro
import torch

from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.data.dataset import Dataset, Part
from vtssi_pyro.errors import DataError, PeerLost, UsageError, VtssiError
from vtssi_pyro.evaluation.held_out import reconstruct
from vtssi_pyro.evaluation.judge import judge
from vtssi_pyro.evaluation.recalibration import recalibrate
from vtssi_pyro.model.program import Tracker
from vtssi_pyro.model.variants import VARIANTS, build
from vtssi_pyro.system import checkpoint
from vtssi_pyro.system.provenance import versions
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.group import ALONE, Group
from vtssi_pyro.train.logbook import Logbook
from vtssi_pyro.train.objective import OBJECTIVES
from vtssi_pyro.train.trainer import Trainer

CALIBRATED = 150  # held-out sequences that predictions are calibrated on


class Reporter(Protocol):
    """What is told of a training as it goes."""

    def begin(self, step: int, steps: int) -> None:
        """The training starts, or goes on, at a step."""

    def advance(self, step: int, stage: str) -> None:
        """A step was made."""

    def record(self, record: dict[str, Any]) -> None:
        """A record was added to the metrics; ``kind`` is ``train`` or ``validation``."""


class Interrupted(VtssiError):
    """A signal asked for an end; the run was saved first."""

    def __init__(self, number: int, step: int, again: str) -> None:
        super().__init__(
            f"stopped by {signal.Signals(number).name} after step {step}, saved; continue with: {again}"
        )
        self.exit_code = 128 + number


def fit(
    config: Config,
    train: Dataset,
    validation: Dataset,
    run: Run,
    device: torch.device,
    report: Reporter,
    resume: bool = False,
    group: Group = ALONE,
) -> Tracker:
    """Train a tracker and leave everything in the run folder.

    Args:
        config: what to train and how; with ``resume`` the run's own.
        train: sequences to learn from; ground truth is not looked at.
        validation: held-out sequences, for the ELBO and, where they have truth, the metrics.
        run: the folder.
        device: to train on.
        report: told of every step and record.
        resume: continue from ``checkpoints/last.pt``.
        group: the processes that train together, all of which call this; the first alone writes to the folder.

    Returns:
        the trained tracker, on ``device``.

    Raises:
        UsageError: the configuration cannot be trained.
        CheckpointError: what to start or to go on from is missing or damaged.
        Diverged: something is not finite; the last checkpoint stays good.
        Interrupted: on SIGINT or SIGTERM, to any of the processes, after saving.
        PeerLost: another process has ended; the last checkpoint stays good.
    """
    check(config, train, group)
    again = f"{group.command} fit --out {shlex.quote(str(run.folder))} --resume"
    with (
        _lock(run, group),
        _explained(again),
        pyro.get_param_store().scope(),
        pyro.validation_enabled(False),
        _signals(group) as caught,
    ):
        torch.manual_seed(config.seed)
        resident = train if device.type == "cpu" else train.to(device)
        trainer = Trainer(_untrained(config, run, device), config, resident, device, group)
        history = Logbook(run, trainer, validation)
        if resume:
            history.restore()
        report.begin(trainer.step, config.train.steps)
        while trainer.step < config.train.steps:
            terms = trainer.advance()
            history.add(terms)
            report.advance(trainer.step, trainer.stage.name if trainer.stage else "")
            for record in history.due():
                report.record(record)
            stop = group.highest(max(caught, default=0))  # all end after the same step, or none
            if stop or trainer.step % config.train.save_every == 0 or trainer.step == config.train.steps:
                history.save()
            if stop:
                group.once(partial(_interrupt, stop, trainer.step, again))
        return trainer.trained.eval()


def check(config: Config, train: Dataset, group: Group = ALONE) -> None:
    """Refuse what cannot be trained, before anything is written."""
    for key in ("evaluate_every", "save_every", "log_every", "budget", "clip"):
        _positive(f"train.{key}", getattr(config.train, key))
    _positive("model.rect.tries", config.model.rect.tries)
    _positive("model.template.settled", config.model.template.settled)
    if config.variant not in VARIANTS:
        raise UsageError(f"variant: expected one of {', '.join(VARIANTS)}, found {config.variant!r}")
    try:
        tracker = build(config.variant, config.model)
    except (RuntimeError, ValueError, KeyError, IndexError, ZeroDivisionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f"model: these sizes or names do not make a model ({reason}); mend the model.* keys"
        ) from error
    for stage in config.train.stages:
        where = f"train.stages.{stage.name}"
        for key in ("batch", "cache"):
            _positive(f"{where}.{key}", getattr(stage, key))
        if stage.batch % group.size:
            raise UsageError(
                f"{where}.batch: expected a multiple of {group.size}, the number of processes, found {stage.batch}"
            )
        if stage.objective not in OBJECTIVES:
            raise UsageError(
                f"{where}.objective: expected one of {', '.join(OBJECTIVES)}, found {stage.objective!r}"
            )
        blocks, parts = [name for name, _ in tracker.named_children()], dict(tracker.named_modules())
        for name in set(stage.blocks) - set(parts):
            raise UsageError(f"{where}.blocks: expected some of {', '.join(blocks)}, found {name!r}")
        if not any(True for name in stage.blocks or blocks for _ in parts[name].parameters()):
            raise UsageError(
                f"{where}: variant {config.variant} has nothing to train in {', '.join(stage.blocks)}"
            )
    if min((stage.steps for stage in config.train.stages), default=0) < 0 or not config.train.steps:
        raise UsageError("train.stages: expected steps of 0 or more, and some of them above 0")
    side = config.model.air.frame_size
    if train.frame_size != (side, side):
        found = "x".join(str(pixels) for pixels in train.frame_size)
        raise DataError(
            f"frames have {found} pixels (H x W), the model's (model.air.frame_size) {side}x{side}"
        )
    if tracker.motion.predicts and train.length < 2:
        raise DataError(
            f"sequences have {train.length} frame: variant {config.variant} needs 2 or more to learn motion;"
            " give longer sequences or choose --variant air, find or rect-find"
        )


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


def _untrained(config: Config, run: Run, device: torch.device) -> Tracker:
    """The tracker before its first step; its priors are the configuration's, whatever weights it starts from."""
    tracker = build(config.variant, config.model).to(device)
    if config.start is None:
        return tracker
    path = run.checkpoint("start")
    weights = checkpoint.load(path, device)
    with checkpoint.fitting(path):
        tracker.load_state_dict(weights["trained"] | dict(tracker.named_buffers()))
    return tracker


def _positive(key: str, value: float) -> None:
    if not value > 0:
        raise UsageError(f"{key}: expected a number above 0, found {value}")


def _interrupt(number: int, step: int, again: str) -> NoReturn:
    raise Interrupted(number, step, again)


@contextmanager
def _lock(run: Run, group: Group) -> Iterator[None]:
    with ExitStack() as held:
        group.once(lambda: held.enter_context(run.lock()))
        yield


@contextmanager
def _explained(again: str) -> Iterator[None]:
    """Say how to go on without a process that was lost."""
    try:
        yield
    except PeerLost as error:
        raise PeerLost(f"{error}; continue from the last checkpoint with: {again}") from error


@contextmanager
def _signals(group: Group) -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM, so that the step at hand can end first; a second one ends it at once.

    In a group it does not: a process may be sent a signal twice, by ``torchrun`` and by whoever stops that.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return

    def handle(number: int, frame: Any) -> None:
        if caught and group.size == 1:
            raise KeyboardInterrupt
        caught.append(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
