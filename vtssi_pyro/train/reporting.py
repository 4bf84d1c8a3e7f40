"""Progress reports of long work: the interface of what prints, draws or ignores them."""

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
        """Receive a message for people, of one line or several."""

    def warn(self, message: str) -> None:
        """Receive a warning that a result may be worse than it looks."""

    def wrote(self, path: Path) -> None:
        """Note that a file or folder is complete."""

    def found(self, what: Mapping[str, Any]) -> None:
        """Receive the findings of a tracking or an inspection, by name, ready for JSON; ``say`` tells people."""

    def watched(self, dataset: Dataset, doing: str, times: int = 1) -> AbstractContextManager[Dataset]:
        """Return the data set, wrapped to report the progress of work that reads all its frames.

        Args:
            dataset: the data set to read.
            doing: the work, in one word such as "judging".
            times: the number of times that each sequence is read.
        """

    def expects(self, seconds: float) -> None:
        """Note that all remaining work takes about so many seconds, what follows a training included; 0: it is done."""

    def begin(self, config: Config, step: int) -> None:
        """Note that a training starts or continues at a step."""

    def advance(self, step: int, stage: str) -> None:
        """Note that a step of a training was made."""

    def stopping(self) -> bool:
        """Whether to stop the training after this step, once it is saved, as Ctrl-C does."""

    def record(self, record: dict[str, Any]) -> None:
        """Receive a record that was added to a training's metrics; its ``kind`` is ``train`` or ``validation``."""

    def end(self) -> None:
        """Note that a training has ended, for any reason."""


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

    def expects(self, seconds: float) -> None:
        """Nothing."""

    def begin(self, config: Config, step: int) -> None:
        """Nothing."""

    def advance(self, step: int, stage: str) -> None:
        """Nothing."""

    def stopping(self) -> bool:
        """Never stop."""
        return False

    def record(self, record: dict[str, Any]) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""


class Forwarding:
    """A reporter that passes everything on to another one; a subclass changes what it says.

    Args:
        whole: the other reporter.
    """

    def __init__(self, whole: Reporter) -> None:
        self.whole = whole

    def say(self, message: str) -> None:
        """Pass a message on."""
        self.whole.say(message)

    def warn(self, message: str) -> None:
        """Pass a warning on."""
        self.whole.warn(message)

    def wrote(self, path: Path) -> None:
        """Pass a path on."""
        self.whole.wrote(path)

    def found(self, what: Mapping[str, Any]) -> None:
        """Pass findings on."""
        self.whole.found(what)

    def watched(self, dataset: Dataset, doing: str, times: int = 1) -> AbstractContextManager[Dataset]:
        """Let the other one watch."""
        return self.whole.watched(dataset, doing, times)

    def expects(self, seconds: float) -> None:
        """Pass the expected time on."""
        self.whole.expects(seconds)

    def begin(self, config: Config, step: int) -> None:
        """Pass the start of a training on."""
        self.whole.begin(config, step)

    def advance(self, step: int, stage: str) -> None:
        """Pass a step on."""
        self.whole.advance(step, stage)

    def stopping(self) -> bool:
        """Ask the other one."""
        return self.whole.stopping()

    def record(self, record: dict[str, Any]) -> None:
        """Pass a record on."""
        self.whole.record(record)

    def end(self) -> None:
        """Pass the end of a training on."""
        self.whole.end()
