"""A training from its first step to its last, resumable at any moment."""

import shlex
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pyro
import torch

from vtssi_pyro.config import checked_config
from vtssi_pyro.data.dataset import Dataset, channels_of, spread
from vtssi_pyro.errors import DataError, PeerLost, UsageError, VtssiError
from vtssi_pyro.inference.standalone import SomeTracker, build, variant_of
from vtssi_pyro.model.blocks import FirstFrame, NoFIND, RandomWalk
from vtssi_pyro.model.kinds import SLOTS
from vtssi_pyro.model.program import Tracker, at_once
from vtssi_pyro.system import checkpoint
from vtssi_pyro.system.memory import FLOAT, refuse_beyond_memory
from vtssi_pyro.system.process import endings
from vtssi_pyro.train.batches import path_batches
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.elbo import make_elbo
from vtssi_pyro.train.group import ALONE, Group
from vtssi_pyro.train.logbook import Judge, Logbook
from vtssi_pyro.train.objective import OBJECTIVES, WHOLE
from vtssi_pyro.train.recipe import Stage
from vtssi_pyro.train.reporting import Reporter, Silent
from vtssi_pyro.train.store import Store
from vtssi_pyro.train.trainer import Trainer

NULL = (FirstFrame, NoFIND, RandomWalk)  # null objects
# Numbers that a training step holds of each object in each frame: copies of the frame, measured between 28 and 60; and
# of a path's place, the layers of a motion.
PICTURES, PATH = 28, 2000
BEGIN_WITH = (
    1000  # training sequences that a new tracker may look at: their mean frame is right to about 0.01
)


class Interrupted(VtssiError):
    """The training ended on a signal, or as its report asked, after it was saved in ``folder``."""

    def __init__(self, number: int, step: int, again: str, folder: Path) -> None:
        super().__init__(
            f"stopped by {signal.Signals(number).name} after step {step}, saved; continue with: {again}"
        )
        self.folder = folder
        self.exit_code = 128 + number  # the shell's convention for a process that a signal ended


def train(
    config: Config,
    learned: Dataset,
    validation: Dataset,
    store: Store,
    device: torch.device,
    report: Reporter | None = None,
    resume: bool = False,
    group: Group = ALONE,
    judge: Judge | None = None,
    checkpoint_name: str = "last",
) -> SomeTracker:
    """Train a tracker and write records and checkpoints to a store.

    Args:
        config: the configuration; with ``resume`` the store's own.
        learned: sequences to learn from; their ground truth is not used.
        validation: held-out sequences, for the ELBO and the metrics.
        store: a new store, or with ``resume`` that of a training that has begun.
        device: the device to train on.
        report: receives every step and record.
        resume: whether to continue from a checkpoint.
        group: the processes that train together; all of them call this function, and only the first writes.
        judge: metrics of the validation sequences; None: the ELBO alone.
        checkpoint_name: the checkpoint to continue from, ``last`` or ``best``; the optimiser of the latter is lost.

    Returns:
        the trained tracker, on ``device``.

    Raises:
        UsageError: the configuration cannot be trained.
        CheckpointError: the checkpoint to start or continue from is missing or damaged.
        Diverged: the weights or the objective are not finite; the last checkpoint stays good.
        Interrupted: on SIGINT, SIGTERM or SIGHUP to any of the processes, or as the report asks for it, after the
            training was saved.
        PeerLost: another process has ended; the last checkpoint stays good.
    """
    report = report or Silent()
    built = check(config, group)
    check_frames(config, built)
    check_data(config, learned, built)
    again = f"{group.command} fit --out {shlex.quote(str(store.folder))} --resume"
    with (
        _lock(store, group),
        _explained(again),
        pyro.get_param_store().scope(),
        pyro.validation_enabled(False),
        _signals(group) as caught,
        ExitStack() as leaving,
    ):
        torch.manual_seed(config.seed)
        resident = learned if device.type == "cpu" else learned.to(device)
        tracker = _untrained(config, resident, store, device)
        trainer = Trainer(tracker, config, resident, device, group, validation)
        history = Logbook(store, trainer, validation, judge)
        if resume:
            for number in group.once(store.damaged):
                report.warn(f"{store.folder}: line {number} of its metrics is damaged, and is left out")
            history.restore(checkpoint_name)
            if checkpoint_name != "last":
                report.warn(
                    f"goes on from checkpoint {checkpoint_name} with a fresh optimiser: its results will differ from "
                    "those of an uninterrupted training"
                )
        else:
            history.begin()
        report.begin(config, trainer.step)
        leaving.callback(report.end)
        while trainer.step < config.train.steps:
            terms = trainer.advance()
            history.add(terms)
            report.advance(trainer.step, trainer.stage.name if trainer.stage else "")
            for record in history.due():
                report.record(record)
            asked = [signal.SIGINT] if report.stopping() else []
            stop = group.highest(max([*caught, *asked], default=0))  # all processes end after the same step
            due = trainer.step % config.train.save_every == 0 or trainer.step == config.train.steps
            if stop or due or trainer.left_out:
                history.save()
            if stop:
                group.once(partial(_interrupt, stop, trainer.step, again, store.folder))
        return trainer.trained.eval()


