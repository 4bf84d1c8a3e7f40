"""Train a tracker, and go on with a training."""

import shutil
import tempfile
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Annotated, Any

from vtssi_pyro.artifacts.fitting import conduct, finished, machine_of, numbered, warn_of_changes
from vtssi_pyro.artifacts.loading import AnyTracker, Fitted, kept_by
from vtssi_pyro.artifacts.logs import LOGS, LogName, logged
from vtssi_pyro.artifacts.opening import File
from vtssi_pyro.artifacts.planning import Learned, Plan, gathered, planned, recipe_of, replanned
from vtssi_pyro.artifacts.recipe_file import RecipeFile, read_recipe
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.artifacts.trained import Trained
from vtssi_pyro.config import checked
from vtssi_pyro.config.ranges import OBJECTS
from vtssi_pyro.data import Dataset
from vtssi_pyro.errors import Argument, UsageError
from vtssi_pyro.movies import Hints, Stored
from vtssi_pyro.system.machine import available_device, threaded
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.group import Group, joined
from vtssi_pyro.train.reporting import Reporter, Silent
from vtssi_pyro.train.training import Interrupted


@checked
def fit(
    data: Learned | None = None,
    tracker: AnyTracker | None = None,
    *,
    start: AnyTracker | None = None,
    preset: str | None = None,
    run: File | None = None,
    runs: File | None = None,
    device: str = "auto",
    report: Reporter | None = None,
    objects: Annotated[int | None, OBJECTS] = None,
    digits: str | None = None,
    hints: Hints = Hints(),
    stored: Stored = Stored(),
    config: File | None = None,
    changes: Iterable[str] = (),
    held_out: Dataset | None = None,
    log: LogName = None,
) -> Fitted:
    """Train a tracker; ``fit("beads.mp4")`` is ``vtssi-pyro fit beads.mp4``.

    Args:
        data: the training data: a flavour of moving digits, sequences, or one movie, which is inspected and prepared
            first; or a list of the paths of several movies of one camera, from which one tracker learns; None: the
            preset's digits. The last tenth of sequences and movies is held out for evaluation.
        tracker: the name of one of the preset's variants, or of a baseline (``ddpae`` or ``sqair``), a configuration,
            or a run or the name of weights to start from; None: the preset's whole system, of presets with ``-sqair``
            that without a consensus, such as the ``find-mot`` of the paper's comparison.
        start: a trained tracker, from which blocks that are alike in both take their weights: all variants may share
            one AIR. None: blocks start afresh, or as ``tracker`` has them.
        preset: the recipe, the budget, and the sizes of a new model; with ``-ddpae`` or ``-sqair`` at its end, its
            variation for the paper's comparison with that model. A whole configuration has its own. None: ``quick``,
            of a baseline ``fast``.
        run: the run's folder; None: a temporary one, which is kept as long as the result's ``run``.
        runs: a folder in which a new, numbered folder is made for the run.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        report: receives messages and progress; None: there are none.
        objects: largest number of objects in a sequence; None: the preset's number, or that seen at once in a movie.
        digits: source of moving digits, see :func:`generate`; None: the preset's.
        hints: known properties of a movie.
        stored: how the frames are stored, as far as it is known: axes, range, channel, depth, and the size of a pixel
            and the frame rate, in which results then are, too; see :class:`~vtssi_pyro.Stored`.
        config: a TOML file with keys of the configuration, which count more than the preset and less than the other
            arguments; or the ``config.json`` of a run, whose configuration is then taken as a whole.
        changes: changes to single keys of the configuration, such as ``"train.budget=0.1"``.
        held_out: a data set for evaluation, in place of the last tenth of ``data``.
        log: ``tensorboard``: write the records of ``metrics.jsonl``, which is always written, also for TensorBoard.

    Returns:
        the tracker, metrics of the held-out data, the calibration of its predictions, and the run.

    Raises:
        UsageError: arguments that contradict each other.
        DataError: data that cannot be used for training.
        Interrupted: on Ctrl-C, SIGTERM or SIGHUP, after the training was saved; :func:`resume` continues it.

    Example:
        >>> from vtssi_pyro import fit, track
        >>> fitted = fit("beads.mp4", objects=5)  # doctest: +SKIP
        >>> track(fitted, "beads.mp4").tracks.position  # doctest: +SKIP
        >>> trial = ["train.budget=0.001", "data.sequences=16", "data.length=8", "data.test_sequences=8"]
        >>> fit("linear", changes=trial).tracker.predicts  # a thousandth of a training, to see that all goes well
        True
    """
    since = time.monotonic()
    if run is not None and runs is not None:
        raise UsageError(Argument("runs"), ": the run's own folder is named already, by ", Argument("run"))
    where = available_device(device)
    if log:
        LOGS[log].ready()
    tracker, preset, said = _filed(config, tracker, preset)
    data = said.arguments.get("data") if data is None else data
    known = gathered(changes, said.changes, objects=objects, digits=digits)
    with joined(where) as group:
        report = _spokesman(report, group)
        if run is not None:
            group.once(Run(run).check_new)
        plan = group.first(
            lambda: planned(
                data, tracker, preset, hints, objects, known, held_out, where, group, report, start, stored
            )
        )
        with _folder(run, runs, plan, machine_of(where, group), group) as made, _logged(made, log, group):
            return conduct(made, plan.config, plan.splits, where, report, group, begun=since)


