"""Run folders: all files of a training in one place, never overwritten silently."""

import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import torch

from vtssi_pyro.artifacts.formats import FORMAT, known_format, upgraded_recipe, upgraded_weights
from vtssi_pyro.artifacts.trained import Trained
from vtssi_pyro.config import from_dict, to_dict
from vtssi_pyro.errors import Argument, CheckpointError, UsageError
from vtssi_pyro.evaluation.calibration import Calibration
from vtssi_pyro.inference.standalone import SomeTracker, build
from vtssi_pyro.movies import Preparation
from vtssi_pyro.movies.preparation import FILE as PREPARATION
from vtssi_pyro.system import checkpoint
from vtssi_pyro.system.atomic import FULL, atomic_write, write_json
from vtssi_pyro.system.checkpoint import digest
from vtssi_pyro.system.provenance import versions
from vtssi_pyro.train.config import Config

RUNS = "runs"  # the folder of the runs whose folder nobody names


class Run(Trained):
    """A folder with ``config.json``, ``metrics.jsonl``, ``summary.json``, ``checkpoints`` and ``figures``."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.figures = self.folder / "figures"
        self.metrics = self.folder / "metrics.jsonl"
        self.summary = self.folder / "summary.json"

    @classmethod
    def create(
        cls,
        folder: str | os.PathLike[str],
        config: Config,
        machine: dict[str, Any] | None = None,
        start: dict[str, torch.Tensor] | None = None,
        preparation: Preparation | None = None,
    ) -> "Run":
        """Make the folder and write its configuration; a folder that holds a run already is refused.

        Args:
            folder: the folder to make.
            config: a resolved configuration.
            machine: further conditions of a bit-equal resumption: threads, device.
            start: the weights that ``config.start`` names, of which the folder keeps a copy.
            preparation: the preparation of the training movie, which the folder keeps, too.
        """
        run = cls(folder)
        with run._writing():
            for part in (run.folder, run.figures, run.folder / "checkpoints"):
                part.mkdir(parents=True, exist_ok=True)
        with run.lock(), run._writing():
            run.check_new()
            if start is not None:  # before the configuration, which stands for a complete folder
                checkpoint.save(run.checkpoint("start"), {"trained": start})
            if preparation is not None:
                preparation.save(run.folder / PREPARATION)
            made = {
                "format": FORMAT,
                "config": to_dict(config),
                "versions": versions(),
                "machine": machine or {},
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
            return cls.create(run.folder, config, machine, start, preparation)

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
        try:
            return from_dict(upgraded_recipe(self._made["config"], self._format), Config)
        except (KeyError, TypeError, UsageError) as error:
            raise CheckpointError(
                f"{self.folder / 'config.json'}: damaged or of another version ({error})"
            ) from error

    @property
    def _format(self) -> int:
        """The format of the configuration, see :mod:`~vtssi_pyro.artifacts.formats`."""
        return known_format(self._made.get("format", 1), self.folder)

    @property
    def versions(self) -> dict[str, str]:
        """The versions of the packages that made the run."""
        return dict(self._made.get("versions", {}))

    @property
    def machine(self) -> dict[str, Any]:
        """Further conditions of a bit-equal resumption: threads, device; empty if not recorded."""
        return dict(self._made.get("machine", {}))

    @property
    def _made(self) -> dict[str, Any]:
        path = self.folder / "config.json"
        try:
            made = json.loads(path.read_text())
        except (FileNotFoundError, NotADirectoryError):
            message = f"{self.folder}: not a run folder (it has no config.json); vtssi-pyro fit makes one"
            raise CheckpointError(message) from None
        except (ValueError, OSError) as error:
            raise CheckpointError(f"{path}: damaged ({error})") from error
        if not isinstance(made, dict):
            raise CheckpointError(f"{path}: damaged (it holds no object)")
        return made

    def checkpoint(self, name: str = "last") -> Path:
        """Path of a checkpoint, ``last`` or ``best``, or of the initial weights, ``start``."""
        return self.folder / "checkpoints" / f"{name}.pt"

    def load(self, name: str = "last", device: str | torch.device = "cpu") -> dict[str, Any]:
        """The content of a checkpoint, with the weights' current names."""
        state = checkpoint.load(self.checkpoint(name), device)
        weights = {key: upgraded_weights(state[key]) for key in ("tracker", "trained") if key in state}
        return state | weights

    def tracker(self, checkpoint_name: str = "last", device: str | torch.device = "cpu") -> SomeTracker:
        """The trained tracker, in evaluation mode."""
        config, path = self.config, self.checkpoint(checkpoint_name)
        state = self.load(checkpoint_name, device)
        with checkpoint.fitting(path):
            tracker = build(config.model).to(device)
            tracker.load_state_dict(state["trained"])
        return tracker.eval()

    @property
    def preparation(self) -> Preparation | None:
        """The preparation of the training movie; None if the training data were no movie."""
        path = self.folder / PREPARATION
        if path.exists():
            return Preparation.load(path)
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
            found = Calibration.from_dict(json.loads(self.calibration_file.read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as error:
            raise CheckpointError(f"{self.calibration_file}: damaged ({error}); remove it") from error
        return found if self._format > 1 else replace(found, weights=self._renamed(found.weights))

    def _renamed(self, weights: str | None) -> str | None:
        """Convert the digest of weights under their former names to that under the current names."""
        for name in ("last", "best"):
            if self.checkpoint(name).exists():
                old = checkpoint.load(self.checkpoint(name))["trained"]
                if digest(old) == weights:
                    return digest(upgraded_weights(old))
        return weights

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
        """The metrics so far, one record per line; an incomplete last line, left by a kill, is skipped."""
        records = []
        for line in self.metrics.read_bytes().splitlines() if self.metrics.exists() else []:
            try:
                records.append(json.loads(line))
            except ValueError:
                break
        return records

    def append(self, record: dict[str, Any]) -> None:
        """Add a record to the metrics."""
        with self.metrics.open("a") as file:
            file.write(json.dumps(record, allow_nan=False) + "\n")

    def rewind(self, step: int) -> None:
        """Drop the records beyond a step, which a resumed run writes again, and leftovers of a kill."""
        kept = [record for record in self.records() if record["step"] <= step]
        with self._writing(), atomic_write(self.metrics) as temporary:
            temporary.write_text("".join(json.dumps(record) + "\n" for record in kept))
        for leftover in (
            *self.folder.rglob(".*.tmp*"),
            self.calibration_file,
            self.figures / "reliability.png",
        ):
            leftover.unlink(missing_ok=True)  # the weights of the calibration change now

    @property
    def minutes(self) -> float:
        """Minutes of training so far."""
        return round(max((record["seconds"] for record in self.records()), default=0.0) / 60, 2)

    def read_summary(self) -> dict[str, Any]:
        """The final metrics; empty while the training continues."""
        try:
            found = json.loads(self.summary.read_text())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise CheckpointError(f"{self.summary}: damaged ({error})") from error
        return found if isinstance(found, dict) else {}

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write the final metrics."""
        write_json(self.summary, summary)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folder against a second process; the lock of a process that ended is void."""
        with self._writing():
            file = (self.folder / ".lock").open("a+")
        with file:
            file.seek(0)
            owner = file.read().strip()
            if not _claim(file):
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


def _claim(file: IO[str]) -> bool:
    """Lock an open file; the system releases the lock when the process ends, in whatever way."""
    if sys.platform == "win32":
        import msvcrt

        try:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    with suppress(OSError):  # a file system without locks keeps no process out
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