def check(config: Config, group: Group = ALONE) -> SomeTracker:
    """Refuse a configuration that cannot be trained, before sequences are drawn or anything is written.

    Returns:
        the untrained tracker that the configuration makes, for further checks.
    """
    config = checked_config(config)
    make_elbo(config.train.elbo, config.train.particles)  # it refuses too few particles
    if config.variant != (true := variant_of(config.model)):
        raise UsageError(
            f"variant: {config.variant} names another model than this one, which is of variant {true}"
        )
    tracker = _built(config)
    parts = tracker.parts()
    for stage in config.train.stages:
        where = f"train.stages.{stage.name}"
        if stage.batch % group.size:
            raise UsageError(
                f"{where}.batch: expected a multiple of {group.size}, the number of processes, found {stage.batch}"
            )
        # the other objectives are of programs without some of the slots
        objectives = OBJECTIVES if tracker.slots else (WHOLE,)
        if stage.objective not in objectives:
            raise UsageError(
                f"{where}.objective: expected one of {', '.join(objectives)}, found {stage.objective!r}"
            )
        if (
            isinstance(tracker, Tracker)
            and stage.steps
            and tracker.scene.changes
            and OBJECTIVES[stage.objective].program is None
        ):
            raise UsageError(
                f"{where}.objective: {stage.objective} learns from objects that are there in all frames, and those of "
                "this scene come and go; leave the stage out (steps of 0), or take full"
            )
        if unknown := [name for name in stage.blocks if name not in parts]:
            raise UsageError(f"{where}.blocks: expected some of {', '.join(SLOTS)}, found {unknown[0]!r}")
        if not any(parts[name] for name in stage.blocks or ("",)):
            raise UsageError(
                f"{where}: variant {config.variant} has nothing to train in {', '.join(stage.blocks)}"
            )
    if not config.train.steps:
        raise UsageError("train.stages: expected steps of 0 or more, and some of them above 0")
    return tracker


def _check_length(config: Config, length: int, shortest: int) -> None:
    """Refuse sequences of fewer frames than a tracker learns from."""
    if length < shortest:
        frames = f"{length} frame" + "s" * (length > 1)
        raise DataError(
            f"sequences have {frames}: variant {config.variant} needs {shortest} or more to learn motion;"
            " give longer sequences, or choose a variant without motion, such as air"
        )


def check_frames(config: Config, tracker: SomeTracker) -> None:
    """Refuse numbers of frames that are more than a sequence has, before sequences are drawn."""
    length = config.data.length
    learned = config.data.train_length or length
    _check_length(config, learned, tracker.shortest)
    # after the observed frames, and after the M first, a tracker that predicts needs one to predict
    limits = [("observe", config.observe, length, length - tracker.predicts)]
    if isinstance(tracker, Tracker):
        limits += [
            ("model.consensus.K", tracker.consensus.K, learned, learned),
            ("model.motion.M", tracker.motion.M, learned, learned - tracker.predicts),
        ]
    for key, found, frames, most in limits:
        if found > most:
            raise UsageError(
                f"{key}: expected {most} or less, for sequences have {frames} frames (data.length), found {found}"
            )


