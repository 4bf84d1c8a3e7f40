"""A training from its first step to its last, in a run folder, resumable at any moment."""

import math
import shlex
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import pyro
import torch

from vtssi_pyro.config import Config
from vtssi_pyro.data.dataset import Dataset
from vtssi_pyro.errors import CheckpointError, DataError, Diverged, UsageError, VtssiError
from vtssi_pyro.evaluation import judge
from vtssi_pyro.runs import Run, versions
from vtssi_pyro.tracker import Tracker, evaluating
from vtssi_pyro.train import checkpoint
from vtssi_pyro.train.objective import OBJECTIVES, Elbo
from vtssi_pyro.train.trainer import Trainer
from vtssi_pyro.types import Anneal
from vtssi_pyro.variants import VARIANTS, build

KEPT = "the last checkpoint is good; train anew with a lower train.stages.NAME.learning_rate"
JUDGED = 200  # held-out sequences that the metrics see while training goes on


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

    def __init__(self, number: int, step: int, run: Run) -> None:
        again = f"vtssi-pyro fit --out {shlex.quote(str(run.folder))} --resume"
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

    Returns:
        the trained tracker, on ``device``.

    Raises:
        UsageError: the configuration cannot be trained.
        Diverged: something is not finite; the last checkpoint stays good.
        Interrupted: on SIGINT or SIGTERM, after saving.
    """
    check(config, train)
    with run.lock(), pyro.get_param_store().scope(), pyro.validation_enabled(False), _signals() as stop:
        torch.manual_seed(config.seed)
        tracker = build(config.variant, config.model).to(device)
        trainer = Trainer(tracker, config, train, device)
        history = _Progress(run, trainer, validation)
        if resume:
            history.restore()
        report.begin(trainer.step, config.train.steps)
        while trainer.step < config.train.steps:
            terms = trainer.advance()
            history.add(terms)
            report.advance(trainer.step, trainer.stage.name if trainer.stage else "")
            for record in history.due():
                run.append(record)
                report.record(record)
            if stop or trainer.step % config.train.save_every == 0 or trainer.step == config.train.steps:
                history.save()
            if stop:
                raise Interrupted(stop[0], trainer.step, run)
        return trainer.trained.eval()


def check(config: Config, train: Dataset) -> None:
    """Refuse what cannot be trained, before anything is written."""
    for key in ("evaluate_every", "save_every", "log_every", "budget", "clip"):
        _positive(f"train.{key}", getattr(config.train, key))
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
        if stage.objective not in OBJECTIVES:
            raise UsageError(
                f"{where}.objective: expected one of {', '.join(OBJECTIVES)}, found {stage.objective!r}"
            )
        blocks = [name for name, _ in tracker.named_children()]
        for name in set(stage.blocks) - set(blocks):
            raise UsageError(f"{where}.blocks: expected some of {', '.join(blocks)}, found {name!r}")
        if not any(True for name in stage.blocks or blocks for _ in getattr(tracker, name).parameters()):
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


def summarise(config: Config, run: Run, tracker: Tracker, test: Dataset) -> dict[str, Any]:
    """Judge a trained tracker on held-out sequences; write, and return, the run's ``summary.json``."""
    judged = judge(tracker, test, config.observe).as_dict() if test.truth is not None else None
    seconds = max((record["seconds"] for record in run.records()), default=0.0)
    summary = {
        "variant": config.variant,
        "preset": config.preset,
        "seed": config.seed,
        "steps": config.train.steps,
        "minutes": round(seconds / 60, 2),
        "observe": config.observe,
        "predicts": tracker.motion.predicts,
        "metrics": judged,
        "machine": run.machine,
        "versions": versions(),
    }
    run.write_summary(summary)
    return summary


def _positive(key: str, value: float) -> None:
    if not value > 0:
        raise UsageError(f"{key}: expected a number above 0, found {value}")


