"""Errors that a user can mend; each carries the command line's exit code."""

from collections.abc import Callable, Iterable


class Argument(str):
    """The name of a function's argument in the message of an error; the command line writes its option instead."""


def listed(names: Iterable[Iterable[str]]) -> list[str]:
    """A list of names, each in parts of an error's message, as such parts."""
    return [part for name in names for part in (", ", *name)][1:]


class VtssiError(Exception):
    """Base of all errors that the package raises on purpose: one line with the fault, its place and its remedy.

    Args:
        parts: the message; the name of an argument in it is a part by itself, an :class:`Argument`.
    """

    exit_code = 1

    def __init__(self, *parts: str) -> None:
        super().__init__(*parts)

    def __str__(self) -> str:
        return self.message()

    def message(self, spelled: Callable[[str], str] = str) -> str:
        """The message, with the arguments' names as ``spelled`` returns them."""
        return "".join(spelled(part) if isinstance(part, Argument) else part for part in self.args)


class UsageError(VtssiError):
    """An option, a configuration key or a folder that cannot be used as asked."""

    exit_code = 2


class DataError(VtssiError):
    """Frames or ground truth that cannot be read or make no sense."""

    exit_code = 3


class CheckpointError(VtssiError):
    """A checkpoint that is missing, damaged or does not fit."""

    exit_code = 4


class Diverged(VtssiError):
    """A loss or gradient that is not finite."""

    exit_code = 5


class OutOfResources(VtssiError):
    """No memory or no disk space left."""

    exit_code = 6


class PeerLost(VtssiError):
    """Another of the processes that train together has ended before its time."""

    exit_code = 7


class Told(VtssiError):
    """The first of several processes met an error and reports it; the others end silently with the same exit code."""

    def __init__(self, exit_code: int) -> None:
        super().__init__()
        self.exit_code = exit_code
