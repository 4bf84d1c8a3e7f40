"""The files of a run beside its configuration, key by key: anybody may have written what a folder holds."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from vtssi_pyro.config import Range, refuse_unlike
from vtssi_pyro.config.ranges import FRAMES
from vtssi_pyro.errors import CheckpointError, UsageError, VtssiError
from vtssi_pyro.evaluation.calibration import Calibration
from vtssi_pyro.evaluation.metrics import Evaluation
from vtssi_pyro.inference.novelty import Familiar
from vtssi_pyro.movies import Hints, Stored
from vtssi_pyro.system.machine import MOST_THREADS
from vtssi_pyro.system.plain import parsed
from vtssi_pyro.tracks.units import Units


@dataclass(frozen=True)
class Machine:
    """Conditions of a resumption that is equal to the last bit."""

    threads: Annotated[int, Range(1, MOST_THREADS)]
    device: str
    processes: Annotated[int, Range(1, 65_536)]  # of the largest clusters, a GPU each


@dataclass(frozen=True)
class Fingerprint:
    """What :func:`vtssi_pyro.system.fingerprint.fingerprint` found."""

    size: int
    time: float
    sha256: str


@dataclass(frozen=True)
class Data:
    """The training data, see :mod:`vtssi_pyro.artifacts.sources`."""

    files: Fingerprint
    frames: Fingerprint
    stored: Stored
    hints: Hints
    movies: list[str]  # the paths of several movies


@dataclass(frozen=True)
class Sources:
    """All that a run was made from beside its configuration."""

    data: Data | None  # None: drawn
    start: str
    preparation: str


@dataclass(frozen=True)
class Made:
    """A ``config.json`` beside the configuration in it."""

    versions: dict[str, str]
    machine: Machine
    sources: Sources
    run: str  # see :func:`identity_of`


@dataclass(frozen=True)
class HeldOut:
    """What :func:`vtssi_pyro.evaluation.held_out.reconstruct` found."""

    frames: int
    objects: float
    most: int
    explained: float
    visible: float
    ahead: int
    explained_ahead: float
    drift: list[float]
    straight: list[float]


@dataclass(frozen=True)
class Summary:
    """A ``summary.json``."""

    variant: str
    preset: str
    seed: int
    steps: int
    minutes: float
    observe: Annotated[int, FRAMES]
    predicts: bool
    metrics: Evaluation | None
    held_out: HeldOut | None
    familiar: Familiar | None
    units: Units | None
    machine: Machine
    versions: dict[str, str]


def record(
    path: Path,
    content: str,
    kind: type,
    refusal: type[VtssiError] = CheckpointError,
    remedy: str = "put the old file back",
) -> dict[str, Any]:
    """Read a file of JSON, an object whose values are as a class declares them.

    Args:
        path: the file, for messages.
        content: its text.
        kind: the class, such as ``Made``, ``Summary`` or ``Calibration``.
        refusal: the error's class.
        remedy: the remedy, for messages.

    Raises:
        VtssiError: it is no such file; the key is named.
    """
    try:
        found = parsed(content)
        refuse_unlike(found, kind)
    except (ValueError, UsageError) as error:
        raise refusal(f"{path}: damaged ({error}); {remedy}") from error
    assert isinstance(found, dict)
    return found


def calibration_of(path: Path, content: str) -> Calibration:
    """Read the file of a calibration; see :func:`record`."""
    try:
        return Calibration.from_dict(record(path, content, Calibration))
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path}: damaged ({error!r}); remove it") from error


def told_units(summary: Mapping[str, Any]) -> Units:
    """What pixels and frames of the training data stand for, as a ``summary.json`` tells."""
    return Units.from_dict(summary.get("units") or {})


def identity_of(config: dict[str, Any], sources: dict[str, Any]) -> str:
    """Compute what tells a run from others: the SHA-256 of its configuration and of all that it was made from.

    The same configuration and data make the same weights, so that it may be the same.

    Args:
        config: the configuration in plain values.
        sources: the hashes of data, preparation and initial weights; times do not count.
    """
    data = sources.get("data") or {}
    known = {
        key: {name: each for name, each in value.items() if name != "time"}
        if isinstance(value, dict)
        else value
        for key, value in data.items()
    }
    plain = json.dumps({"config": config, "sources": {**sources, "data": known}}, sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()
