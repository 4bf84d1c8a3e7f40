"""Track objects in data, as they come, and forecast them."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from vtssi_pyro.api.inspecting import SHEET
from vtssi_pyro.api.places import apart
from vtssi_pyro.artifacts import costs
from vtssi_pyro.artifacts.figures import FILM, FUTURES, OVERLAY, predicted_pictures, tracked_pictures
from vtssi_pyro.artifacts.loading import UNTRAINED, AnyTracker, at_hand
from vtssi_pyro.artifacts.opening import File, Opened, Source, called, inspected, opened
from vtssi_pyro.artifacts.reading import live_frame, read_all, read_movie
from vtssi_pyro.artifacts.requests import request
from vtssi_pyro.artifacts.telling import (
    described,
    tell_found,
    tell_of,
    tell_of_length,
    warn_if_beyond,
    warn_if_empty,
    warn_if_new,
)
from vtssi_pyro.config import checked
from vtssi_pyro.config.ranges import AHEAD, DRAWN, FRAMES, PATIENCE, SEED, STORED_SIDE, TEMPERATURE
from vtssi_pyro.errors import Argument, UsageError
from vtssi_pyro.inference import filter as inference
from vtssi_pyro.inference.filter import Estimate, Stream
from vtssi_pyro.inference.standalone import StandaloneTracker
from vtssi_pyro.model.config import TestTime
from vtssi_pyro.movies import Hints, Preparation, Stored
from vtssi_pyro.movies.film import writer
from vtssi_pyro.movies.levels import live
from vtssi_pyro.movies.live import Watch, growing_folder, piped_frames, stored_size
from vtssi_pyro.movies.prepared import to_source
from vtssi_pyro.movies.stored import COLOUR
from vtssi_pyro.movies.transforms import Colours, Luminance
from vtssi_pyro.plots import contact_sheet
from vtssi_pyro.system.machine import available_device
from vtssi_pyro.tracks.export import (
    FILES,
    MOT,
    PREDICTIONS,
    TracksWriter,
    write_predictions_csv,
    write_results,
)
from vtssi_pyro.tracks.formats import FORMAT_NAMES, FORMATS, write_formats
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.train.movies import unlearned
from vtssi_pyro.train.reporting import Reporter, Silent

HORIZON = 30  # default number of predicted frames: a second of most films


OBSERVED, SETTLED = "to observe", "that decide the objects"  # in a warning, of first frames


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
    _ready(formats, film)
    looked = None
    if isinstance(tracker, str) and tracker == UNTRAINED:
        looked = inspected(data, hints, stored, report)
        tracker = unlearned(looked)
    elif hints.said:
        raise UsageError(Argument(hints.said), f": is of a movie that is tracked {UNTRAINED}; leave it out")
    loaded = at_hand(tracker, checkpoint, available_device(device), report)
    frames = opened(looked or data, loaded, Stored() if looked else stored)
    tell_of(frames, report)
    tell_of_length(loaded, frames.data.length, report)
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

        def pictures() -> Iterator[Path]:
            if looked:
                contact_sheet(target / SHEET, looked)
                yield target / SHEET
            yield from tracked_pictures(target, frames, found, film)

        about = described(frames, found, loaded, wanted)
        for path in _written(target, frames, found, found.tracks, about, formats, pictures):
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
    _ready(formats, film)
    loaded = at_hand(tracker, checkpoint, available_device(device), report)
    frames = opened(data, loaded, stored)
    tell_of(frames, report)
    loaded.needs_motion()
    seen = warn_if_beyond(observe, frames.data.length, OBSERVED, called(data), report)
    warn_if_beyond(settle, seen, SETTLED, called(data), report)
    tell_of_length(loaded, seen, report)
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
    if frames.movie:
        tracks = tracks.begun()
    estimate = estimate._replace(tracks=frames.to_source(tracks), units=frames.units)
    observed = estimate.tracks.part(frames=slice(seen))
    tell_found(observed, called(data), loaded, time.monotonic() - begun, report, horizon=horizon)
    warn_if_empty(observed, called(data), report)
    warn_if_new(estimate.novelty, called(data), loaded, report)
    if target:
        csv = target / PREDICTIONS
        write_predictions_csv(csv, estimate.tracks, seen, frames.units)
        pictures = partial(predicted_pictures, target, frames, estimate, seen, film)
        about = described(frames, estimate, loaded, wanted)
        for path in (csv, *_written(target, frames, estimate, observed, about, formats, pictures)):
            report.wrote(path)
    return _returned(estimate, frames, rendered)


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
    path = apart(source, out, ("tracks.csv",), report) / "tracks.csv"
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


def _ready(formats: Iterable[str], film: bool) -> None:
    """Refuse formats and films whose extras are missing, before anything is computed."""
    if film:
        writer()
    for name in formats:
        FORMATS[name].ready()


def _written(
    target: Path,
    frames: Opened,
    estimate: Estimate,
    tracks: Tracks,
    about: dict[str, Any],
    formats: Iterable[str],
    pictures: Callable[[], Iterable[Path]],
) -> list[Path]:
    """Write the tracks of observed frames, what is told about them, further formats, and at last the pictures."""

    def more() -> Iterator[Path]:
        yield from write_formats(target, tracks, formats, frames.frame_size, frames.units)
        yield from pictures()

    return write_results(target, tracks, frames.frame_size, frames.units, estimate.appearance, about, more)


def _results(source: object, out: File, film: bool, report: Reporter, *more: str) -> Path:
    """The folder of a tracking's results, of which all can be written, before anything is computed."""
    files = (*FILES, OVERLAY, *((FILM,) if film else ()), *more)
    return apart(source, out, files, report, (MOT,))


def _wanted(frames: Opened, rendered: bool | None) -> bool:
    return frames.in_memory if rendered is None else rendered


def _returned(estimate: Estimate, frames: Opened, rendered: bool | None) -> Estimate:
    """An estimate without rendered frames, unless they are wanted."""
    return estimate if _wanted(frames, rendered) else estimate._replace(frames=estimate.frames[:0])
