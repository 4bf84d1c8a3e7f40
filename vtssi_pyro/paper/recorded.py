"""The files of cells and of curves, key by key: anybody may have written what a folder holds."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from vtssi_pyro.artifacts.recorded import Machine, record
from vtssi_pyro.config import Complete
from vtssi_pyro.config.ranges import FRAMES, SEED
from vtssi_pyro.errors import DataError
from vtssi_pyro.evaluation.curves import ErrorCurve
from vtssi_pyro.evaluation.metrics import Evaluation, Share
from vtssi_pyro.system.files import regular


@dataclass(frozen=True)
class Hardware(Complete):
    """The machine of a :class:`Provenance`."""

    processor: str
    cores: int
    threads: int
    device: str
    gpu: str | None


@dataclass(frozen=True)
class Provenance(Complete):
    """What :func:`vtssi_pyro.system.provenance.provenance` returned."""

    commit: str | None
    versions: dict[str, str]
    hardware: Hardware


@dataclass(frozen=True)
class Judging(Provenance):
    """The code and the machine that judged, and how long it took."""

    minutes: float


@dataclass(frozen=True)
class Start(Complete):
    """The training that another one starts from."""

    name: str
    minutes: float
    start: "Start | None"
    steps: int | None = None  # of its last weights; former files do not tell
    gpu: str | None = None  # that it ran on, if it is known to have run on one


@dataclass(frozen=True, kw_only=True)
class Training(Complete):
    """The training of a cell."""

    minutes: float
    steps: int
    starts: list[Provenance]
    start: Start | None = None  # former files have none


@dataclass(frozen=True)
class Counted(Complete):
    """The count of a cell by all frames."""

    count_accuracy: float | None
    count_accuracy_sem: float | None
    count_frames: int | None


@dataclass(frozen=True)
class Long(Complete):
    """The long predictions of a cell."""

    sequences: int
    inference_error_by_frame: list[float | None]
    prediction_error_by_frame: list[float | None]
    predictions_outside: float | None
    predictions_outside_by_frame: list[float | None]


@dataclass(frozen=True, kw_only=True)
class Cell(Complete):
    """A cell of Table 1, see :func:`vtssi_pyro.paper.cells.measure`."""

    variant: str
    flavour: str
    seed: Annotated[int, SEED]
    learned: str = ""
    preset: str
    digits: str
    sequences: int
    observe: Annotated[int, FRAMES]
    procedure: str
    metrics: Evaluation
    all_frames: Counted | None
    bare: Share | None
    long: Long | None
    command: str
    training: Training
    evaluation: Judging


@dataclass(frozen=True)
class Judged(Complete):
    """The metrics beside a curve."""

    count_accuracy: float | None
    count_accuracy_sem: float | None
    count_frames: int | None
    per_frame_count: bool
    inference_error: float | None
    inference_error_sem: float | None
    prediction_error: float | None
    prediction_error_sem: float | None
    identity_switches: float | None


@dataclass(frozen=True)
class Parameters(Complete):
    """Numbers of parameters."""

    all: int
    air: int


@dataclass(frozen=True, kw_only=True)
class TimedTraining(Training):
    """The training of a curve's model, see :func:`vtssi_pyro.paper.curves.training_of`."""

    run: str
    hours: float
    unit: str
    machine: Machine


@dataclass(frozen=True)
class CurveFile(Complete):
    """The error curves of a model, see :func:`vtssi_pyro.paper.curves.curve_of`."""

    model: str
    variant: str
    preset: str
    flavour: str
    seed: Annotated[int, SEED]
    partner: bool
    without_motion: bool
    sequences: int
    frames: Annotated[int, FRAMES]
    digits: str
    weights: str
    observe: Annotated[int, FRAMES]
    trained_length: Annotated[int, FRAMES]
    tracking: ErrorCurve
    prediction: ErrorCurve | None
    metrics: Judged
    parameters: Parameters
    training: TimedTraining
    evaluation: Judging


def read(path: Path, kind: type) -> dict[str, Any]:
    """Read the file of a cell or of curves.

    Args:
        path: the file.
        kind: ``Cell`` or ``CurveFile``.

    Raises:
        DataError: it is no such file; the key is named.
    """
    remedy = "remove it to have it made anew"
    try:
        return record(path, regular(path).read_text(), kind, DataError, remedy)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); {remedy}") from error


def only(kind: type, found: dict[str, Any]) -> dict[str, Any]:
    """The keys of a record, from a mapping that has more."""
    return {field.name: found[field.name] for field in fields(kind)}
