"""The pictures of a run and of a tracking: curves, film strips, animations, futures."""

from pathlib import Path

import torch
from torch import Tensor

from vtssi_pyro.artifacts.opening import Bare, Opened, worth_showing
from vtssi_pyro.artifacts.recorded import told_units
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.data import Dataset
from vtssi_pyro.inference.filter import Estimate, forecast, track
from vtssi_pyro.inference.standalone import SomeTracker, build
from vtssi_pyro.plots import (
    Panel,
    error_curves,
    film_of,
    film_strip,
    futures,
    learning_curves,
    overlay_film,
    overlay_gif,
)
from vtssi_pyro.system.atomic import write_json
from vtssi_pyro.tracks.matching import in_order
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.movies import at_first

BEFORE = "first_tracks.png"  # of a movie
PLAYED = "held_out.json"  # what the page of a run plays
OVERLAY, FILM, FUTURES = "overlay.gif", "overlay.mp4", "futures.png"  # files of a tracking
LOOKED_AT = 32  # sequences among which the shown ones are chosen: some sequences of digits hold no object
ANIMATED, STRIPS = 3, 2  # sequences in the animation and in the film strip, as many as fit a screen
FUTURES_DRAWN = 20  # sampled futures that are played: as many as can be told apart
FANS = 8  # sequences in the picture of futures, as many as fit a page


def curves(run: Run, folder: Path | None = None) -> list[Path]:
    """Draw the learning curves, and the errors by frame once there is a summary; returns the files.

    Args:
        run: the run.
        folder: the folder to write to; None: the run's own.
    """
    folder = folder or run.figures
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "learning_curves.png"]
    summary = run.read_summary()
    metrics, units = summary.get("metrics"), told_units(summary)
    learning_curves(paths[0], run.records(), units)
    if metrics:
        config = run.config
        paths.append(folder / "error_curves.png")
        error_curves(paths[1], metrics, config.observe, config.data.length, units)
    return paths


def pictures(run: Run, config: Config, tracker: SomeTracker, test: Dataset) -> list[Path]:
    """Draw held-out sequences, their reconstructions, tracks and predictions; returns the files."""
    device = next(tracker.parameters()).device
    frames = test.frames(slice(0, LOOKED_AT)).to(device)
    chosen = worth_showing(track(tracker, frames).tracks, ANIMATED)
    panels = panels_of(tracker, frames[chosen], config.observe, "truth" if test.truth else "frames")
    rows = [
        (panel.title, panel.frames[s], panel.tracks.part(slice(s, s + 1)) if panel.tracks else None)
        for s in range(min(STRIPS, len(chosen)))
        for panel in panels
    ]
    paths = [run.figures / name for name in ("film_strip.png", "held_out.gif", PLAYED)]
    first = at_first(config.model, test.length) if config.data.movie else None
    if first is not None:
        paths.append(run.figures / BEFORE)
        _before_and_after(paths[-1], build(first).to(device), frames[chosen[:1]], _tracked(panels).part([0]))
    film_strip(paths[0], rows, panels[-1].observed)
    overlay_gif(paths[1], panels)
    write_json(paths[2], film_of(_sampled(tracker, frames[chosen], panels)).as_dict(), indent=None)
    return paths


def _before_and_after(path: Path, first: SomeTracker, frames: Tensor, after: Tracks) -> None:
    """Draw the tracks of one sequence before any training, and below them those after it."""
    before = track(first, frames).tracks
    if (
        before.position.shape == after.position.shape
    ):  # else some objects have come or gone in one of them alone
        before = in_order(before, after, frames.shape[1])
    film_strip(path, [("untrained", frames[0], before), ("trained", frames[0], after)])


def _sampled(tracker: SomeTracker, frames: Tensor, panels: list[Panel]) -> list[Panel]:
    """The same panels with sampled predictions, whose scales are those of the futures, not of single steps."""
    *rest, last = panels
    if last.observed is None:
        return panels
    drawn = forecast(tracker, frames[:, : last.observed], frames.shape[1] - last.observed, FUTURES_DRAWN)
    return [*rest, last._replace(tracks=in_order(drawn.tracks, _tracked(panels), last.observed))]


def _tracked(panels: list[Panel]) -> Tracks:
    """The tracks in all frames, which the first panel that has any shows."""
    return next(panel.tracks for panel in panels if panel.tracks)


