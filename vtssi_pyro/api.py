"""The functions behind the command line: fit a tracker, track with it, forecast, evaluate, calibrate, and so on.

A *tracker* is a :class:`~vtssi_pyro.model.program.Tracker`, a result of :func:`fit`, a run or its folder, the name of
weights that ship (``"moving-mnist"``), or a configuration; None is the newest run in the folder ``runs``, but for
:func:`fit` a new model. *Data* are tensors or arrays in grey, (S, T, H, W) or (T, H, W), or in C channels,
(S, T, C, H, W), uint8 or floats in [0, 1], a file of them, a data set, or a movie's file or folder. Of a movie's
colours the brightness is read, unless its inspection finds that they tell more, or ``stored`` says
``channel="colour"``.
"""

import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NamedTuple

import numpy as np

from vtssi_pyro.artifacts import costs
from vtssi_pyro.artifacts.figures import (
    FILM,
    FUTURES,
    OVERLAY,
    curves,
    overlaid_pictures,
    predicted_pictures,
    tracked_pictures,
)
from vtssi_pyro.artifacts.fitting import conduct, finished, machine_of, numbered, warn_of_changes
from vtssi_pyro.artifacts.installation import installation
from vtssi_pyro.artifacts.loading import UNTRAINED, AnyTracker, Fitted, at_hand, kept_by, run_of
from vtssi_pyro.artifacts.logs import LOGS, LogName, logged
from vtssi_pyro.artifacts.planning import Learned, Plan, gathered, planned, recipe_of, replanned
from vtssi_pyro.artifacts.reading import (
    File,
    Opened,
    Source,
    bare,
    called,
    dataset_of,
    described,
    inspected,
    known_sequences,
    live_frame,
    made_by,
    movie_of,
    opened,
    read_all,
    read_movie,
    sequences,
    tell_found,
    tell_of,
    warn_if_beyond,
    warn_if_empty,
    warn_if_new,
    warn_if_short,
)
from vtssi_pyro.artifacts.recipe_file import RecipeFile, read_recipe
from vtssi_pyro.artifacts.report import is_report, understood, write_report
from vtssi_pyro.artifacts.requests import request
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.artifacts.trained import Trained
from vtssi_pyro.config import Range, checked, override
from vtssi_pyro.config.ranges import (
    AHEAD,
    DRAWN,
    FRAMES,
    OBJECTS,
    PATIENCE,
    SAMPLED,
    SEED,
    SEQUENCES,
    SIDE,
    STORED_SIDE,
    TEMPERATURE,
)
from vtssi_pyro.data import Dataset, MovingDigits, load_digits, moving_digits, samples, write
from vtssi_pyro.data.store import read
from vtssi_pyro.errors import Argument, DataError, UsageError
from vtssi_pyro.evaluation import judge as judging
from vtssi_pyro.evaluation.calibration import Calibration
from vtssi_pyro.evaluation.futures import assess_tracker, calibrate_tracker
from vtssi_pyro.evaluation.judge import MultiObjectTracker
from vtssi_pyro.evaluation.metrics import Evaluation
from vtssi_pyro.evaluation.mot_metrics import library, mot_metrics
from vtssi_pyro.inference import filter as inference
from vtssi_pyro.inference.filter import Estimate, Stream
from vtssi_pyro.inference.model_tracker import ModelTracker
from vtssi_pyro.inference.standalone import StandaloneTracker
from vtssi_pyro.model.config import TestTime
from vtssi_pyro.movies import Arraylike, Hints, Movie, Preparation, Stored
from vtssi_pyro.movies.film import writer
from vtssi_pyro.movies.levels import live
from vtssi_pyro.movies.live import Watch, growing_folder, piped_frames, stored_size
from vtssi_pyro.movies.prepared import KEPT, PreparedMovie, look, to_source, was_kept
from vtssi_pyro.movies.stored import COLOUR
from vtssi_pyro.movies.transforms import Colours, Luminance
from vtssi_pyro.paper import comparisons, table1
from vtssi_pyro.paper.figures import FIGURES, draw
from vtssi_pyro.paper.items import SEEDS, refuse_unknown
from vtssi_pyro.paper.reproducing import Order, refuse_company
from vtssi_pyro.plots import Panel, Player, contact_sheet, film_of, reliability
from vtssi_pyro.speed import measure, workload
from vtssi_pyro.system.atomic import make_parent, refuse_existing, writable_folder, write_bytes
from vtssi_pyro.system.files import identity
from vtssi_pyro.system.machine import available_device, threaded
from vtssi_pyro.tracks.export import (
    FILES,
    MOT,
    PREDICTIONS,
    TracksWriter,
    write_mot_challenge,
    write_predictions_csv,
    write_results,
)
from vtssi_pyro.tracks.formats import (
    FORMAT_NAMES,
    FORMATS,
    FormatName,
    holds_tracks,
    read_told,
    read_tracks,
    told_beside,
    write_formats,
    write_tracks,
)
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.tracks.units import Units
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.group import Group, joined
from vtssi_pyro.train.jobs import Processes, Workers
from vtssi_pyro.train.movies import unlearned
from vtssi_pyro.train.reporting import Reporter, Silent
from vtssi_pyro.train.splits import CALIBRATION_SEED, TABLE_SEED, digits, is_flavour
from vtssi_pyro.train.training import Interrupted

SHEET = "contact_sheet.png"
HORIZON = 30  # default number of predicted frames: a second of most films
OBSERVED, SETTLED = "to observe", "that decide the objects"  # in a warning, of first frames
OBSERVE = 5  # default number of frames on which finished tracks are matched, as in the paper


