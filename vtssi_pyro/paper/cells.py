"""The cells of the paper's Table 1: each a trained run judged on held-out sequences, in a file of its own.

By the paper's rule the first K observed frames decide the objects, whose positions are then inferred in all frames.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch

from vtssi_pyro.artifacts.loading import load
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.data.dataset import Dataset
from vtssi_pyro.evaluation.judge import judge
from vtssi_pyro.evaluation.metrics import Share
from vtssi_pyro.inference.model_tracker import ModelTracker
from vtssi_pyro.model.config import TestTime
from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.paper.published import ALL, FLAVOURS, WITHOUT_MOTION
from vtssi_pyro.paper.recorded import Cell, Counted, Long, only, read
from vtssi_pyro.system.atomic import write_json
from vtssi_pyro.system.files import regular
from vtssi_pyro.system.plain import parsed
from vtssi_pyro.system.provenance import provenance

# Procedures at test time, under which a cell was judged.
PAPERS = "the paper's"
OWN = "our own"
HORIZON = 100  # frames that the long predictions reach beyond the observed ones
# Largest number predicted that far: each has five times the frames of a sequence of the table.
LONG_SEQUENCES = 1000


class Key(NamedTuple):
    """The name of a cell."""

    variant: str  # of MODELS
    flavour: str  # on which it is judged
    seed: int
    learned: str = ""  # the flavour that the training is of, where that is another

    @classmethod
    def of(cls, cell: dict[str, Any]) -> Self:
        """The key of a cell's content."""
        return cls(cell["variant"], cell["flavour"], cell["seed"], cell.get("learned", ""))

    @classmethod
    def judged(cls, variant: str, flavour: str, seed: int) -> list[Self]:
        """The cells of a training; one of all flavours is judged on each."""
        if flavour != ALL:
            return [cls(variant, flavour, seed)]
        return [cls(variant, each, seed, flavour) for each in FLAVOURS]

    @property
    def trained(self) -> Self:
        """The training of the judged weights; those without motion are those of the whole model."""
        variant = WITHOUT_MOTION.get(self.variant, self.variant)
        return type(self)(variant, self.learned or self.flavour, self.seed)

    @property
    def training(self) -> str:
        """Name of the training, as ``reproduce`` takes it."""
        return f"{self.variant}-{self.learned or self.flavour}-{self.seed}"

    @property
    def name(self) -> str:
        """Name of the cell's run and file."""
        return f"{self.training}-on-{self.flavour}" if self.learned else self.training


class HeldOut(NamedTuple):
    """The data sets that a cell is judged on, of digits outside every training."""

    test: Dataset
    long: Dataset  # the same kind of sequences, long enough to predict HORIZON frames


def tracker_of(run: Run, variant: str, device: torch.device) -> Tracker:
    """Load the tracker of a finished run, without its motion if the variant leaves that out."""
    tracker = load(run.folder, device=device)
    if variant in WITHOUT_MOTION:
        tracker.motion = tracker.walk()
    return tracker


def measure(
    key: Key,
    run: Run,
    data: HeldOut,
    device: torch.device,
    origin: list[dict[str, Any]],
    asked: TestTime | None = None,
) -> dict[str, Any]:
    """Judge a run.

    Args:
        key: the cell.
        run: its finished run.
        data: held-out data sets.
        device: the device to judge on.
        origin: the provenance of every start of the training.
        asked: the procedure at test time; None: the tracker's own.

    Returns:
        the content of the cell's file: its name; ``metrics`` on the test sequences; the count from ``all_frames`` (None
        if no more frames than the observed ones decide it); metrics of a tracker's ``bare`` blocks, without its own
        procedure (None if that does no more); ``long`` predictions (None for a variant without motion); the ``command``
        that reproduces it, minutes, provenance.
    """
    config, since = run.config, time.monotonic()
    tracker, observe = tracker_of(run, key.variant, device), config.observe
    judged, unlimited = ModelTracker(tracker, asked, observe), ModelTracker(tracker, asked)
    metrics = judge(judged, data.test, observe).as_dict()
    bare = long = counted = None
    if unlimited.count_frames(data.test.length) > judged.count_frames(data.test.length):
        found = judge(unlimited, data.test, data.test.length).as_dict()
        counted = only(Counted, found)
    if asked is None and tracker.test_time != TestTime():
        found = judge(ModelTracker(tracker, TestTime(), observe), data.test, observe).as_dict()
        bare = only(Share, found)
    if tracker.motion.predicts:
        found = judge(judged, data.long, observe).as_dict()
        long = only(Long, found)
    minutes = (time.monotonic() - since) / 60
    trained = run.read_summary()
    return {
        **key._asdict(),
        "preset": config.preset,
        "digits": config.data.digits,
        "sequences": len(data.test),
        "observe": observe,
        "procedure": OWN if asked is None else PAPERS,
        "metrics": metrics,
        "all_frames": counted,
        "bare": bare,
        "long": long,
        "command": command([key], config.preset, len(data.test), config.data.digits),
        "training": {
            "minutes": trained["minutes"],
            "steps": trained["steps"],
            "starts": origin,
            "start": start_of(run),
        },
        "evaluation": {"minutes": round(minutes, 2), **provenance(device)},
    }


def starts(run: Run) -> list[dict[str, Any]]:
    """Read code and machine of every recorded start of a training."""
    path, found = run.folder / "starts.jsonl", []
    for line in regular(path).read_text().splitlines() if path.exists() else []:
        with suppress(ValueError):  # half a line, left by a kill
            found.append(parsed(line))
    return found


def start_of(run: Run) -> dict[str, Any] | None:
    """The training that a run starts from, if it is at hand, as :class:`~vtssi_pyro.paper.recorded.Start` has it."""
    start = run.config.start
    if start is None or not (Path(start) / "config.json").exists():
        return None
    before = Run(start)
    return {
        "name": Path(start).name,
        "minutes": before.minutes,
        "steps": before.load()["step"],
        "gpu": next((each["hardware"]["gpu"] for each in starts(before)), None),
        "start": start_of(before),
    }


def chain(training: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A recorded training, and those that it starts from, the last first."""
    each: Mapping[str, Any] | None = training
    while each:
        yield each
        each = each.get("start")


def command(keys: Sequence[Key], preset: str, sequences: int | None = None, digits: str | None = None) -> str:
    """Return the command that reproduces cells; folders and threads are the reader's choice."""
    items = " ".join(dict.fromkeys(key.training for key in keys))
    more = f" --sequences {sequences} --digits {digits}" if sequences else ""
    return f"vtssi-pyro reproduce {items} --preset {preset}{more}"


class Cells:
    """The finished cells of a preset, in the folder ``cells/PRESET``."""

    def __init__(self, folder: Path, preset: str) -> None:
        self.folder = folder / "cells" / preset

    def path(self, key: Key) -> Path:
        """Return the file of a cell."""
        return self.folder / f"{key.name}.json"

    def read(self, key: Key) -> dict[str, Any] | None:
        """Read a cell; None if it is not finished.

        Raises:
            DataError: the file is damaged, or no cell.
        """
        path = self.path(key)
        return read(path, Cell) if path.exists() else None

    def write(self, key: Key, cell: dict[str, Any]) -> None:
        """Add a cell or replace it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.path(key), cell)


def all_cells(folder: Path) -> list[dict[str, Any]]:
    """Read every finished cell of all presets, in order of preset and name."""
    return [read(path, Cell) for path in sorted((folder / "cells").glob("*/*.json"))]
