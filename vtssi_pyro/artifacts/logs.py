"""Where the records of a training go beside the run's own ``metrics.jsonl``: files that other programs show."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Protocol

from vtssi_pyro.config import OneOf
from vtssi_pyro.system.extras import extra


class Log(Protocol):
    """Receives the records of a training.

    Args:
        folder: the folder of its files.
    """

    def __init__(self, folder: Path) -> None: ...

    @staticmethod
    def ready() -> None:
        """Raise a :class:`~vtssi_pyro.errors.UsageError` if a package for it is missing."""

    def append(self, record: dict[str, Any]) -> None:
        """Add a record; see :class:`~vtssi_pyro.train.logbook.Logbook`."""

    def rewind(self, step: int) -> None:
        """Drop what is beyond a step, which a resumed training makes again."""

    def close(self) -> None:
        """End the log."""


class TensorBoard:
    """Event files that TensorBoard shows: a curve for each number of a record, by its kind and name.

    Args:
        folder: the folder of the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kind = _writer_of_events()
        self._writer: Any = None

    @staticmethod
    def ready() -> None:
        """Raise an error that says what to install if TensorBoard is missing."""
        _writer_of_events()

    def append(self, record: dict[str, Any]) -> None:
        """Add the numbers of a record, and make them readable at once."""
        self._writer = self._writer or self._kind(str(self._folder))
        for name, value in numbers(record):
            self._writer.add_scalar(f"{record['kind']}/{name}", value, record["step"])
        self._writer.flush()

    def rewind(self, step: int) -> None:
        """Begin another file, by which TensorBoard forgets what earlier ones say of later steps."""
        self.close()
        self._writer = self._kind(str(self._folder), purge_step=step + 1)

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _writer_of_events() -> Any:
    """The class that writes TensorBoard's files; the error for a missing package says what to install."""
    return extra(
        "torch.utils.tensorboard", "tensorboard", "logs for TensorBoard need tensorboard"
    ).SummaryWriter


LOGS: dict[str, type[Log]] = {"tensorboard": TensorBoard}
LogName = Annotated[str | None, OneOf(*LOGS)]


def numbers(record: dict[str, Any], where: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a record with their names, but for its step; those of a part are PART/NAME."""
    for name, value in record.items():
        if isinstance(value, dict):
            yield from numbers(value, f"{where}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool) and name != "step":
            yield f"{where}{name}", float(value)


@contextmanager
def logged(logs: list[Log], folder: Path, name: LogName) -> Iterator[None]:
    """Let the logs of a run include one more for the time of a training.

    Args:
        logs: the logs of the run.
        folder: the run's folder, in which the log has a folder of its name.
        name: a key of :data:`LOGS`; None: no further one.
    """
    if name is None:
        yield
        return
    log = LOGS[name](folder / name)
    logs.append(log)
    try:
        yield
    finally:
        logs.remove(log)
        log.close()
