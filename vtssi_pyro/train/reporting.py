"""Progress reports of long work: an interface to print, draw or ignore them."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from vtssi_pyro.data.dataset import Dataset
from vtssi_pyro.train.config import Config


@runtime_checkable
class Reporter(Protocol):
    """Receives the progress of a training, an inspection or a tracking; subclass :class:`Silent` to make one."""

    def say(self, message: str) -> None:
        """A message for people, of one line or of several."""

    def warn(self, message: str) -> None:
        """A warning that a result may be worse than it looks."""

    def wrote(self, path: Path) -> None:
        """A file or folder is complete."""

    def found(self, what: Mapping[str, Any]) -> None:
        """Findings of a tracking, an inspection or the like, by name, ready for JSON; people are told by ``say``."""

    def watched(self, dataset: Dataset, doing: str, times: int = 1) -> AbstractContextManager[Dataset]:
        """Return the data set, wrapped to report the progress of work that reads all its frames.

        Args:
            dataset: the data set to read.
            doing: the work, in one word such as "judging".
            times: the number of times that each sequence is read.
        """

    def begin(self, config: Config, step: int) -> None:
        """A training starts or continues at a step."""

    def advance(self, step: int, stage: str) -> None:
        """A step of a training was made."""

    def stopping(self) -> bool:
        """Whether a training is to stop after this step, once it is saved, as Ctrl-C stops it."""

    def record(self, record: dict[str, Any]) -> None:
        """A record was added to a training's metrics; its ``kind`` is ``train`` or ``validation``."""

    def end(self) -> None:
        """A training ends, for any reason."""


class Silent:
    """A reporter that ignores all messages.

    Example:
        >>> from vtssi_pyro import Silent, info
        >>> class Loud(Silent):
        ...     def warn(self, message: str) -> None:
        ...         print(message.upper())
        >>> Loud().warn("no objects")
        NO OBJECTS
    """

    def say(self, message: str) -> None:
        """Nothing."""

    def warn(self, message: str) -> None:
        """Nothing."""

    def wrote(self, path: Path) -> None:
        """Nothing."""

    def found(self, what: Mapping[str, Any]) -> None:
        """Nothing."""

    def watched(self, dataset: Dataset, doing: str, times: int = 1) -> AbstractContextManager[Dataset]:
        """Return the data set itself."""
        return nullcontext(dataset)

    def begin(self, config: Config, step: int) -> None:
        """Nothing."""

    def advance(self, step: int, stage: str) -> None:
        """Nothing."""

    def stopping(self) -> bool:
        """It is not to stop."""
        return False

    def record(self, record: dict[str, Any]) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""