@checked
def inspect(
    movie: File | Movie | np.ndarray | Arraylike,
    hints: Hints = Hints(),
    *,
    stored: Stored = Stored(),
    out: File | None = None,
    report: Reporter | None = None,
) -> PreparedMovie:
    """Inspect a movie for moving objects, and prepare its frames for training.

    Args:
        movie: file, folder, the movie itself, or its frames, (T, H, W) or (T, H, W, C), in an array of NumPy, Dask,
            zarr or the like.
        hints: known properties of the movie.
        stored: how the frames are stored, as far as it is known: axes, range, channel, depth, and the size of a pixel
            and the frame rate, in which results then are, too; see :class:`~vtssi_pyro.Stored`.
        out: folder for ``contact_sheet.png``, ``inspection.json`` and ``preparation.npz``. Other functions take this
            folder in place of the movie, and prepare the movie accordingly. None: no files.
        report: receives the findings.

    Returns:
        the prepared movie, for :func:`fit`, :func:`track` and :func:`forecast`; its ``found`` holds the findings.

    Example:
        >>> from vtssi_pyro import inspect, scene
        >>> prepared = inspect(scene("blobs", 30, side=96, objects=2, size=16).frames)
        >>> prepared.found.objects
        2
    """
    report = report or Silent()
    target = _apart(movie, out, (SHEET, *KEPT), report) if out else None
    if isinstance(movie, Arraylike):
        movie = movie_of(movie, stored)
    prepared = look(movie, hints, tell=report.say, stored=stored)
    report.found({"movie": prepared.name, **prepared.inspected.as_dict()})
    if target:
        contact_sheet(target / SHEET, prepared)
        for path in (target / SHEET, *prepared.save(target)):
            report.wrote(path)
    return prepared


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
    """
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
            return conduct(made, plan.config, plan.splits, where, report, group)


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
        >>> fitted = resume("runs/ours-linear-0001")  # doctest: +SKIP
    """
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
            return conduct(run, recipe, splits, where, report, group, True, checkpoint)


@checked
def track(
    tracker: AnyTracker | None,
    data: Source,
    *,
    settle: Annotated[int | None, FRAMES] = None,
    test_time: TestTime | None = None,
    hints: Hints = Hints(),
    stored: Stored = Stored(),
    out: File | None = None,
    device: str = "auto",
    checkpoint: str = "last",
    rendered: bool | None = None,
    formats: Annotated[Iterable[str], FORMAT_NAMES] = (),
    film: bool = False,
    report: Reporter | None = None,
) -> Estimate:
    """Track all objects in all frames; ``track(run, "beads.mp4", out="tracks")`` is ``vtssi-pyro track``.

    Args:
        tracker: a trained tracker; or ``"untrained"``, which tracks one movie by its inspection alone, in seconds:
            objects are followed as bright spots of one size, at constant velocity.
        data: sequences, or, for a tracker trained on a movie, one movie, which is prepared like the training movie. A
            movie of another camera or place needs its own preparation, which :func:`inspect` makes.
        settle: number of first frames of each sequence, or of the movie, that decide the objects, as in
            :class:`~vtssi_pyro.Stream`; None: all, of many some from evenly spread places. A tracker of a single
            hypothesis always uses its first K.
        test_time: the procedure at test time, such as ``TestTime()``, which adds nothing to the model, or the paper's,
            :data:`~vtssi_pyro.model.config.PUBLISHED`, of a tracker of its blocks; None: the tracker's own.
        hints: known properties of a movie, for ``"untrained"`` alone.
        stored: how the frames are stored, as far as it is known: axes, range, channel, depth, and the size of a pixel
            and the frame rate, in which results then are, too; see :class:`~vtssi_pyro.Stored`.
        out: folder for ``tracks.csv``, ``tracks.json``, ``mot/`` and ``overlay.gif``, untrained also for
            ``contact_sheet.png``, see :func:`inspect`; None: no files.
        device: the device of a loaded tracker.
        checkpoint: the checkpoint of a run, ``last`` or ``best``.
        rendered: whether to return rendered frames, too; None: only for frames in memory, since files may be large.
        formats: further formats of the tracks in ``out``, keys of :data:`vtssi_pyro.tracks.formats.FORMATS`.
        film: whether to write ``overlay.mp4``, too.
        report: receives messages and progress.

    Returns:
        tracks in pixels of the stored frames, rendered frames (as ``rendered`` says), a description of each object, and
        the frames' novelty (:mod:`vtssi_pyro.inference.novelty`); ``units`` holds what pixels and frames stand for.

    Example:
        >>> from vtssi_pyro import load_digits, moving_digits, track
        >>> data = moving_digits("linear", load_digits("embedded", "test"), sequences=1, length=5)
        >>> track("moving-mnist", data).tracks.position.shape  # sequences, frames, objects, x and y
        torch.Size([1, 5, 2, 2])
    """
    report = report or Silent()
    if film:
        writer()
    for name in formats:
        FORMATS[name].ready()
    looked = None
    if isinstance(tracker, str) and tracker == UNTRAINED:
        looked = inspected(data, hints, stored, report)
        tracker = unlearned(looked)
    elif hints.said:
        raise UsageError(Argument(hints.said), f": is of a movie that is tracked {UNTRAINED}; leave it out")
    loaded = at_hand(tracker, checkpoint, available_device(device), report)
    frames = opened(looked or data, loaded, Stored() if looked else stored)
    tell_of(frames, report)
    warn_if_short(loaded, frames.data.length, report)
    warn_if_beyond(settle, frames.data.length, SETTLED, called(data), report)
    target = _results(data, out, film, report, *((SHEET,) if looked else ())) if out else None
    own = None if looked else loaded.identity
    again = looked or own is not None  # whether the results can be known again
    options = {"settle": settle, "hints": hints, "stored": stored, "film": film}
    wanted = request(data, own, test_time=test_time, formats=formats, **options) if target and again else None
    begun = time.monotonic()
    if frames.movie:
        found = read_movie(loaded, frames.movie, bool(rendered), settle, test_time)
    else:
        how = partial(inference.track, loaded.tracker, settle=settle, test_time=test_time)
        found = read_all(
            frames, frames.data.length, loaded, report, lambda x, first: how(x), _wanted(frames, rendered)
        )
    found = found._replace(units=frames.units)
    tell_found(found.tracks, called(data), loaded, time.monotonic() - begun, report)
    warn_if_empty(found.tracks, called(data), report)
    warn_if_new(found.novelty, called(data), loaded, report)
    if target:

        def more() -> Iterator[Path]:
            yield from write_formats(target, found.tracks, formats, frames.frame_size, frames.units)
            if looked:
                contact_sheet(target / SHEET, looked)
                yield target / SHEET
            yield from tracked_pictures(target, frames, found, film)

        about = described(frames, found, loaded, wanted)
        paths = write_results(
            target, found.tracks, frames.frame_size, frames.units, found.appearance, about, more
        )
        for path in paths:
            report.wrote(path)
    return _returned(found, frames, rendered)


