"""How long work tells of itself: an interface to print, draw or ignore it by."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

from vtssi_pyro.data.dataset import Dataset
from vtssi_pyro.train.config import Config


class Reporter(Protocol):
    """Listens to a training, an inspection, a tracking; :class:`Silent` is one, to be subclassed."""

    def say(self, message: str) -> None:
        """A message for people, of one line or of several."""

    def warn(self, message: str) -> None:
        """A result may be worse than it looks."""

    def wrote(self, path: Path) -> None:
        """A file or folder is complete."""

    def watched(self, dataset: Dataset, doing: str, times: int = 1) -> AbstractContextManager[Dataset]:
        """The same data set for work that will read all its frames.

        Args:
            dataset: to be read.
            doing: the work, in one word such as "judging".
            times: how often each sequence will be read.
        """

    def begin(self, config: Config, step: int) -> None:
        """A training starts, or goes on, at a step."""

    def advance(self, step: int, stage: str) -> None:
        """A step of a training was made."""

    def record(self, record: dict[str, Any]) -> None:
        """A record was added to a training's metrics; its ``kind`` is ``train`` or ``validation``."""

    def end(self) -> None:
        """A training ends, for whatever reason."""


class Silent:
    """A reporter that tells nobody."""

    def say(self, message: str) -> None:
        """Nothing."""

    def warn(self, message: str) -> None:
        """Nothing."""

    def wrote(self, path: Path) -> None:
        """Nothing."""

    def watched(self, dataset: Dataset, doing: str, times: int = 1) -> AbstractContextManager[Dataset]:
        """The data set as it is."""
        return nullcontext(dataset)

    def begin(self, config: Config, step: int) -> None:
        """Nothing."""

    def advance(self, step: int, stage: str) -> None:
        """Nothing."""

    def record(self, record: dict[str, Any]) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""
