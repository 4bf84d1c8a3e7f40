"""The work behind the widget, without Qt: a layer as a movie, inspection, first tracks, training, tracks, forecasts."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import torch

from vtssi_pyro import api
from vtssi_pyro.artifacts.loading import UNTRAINED, Fitted
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.data.dataset import Dataset
from vtssi_pyro.errors import DataError
from vtssi_pyro.inference.estimate import Estimate
from vtssi_pyro.movies import Hints, Movie, Stored, array_movie
from vtssi_pyro.movies.prepared import PreparedMovie
from vtssi_pyro.napari.layers import Shown, units_of
from vtssi_pyro.plots.player import FUTURES
from vtssi_pyro.system.memory import refuse_beyond_memory
from vtssi_pyro.tracks.tracks import Tracks, concatenated
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.reporting import Silent

PART = 64  # frames whose peaks are searched at a time: small enough for memory, and full batches


class Relay(Silent):
    """A reporter that passes messages and progress on, and stops a training when asked.

    Args:
        tell: receives messages for people.
        progress: receives the step and the number of steps of a training.
    """

    def __init__(
        self,
        tell: Callable[[str], object] = lambda message: None,
        progress: Callable[[int, int], object] = lambda step, steps: None,
    ) -> None:
        self._tell, self._progress, self._steps, self._stop = tell, progress, 0, Event()

    def stop(self) -> None:
        """Ask a training to stop after its present step; any thread may call this."""
        self._stop.set()

    def stopping(self) -> bool:
        """Whether that was asked."""
        return self._stop.is_set()

    def say(self, message: str) -> None:
        """Pass a message on."""
        self._tell(message)

    def warn(self, message: str) -> None:
        """Pass a warning on."""
        self._tell(f"warning: {message}")

    @contextmanager
    def watched(self, dataset: Dataset, doing: str, times: int = 1) -> Iterator[Dataset]:
        """Tell of the work on a data set."""
        self._tell(f"{doing} ...")
        yield dataset

    def begin(self, config: Config, step: int) -> None:
        """Tell where a training begins."""
        self._steps = config.train.steps
        self._progress(step, self._steps)

    def advance(self, step: int, stage: str) -> None:
        """Tell of a step."""
        self._progress(step, self._steps)


@dataclass(frozen=True)
class Clip:
    """The movie of an image layer.

    Args:
        name: the layer's name.
        frames: (T, H, W), or (T, H, W, C) in colour.
        stored: what the layer tells of its pixels.
        place: ``scale``, ``translate`` and ``units`` of the layer, for layers of its tracks.
        source: the layer's own array, which tells its movie from others, whatever their layers are called.
    """

    name: str
    frames: np.ndarray
    stored: Stored
    place: Mapping[str, Any]
    source: Any = None

    @classmethod
    def of(cls, name: str, data: Any, rgb: bool, place: Mapping[str, Any]) -> "Clip":
        """Take the frames of a layer into memory.

        Args:
            name: its name.
            data: its array, which may be lazy.
            rgb: whether its last axis holds colours.
            place: its ``scale``, ``translate`` and ``units``.

        Raises:
            DataError: its axes are not those of one movie.
            OutOfResources: it takes more memory than is free.
        """
        ndim = len(data.shape) - rgb
        if ndim != 3:
            raise DataError(
                f"{name}: has {ndim} axes, expected three, times, rows and columns: choose one channel and one depth, "
                "for example by Layer > Split Stack"
            )
        if not isinstance(data, np.ndarray):
            size = float(np.prod(data.shape)) * np.dtype(data.dtype).itemsize
            refuse_beyond_memory(
                size, f"{name}, read whole,", "crop it, or track its file from the command line"
            )
        units = units_of(place)
        return cls(name, np.asarray(data), Stored(pixel_size=units.pixel_size, unit=units.unit), place, data)

    @property
    def movie(self) -> Movie:
        """The same as a movie, which bears the layer's name in messages."""
        return array_movie(self.name, self.frames, self.stored)

    @property
    def frame_size(self) -> tuple[int, int]:
        """(H, W), px."""
        return self.frames.shape[1], self.frames.shape[2]

    def shown(self, tracks: Tracks, what: str, observed: int | None = None) -> Shown:
        """Tracks of this movie, as they are shown; ``what`` follows the movie's name."""
        units = self.stored.units
        return Shown(tracks.cpu(), f"{self.name} {what}", units, self.frame_size, observed, self.place)


