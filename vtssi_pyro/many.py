"""Many movies, each by itself: tracked or predicted with one tracker, or learned from by a tracker of its own.

One that fails stops no other, what is finished is not done again, and Dask may share them among processes and machines.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple

from vtssi_pyro.api import HORIZON, fit, forecast, resume, track
from vtssi_pyro.artifacts.loading import UNTRAINED, AnyTracker, Fitted, at_hand
from vtssi_pyro.artifacts.logs import LogName
from vtssi_pyro.artifacts.opening import File
from vtssi_pyro.artifacts.requests import answered, said
from vtssi_pyro.artifacts.run import RUNS, Run
from vtssi_pyro.artifacts.sources import parts_of_others, refuse_other_files
from vtssi_pyro.artifacts.trained import Trained
from vtssi_pyro.config import Range, checked
from vtssi_pyro.config.ranges import AHEAD, DRAWN, FRAMES, OBJECTS, SAMPLED
from vtssi_pyro.errors import Argument, DataError, UsageError
from vtssi_pyro.model.config import TestTime
from vtssi_pyro.movies import Hints, Stored, movies_matched
from vtssi_pyro.system.atomic import writable_folder
from vtssi_pyro.system.files import is_name
from vtssi_pyro.system.machine import MOST_THREADS, available_device
from vtssi_pyro.system.naming import result_names
from vtssi_pyro.tracks.export import PREDICTIONS, TRACKS, write_summary_csv
from vtssi_pyro.tracks.formats import FORMAT_NAMES, FORMATS
from vtssi_pyro.tracks.results import read_results
from vtssi_pyro.tracks.summary import summary_table
from vtssi_pyro.train.jobs import Job, Outcome, Processes, Workers
from vtssi_pyro.train.reporting import Forwarding, Reporter, Silent

REMEMBERING = 5  # the first format all of whose runs know what was said of their movies
TABLE = "summary.csv"  # one row a track, of all movies

Movies = File | Iterable[File]
Threads = Annotated[int | None, Range(1, MOST_THREADS)]


class Many(NamedTuple):
    """The outcomes of many movies, in their order, and the table of their tracks."""

    outcomes: list[Outcome]  # the value is the folder of the results, or the run; else there is an error
    table: Path | None = None
    frames: Mapping[str, int] = MappingProxyType({})  # of each tracked movie, by the outcome's name

    @property
    def failed(self) -> list[Outcome]:
        """Those that have an error."""
        return [outcome for outcome in self.outcomes if outcome.error is not None]


@checked
def track_all(
    tracker: AnyTracker | None,
    data: Movies,
    out: File,
    *,
    settle: Annotated[int | None, FRAMES] = None,
    test_time: TestTime | None = None,
    hints: Hints = Hints(),
    stored: Stored = Stored(),
    device: str = "auto",
    checkpoint: str = "last",
    formats: Annotated[Iterable[str], FORMAT_NAMES] = (),
    film: bool = False,
    workers: Processes = None,
    scheduler: str | None = None,
    threads: Threads = None,
    report: Reporter | None = None,
) -> Many:
    """Track many movies; ``track_all(run, "movies/*.tif", "tracks")`` is ``vtssi-pyro track RUN 'movies/*.tif'``.

    Each movie is tracked as by :func:`track`, into a folder of its name. One that cannot be tracked stops no other. A
    movie is not tracked again if its folder holds the results of the same frames, weights and options; results of a
    tracker in memory, which may have been changed, are always made anew: name its run to go on.

    Args:
        tracker: see :func:`track`, also for the arguments that are not described here.
        data: files and folders, or patterns such as ``"movies/*.tif"``.
        out: folder for the movies' folders and ``summary.csv``, which has one row a track, of all movies.
        settle: number of first frames that decide the objects.
        test_time: the procedure at test time.
        hints: known properties of the movies, for ``"untrained"`` alone.
        stored: how the frames are stored.
        device: the device of a loaded tracker.
        checkpoint: the checkpoint of a run.
        formats: further formats of the tracks.
        film: whether to write ``overlay.mp4``, too.
        workers: number of processes of this machine that share the movies, by Dask; None: this process does them all.
            A script that calls this needs ``if __name__ == "__main__":`` around the call.
        scheduler: address of the scheduler of a running Dask cluster, in place of ``workers``.
        threads: CPU threads of each worker; None: 1.
        report: receives messages, movie by movie.

    Returns:
        the outcomes, movie by movie, whose value is the folder of the results, and the table's path.

    Raises:
        UsageError: two movies have the same name.
        CheckpointError: there is no such tracker.
        DataError: a pattern matches nothing.

    Example:
        >>> from vtssi_pyro import sample_movie, track_all
        >>> movies = [sample_movie("beads", f"{day}.npz") for day in ("monday", "tuesday")]
        >>> track_all("untrained", movies, "tracked").failed
        []
    """
    report = report or Silent()
    movies = _movies(data, report)
    options = {
        "settle": settle, "test_time": test_time, "hints": hints, "stored": stored, "formats": tuple(formats),
        "film": film,
    }  # fmt: skip
    asked = _asked(tracker, options, device, checkpoint, report)
    works = _works(partial(_tracked, asked), movies, out)
    done = _done(movies, works, Workers(workers, scheduler, threads), report)
    tables = {o.value.folder.name: o.value.tracks for o in done if o.error is None}
    table = Path(out) / TABLE
    write_summary_csv(table, tables)
    report.wrote(table)
    frames = {o.name: o.value.frames for o in done if o.error is None}
    return Many([o if o.error else o._replace(value=o.value.folder) for o in done], table, frames)


@checked
def forecast_all(
    tracker: AnyTracker | None,
    data: Movies,
    out: File,
    horizon: Annotated[int, AHEAD] = HORIZON,
    num_samples: Annotated[int, DRAWN] = SAMPLED,
    *,
    observe: Annotated[int | None, FRAMES] = None,
    stored: Stored = Stored(),
    device: str = "auto",
    checkpoint: str = "last",
    formats: Annotated[Iterable[str], FORMAT_NAMES] = (),
    film: bool = False,
    workers: Processes = None,
    scheduler: str | None = None,
    threads: Threads = None,
    report: Reporter | None = None,
) -> Many:
    """Predict many movies; ``forecast_all(run, "movies/*.tif", "ahead")`` is ``vtssi-pyro predict RUN 'movies/*.tif'``.

    Each movie is predicted as by :func:`forecast`, into a folder of its name. One that cannot be predicted stops no
    other, and what is done is not done again, as with :func:`track_all`.

    Args:
        tracker: see :func:`forecast`, also for the arguments that are not described here.
        data: files and folders, or patterns such as ``"movies/*.tif"``.
        out: folder for the movies' folders.
        horizon: number of frames to predict.
        num_samples: number of sampled futures.
        observe: number of observed frames.
        stored: how the frames are stored.
        device: the device of a loaded tracker.
        checkpoint: the checkpoint of a run.
        formats: further formats of the tracks of the observed frames.
        film: whether to write ``overlay.mp4``, too.
        workers: see :func:`track_all`, also for the arguments that follow.
        scheduler: address of the scheduler of a running Dask cluster.
        threads: CPU threads of each worker.
        report: receives messages.

    Returns:
        the outcomes, movie by movie, whose value is the folder of the results.

    Raises:
        UsageError: two movies have the same name.
        CheckpointError: there is no such tracker.
        DataError: a pattern matches nothing.

    Example:
        >>> from vtssi_pyro import forecast_all
        >>> forecast_all("runs/ours-beads-0001", "movies/*.tif", "ahead").failed  # doctest: +SKIP
        []
    """
    report = report or Silent()
    movies = _movies(data, report)
    options = {
        "horizon": horizon, "num_samples": num_samples, "observe": observe, "seed": 0, "stored": stored,
        "formats": tuple(formats), "film": film,
    }  # fmt: skip
    asked = _asked(tracker, options, device, checkpoint, report, ahead=True)
    works = _works(partial(_predicted, asked), movies, out)
    return Many(_done(movies, works, Workers(workers, scheduler, threads), report))


@checked
def fit_each(
    data: Movies,
    runs: File = RUNS,
    *,
    tracker: str | None = None,
    start: Fitted | Trained | File | None = None,
    preset: str | None = None,
    objects: Annotated[int | None, OBJECTS] = None,
    hints: Hints = Hints(),
    stored: Stored = Stored(),
    config: File | None = None,
    changes: Iterable[str] = (),
    log: LogName = None,
    device: str = "auto",
    workers: Processes = None,
    scheduler: str | None = None,
    threads: Threads = None,
    report: Reporter | None = None,
) -> Many:
    """Train a tracker of its own on each of many movies; ``vtssi-pyro fit 'movies/*.tif' --each`` is the same.

    The run of a movie is a folder of its name. One that cannot be learned from stops no other. A finished run is not
    made again, and an interrupted one goes on, if it was made with the same options; others are refused.

    Args:
        data: files and folders, or patterns such as ``"movies/*.tif"``.
        runs: folder for the runs.
        tracker: see :func:`fit`, also for the arguments that are not described here.
        start: a trained tracker, from which blocks take their weights.
        preset: the recipe.
        objects: largest number of objects.
        hints: known properties of the movies.
        stored: how the frames are stored.
        config: a file with keys of the configuration.
        changes: changes to single keys of the configuration.
        log: a further log of each run.
        device: the device to train on.
        workers: see :func:`track_all`, also for the arguments that follow.
        scheduler: address of the scheduler of a running Dask cluster.
        threads: CPU threads of each worker.
        report: receives messages.

    Returns:
        the outcomes, movie by movie, whose value is the run.

    Raises:
        UsageError: two movies have the same name.
        DataError: a pattern matches nothing.

    Example:
        >>> from vtssi_pyro import fit_each
        >>> fit_each("movies/*.tif", objects=5).failed  # doctest: +SKIP
        []
    """
    report = report or Silent()
    movies = _movies(data, report)
    begun = start.run if isinstance(start, Fitted) else start
    start = begun.name if isinstance(begun, Trained) else begun
    options = {
        "tracker": tracker, "start": start, "preset": preset, "objects": objects, "config": config,
        "changes": tuple(changes), "device": device, "log": log,
    }  # fmt: skip
    works = _works(partial(_fitted, options, hints, stored), movies, runs, "runs")
    return Many(_done(movies, works, Workers(workers, scheduler, threads), report))


class _Tracked(NamedTuple):
    folder: Path
    tracks: dict[str, list[Any]]  # the columns of the table of tracks
    frames: int = 0  # of the movie


class _Asked(NamedTuple):
    """What is asked of each movie alike."""

    tracker: AnyTracker | None
    identity: str | None  # of the tracker; None: it is made of each movie, or in memory
    options: dict[str, Any]
    where: dict[str, Any]  # that results do not depend on
    again: bool = True  # whether its results can be known again

    def answered(self, folder: Path, movie: str) -> bool:
        """Whether a folder holds the results of a movie."""
        return self.again and answered(folder, movie, self.identity, **self.options)


def _asked(
    tracker: AnyTracker | None, options: dict[str, Any], device: str, checkpoint: str, report: Reporter,
    ahead: bool = False,
) -> _Asked:  # fmt: skip
    """Look at tracker and formats before all movies: what is missing there is no movie's fault."""
    for name in options["formats"]:
        FORMATS[name].ready()
    where: dict[str, Any] = {"device": device, "checkpoint": checkpoint}
    if isinstance(tracker, str) and tracker == UNTRAINED and not ahead:
        return _Asked(tracker, None, options, where)
    loaded = at_hand(tracker, checkpoint, available_device(device), report)
    # a name where there is one, which another process can read; one that was trained just now, as it is in memory
    named = loaded.name if tracker is None or isinstance(tracker, Trained) else tracker
    own = loaded.identity_ahead if ahead else loaded.identity
    return _Asked(named, own, options, where, own is not None)