@checked
def forecast(
    tracker: AnyTracker | None,
    data: Source,
    horizon: Annotated[int, AHEAD] = HORIZON,
    num_samples: Annotated[int, DRAWN] = 0,
    *,
    observe: Annotated[int | None, FRAMES] = None,
    seed: Annotated[int, SEED] = 0,
    temperature: Annotated[float | None, TEMPERATURE] = None,
    raw: bool = False,
    settle: Annotated[int | None, FRAMES] = None,
    test_time: TestTime | None = None,
    stored: Stored = Stored(),
    out: File | None = None,
    device: str = "auto",
    checkpoint: str = "last",
    rendered: bool | None = None,
    formats: Annotated[Iterable[str], FORMAT_NAMES] = (),
    film: bool = False,
    report: Reporter | None = None,
) -> Estimate:
    """Track the observed frames and predict ``horizon`` frames beyond them, calibrated if there is a calibration.

    Args:
        tracker: a trained tracker with a model of motion.
        data: sequences, or, for a tracker trained on a movie, one movie.
        horizon: number of frames to predict.
        num_samples: number of sampled futures of each sequence.
        observe: number of observed frames of each sequence; None: all.
        seed: seed of the futures.
        temperature: temperature of the futures; None: that of the calibration, or 1 without one.
        raw: whether to ignore a calibration.
        settle: number of first frames that decide the objects; see :func:`track`.
        test_time: the procedure at test time; None: the tracker's own, with which calibrations are fitted.
        stored: how the frames are stored, as far as it is known.
        out: folder for ``predictions.csv``, the tracks of the observed frames, and pictures; None: no files.
        device: see :func:`track`, also for the arguments that follow.
        checkpoint: the checkpoint of a run.
        rendered: whether to return rendered frames, too.
        formats: further formats of the tracks of the observed frames.
        film: whether to write ``overlay.mp4``, too.
        report: receives messages and progress.

    Returns:
        the same as :func:`track`, with ``tracks.samples`` (num_samples, S, T + horizon, N, 2).

    Raises:
        UsageError: the tracker has no model of motion.
        OutOfResources: the forecast takes more memory than is free.

    Example:
        >>> from vtssi_pyro import forecast, load_digits, moving_digits
        >>> data = moving_digits("linear", load_digits("embedded", "test"), sequences=1)
        >>> found = forecast("moving-mnist", data, 2, num_samples=4, observe=5)
        >>> found.tracks.samples.shape  # of 4 futures: 7 frames, the last two of them predicted
        torch.Size([4, 1, 7, 2, 2])
    """
    report = report or Silent()
    if film:
        writer()
    for name in formats:
        FORMATS[name].ready()
    loaded = at_hand(tracker, checkpoint, available_device(device), report)
    frames = opened(data, loaded, stored)
    tell_of(frames, report)
    loaded.needs_motion()
    seen = warn_if_beyond(observe, frames.data.length, OBSERVED, called(data), report)
    warn_if_beyond(settle, seen, SETTLED, called(data), report)
    warn_if_short(loaded, seen, report)
    known = None
    if not (raw or temperature is not None):
        known = loaded.calibration_for(seen, num_samples, checkpoint, report)
    target = _results(data, out, film, report, PREDICTIONS, FUTURES) if out else None
    options = {
        "horizon": horizon, "num_samples": num_samples, "observe": observe, "seed": seed, "temperature": temperature,
        "raw": raw, "settle": settle, "stored": stored, "film": film,
    }  # fmt: skip
    own = loaded.identity_ahead
    known_again = target and own is not None
    wanted = request(data, own, test_time=test_time, formats=formats, **options) if known_again else None
    begun = time.monotonic()
    heat = temperature if temperature is not None else known.temperature if known else 1.0
    asked = costs.Forecast(seen, horizon, num_samples, _wanted(frames, rendered))
    costs.refuse_large(asked, frames, loaded)
    costs.tell_time(asked, frames, loaded, report)
    ahead = partial(
        inference.forecast, loaded.tracker, horizon=horizon, num_samples=num_samples, temperature=heat,
        settle=settle, test_time=test_time,
    )  # fmt: skip
    estimate = read_all(
        frames, seen, loaded, report, lambda x, first: ahead(x, seed=seed + first), asked.rendered
    )
    tracks = known(estimate.tracks, seen) if known else estimate.tracks
    estimate = estimate._replace(tracks=frames.to_source(tracks), units=frames.units)
    observed = estimate.tracks.part(frames=slice(seen))
    tell_found(observed, called(data), loaded, time.monotonic() - begun, report, horizon=horizon)
    warn_if_empty(observed, called(data), report)
    warn_if_new(estimate.novelty, called(data), loaded, report)
    if target:
        csv = target / PREDICTIONS
        write_predictions_csv(csv, estimate.tracks, seen, frames.units)

        def more() -> Iterator[Path]:
            yield from write_formats(target, observed, formats, frames.frame_size, frames.units)
            yield from predicted_pictures(target, frames, estimate, seen, film)

        about = described(frames, estimate, loaded, wanted)
        paths = write_results(
            target, observed, frames.frame_size, frames.units, estimate.appearance, about, more
        )
        for path in (csv, *paths):
            report.wrote(path)
    return _returned(estimate, frames, rendered)


class Judged(NamedTuple):
    """The metrics of tracks."""

    metrics: dict[
        str, Any
    ]  # the fields of ``Evaluation.as_dict``, and under ``mot`` the metrics of the boxes, if requested
    observe: int  # number of frames on which objects were matched, before the rest was predicted
    evaluation: Evaluation  # the metrics but those of the boxes, as attributes
    made: dict[str, Any]  # the tracker, the hash of its weights, the command, versions; ready for JSON
    units: Units  # what pixels and frames stand for, as far as it is known


