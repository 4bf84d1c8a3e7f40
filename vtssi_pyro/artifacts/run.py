"""Run folders: all files of a training in one place, never overwritten silently."""

import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from vtssi_pyro.artifacts.formats import FORMAT, known_format, restored, upgraded_weights
from vtssi_pyro.artifacts.logs import Log
from vtssi_pyro.artifacts.metrics_file import read_records
from vtssi_pyro.artifacts.recorded import Made, Summary, calibration_of, identity_of, record
from vtssi_pyro.artifacts.trained import Trained
from vtssi_pyro.config import to_dict
from vtssi_pyro.config.declared import shown
from vtssi_pyro.errors import Argument, CheckpointError, UsageError
from vtssi_pyro.evaluation.calibration import Calibration
from vtssi_pyro.inference.novelty import Familiar
from vtssi_pyro.inference.standalone import SomeTracker, build
from vtssi_pyro.movies import Preparation
from vtssi_pyro.movies.preparation import FILE as PREPARATION
from vtssi_pyro.system import checkpoint
from vtssi_pyro.system.atomic import FULL, append, write_bytes, write_json
from vtssi_pyro.system.checkpoint import digest
from vtssi_pyro.system.files import belongs, is_name, refuse_outward, regular, sweep
from vtssi_pyro.system.fingerprint import sha256
from vtssi_pyro.system.locking import claim
from vtssi_pyro.system.markup import embedded
from vtssi_pyro.system.provenance import versions
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.reporting import Reporter

RUNS = "runs"  # the folder of the runs whose folder nobody names
FIGURES = (
    "learning_curves.png", "error_curves.png", "film_strip.png", "held_out.gif", "held_out.json", "reliability.png",
)  # fmt: skip
LARGEST = 2**19  # bytes of a picture in a notebook, which keeps it: a tenth of what GitHub shows
_CHECKPOINTS = ("last", "best", "start")
_MADE = ("config", "versions", "machine", "sources")  # the keys of a config.json beside its format
_UNSAVED = "none-yet"  # a file in checkpoints until the first checkpoint is there
# The files that a run holds.
FILES = (
    "config.json",
    "metrics.jsonl",
    "summary.json",
    "calibration.json",
    "report.html",
    "starts.jsonl",
    ".lock",
    PREPARATION,
    *(f"figures/{name}" for name in FIGURES),
    *(f"checkpoints/{name}.pt" for name in _CHECKPOINTS),
    f"checkpoints/{_UNSAVED}",
)