def _works(
    work: Callable[..., Any], movies: list[str], out: File, argument: str = "out"
) -> list[Callable[[Reporter], Any]]:
    """A work on each movie and its folder."""
    folders = [writable_folder(out, argument) / name for name in result_names(movies)]
    return [partial(work, movie, folder) for movie, folder in zip(movies, folders, strict=True)]


def _predicted(asked: _Asked, movie: str, folder: Path, report: Reporter) -> Path:
    """Predict a movie, unless that is done."""
    done = (folder / PREDICTIONS).is_file() and asked.answered(folder, movie)
    if done:
        report.say(f"{movie}: predicted already, in {folder}")
    else:
        forecast(asked.tracker, movie, out=folder, report=report, **asked.options, **asked.where)
    return folder


def _tracked(asked: _Asked, movie: str, folder: Path, report: Reporter) -> _Tracked:
    """Track a movie, unless that is done; its table is read from its files, so that it is the same in both cases."""
    if asked.answered(folder, movie):
        report.say(f"{movie}: tracked already, in {folder}")
    else:
        track(asked.tracker, movie, out=folder, report=report, **asked.options, **asked.where)
    results = read_results(folder / TRACKS)
    return _Tracked(folder, summary_table(results.tracks, results.units), results.observed)


def _fitted(
    options: dict[str, Any], hints: Hints, stored: Stored, movie: str, folder: Path, report: Reporter
) -> Run:
    """Train on a movie, go on with its training, or leave a finished run as it is.

    Raises:
        UsageError: the run that is there was made with other options.
    """
    run = Run(folder)
    if not (folder / "config.json").exists():
        fit(movie, run=folder, hints=hints, stored=stored, report=report, **options)
        return run
    known = run.sources.get("data") or {}
    refuse_other_files([movie], known)
    before = Stored.from_dict(known["stored"]) if "stored" in known else Stored()
    for key, what, then, now in (
        ("hints", "what is known of the movie", known.get("hints", {}), said(hints)),
        ("stored", "how its frames are stored", said(before), said(stored)),
    ):
        recorded = key in known or run.format >= REMEMBERING
        if recorded and then != now:
            raise UsageError(
                f"{folder}: was made with {_listed(then)} said of {what}, not {_listed(now)}: say the same, or "
                "choose another folder for the runs"
            )
    resume(run, movie, report=report, **options)
    return run


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "nothing"