@checked
def evaluate(
    tracker: AnyTracker | MultiObjectTracker | Tracks | None,
    data: Source,
    *,
    observe: Annotated[int | None, FRAMES] = None,
    limit: Annotated[int | None, SEQUENCES] = None,
    settle: Annotated[int | None, FRAMES] = None,
    test_time: TestTime | None = None,
    per_frame_count: bool | None = None,
    stored: Stored = Stored(),
    mot: bool = False,
    export: File | None = None,
    device: str = "auto",
    checkpoint: str = "last",
    report: Reporter | None = None,
) -> Judged:
    """Evaluate a tracker, or tracks of any program, on sequences with known positions.

    A tracker sees frames only; the metrics see tracks only. :func:`judge` returns the ``evaluation`` alone.

    Args:
        tracker: a trained tracker; any object with the methods ``track`` and ``forecast`` of
            :class:`~vtssi_pyro.evaluation.judge.MultiObjectTracker`; or finished tracks, (S, T, N, 2) or their file or
            folder (:func:`vtssi_pyro.read_tracks`), which predict nothing.
        data: sequences with positions.
        observe: number of frames observed before the rest is predicted; None: the run's own number, else OBSERVE.
        limit: number of sequences used; None: all.
        settle: number of first frames that decide the objects of a trained tracker (:func:`track`); None: all. In the
            paper it is that of the observed ones. The metrics' ``count_frames`` is the number that the count rests on.
        test_time: the procedure at test time of a trained tracker; None: its own.
        per_frame_count: whether the count is judged frame by frame; see :func:`vtssi_pyro.evaluation.judge.judge`.
        stored: how the frames are stored, as far as it is known.
        mot: whether to evaluate boxes, too: HOTA, MOTA, IDF1.
        export: folder for tracks and truth in TrackEval's format; None: no files.
        device: the device of a loaded tracker.
        checkpoint: the checkpoint of a run.
        report: receives the progress.

    Example:
        >>> from vtssi_pyro import evaluate, load_digits, moving_digits
        >>> data = moving_digits("linear", load_digits("embedded", "test"), sequences=4)
        >>> evaluate(data.truth, data).metrics["inference_error"]  # of the truth itself
        0.0
    """
    if mot:
        library()
    report, where = report or Silent(), available_device(device)
    file, loaded = _file_of_tracks(tracker), None
    if file is None and not isinstance(tracker, Tracks | MultiObjectTracker):
        loaded = at_hand(tracker, checkpoint, where, report)
    name = file or ("these tracks" if isinstance(tracker, Tracks) else "this tracker")
    if loaded is None and device != "auto":
        held = f"{file} holds tracks, not a model" if file else f"{name} is no model of this package"
        raise UsageError(Argument("device"), f": {held}; leave it out")
    if loaded is None and (settle, test_time) != (None, None):
        raise UsageError(Argument("settle"), f": {name} decides by itself what the objects are; leave it out")
    dataset = sequences(data, loaded, stored) if loaded else dataset_of(data, stored)
    tell_of(Opened(dataset), report)
    if dataset.truth is None:
        raise DataError(
            f"{called(data)}: has no positions to judge by; expected an .npz file with positions (S, T, N, 2), as "
            "vtssi-pyro generate writes it; vtssi-pyro track needs none"
        )
    boxed = "mot" if mot else "export" if export else None  # the argument that needs boxes
    if boxed and dataset.truth.box is None:
        raise DataError(
            f"{called(data)}: ", Argument(boxed), " needs boxes; expected an array boxes (S, T, N, 2)"
        )
    judged: MultiObjectTracker | Tracks
    usual = OBSERVE
    if loaded:
        warn_if_short(loaded, dataset.length, report)
        judged, usual = ModelTracker(loaded.tracker, test_time, settle), loaded.observe
    elif file:
        judged = read_tracks(file, len(dataset), dataset.length)
    else:
        assert isinstance(tracker, Tracks | MultiObjectTracker)
        judged = tracker
    if isinstance(judged, Tracks):
        _check_boxes(name, judged, boxed)  # before a folder is made
    observe = warn_if_beyond(observe or usual, dataset.length, OBSERVED, called(data), report)
    warn_if_beyond(settle, dataset.length, SETTLED, called(data), report)
    target = writable_folder(export, "export") if export else None
    with report.watched(dataset, "judging") as shown:
        found = judging.find(judged, shown, observe, limit, per_frame_count)
    evaluation = judging.compare(dataset, found, observe)
    metrics = evaluation.as_dict()
    _check_boxes(name, found.tracks, boxed)
    truth = dataset.truth.part(slice(limit))
    if mot:
        metrics["mot"] = mot_metrics(truth, found.tracks)
    if target:
        write_mot_challenge(target, found.tracks, dataset.frame_size, truth=truth)
    units = Opened(dataset, said=stored.units).units
    if file:
        units = told_beside(Path(file))[1].told(units)
    return Judged(metrics, observe, evaluation, made_by(loaded.name if loaded else name, loaded), units)


@checked
def judge(
    tracker: AnyTracker | MultiObjectTracker | Tracks | None,
    data: Source,
    observe: Annotated[int | None, FRAMES] = None,
    limit: Annotated[int | None, SEQUENCES] = None,
    *,
    settle: Annotated[int | None, FRAMES] = None,
    test_time: TestTime | None = None,
    per_frame_count: bool | None = None,
    device: str = "auto",
    checkpoint: str = "last",
    report: Reporter | None = None,
) -> Evaluation:
    """Return the metrics of :func:`evaluate` as attributes; ``evaluate`` alone evaluates boxes and writes files.

    Args:
        tracker: anything that :func:`evaluate` takes.
        data: sequences with positions.
        observe: number of frames observed before the rest is predicted; None: the run's own number, else OBSERVE.
        limit: number of sequences used; None: all.
        settle: see :func:`evaluate`, also for the arguments that follow.
        test_time: the procedure at test time.
        per_frame_count: whether the count is judged frame by frame.
        device: the device of a loaded tracker.
        checkpoint: the checkpoint of a run.
        report: receives the progress.

    Example:
        >>> from vtssi_pyro import judge, load_digits, moving_digits
        >>> data = moving_digits("linear", load_digits("embedded", "test"), sequences=4)
        >>> judge(data.truth, data).count_accuracy  # of the truth itself
        1.0
    """
    return evaluate(
        tracker, data, observe=observe, limit=limit, settle=settle, test_time=test_time,
        per_frame_count=per_frame_count, device=device, checkpoint=checkpoint, report=report,
    ).evaluation  # fmt: skip


