"""The cells of the paper's Table 1: each a trained run judged on held-out sequences, in a file of its own."""

import json
import time
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch

from vtssi_pyro.artifacts.loading import load
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.data.dataset import Dataset
from vtssi_pyro.errors import DataError
from vtssi_pyro.evaluation.judge import judge
from vtssi_pyro.evaluation.metrics import Share
from vtssi_pyro.inference.model_tracker import ModelTracker
from vtssi_pyro.model.config import PUBLISHED
from vtssi_pyro.model.program import Tracker
from vtssi_pyro.paper.published import ALL, FLAVOURS, WITHOUT_MOT
from vtssi_pyro.system.atomic import write_json
from vtssi_pyro.system.provenance import provenance
from vtssi_pyro.train.config import Config

HORIZON = 100  # frames that the long predictions reach beyond the observed ones
# Largest number predicted that far: each has five times the frames of a sequence of the table.
LONG_SEQUENCES = 1000
_PLAIN = tuple(field.name for field in fields(Share))
_LONG = (
    "sequences",
    "inference_error_by_frame",
    "prediction_error_by_frame",
    "predictions_outside",
    "predictions_outside_by_frame",
)


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
        """The training of the judged weights; those without MOT are those of the whole model."""
        variant = "vtssi" if self.variant == WITHOUT_MOT else self.variant
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
    """Load the tracker of a finished run, without MOT if the variant has none."""
    tracker = load(run.folder, device=device)
    if variant == WITHOUT_MOT:
        tracker.motion = tracker.walk()
    return tracker


def measure(
    key: Key, run: Run, data: HeldOut, device: torch.device, origin: list[dict[str, Any]]
) -> dict[str, Any]:
    """Judge a run.

    Args:
        key: the cell.
        run: its finished run.
        data: held-out data sets.
        device: the device to judge on.
        origin: the provenance of every start of the training.

    Returns:
        the content of the cell's file: its name, ``metrics`` on the test sequences, ``plain`` ones by the paper's own
        procedure, ``long`` predictions (None for a variant without motion), the ``command`` that reproduces it,
        minutes, provenance.
    """
    config, since = run.config, time.monotonic()
    tracker = tracker_of(run, key.variant, device)
    judged = ModelTracker(tracker)
    metrics = judge(judged, data.test, config.observe).as_dict()
    plain = metrics
    if tracker.test_time != PUBLISHED:
        plain = judge(ModelTracker(tracker, PUBLISHED), data.test, config.observe).as_dict()
    long = judge(judged, data.long, config.observe).as_dict() if tracker.motion.predicts else None
    minutes = (time.monotonic() - since) / 60
    trained = json.loads(run.summary.read_text())
    return {
        **key._asdict(),
        "preset": config.preset,
        "digits": config.data.digits,
        "sequences": len(data.test),
        "observe": config.observe,
        "metrics": metrics,
        "plain": {name: plain[name] for name in _PLAIN},
        "long": long and {name: long[name] for name in _LONG},
        "command": command(key, config, len(data.test)),
        "training": {"minutes": trained["minutes"], "steps": trained["steps"], "starts": origin},
        "evaluation": {"minutes": round(minutes, 2), **provenance(device)},
    }


def command(key: Key, config: Config, sequences: int) -> str:
    """Return the command that reproduces a cell; folders and threads are the reader's choice."""
    return (
        f"vtssi-pyro reproduce {key.training} --preset {config.preset} --sequences {sequences} "
        f"--digits {config.data.digits}"
    )


class Cells:
    """The finished cells, in the folder ``cells``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "cells"

    def path(self, key: Key) -> Path:
        """Return the file of a cell."""
        return self.folder / f"{key.name}.json"

    def read(self, key: Key) -> dict[str, Any] | None:
        """Read a cell; None if it is not finished.

        Raises:
            DataError: the file is damaged.
        """
        path = self.path(key)
        return _read(path) if path.exists() else None

    def write(self, key: Key, cell: dict[str, Any]) -> None:
        """Add a cell or replace it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.path(key), cell)

    def all(self) -> Iterable[dict[str, Any]]:
        """Read every finished cell, in order of name."""
        return [_read(path) for path in sorted(self.folder.glob("*.json"))]


def _read(path: Path) -> dict[str, Any]:
    try:
        cell = json.loads(path.read_text())
        Key.of(cell)
        cell["metrics"]["count_accuracy"]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise DataError(
            f"{path}: damaged or no cell of the table ({error!r}); remove it to have it made anew"
        ) from error
    return cell
