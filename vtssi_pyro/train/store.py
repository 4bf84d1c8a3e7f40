"""The store of a training's records and checkpoints."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import torch


class Store(Protocol):
    """A folder that a training writes to, such as ``artifacts.run.Run``."""

    folder: Path

    def lock(self) -> AbstractContextManager[None]:
        """Lock the store against other processes that would write to it."""

    def checkpoint(self, name: str = "last") -> Path:
        """The file of a checkpoint: ``last``, ``best``, or ``start``, the initial weights."""

    def load(self, name: str = "last", device: str | torch.device = "cpu") -> dict[str, Any]:
        """The content of a checkpoint, with the weights' current names."""

    def begin(self) -> None:
        """Note that no checkpoint has been saved yet."""

    def save(self, state: dict[str, Any], name: str = "last") -> None:
        """Write a checkpoint, ``last`` or ``best``."""

    def lost(self) -> int | None:
        """The step that the records reach if the last checkpoint was saved and is missing; None: none is missing."""

    def damaged(self) -> list[int]:
        """The numbers, from 1, of the lines of the metrics that are no records, but for half a last line."""

    def records(self) -> list[dict[str, Any]]:
        """The metrics so far."""

    def append(self, record: dict[str, Any]) -> None:
        """Add a record to the metrics."""

    def rewind(self, step: int) -> None:
        """Drop the records beyond a step, which the resumed training makes again, and damaged lines."""