@checked
def overlay(
    tracks: Tracks | File,
    data: Source,
    out: File,
    *,
    stored: Stored = Stored(),
    film: bool = False,
    report: Reporter | None = None,
) -> list[Path]:
    """Draw tracks of any program on the frames that they are of.

    Args:
        tracks: (S, T, N, 2), px, or their file or folder (:func:`vtssi_pyro.read_tracks`).
        data: the frames: sequences, or one movie.
        out: folder for ``overlay.gif``.
        stored: how the frames are stored, as far as it is known.
        film: whether to write ``overlay.mp4``, too.
        report: receives the files.

    Returns:
        the files.

    Example:
        >>> from vtssi_pyro import overlay, sample_movie
        >>> from vtssi_pyro.data.store import read
        >>> movie = sample_movie(out="drawn.npz")
        >>> [path.name for path in overlay(read(movie).truth, movie, "drawn")]
        ['overlay.gif']
    """
    report = report or Silent()
    if film:
        writer()
    seen = bare(data, stored)
    known = tracks if isinstance(tracks, Tracks) else read_tracks(tracks, *seen.extent)
    target = _apart(data, out, (OVERLAY, *((FILM,) if film else ())), report)
    paths = overlaid_pictures(target, seen, known, film)
    for path in paths:
        report.wrote(path)
    return paths


@checked
def play(
    tracks: Tracks | Estimate | File, data: Source, *, observed: Annotated[int | None, FRAMES] = None,
    stored: Stored = Stored(),
) -> Player:  # fmt: skip
    """Play tracks of any program, and sampled futures, on the frames that they are of, in a notebook or a page.

    The player needs no server and no network, so that it also plays in the output of a notebook that was saved.

    Args:
        tracks: (S, T, N, 2), px, an estimate of :func:`track` or :func:`forecast`, or a file or folder of tracks
            (:func:`vtssi_pyro.read_tracks`).
        data: the frames: sequences, or one movie. Of many sequences some are shown, of many frames as many as a page
            can hold, and the player says how many are left out.
        observed: number of frames that were observed, before others were predicted; None: all.
        stored: how the frames are stored, as far as it is known.

    Returns:
        the player, which a notebook shows; its ``page()`` is a page of its own, as text.

    Example:
        >>> from vtssi_pyro import load_digits, moving_digits, play
        >>> data = moving_digits("linear", load_digits("embedded", "test"), sequences=1, length=3)
        >>> "<html" in play(data.truth, data).page()
        True
    """
    seen = bare(data, stored)
    if isinstance(tracks, Estimate):
        known = tracks.tracks
    else:
        known = tracks if isinstance(tracks, Tracks) else read_tracks(tracks, *seen.extent)
    frames, drawn, names = seen.shown(known)
    panel = Panel("tracked" if observed is None else "predicted", frames, drawn, observed, names=names)
    return Player(film_of([panel], known.present.shape[1]))


@checked
def convert(
    tracks: File,
    target: File,
    format: FormatName = None,
    *,
    frame_size: Annotated[tuple[int, int] | None, STORED_SIDE] = None,
    force: bool = False,
    report: Reporter | None = None,
) -> Tracks:
    """Write tracks of any program in another format.

    Args:
        tracks: their file or folder; see :func:`vtssi_pyro.read_tracks`.
        target: the file or folder to write; see :func:`vtssi_pyro.write_tracks`.
        format: its format; None: as its name ends.
        frame_size: (H, W) of the frames, px; None: as a ``tracks.json`` beside the tracks tells, like the units, else
            the least that holds all objects.
        force: whether ``target`` may be replaced.
        report: receives the target.

    Example:
        >>> import torch
        >>> from vtssi_pyro import Tracks, convert, write_tracks
        >>> tracks = Tracks(torch.full((1, 2, 1, 2), 5.0), torch.ones(1, 2, 1, dtype=torch.bool))
        >>> write_tracks(tracks, "tracks.csv")
        >>> convert("tracks.csv", "tracks.xml").position.shape
        torch.Size([1, 2, 1, 2])
    """
    source, path = Path(tracks), Path(target)
    if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(source)):
        raise UsageError(Argument("target"), f" {target}: is what is read, or in it; choose another name")
    refuse_existing(path, force, "target")
    found, told_size, units = read_told(source)
    write_tracks(found, path, format, frame_size=frame_size or told_size, units=units)
    (report or Silent()).wrote(path)
    return found


@checked
def generate(
    flavour: str,
    out: File,
    *,
    digits: str = "embedded",
    split: str = "test",
    sequences: Annotated[int, SEQUENCES] = 1000,
    length: Annotated[int | None, FRAMES] = None,
    frame_size: Annotated[int | None, SIDE] = None,
    objects: Annotated[int | None, OBJECTS] = None,
    seed: Annotated[int, SEED] = 0,
    force: bool = False,
    report: Reporter | None = None,
) -> MovingDigits:
    """Write moving digits, or other objects, with their positions, to a new file.

    Args:
        flavour: the kind of objects and motion, a key of :data:`vtssi_pyro.data.FLAVOURS`.
        out: the file, with a name that ends in .npz.
        digits: ``embedded``, or ``mnist``, whose files are in the folder that the environment variable VTSSI_MNIST
            names, or are downloaded once.
        split: the split of the digits, ``train``, ``validation`` or ``test``; no digit is in two of them.
        sequences: number of sequences.
        length: number of frames of each; None: the flavour's.
        frame_size: side of the frames, px; None: the flavour's, of the paper's own 50.
        objects: largest number of objects at once, of ``ddpae`` and ``balls`` their number; None: the flavour's, of
            the paper's own 2.
        seed: the same seed gives the same file.
        force: whether ``out`` may replace a file.
        report: receives the progress, and the file.

    Example:
        >>> from vtssi_pyro import generate
        >>> generate("linear", "test.npz", sequences=2).length
        20
    """
    report, path = report or Silent(), Path(out)
    if path.suffix.lower() != ".npz":
        raise UsageError(Argument("out"), f" {out}: expected a name that ends in .npz")
    refuse_existing(path, force)
    data = moving_digits(
        flavour, load_digits(digits, split), sequences=sequences, length=length, frame_size=frame_size,
        objects=objects, seed=seed,
    )  # fmt: skip
    with report.watched(data, "drawing") as drawn:
        write(path, drawn)
    (height, width), at_once = data.frame_size, data.truth.present.sum(-1)
    fewest, most = int(at_once.min()), int(at_once.max())
    number = f"{most}" if fewest == most else f"{fewest} to {most}"
    report.say(
        f"{len(data)} sequences of {data.length} frames, {height}x{width} px, {number} objects at once"
    )
    report.found({"sequences": len(data), "frames": data.length, "fewest": fewest, "most": most})
    report.wrote(path)
    return data


