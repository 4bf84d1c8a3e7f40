"""A training from its first step to its last, resumable at any moment."""

import shlex
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pyro
import torch

from vtssi_pyro.data.dataset import Dataset, spread
from vtssi_pyro.errors import PeerLost, VtssiError
from vtssi_pyro.inference.standalone import SomeTracker, build
from vtssi_pyro.model.tracker import at_once
from vtssi_pyro.system import checkpoint
from vtssi_pyro.system.process import endings
from vtssi_pyro.train.checks import check, check_data, check_frames
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.group import ALONE, Group
from vtssi_pyro.train.logbook import Judge, Logbook
from vtssi_pyro.train.outlook import Outlook
from vtssi_pyro.train.reporting import Reporter, Silent
from vtssi_pyro.train.store import Store
from vtssi_pyro.train.trainer import Trainer

# Training sequences that a new tracker may look at: their mean frame is right to about 0.01.
BEGIN_WITH = 1000


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
    after: Callable[[SomeTracker], float] = lambda tracker: 0.0,
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
        after: estimates the seconds of the work that follows the training; the report expects them, too.

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
        heard = type(report) is not Silent
        outlook = Outlook(trainer, history.validate, history.validated, after, heard)
        leaving.callback(report.end)
        while trainer.step < config.train.steps:
            terms = trainer.advance()
            history.add(terms)
            report.advance(trainer.step, trainer.stage.name if trainer.stage else "")
            for record in history.due():
                if (seconds := outlook.remaining(record)) is not None:
                    report.expects(seconds)
                report.record(record)
            asked = [signal.SIGINT] if report.stopping() else []
            stop = group.highest(max([*caught, *asked], default=0))  # all processes end after the same step
            due = trainer.step % config.train.save_every == 0 or trainer.step == config.train.steps
            if stop or due or trainer.left_out:
                history.save()
            if stop:
                group.once(partial(_interrupt, stop, trainer.step, again, store.folder))
        return trainer.trained.eval()


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