def _movies(data: Movies, report: Reporter) -> list[str]:
    """The movies that paths and patterns stand for; a file that is a part of another's movie is told of and left out.

    Raises:
        UsageError: something among them is no path.
        DataError: there are none.
    """
    several = [data] if isinstance(data, str | os.PathLike) or not isinstance(data, Iterable) else list(data)
    for path in several:
        if not is_name(path) or not os.fspath(path):
            raise UsageError(Argument("data"), f": expected paths of movies, found a {type(path).__name__}")
    if not several:
        raise DataError("no movies: give paths, or a pattern such as 'movies/*.tif'")
    movies = movies_matched(several)
    parts = parts_of_others(movies)
    for part, whole in parts.items():
        report.say(f"{part}: is a part of the movie {whole}, and no other")
    return [movie for movie in movies if movie not in parts]


def _done(
    movies: list[str], works: Sequence[Callable[[Reporter], Any]], workers: Workers, report: Reporter
) -> list[Outcome]:
    """The outcomes of the works on movies, in the order of the movies."""
    jobs = [
        Job(movie, partial(_headed, movie, f"{number} of {len(movies)}, {movie}", work))
        for number, (movie, work) in enumerate(zip(movies, works, strict=True), start=1)
    ]
    return sorted(workers.do(jobs, report), key=lambda outcome: outcome.number)


def _headed(movie: str, heading: str, work: Callable[[Reporter], Any], report: Reporter) -> Any:
    """Do some work on a movie, and say before which it is; findings are told as those of this movie."""
    report.say(heading)
    return work(_Of(movie, report))


class _Of(Forwarding):
    """A reporter of one movie of many, whose findings it tells under the movie's name."""

    def __init__(self, movie: str, whole: Reporter) -> None:
        super().__init__(whole)
        self._movie = movie
        self._findings: dict[str, Any] = {}

    def found(self, what: Mapping[str, Any]) -> None:
        """Tell the findings so far."""
        self._findings |= what
        self.whole.found({self._movie: self._findings})