@checked
def sample_movie(
    name: str = "beads", out: File | None = None, *, force: bool = False, report: Reporter | None = None
) -> Path:
    """Write a sample movie, which is drawn, not recorded, with the true places of its objects, to a new file.

    ``beads`` is of four beads under a microscope: the stage drifts, the light is uneven and bleaches them, and the
    camera adds noise, hot pixels and dust.

    Args:
        name: the movie, which ships with the package.
        out: the file, with a name that ends in .npz; None: ``NAME.npz``.
        force: whether ``out`` may replace a file.
        report: receives the file.

    Returns:
        The file, a movie for :func:`track` and :func:`fit`, and sequences with positions for :func:`evaluate`.

    Example:
        >>> from vtssi_pyro import open_frames, sample_movie
        >>> open_frames(sample_movie(out="sample.npz")).frame_size
        (112, 144)
    """
    report, source = report or Silent(), samples.located(name)
    path = Path(out or f"{name}.npz")
    if path.suffix.lower() != ".npz":
        raise UsageError(Argument("out"), f" {out}: expected a name that ends in .npz")
    refuse_existing(path, force)
    make_parent(path)
    write_bytes(path, source.read_bytes())
    data = read(path)
    assert data.truth is not None
    (height, width), number = data.frame_size, data.truth.present.shape[-1]
    found = {"frames": data.length, "height": height, "width": width, "objects": number}
    report.say(
        "drawn, not recorded: {frames} frames of {width}x{height} px, {objects} objects".format_map(found)
    )
    report.found(found)
    report.wrote(path)
    return path


@checked
def page(run: File | Run, out: File | None = None, *, force: bool = False) -> list[Path]:
    """Draw the learning curves of a run and write one self-contained page, also during its training.

    Args:
        run: the run or its folder.
        out: the file of the page; the run's folder then stays as it is. None: ``report.html`` in the run's folder.
        force: whether ``out`` may replace a file that is no report.

    Returns:
        the files, the page last.

    Example:
        >>> from vtssi_pyro import page
        >>> page("runs/ours-linear-0001", "page.html")  # doctest: +SKIP
    """
    run = run if isinstance(run, Run) else run_of(run)
    begun = bool(run.config.train.steps and run.records())
    if out is None:
        run.refuse_links()
        writable_folder(run.folder, "run", files=("report.html",))
        with understood(run.summary):
            drawn = curves(run) if begun else []
        return [*drawn, write_report(run)]
    path = Path(out)
    if not force and not is_report(path):  # which a report replaces, since a training goes on
        refuse_existing(path, force, but=", and is no report")
    writable_folder(path.parent, files=(path.name,))
    with tempfile.TemporaryDirectory(prefix="vtssi-pyro-") as scratch:
        if begun:
            with understood(run.summary):
                curves(run, Path(scratch))
        return [write_report(run, path, Path(scratch))]


@checked
def info(tracker: Fitted | Trained | File | None = None) -> dict[str, Any]:
    """Describe a training and its metrics, or versions, devices, extras and the weights that ship; ready for JSON.

    Args:
        tracker: a run or the name of weights that ship; None: this installation and its machine.

    Example:
        >>> from vtssi_pyro import info
        >>> info("moving-mnist")["observe"]
        5
    """
    if tracker is None:
        return installation()
    kept = kept_by(tracker)
    if kept is None:
        raise UsageError("a tracker without a run has no description but itself: print it")
    return kept.about()


class Calibrated(NamedTuple):
    """A calibration of sampled predictions, and assessments before and after it (``Assessment.as_dict``)."""

    calibration: Calibration | None
    before: dict[str, Any] | None = None  # on other sequences than those of the fit; None without any
    after: dict[str, Any] | None = None


