"""A program of somebody who uses the package and leaves nothing untyped; test_types.py checks it, nobody runs it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vtssi_pyro import (
    Config,
    DiagNormal,
    Fitted,
    Hints,
    ModelConfig,
    Run,
    Silent,
    Stored,
    Stream,
    Tracker,
    Tracks,
    Units,
    __version__,
    build,
    calibrate,
    convert,
    evaluate,
    fit,
    forecast,
    generate,
    info,
    inspect,
    judge,
    load,
    load_digits,
    moving_digits,
    open_frames,
    overlay,
    page,
    read_tracks,
    resume,
    sample_movie,
    track,
    track_live,
    write_tracks,
)


class Told(Silent):
    """Hears what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


def first_tracks(movie: Path) -> Tracks:
    found = track("untrained", movie, hints=Hints(objects=4), stored=Stored(frame_rate=25), report=Told())
    position: Tensor = found.tracks.position
    return found.tracks if position.isfinite().any() else Tracks(position, found.tracks.present)


def learned(movie: Path, folder: Path) -> Fitted:
    begun = fit(movie, preset="quick", run=folder, changes=["train.budget=0.1"])
    run: Run = begun.run
    return resume(run)


def ahead(fitted: Fitted, frames: NDArray[np.uint8]) -> Tensor | None:
    return forecast(fitted, frames, 15, num_samples=50, observe=5).tracks.samples


def judged(name: str, data: Path) -> float:
    metrics: dict[str, object] = evaluate(name, data).metrics
    return (judge(load(name), data).count_accuracy or 0.0) + len(metrics)


def files(folder: Path) -> list[Path]:
    generate("linear", folder / "test.npz", sequences=2)
    movie: Path = sample_movie(out=folder / "beads.npz")
    write_tracks(first_tracks(movie), folder / "a.xml", units=Units(0.1, "um"))
    convert(folder / "a.xml", folder / "a.csv")
    drawn: list[Path] = overlay(read_tracks(folder / "a.csv"), movie, folder)
    return [*drawn, *page(folder / "run"), track_live("moving-mnist", folder, folder)]


def swapped() -> Tracker:
    tracker: Tracker = build("vtssi", ModelConfig())
    tracker.scene.size = DiagNormal([0.2, 0.2], 0.05)
    stream = Stream(tracker)
    stream.flush()
    return tracker


print(__version__, info()["versions"], calibrate("moving-mnist").after, Config().observe)
print(
    moving_digits("linear", load_digits("embedded", "test"), sequences=1).length, open_frames("a.npz").length
)
print(inspect("beads.npz").found)