@checked
def configuration(
    tracker: AnyTracker | None = None,
    *,
    preset: str | None = None,
    config: File | None = None,
    changes: Iterable[str] = (),
) -> Config:
    """Return the configuration with which :func:`fit` would train, but for what follows from the data.

    Its keys, with their ranges and meanings, are in :mod:`vtssi_pyro.config.describing`.

    Args:
        tracker: see :func:`fit`, also for the arguments that follow.
        preset: the recipe.
        config: a file with keys.
        changes: changes to single keys.
    """
    tracker, preset, said = _filed(config, tracker, preset)
    return recipe_of(tracker, preset, gathered(changes, said.changes))


@checked
def resume(
    run: File | Run,
    data: Learned | None = None,
    *,
    tracker: str | None = None,
    start: Fitted | Trained | File | None = None,
    preset: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    report: Reporter | None = None,
    objects: Annotated[int | None, OBJECTS] = None,
    digits: str | None = None,
    config: File | None = None,
    changes: Iterable[str] = (),
    held_out: Dataset | None = None,
    checkpoint: str = "last",
    log: LogName = None,
) -> Fitted:
    """Resume an interrupted training, with the same result as without the interruption; a finished run stays as it is.

    Args:
        run: the run's folder.
        data: the training data, if they were moved or are no file; None: those in the run's configuration.
        tracker: the variant, if given the one with which the run was made: others are refused. So are another
            ``start``, ``preset``, number of ``objects``, source of ``digits``, and other ``changes``.
        start: the source of its initial weights.
        preset: its preset.
        device: see :func:`fit`.
        threads: number of CPU threads; None: that with which the run began, on which its last bits depend.
        report: receives messages and progress.
        objects: its largest number of objects.
        digits: its digits.
        config: the file with which it was made, see :func:`fit`.
        changes: changes with which it was made.
        held_out: see :func:`fit`; for ``data`` in memory.
        checkpoint: ``last``, or ``best`` if the last one is lost; the optimiser then starts afresh.
        log: see :func:`fit`.

    Raises:
        CheckpointError: the checkpoint is missing or damaged, or a file of the run is.
        DataError: the data are not those that the run began with.

    Example:
        >>> from vtssi_pyro import resume
        >>> resume("runs/ours-linear-0001").tracker.predicts  # which is finished, and stays as it is
        True
    """
    since = time.monotonic()
    where, run = available_device(device), run if isinstance(run, Run) else Run(run)
    begun = kept_by(start) if start is not None else None
    named, preset, said = _filed(config, tracker, preset)
    data = said.arguments.get("data") if data is None else data
    known = gathered(
        changes, said.changes, tracker=None if said.whole else named, start=begun and begun.name, preset=preset,
        objects=objects, digits=digits,
    )  # fmt: skip
    with threaded(threads or run.machine.get("threads")), joined(where) as group:
        report = _spokesman(report, group)
        recipe, splits = group.first(lambda: replanned(run, data, known, said.whole, held_out, where, group))
        if splits is None:
            report.say(f"{run.folder}: finished already")
            return finished(run, run.tracker(device=where), run.read_summary())
        run.say_filled_in(report)
        warn_of_changes(run, machine_of(where, group), report)
        with _logged(run, log, group):
            return conduct(run, recipe, splits, where, report, group, True, checkpoint, since)


def _filed(
    path: File | None, tracker: AnyTracker | None, preset: str | None
) -> tuple[AnyTracker | None, str | None, RecipeFile]:
    """What a file says, and with it tracker and preset, unless they are given.

    Raises:
        UsageError: the file is a whole configuration, with a tracker and a preset of its own, and one is given.
    """
    said = read_recipe(path) if path is not None else RecipeFile({}, [])
    if said.whole is not None:
        for name, given in (("tracker", tracker), ("preset", preset)):
            if given is not None:
                raise UsageError(
                    Argument(name), f": {path} is the configuration of a run, with its own; leave it out"
                )
        return said.whole, None, said
    tracker = said.arguments.get("tracker") if tracker is None else tracker
    return tracker, said.arguments.get("preset") if preset is None else preset, said


def _logged(run: Run, log: str | None, group: Group) -> AbstractContextManager[None]:
    """Let the run of the first process, which alone writes, have a further log."""
    return nullcontext() if group.rank else logged(run.logs, run.folder, log)


def _spokesman(report: Reporter | None, group: Group) -> Reporter:
    """The reporter of the first process; the other processes report to nobody."""
    return report if report and group.rank == 0 else Silent()


@contextmanager
def _folder(
    run: File | None, runs: File | None, plan: Plan, machine: dict[str, Any], group: Group
) -> Iterator[Run]:
    """Create a run; a temporary one is removed with the last reference to it, unless its training was interrupted."""

    def create() -> Run:
        kept: dict[str, Any] = {
            "machine": machine,
            "preparation": plan.preparation,
            "start": plan.weights,
            "data": plan.data,
        }
        if run is not None:
            return Run.create(run, plan.config, **kept)
        if runs is not None:
            return numbered(runs, plan.config, **kept)
        return Run.create(tempfile.mkdtemp(prefix="vtssi-pyro-"), plan.config, **kept)

    made = group.once(create)
    if run is not None or runs is not None or group.rank:
        yield made
        return
    removed = weakref.finalize(made, shutil.rmtree, made.folder, ignore_errors=True)
    try:
        yield made
    except Interrupted:
        removed.detach()
        raise
