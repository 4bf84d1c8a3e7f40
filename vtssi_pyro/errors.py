"""Errors that a user can mend; each carries the command line's exit code."""


class VtssiError(Exception):
    """Base of all errors that the package raises on purpose: one line with the fault, its place and its remedy."""

    exit_code = 1


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