class _Progress:
    """The records, the clock and the checkpoints of a training."""

    def __init__(self, run: Run, trainer: Trainer, validation: Dataset) -> None:
        self.run, self.trainer, self.validation = run, trainer, validation
        self.best = -float("inf")
        self.seconds, self.since = 0.0, time.monotonic()
        self.sums: dict[str, torch.Tensor] = {}
        self.count = 0

    def add(self, terms: dict[str, torch.Tensor]) -> None:
        for name, value in terms.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.count += 1

    def due(self) -> Iterator[dict[str, Any]]:
        """The records that this step owes."""
        config, step = self.trainer.config.train, self.trainer.step
        stage = self.trainer.stage
        assert stage is not None
        _, within = config.locate(step - 1)
        ends = within + 1 == config.steps_of(stage)
        if step % config.log_every == 0 or ends:
            yield self._train_record(step, within)
        if step % config.evaluate_every == 0 or step == config.steps:
            yield self._validation_record(step)

    def _train_record(self, step: int, within: int) -> dict[str, Any]:
        stage = self.trainer.stage
        assert stage is not None
        terms = {name: float(value) / self.count for name, value in self.sums.items()}
        if not math.isfinite(sum(terms.values())):
            raise Diverged(f"step {step} (stage {stage.name}): the objective is not finite; {KEPT}")
        annealed = within / self.trainer.config.train.budget
        length = round(stage.length(annealed))
        length = min(length, self.trainer.dataset.length)
        record = {"kind": "train", "step": step, "stage": stage.name, "length": length}
        record |= {"seconds": round(self.elapsed(), 2), "bound": stage.is_bound(annealed)}
        record |= {"objective": sum(terms.values()), "terms": terms}
        self.sums, self.count = {}, 0
        return record

    def _validation_record(self, step: int) -> dict[str, Any]:
        tracker, data = self.trainer.trained, self.validation
        record: dict[str, Any] = {"kind": "validation", "step": step, "seconds": 0.0}
        record["elbo"] = validation_elbo(tracker, data, self.trainer.device)
        if not math.isfinite(record["elbo"]):
            raise Diverged(f"step {step}: the ELBO of held-out sequences is not finite; {KEPT}")
        if data.truth is not None:
            observe = self.trainer.config.observe
            figures = judge(tracker, data, observe, limit=JUDGED).as_dict()
            record |= {k: figures[k] for k in ("count_accuracy", "inference_error", "prediction_error")}
        record["seconds"] = round(self.elapsed(), 2)
        if record["elbo"] > self.best:
            self.best = record["elbo"]
            checkpoint.save(self.run.checkpoint("best"), {"step": step, "trained": tracker.state_dict()})
        return record

    def elapsed(self) -> float:
        return self.seconds + time.monotonic() - self.since

    def save(self) -> None:
        if not all(bool(p.isfinite().all()) for p in self.trainer.tracker.parameters()):
            raise Diverged(f"step {self.trainer.step}: weights are not finite and were not saved; {KEPT}")
        state = self.trainer.state()
        state |= {"trained": self.trainer.trained.state_dict(), "best": self.best, "seconds": self.elapsed()}
        state |= {"sums": self.sums, "count": self.count}
        checkpoint.save(self.run.checkpoint("last"), state)

    def restore(self) -> None:
        path = self.run.checkpoint("last")
        if not path.exists():  # killed before the first checkpoint: the first step is where it stopped
            self.run.rewind(0)
            return
        state = checkpoint.load(path, self.trainer.device)
        try:
            self.trainer.restore(state)
            self.best, self.seconds = state["best"], state["seconds"]
            self.sums, self.count = state["sums"], state["count"]
        except torch.OutOfMemoryError:
            raise
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(f"{path}: does not fit the run's config.json ({reason})") from error
        self.run.rewind(self.trainer.step)


def validation_elbo(tracker: Tracker, data: Dataset, device: torch.device, limit: int = 128) -> float:
    """ELBO in nats per sequence on held-out sequences, with noise of its own."""
    total = min(len(data), limit)
    devices = [device] if device.type == "cuda" else []
    elbo = 0.0
    with evaluating(tracker), torch.random.fork_rng(devices=devices):
        torch.manual_seed(0)
        for index in torch.arange(total).split(64):
            frames = data.frames(index).to(device)
            terms = Elbo()(tracker.model, tracker.guide, frames, Anneal())
            elbo += float(sum(terms.values()))
    return elbo / total


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM, so that the step at hand can end first; a second one ends it at once."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return

    def handle(number: int, frame: Any) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
