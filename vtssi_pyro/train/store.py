"""Where a training keeps its records and checkpoints."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import torch


class Store(Protocol):
    """A folder that a training writes to; ``artifacts.run.Run`` is one."""

    folder: Path

    def lock(self) -> AbstractContextManager[None]:
        """Keep other processes from writing while this one does."""

    def checkpoint(self, name: str = "last") -> Path:
        """The file of a checkpoint: ``last``, ``best``, or ``start``, the weights to begin with."""

    def load(self, name: str = "last", device: str | torch.device = "cpu") -> dict[str, Any]:
        """The content of a checkpoint, weights by the names of today."""

    def append(self, record: dict[str, Any]) -> None:
        """Add a record to the metrics."""

    def rewind(self, step: int) -> None:
        """Drop the records beyond a step, which the resumed training will make again."""