class Run(Trained):
    """A folder with ``config.json``, ``metrics.jsonl``, ``summary.json``, ``checkpoints`` and ``figures``.

    Example:
        >>> from vtssi_pyro import Run
        >>> run = Run("runs/ours-linear-0001")
        >>> run.config.data.source, run.read_summary()["predicts"]
        ('linear', True)
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        if not is_name(folder):
            raise CheckpointError(f"{shown(folder)} is no name of a run's folder: give its path")
        self.folder = Path(folder)
        self.figures = self.folder / "figures"
        self.metrics = self.folder / "metrics.jsonl"
        self.summary = self.folder / "summary.json"
        self.logs: list[Log] = []  # that receive the metrics, too

    @classmethod
    def create(
        cls,
        folder: str | os.PathLike[str],
        config: Config,
        machine: dict[str, Any] | None = None,
        start: dict[str, torch.Tensor] | None = None,
        preparation: Preparation | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> "Run":
        """Make the folder and write its configuration; a folder that holds a run already is refused.

        Args:
            folder: the folder to make.
            config: a resolved configuration.
            machine: further conditions of a bit-equal resumption: threads, device.
            start: the weights that ``config.start`` names, of which the folder keeps a copy.
            preparation: the preparation of the training movie, which the folder keeps, too.
            data: the fingerprint of the training data; None: the configuration alone determines them.
        """
        run = cls(folder)
        with run._writing():
            for part in (run.folder, run.figures, run.folder / "checkpoints"):
                part.mkdir(parents=True, exist_ok=True)
        with run.lock(), run._writing():
            run.check_new()
            sources: dict[str, Any] = {"data": dict(data) if data else None}
            if start is not None:  # before the configuration, which stands for a complete folder
                checkpoint.save(run.checkpoint("start"), {"trained": start})
                sources["start"] = sha256(run.checkpoint("start"))
            if preparation is not None:
                preparation.save(run.folder / PREPARATION)
                sources["preparation"] = sha256(run.folder / PREPARATION)
            made = {
                "format": FORMAT,
                "config": to_dict(config),
                "versions": versions(),
                "machine": machine or {},
                "sources": sources,
                "run": identity_of(to_dict(config), sources),
            }
            write_json(run.folder / "config.json", made)
        return run

    @classmethod
    def numbered(
        cls,
        name: str,
        config: Config,
        parent: str | os.PathLike[str] = RUNS,
        machine: dict[str, Any] | None = None,
        start: dict[str, torch.Tensor] | None = None,
        preparation: Preparation | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> "Run":
        """Create a run ``runs/NAME-0001``, counted up."""
        taken = [p.name.rpartition("-")[2] for p in Path(parent).glob(f"{name}-[0-9][0-9][0-9][0-9]*")]
        number = 1 + max((int(n) for n in taken if n.isdigit()), default=0)
        while True:
            run = cls(Path(parent) / f"{name}-{number:04d}")
            with run._writing():
                try:
                    run.folder.mkdir(parents=True)
                except FileExistsError:  # another process was faster
                    number += 1
                    continue
            return cls.create(run.folder, config, machine, start, preparation, data)

    @classmethod
    def newest(cls, parent: str | os.PathLike[str] = RUNS) -> "Run | None":
        """The latest run with weights in a folder; None if there is none."""
        made = [path.parent for path in Path(parent).glob("*/config.json")]
        runs = [run for run in map(cls, made) if run.checkpoint().exists()]
        return max(runs, key=lambda run: (run.folder / "config.json").stat().st_mtime_ns, default=None)

    def check_new(self) -> None:
        """Refuse a folder that holds a run."""
        if (self.folder / "config.json").exists():
            raise UsageError(
                f"{self.folder}: holds a run already; continue it with ",
                Argument("resume"),
                " or choose another ",
                Argument("run"),
            )

    @property
    def name(self) -> str:
        """The folder's absolute path."""
        return str(self.folder.resolve())

    @property
    def config(self) -> Config:
        """The resolved configuration of the run."""
        return self._restored[0]

    @property
    def filled_in(self) -> dict[str, Any]:
        """The values that stand for keys that the run's configuration, of a former format, lacks."""
        return self._restored[1]

    @property
    def _restored(self) -> tuple[Config, dict[str, Any]]:
        path = self.folder / "config.json"
        try:
            return restored(self._made["config"], self.format, path)
        except (KeyError, TypeError, AttributeError, IndexError, ValueError, UsageError) as error:
            raise CheckpointError(f"{path}: damaged or of another version ({error})") from error

    @property
    def format(self) -> int:
        """The format of the configuration, see :mod:`~vtssi_pyro.artifacts.formats`."""
        return known_format(self._made.get("format", 1), self.folder)

    def say_filled_in(self, report: Reporter) -> None:
        """Report what a run of a former format, or version, lacks."""
        super().say_filled_in(report)
        if self.identity is None:
            report.say(
                f"{self.name}: is of a former version: its checkpoints do not say of which run they are"
            )

    @property
    def versions(self) -> dict[str, str]:
        """The versions of the packages that made the run."""
        return dict(self._made.get("versions", {}))

    @property
    def machine(self) -> dict[str, Any]:
        """Further conditions of a bit-equal resumption (threads, device); empty if not recorded."""
        return dict(self._made.get("machine", {}))

    @property
    def sources(self) -> dict[str, Any]:
        """Hashes of ``data`` (None if drawn), ``preparation`` and ``start``; a run of a former format knows none."""
        return dict(self._made.get("sources", {}))

    def _known(self, path: Path, source: str) -> Path:
        """A file of the run, which must be the one that the run was made with."""
        digest = self.sources.get(source)
        if digest is not None and sha256(path) != digest:
            raise CheckpointError(f"{path}: is not the file that the run was made with; put the old one back")
        return path

    @property
    def _made(self) -> dict[str, Any]:
        path = self.folder / "config.json"
        try:
            made = record(path, regular(path).read_text(), Made)
        except (FileNotFoundError, NotADirectoryError):
            message = f"{self.folder}: not a run folder (it has no config.json); vtssi-pyro fit makes one"
            raise CheckpointError(message) from None
        except (ValueError, OSError) as error:  # no UTF-8, or no file
            raise CheckpointError(f"{path}: damaged ({error})") from error
        if made.get("format") == FORMAT and (lacking := [key for key in _MADE if key not in made]):
            raise CheckpointError(f"{path}: damaged: it lacks {lacking[0]}; put the old file back")
        return made

    def checkpoint(self, name: str = "last") -> Path:
        """Path of a checkpoint, ``last`` or ``best``, or of the initial weights, ``start``."""
        return self.folder / "checkpoints" / f"{name}.pt"

    @property
    def identity(self) -> str | None:
        """The name that its checkpoints bear, if any; see :func:`~vtssi_pyro.artifacts.recorded.identity_of`."""
        found: str | None = self._made.get("run")
        return found

    def load(self, name: str = "last", device: str | torch.device = "cpu") -> dict[str, Any]:
        """The content of a checkpoint of this run, with the weights' current names."""
        path, own = self.checkpoint(name), self.identity
        state = checkpoint.load(self._known(path, name) if path.exists() else path, device)
        if name != "start" and own is not None and state.get("run") != own:
            raise CheckpointError(
                f"{path}: is a checkpoint of another run than {self.folder}, whose configuration and data are others: "
                "put back its own, or use that run's folder"
            )
        weights = {key: upgraded_weights(state[key]) for key in ("tracker", "trained") if key in state}
        for tensors in weights.values():
            checkpoint.refuse_not_finite(tensors, path)
        return state | weights

    def tracker(self, checkpoint_name: str = "last", device: str | torch.device = "cpu") -> SomeTracker:
        """The trained tracker, in evaluation mode."""
        config, path = self.config, self.checkpoint(checkpoint_name)
        state = self.load(checkpoint_name, device)
        with checkpoint.fitting(path):
            tracker = build(config.model).to(device)
            tracker.load_state_dict(state["trained"])
        return self.marked(tracker.eval())

    def _picture(self) -> str:
        """The film strip of held-out sequences, once there is one."""
        strip = self.figures / "film_strip.png"
        if not belongs(strip, self.folder) or strip.stat().st_size > LARGEST:
            return ""
        return embedded("image/png", strip.read_bytes(), "held-out sequences")

    @property
    def preparation(self) -> Preparation | None:
        """The preparation of the training movie; None if the training data were no movie."""
        path = self.folder / PREPARATION
        if path.exists():
            return Preparation.load(self._known(path, "preparation"))
        if self.config.data.movie:
            raise CheckpointError(
                f"{path}: is missing, and without it frames cannot be prepared: put it back"
            )
        return None

    @property
    def calibration_file(self) -> Path:
        """The file of the calibration that :meth:`keep` writes."""
        return self.folder / "calibration.json"

    @property
    def calibration(self) -> Calibration | None:
        """The calibration of the tracker's sampled predictions; None if there is none."""
        try:
            found = calibration_of(self.calibration_file, regular(self.calibration_file).read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{self.calibration_file}: damaged ({error}); remove it") from error
        return found if self.format > 1 else replace(found, weights=self._renamed(found.weights))

    def _renamed(self, weights: str | None) -> str | None:
        """Convert the digest of weights under their former names to that under the current names."""
        for name in ("last", "best"):
            if self.checkpoint(name).exists():
                old = checkpoint.load(self.checkpoint(name))["trained"]
                if digest(old) == weights:
                    return digest(upgraded_weights(old))
        return weights

    @property
    def familiar(self) -> Familiar | None:
        """How well held-out frames fitted at the end of the training; None before it, and of former versions."""
        known = self.read_summary().get("familiar")
        try:
            return Familiar(**known) if known else None
        except TypeError as error:
            raise CheckpointError(f"{self.summary}: damaged ({error})") from error

    def keep(self, calibration: Calibration) -> None:
        """Keep a calibration beside its weights."""
        with self._writing():
            write_json(self.calibration_file, calibration.as_dict())

    def about(self) -> dict[str, Any]:
        """Describe the training and its results, ready for JSON; metrics by precision, as on a card."""
        config, summary = self.config, self.read_summary()
        judged, calibration = summary.get("metrics"), self.calibration
        return {
            "name": self.name,
            "recipe": to_dict(config),
            "observe": config.observe,
            "minutes": self.minutes,
            "machine": ", ".join(f"{key} {value}" for key, value in self.machine.items()),
            "seed": config.seed,
            "versions": self.versions,
            "metrics": {"float32": judged} if judged else {},
            "held_out": summary.get("held_out"),
            "calibration": calibration.as_dict() if calibration else None,
        }

    def records(self) -> list[dict[str, Any]]:
        """The metrics so far, one record per line; lines that are no records are left out."""
        return read_records(self.metrics)[0]

    def damaged(self) -> list[int]:
        """The numbers, from 1, of the lines of the metrics that are no records, but for half a last line."""
        return read_records(self.metrics)[1]

    def append(self, record: dict[str, Any]) -> None:
        """Add a record to the metrics."""
        append(self.metrics, json.dumps(record, allow_nan=False))
        for log in self.logs:
            log.append(record)

    def rewind(self, step: int) -> None:
        """Drop records beyond a step, which a resumed run writes again, damaged lines, and what a kill has left."""
        kept = [record for record in self.records() if record["step"] <= step]
        with self._writing():
            write_bytes(self.metrics, "".join(json.dumps(record) + "\n" for record in kept).encode())
        for folder in (self.folder, self.figures, self.folder / "checkpoints"):
            sweep(folder, "*")
        for log in self.logs:
            log.rewind(step)
        for stale in (self.calibration_file, self.figures / "reliability.png"):
            stale.unlink(missing_ok=True)  # the weights of the calibration change now

    def begin(self) -> None:
        """Note that no checkpoint has been saved yet."""
        with self._writing():
            write_bytes(self.folder / "checkpoints" / _UNSAVED, b"no checkpoint has been saved yet\n")

    def save(self, state: dict[str, Any], name: str = "last") -> None:
        """Write a checkpoint, ``last`` or ``best``, which bears the run's identity."""
        checkpoint.save(self.checkpoint(name), state | {"run": self.identity})
        if name == "last":
            (self.folder / "checkpoints" / _UNSAVED).unlink(missing_ok=True)

    def lost(self) -> int | None:
        """The step that the records reach if the last checkpoint was saved and is missing; None: none is missing."""
        records = self.records()
        unsaved = (self.folder / "checkpoints" / _UNSAVED).exists()
        if self.checkpoint().exists() or unsaved or not records:
            return None
        return max(int(record["step"]) for record in records)

    @property
    def minutes(self) -> float:
        """Minutes of training so far."""
        return round(max((record.get("seconds", 0.0) for record in self.records()), default=0.0) / 60, 2)

    def read_summary(self) -> dict[str, Any]:
        """The final metrics; empty while the training continues."""
        try:
            return record(self.summary, regular(self.summary).read_text(), Summary)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{self.summary}: damaged ({error})") from error

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write the final metrics."""
        write_json(self.summary, summary)

    def refuse_links(self) -> None:
        """Refuse to write to a folder, perhaps somebody else's, in which a file of the run is a link out of it."""
        refuse_outward(self.folder, FILES)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folder against a second process; the lock of a process that ended is void."""
        self.refuse_links()
        with self._writing():
            file = (self.folder / ".lock").open("a+")
        with file:
            file.seek(0)
            owner = file.read().strip()
            if not claim(file):
                raise UsageError(
                    f"{self.folder}: in use by another process ({owner}); wait or choose another folder"
                )
            file.truncate(0)
            file.write(f"{platform.node()} {os.getpid()}\n")
            file.flush()
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in FULL:
                raise
            reason = error.strerror or error
            raise UsageError(f"{self.folder}: cannot be written ({reason}); choose another folder") from error