def tracked_pictures(folder: Path, opened: Opened, found: Estimate, film: bool) -> list[Path]:
    """Draw some sequences, or a movie, with their tracks; returns the files.

    Args:
        folder: the folder to write to.
        opened: the frames.
        found: their estimate, in pixels of the stored frames.
        film: whether to write the animation as an MP4, too.
    """
    seen, drawn = opened.shown(found.tracks, opened.data.length)
    panels = [Panel("frames", seen, names=_names(opened, found)), Panel("tracked", seen, drawn)]
    if opened.movie is None:
        panels.append(Panel("reconstruction", _rendered(found)))
    return _animation(folder, panels, film)


def overlaid_pictures(folder: Path, seen: Bare, tracks: Tracks, film: bool) -> list[Path]:
    """Draw the tracks of any program on their frames; returns the files.

    Args:
        folder: the folder to write to.
        seen: the frames.
        tracks: (S, T, N, 2), px.
        film: whether to write the animation as an MP4, too.
    """
    frames, drawn, names = seen.shown(tracks)
    return _animation(folder, [Panel("frames", frames, names=names), Panel("tracked", frames, drawn)], film)


def predicted_pictures(folder: Path, opened: Opened, estimate: Estimate, seen: int, film: bool) -> list[Path]:
    """Draw observed and predicted frames with their tracks, and sampled futures if any; returns the files.

    Args:
        folder: the folder to write to.
        opened: the frames.
        estimate: their estimate, in pixels of the stored frames.
        seen: number of observed frames.
        film: whether to write the animation as an MP4, too.
    """
    tracks = estimate.tracks
    first = opened.lead(seen)
    movie, drawn = opened.shown(tracks, tracks.present.shape[1], first)
    expected = movie if opened.movie else _rendered(estimate)
    panels = [
        Panel("frames", movie, first=first, names=_names(opened, estimate)),
        Panel("predicted", expected, drawn, seen - first, first),
    ]
    paths = _animation(folder, panels, film)
    if tracks.samples is not None:
        paths.append(folder / FUTURES)
        if opened.movie:
            last, fans, names = movie[:, seen - first - 1], drawn, [Path(opened.movie.name).name]
        else:
            chosen = worth_showing(tracks, FANS)
            last = opened.data.frames(torch.tensor(chosen), length=1, start=seen - 1)[:, 0]
            fans, names = tracks.part(chosen), _named(chosen)
        futures(paths[-1], last, fans, seen - first, names=names)
    return paths


def _animation(folder: Path, panels: list[Panel], film: bool) -> list[Path]:
    paths = [folder / OVERLAY]
    overlay_gif(paths[0], panels)
    if film:
        paths.append(folder / FILM)
        overlay_film(paths[-1], panels)
    return paths


def panels_of(tracker: SomeTracker, frames: Tensor, observe: int, title: str = "truth") -> list[Panel]:
    """Make panels of frames, reconstruction, tracks and, if the tracker predicts, the prediction."""
    seen = track(tracker, frames)
    panels = [
        Panel(title, frames),
        Panel("reconstruction", seen.frames),
        Panel("tracked", frames, seen.tracks),
    ]
    if tracker.predicts and observe < frames.shape[1]:
        expected: Estimate = forecast(tracker, frames[:, :observe], frames.shape[1] - observe)
        film = torch.cat([frames[:, :observe], expected.frames[:, observe:]], 1)
        panels.append(Panel("predicted", film, in_order(expected.tracks, seen.tracks, observe), observe))
    return panels


def _rendered(estimate: Estimate) -> Tensor:
    """The rendered frames of the sequences worth showing; those of others may not have been kept."""
    chosen = worth_showing(estimate.tracks)
    return estimate.frames if len(estimate.frames) == len(chosen) else estimate.frames[chosen]


def _names(opened: Opened, found: Estimate) -> list[str] | None:
    """The names of the sequences that are shown, with the usual novelty of their frames where it is above 1."""
    chosen = [0] if opened.movie else worth_showing(found.tracks)
    names = [""] if opened.movie else _named(chosen)
    if found.novelty is not None:
        usual = found.novelty[chosen].median(1).values.tolist()
        said = [f"novelty {value:.2g}" if value > 1 else "" for value in usual]
        names = [f"{name}  {novelty}".strip() for name, novelty in zip(names, said, strict=True)]
    return names if any(names) else None


def _named(sequences: list[int]) -> list[str]:
    return [f"sequence {sequence + 1}" for sequence in sequences]