def inspect(clip: Clip, hints: Hints, report: Relay) -> tuple[PreparedMovie, Shown]:
    """Inspect a movie; returns it prepared, and boxes around all that stands out in its frames, without identities."""
    prepared = api.inspect(clip.movie, hints, report=report)
    times = range(len(prepared.frames))
    parts = [prepared.standing_out(times[first : first + PART]) for first in times[::PART]]
    return prepared, clip.shown(prepared.to_source(concatenated(parts, 1)), "found")


def track_untrained(clip: Clip, hints: Hints, report: Relay) -> Shown:
    """Track a movie by its inspection alone, in seconds."""
    found = api.track(UNTRAINED, clip.movie, hints=hints, rendered=False, report=report)
    return clip.shown(found.tracks, "first tracks")


def fit(
    clip: Clip, hints: Hints, report: Relay, *, runs: Path, preset: str = "quick", changes: Iterable[str] = ()
) -> Fitted:
    """Train a tracker on a movie, in a new folder within ``runs``.

    Args:
        clip: the movie.
        hints: known properties of it.
        report: receives messages and progress, and may stop the training.
        runs: the folder of runs.
        preset: the recipe.
        changes: changes to single keys of the configuration, such as ``"train.budget=0.1"``.

    Raises:
        Interrupted: the report stopped it, after it was saved.
    """
    return api.fit(clip.movie, preset=preset, hints=hints, runs=runs, changes=changes, report=report)


def resume(run: Path, clip: Clip, report: Relay) -> Fitted:
    """Continue a training that was stopped, on the same movie."""
    return api.resume(run, clip.movie, report=report)


def track(tracker: str, clip: Clip, report: Relay, prepared: PreparedMovie | None = None) -> Shown:
    """Track a movie.

    Args:
        tracker: a run's folder, or the name of weights that ship.
        clip: the movie.
        report: receives messages.
        prepared: the movie with a preparation of its own; None: that of the tracker's training movie.
    """
    source, stored = _source(clip, prepared)
    found = api.track(tracker, source, stored=stored, rendered=False, report=report)
    return clip.shown(found.tracks, "tracked")


def forecast(
    tracker: str,
    clip: Clip,
    report: Relay,
    prepared: PreparedMovie | None = None,
    *,
    observe: int | None = None,
    horizon: int = 30,
    futures: int = FUTURES,
) -> list[Shown]:
    """Predict a movie's frames after the observed ones.

    Args:
        tracker: see :func:`track`, also for the three arguments that follow.
        clip: the movie.
        report: receives messages.
        prepared: the movie with a preparation of its own.
        observe: number of observed frames; None: all.
        horizon: number of frames to predict.
        futures: number of sampled futures.

    Returns:
        the expected paths and, if any, the sampled futures of all objects, a path each.
    """
    source, stored = _source(clip, prepared)
    found = api.forecast(
        tracker, source, horizon, futures, observe=observe, stored=stored, rendered=False, report=report
    )
    seen = found.tracks.present.shape[1] - horizon
    expected = clip.shown(found.tracks._replace(samples=None), "predicted", seen)
    return (
        [expected]
        if found.tracks.samples is None
        else [expected, clip.shown(sampled(found, seen), "futures", 0)]
    )


def sampled(found: Estimate, seen: int) -> Tracks:
    """The sampled futures as tracks (1, T, S N, 2), each from the last observed frame on; one more slot a path.

    Slot ``s N + n`` is the future s of object n.
    """
    tracks, samples = found.tracks, found.tracks.samples
    assert samples is not None
    S, _, T, N, _ = samples.shape
    paths = samples[:, 0].movedim(0, 1)  # (T, S, N, 2)
    present = (
        tracks.present[0][:, None] & paths.isfinite().all(-1) & (torch.arange(T) >= seen - 1)[:, None, None]
    )
    position = paths.where(present[..., None], torch.nan)
    return Tracks(position.reshape(1, T, S * N, 2), present.reshape(1, T, S * N))


def runs_in(folder: Path) -> list[str]:
    """The runs with weights in a folder, the newest first."""
    found = [Run(path.parent) for path in folder.glob("*/config.json")]
    found = [run for run in found if run.checkpoint().exists()]
    found.sort(key=lambda run: run.checkpoint().stat().st_mtime, reverse=True)
    return [str(run.folder) for run in found]


def _source(clip: Clip, prepared: PreparedMovie | None) -> tuple[Any, Stored]:
    return (clip.frames, clip.stored) if prepared is None else (prepared, Stored())
