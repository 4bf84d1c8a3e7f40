"""Judge tracks and forecasts by the truth, and calibrate forecasts."""

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from vtssi_pyro.api.tracking import OBSERVED, SETTLED
from vtssi_pyro.artifacts.loading import AnyTracker, at_hand, kept_by
from vtssi_pyro.artifacts.opening import File, Opened, Source, called, dataset_of, known_sequences, sequences
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.artifacts.telling import made_by, tell_of, tell_of_length, warn_if_beyond
from vtssi_pyro.config import Range, checked
from vtssi_pyro.config.ranges import DRAWN, FRAMES, SAMPLED, SEED, SEQUENCES
from vtssi_pyro.data import Dataset
from vtssi_pyro.errors import Argument, DataError, UsageError
from vtssi_pyro.evaluation import judge as judging
from vtssi_pyro.evaluation.calibration import Calibration
from vtssi_pyro.evaluation.futures import assess_tracker, calibrate_tracker
from vtssi_pyro.evaluation.judge import MultiObjectTracker
from vtssi_pyro.evaluation.metrics import Evaluation
from vtssi_pyro.evaluation.mot_metrics import library, mot_metrics
from vtssi_pyro.inference.model_tracker import ModelTracker
from vtssi_pyro.model.config import TestTime
from vtssi_pyro.movies import Stored
from vtssi_pyro.plots import reliability
from vtssi_pyro.system.atomic import writable_folder
from vtssi_pyro.system.machine import available_device
from vtssi_pyro.tracks.export import write_mot_challenge
from vtssi_pyro.tracks.formats import holds_tracks, read_tracks, told_beside
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.tracks.units import Units
from vtssi_pyro.train.reporting import Reporter, Silent
from vtssi_pyro.train.splits import CALIBRATION_SEED, TABLE_SEED, digits, is_flavour

OBSERVE = 5  # default number of frames on which finished tracks are matched, as in the paper


class Judged(NamedTuple):
    """The metrics of tracks."""

    # fields of ``Evaluation.as_dict``, and under ``mot`` the metrics of the boxes, if requested
    metrics: dict[str, Any]
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
        tell_of_length(loaded, dataset.length, report)
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
        >>> found = calibrate("runs/ours-linear-0001", count=20, samples=10)
        >>> found.calibration.temperature > 0
        True
    """
    report, where = report or Silent(), available_device(device)
    kept = kept_by(tracker)
    run, ships = kept if isinstance(kept, Run) else None, kept is not None and not isinstance(kept, Run)
    named = os.fspath(tracker) if isinstance(tracker, str | os.PathLike) else None
    name = named or (kept.name if kept else "this tracker")
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
