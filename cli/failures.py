"""The exit code and the message of an error."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from vtssi_pyro.errors import PeerLost, Told, VtssiError
from vtssi_pyro.system.atomic import FULL


class Terminated(BaseException):
    """SIGTERM as an exception, so that half-written files are removed on the way out."""


@contextmanager
def terminable() -> Iterator[None]:
    """Turn SIGTERM into :class:`Terminated`."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: Any) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    except PeerLost:
        before = signal.SIG_IGN  # torchrun ends the other processes, which report the reason
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def explain(error: BaseException, spelled: Callable[[str], str] = str) -> tuple[int, str]:
    """The exit code of an error by the table in ``vtssi-pyro --help``, and its message, empty if already printed.

    Args:
        error: the error.
        spelled: converts the names of arguments in the library's errors to what users type.
    """
    if isinstance(error, Told):
        return error.exit_code, ""
    if isinstance(error, VtssiError):
        stopped = error.exit_code > 128
        message = error.message(spelled)
        return error.exit_code, message if stopped else f"error: {message}"
    if isinstance(error, KeyboardInterrupt):
        return 130, "stopped by SIGINT"
    if isinstance(error, Terminated):
        return 143, "stopped by SIGTERM"
    if isinstance(error, OSError) and error.errno in FULL:
        where = f" ({error.filename})" if error.filename else ""
        return (
            6,
            f"error: no room left on the disk{where}: {error.strerror}; free some space",
        )
    if _out_of_memory(error):
        return 6, (
            "error: out of memory; take fewer or shorter sequences at a time, or a smaller batch"
            " (--set train.stages.NAME.batch=16)"
        )
    first = (str(error).splitlines() or [""])[0]
    return 1, f"error: unexpected {type(error).__name__}: {first} (--debug shows where)"


def _out_of_memory(error: BaseException) -> bool:
    torch = sys.modules.get("torch")  # without torch there is no error of torch
    if isinstance(error, MemoryError) or (torch and isinstance(error, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