@checked
def calibrate(
    tracker: AnyTracker,
    data: Source | None = None,
    *,
    test: Source | None = None,
    count: Annotated[int, SEQUENCES] = 1000,
    observe: Annotated[int | None, FRAMES] = None,
    samples: Annotated[int, Range(2, DRAWN.high)] = SAMPLED,
    seed: Annotated[int, SEED] = 0,
    device: str = "auto",
    checkpoint: str = "last",
    report: Reporter | None = None,
) -> Calibrated:
    """Calibrate sampled predictions and assess them before and after.

    A run keeps its calibration, which :func:`forecast` then uses. Weights that ship have one, which is only assessed.

    Args:
        tracker: a trained tracker with a model of motion.
        data: sequences with positions to fit on; None: for a run on moving digits, its validation digits.
        test: sequences with positions for the assessment; None: for such a run, test digits, else no assessment.
        count: number of sequences of moving digits, for the fit and for the assessment each; 1,000 leave a share of
            90 % with a standard error of 1 %.
        observe: number of frames observed before the rest is predicted; None: the run's own number.
        samples: number of sampled futures of each sequence.
        seed: seed of the draws.
        device: the device of a loaded tracker.
        checkpoint: the checkpoint of a run.
        report: receives messages and progress.

    Example:
        >>> from vtssi_pyro import calibrate
        >>> calibrate("runs/ours-linear-0001").calibration  # doctest: +SKIP
    """
    report, where = report or Silent(), available_device(device)
    kept = kept_by(tracker)
    run, ships = kept if isinstance(kept, Run) else None, kept is not None and not isinstance(kept, Run)
    name = (
        os.fspath(tracker)
        if isinstance(tracker, str | os.PathLike)
        else kept.name
        if kept
        else "this tracker"
    )
    if data is not None and ships:
        raise UsageError(Argument("data"), f": {name} ships with the calibration it has; leave it out")
    if _same_file(data, test):
        raise UsageError(Argument("data"), f": {data} also judges; fit on other sequences")
    config = kept.config if kept else None
    drawn = config is not None and is_flavour(config.data.source)
    if not drawn and kept is not None and (test is None or (data is None and run is not None)):
        raise UsageError(
            f"{name}: was trained on a file; give sequences with positions, ",
            Argument("test"),
            " and ",
            Argument("data"),
        )
    if data is None and kept is None:
        raise UsageError("a tracker without a run: give sequences to calibrate it on")
    with run.lock() if run else nullcontext():
        loaded = at_hand(tracker, checkpoint, where, report)
        loaded.needs_motion()
        seen = observe or loaded.observe

        def either(source: Source | None, split: str, seed: int) -> Dataset | None:
            if source is None and drawn and config is not None:
                source = digits(config, split, count, seed)
            return None if source is None else known_sequences(source, loaded, seen)

        judged = either(test, "test", TABLE_SEED)
        if ships:
            calibration = loaded.calibration
        else:
            learned = either(data, "validation", CALIBRATION_SEED)
            assert learned is not None
            with report.watched(learned, "fitting") as known:
                calibration = calibrate_tracker(loaded.tracker, known, seen, samples, seed, known.truth)
        before = after = None
        if judged is not None:
            with report.watched(judged, "judging", times=1 + bool(calibration)) as shown:
                before, after = assess_tracker(loaded.tracker, shown, calibration, seen, samples, seed + 1)
        if run and calibration:
            run.keep(calibration)
            if before is not None:
                reliability(run.figures / "reliability.png", before, after)
            report.say(f"calibration kept in {run.calibration_file}; predict uses it")
    return Calibrated(calibration, before, after)


@checked
def track_live(
    tracker: AnyTracker | None,
    source: File | BinaryIO,
    out: File,
    *,
    patience: Annotated[float, PATIENCE] = 10.0,
    size: Annotated[tuple[int, int] | None, STORED_SIDE] = None,
    device: str = "auto",
    checkpoint: str = "last",
    report: Reporter | None = None,
) -> Path:
    """Track frames as they come; every frame's rows are in ``tracks.csv`` before the next frame is read.

    Args:
        tracker: a trained tracker; its run's preparation, if any, is applied to the frames.
        source: a folder to which pictures are added, or a pipe of raw frames in 8-bit grey.
        out: folder for ``tracks.csv``.
        patience: seconds to wait for another picture; the default, long for a camera, is chosen by hand.
        size: (H, W) of the frames in a pipe; None: that of the preparation.
        device: the device of a loaded tracker.
        checkpoint: the checkpoint of a run.
        report: receives the times of the frames, and the file.

    Example:
        >>> from vtssi_pyro import track_live
        >>> track_live("runs/ours-beads-0001", "pictures", "tracks")  # doctest: +SKIP
    """
    report = report or Silent()
    loaded = at_hand(tracker, checkpoint, available_device(device), report)
    preparation = loaded.preparation or Preparation((Luminance() if loaded.channels == 1 else Colours(),))
    if preparation.channel == COLOUR and not isinstance(source, str | os.PathLike):
        raise UsageError(f"{loaded.name}: reads colours; frames of a pipe are grey")
    if isinstance(loaded.tracker, StandaloneTracker):
        raise UsageError(f"{loaded.name}: reads sequences as a whole, not frame by frame as they come")
    path = _apart(source, out, ("tracks.csv",), report) / "tracks.csv"
    if isinstance(source, str | os.PathLike):
        if size is not None:
            raise UsageError(
                Argument("size"), ": is of frames in a pipe; leave it out, pictures tell their own"
            )
        frames = growing_folder(source, patience, warn=report.warn)
    else:
        frames = piped_frames(source, size or stored_size(preparation, loaded.side), report.warn)
    stream = Stream(loaded.tracker)
    with Watch(frames) as watch, TracksWriter(path, preparation.stored.units) as rows:

        def write(estimate: Estimate | None) -> None:
            if estimate is not None:
                rows.append(to_source(estimate.tracks, preparation))

        try:
            for frame in preparation(live(watch, preparation.stored, report.say)):
                estimate = stream.push(live_frame(frame, loaded.side).to(loaded.device))
                write(estimate)
                if watch.number > stream.needed:  # the first frames wait for each other
                    watch.done()
        finally:  # the stream's first frames may still wait, whatever ends it
            write(stream.flush())
            report.say(watch.summary())
            report.found(watch.findings())
    report.wrote(path)
    return path