def check_data(config: Config, learned: Dataset, tracker: SomeTracker | None = None) -> None:
    """Refuse sequences that the model of a configuration cannot learn from.

    Args:
        config: the configuration.
        learned: the sequences.
        tracker: the tracker that the configuration makes; None: it is built for this.
    """
    side = config.model.frame_size
    if learned.frame_size != (side, side):
        found = "x".join(str(pixels) for pixels in learned.frame_size)
        raise DataError(f"frames have {found} pixels (H x W), the model's (model.frame_size) {side}x{side}")
    if (channels := channels_of(learned)) != config.model.channels:
        raise DataError(
            f"frames have C = {channels} channels, the model's (model.channels) C = {config.model.channels}"
        )
    _check_length(config, learned.length, (tracker or _built(config)).shortest)
    for stage in config.train.stages:
        _refuse_large(stage, config, learned)


def _refuse_large(stage: Stage, config: Config, learned: Dataset) -> None:
    """Refuse a stage a step of which takes more memory than is free."""
    longest = max(stage.length(step) for step in (0, stage.steps))
    if OBJECTIVES[stage.objective].batches is path_batches:
        frames, each = learned.length, PATH
    else:
        frames = min(round(longest), learned.length)
        each = PICTURES * config.model.channels * config.model.frame_size**2
    refuse_beyond_memory(
        FLOAT * stage.batch * frames * config.model.num_objects * each,
        f"a step of {stage.batch:,} sequences of {frames} frames",
        f"lower train.stages.{stage.name}.batch",
    )


def idle_stages(config: Config) -> list[str]:
    """Names of stages whose blocks have no parameters and are no null objects: a recipe can leave them out.

    A stage for the null objects of a variant is a mistake instead.
    """
    tracker, idle = _built(config), []
    parts = tracker.parts()
    for stage in config.train.stages:
        blocks = [tracker._modules.get(name.partition(".")[0]) for name in stage.blocks]
        own = any(block is not None and type(block) not in NULL for block in blocks)
        if own and set(stage.blocks) <= parts.keys() and not any(parts[name] for name in stage.blocks):
            idle.append(stage.name)
    return idle


def _built(config: Config) -> SomeTracker:
    try:
        return build(config.model)
    except (RuntimeError, ValueError, KeyError, IndexError, ZeroDivisionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f"model: these sizes or names do not make a model ({reason}); mend the model.* keys"
        ) from error


def _untrained(config: Config, learned: Dataset, store: Store, device: torch.device) -> SomeTracker:
    """The tracker before its first step, with the configuration's priors whatever the initial weights."""
    tracker = build(config.model).to(device)
    if config.start is None:
        chosen = spread(len(learned), BEGIN_WITH).split(at_once(tracker, learned.length))
        tracker.begin(learned.frames(index).to(device) for index in chosen)
        return tracker
    path = store.checkpoint("start")
    weights = store.load("start", device)
    with checkpoint.fitting(path):
        own = tracker.state_dict()
        priors = {name: value for name, value in tracker.priors().items() if name in own}
        tracker.load_state_dict(own | weights["trained"] | priors)
    return tracker


def _interrupt(number: int, step: int, again: str, folder: Path) -> NoReturn:
    raise Interrupted(number, step, again, folder)


@contextmanager
def _lock(store: Store, group: Group) -> Iterator[None]:
    with ExitStack() as held:
        group.once(lambda: held.enter_context(store.lock()))
        yield


@contextmanager
def _explained(again: str) -> Iterator[None]:
    """Add the command that continues the training to the error of a lost process."""
    try:
        yield
    except PeerLost as error:
        raise PeerLost(f"{error}; continue from the last checkpoint with: {again}") from error


@contextmanager
def _signals(group: Group) -> Iterator[list[int]]:
    """Collect SIGINT, SIGTERM and SIGHUP, so that the present step ends first; a second signal ends it at once.

    In a group a second signal is collected, too: a process may receive one from ``torchrun`` and one from the shell.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return

    def handle(number: int, frame: Any) -> None:
        if caught and group.size == 1:
            raise KeyboardInterrupt
        caught.append(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, *endings())}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