@checked
def reproduce(
    items: str | Iterable[str],
    *,
    preset: str | None = None,
    digits: str = "mnist",
    sequences: Annotated[int, SEQUENCES] = 10_000,
    out: File = "reproduction",
    runs: Mapping[str, File] | None = None,
    train: bool = True,
    device: str = "auto",
    threads: int | None = None,
    workers: Processes = None,
    scheduler: str | None = None,
    report: Reporter | None = None,
) -> list[Path]:
    """Make the paper's tables and figures, and their missing trainings.

    The same call continues after an interruption. Finished runs, cells and curves are used as they are.

    Args:
        items: ``"table1"``, cells of it such as ``"ours-linear-0"``, and figures such as ``"figure3"``.
        preset: preset of missing trainings; None: ``paper-fast`` for cells with the paper's names, both for figures 5
            to 9, else ``standard``. Figures 5 to 9 take its variation for their comparison.
        digits: source of the digits, see :func:`generate`.
        sequences: number of held-out sequences for each cell, and for each curve of figures 5 to 7.
        out: folder for runs, cells, curves, tables and figures.
        runs: finished runs that figures 4 to 9 take as trainings, by the trainings' names, such as ``ddpae-ddpae-0``;
            figure 4 takes SQAIR's, and is drawn without it if there is none.
        train: whether missing trainings are made; False: cells, curves and rows without a finished run are left out.
        device: see :func:`fit`.
        threads: number of CPU threads; None: for a run that continues that with which it began, else as many as set;
            of workers 1.
        workers: number of processes of this machine that share the trainings behind the table's cells, by Dask; None:
            this process makes one after another.
        scheduler: address of the scheduler of a running Dask cluster, in place of ``workers``.
        report: receives messages, progress and the files.

    Returns:
        the files of the table, if it or a cell of it is among the items, and of the figures.

    Raises:
        UsageError: an unknown item, or a folder with runs of another kind.
        CheckpointError: a figure without a finished run, if nothing is to be trained.
        Interrupted: on Ctrl-C, SIGTERM or SIGHUP during a training, after it was saved.

    Example:
        >>> from vtssi_pyro import reproduce
        >>> reproduce("figure3", preset="quick", digits="embedded")  # doctest: +SKIP
    """
    report, items = report or Silent(), list(dict.fromkeys([items] if isinstance(items, str) else items))
    refuse_unknown(items, preset)
    refuse_company()
    where = available_device(device)
    made: list[Path] = []
    with threaded(threads):
        wanted = table1.wanted(items, preset, SEEDS)
        given = {name: Path(folder) for name, folder in (runs or {}).items()}
        shared = Workers(workers, scheduler, threads)
        order = Order(preset or "standard", digits, Path(out), where, threads, train, report)
        comparing = comparisons.Comparing(order, preset, sequences, given)
        comparisons.refuse_unneeded(items, comparing)
        writable_folder(out)
        for name, keys in wanted.items():
            # one table, of all presets
            made = table1.make(order._replace(preset=name, threads=shared.each), keys, sequences, shared)
        for path in made:
            report.wrote(path)
        for item in items:
            if item in FIGURES:
                files = [draw(item, order, SEEDS[0], given=given)]
            elif item in comparisons.FIGURES:
                files = comparisons.make(item, comparing)
            else:
                continue
            made += files
            for path in files:
                report.wrote(path)
    return made


@checked
def benchmark(
    tracker: str | None = None,
    *,
    preset: str = "standard",
    changes: Iterable[str] = (),
    device: str = "auto",
    threads: int | None = None,
) -> dict[str, Any]:
    """Measure the speed of training, tracking and prediction on this machine, and the memory that they take.

    Args:
        tracker: the variant; None: the preset's own.
        preset: sizes of the model.
        changes: changes to single keys of the configuration, such as ``"train.stages.benchmark.batch=64"``.
        device: see :func:`fit`.
        threads: number of CPU threads; None: as many as set.

    Returns:
        the values of :func:`vtssi_pyro.speed.measure`, ready for JSON.

    Example:
        >>> from vtssi_pyro import benchmark
        >>> benchmark()["train_sequences_per_second"]  # doctest: +SKIP
    """
    where = available_device(device)
    with threaded(threads):
        return measure(override(workload(tracker, preset), list(changes)), where)


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


def _results(source: object, out: File, film: bool, report: Reporter, *more: str) -> Path:
    """The folder of a tracking's results, of which all can be written, before anything is computed."""
    files = (*FILES, OVERLAY, *((FILM,) if film else ()), *more)
    return _apart(source, out, files, report, (MOT,))


def _apart(
    source: object, out: File, files: Sequence[str], report: Reporter, folders: Sequence[str] = ()
) -> Path:
    """The folder of results, which neither replace the frames that they are made from nor lie among their pictures.

    Files of these names are those of an earlier command: they will be replaced, which is told.

    Raises:
        UsageError: they would, or cannot be written.
    """
    if isinstance(source, str | os.PathLike):
        _refuse_onto(source, out, files)
    target = writable_folder(out, files=files, folders=folders)
    if before := [name for name in files if (target / name).exists()]:
        report.say(f"{target}: has results of an earlier command, which these replace: {', '.join(before)}")
    return target


def _refuse_onto(source: str | os.PathLike[str], out: File, files: Sequence[str]) -> None:
    place, folder = Path(source), Path(out)
    pictures = place.is_dir() and not was_kept(place)
    if pictures and identity(place) == identity(folder):
        raise UsageError(
            Argument("out"), f" {out}: holds the pictures themselves, among which results would count as frames; "
            "choose another folder"
        )  # fmt: skip
    there: dict[tuple[int, int] | None, str] = {
        found: name for name in files if (found := identity(folder / name))
    }
    for path in place.iterdir() if there and pictures else (place,):
        if name := there.get(identity(path)):
            raise UsageError(Argument("out"), f" {out}: its {name} is {path} itself; choose another folder")


def _wanted(frames: Opened, rendered: bool | None) -> bool:
    return frames.in_memory if rendered is None else rendered


def _returned(estimate: Estimate, frames: Opened, rendered: bool | None) -> Estimate:
    """An estimate without rendered frames, unless they are wanted."""
    return estimate if _wanted(frames, rendered) else estimate._replace(frames=estimate.frames[:0])


def _same_file(one: object, other: object) -> bool:
    if not (isinstance(one, str | os.PathLike) and isinstance(other, str | os.PathLike)):
        return False
    return Path(one).resolve() == Path(other).resolve()


def _file_of_tracks(tracker: object) -> str | None:
    """The path of a file or folder of tracks; None for anything else."""
    is_path = isinstance(tracker, str | os.PathLike) and holds_tracks(Path(tracker))
    return os.fspath(tracker) if is_path else None  # type: ignore[call-overload]


def _check_boxes(name: str, tracks: Tracks, argument: str | None) -> None:
    """Refuse tracks without boxes if an argument needs boxes."""
    if argument and tracks.box is None:
        raise DataError(
            f"{name}: ",
            Argument(argument),
            " needs boxes; expected columns width and height, or Tracks with a box",
        )
