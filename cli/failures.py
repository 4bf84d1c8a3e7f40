"""The exit code and the message of an error."""

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from vtssi_pyro.errors import PeerLost, Told, VtssiError
from vtssi_pyro.system.atomic import FULL
from vtssi_pyro.system.process import endings

SHOWN = 60  # characters of a name that is too long, in messages


class Terminated(BaseException):
    """SIGTERM or SIGHUP as an exception, so that half-written files are removed on the way out."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__()
        self.number = signal.Signals(number)


@contextmanager
def terminable() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into :class:`Terminated`, and let them and Ctrl-C end the block in any case.

    Their exceptions are raised amid any code, also amid a callback from C or a destructor, which turn them into others
    or lose them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []

    def handle(number: int, frame: Any) -> None:
        caught.append(number)
        raise _stopped(number)

    interrupt = (signal.SIGINT,) if signal.getsignal(signal.SIGINT) is signal.default_int_handler else ()
    before = {number: signal.signal(number, handle) for number in (*interrupt, *endings())}
    try:
        yield
    except (PeerLost, Told) as error:
        if isinstance(error, PeerLost):  # torchrun ends the other processes, which report the reason
            before[signal.SIGTERM] = signal.SIG_IGN
        raise
    except BaseException as error:
        if caught and not isinstance(error, KeyboardInterrupt | Terminated):
            raise _stopped(caught[0]) from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if caught:
        raise _stopped(caught[0])


def _stopped(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else Terminated(number)


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
        message = _one_line(error.message(spelled))
        return error.exit_code, message if stopped else f"error: {message}"
    if isinstance(error, KeyboardInterrupt):
        return 130, "stopped by SIGINT"
    if isinstance(error, Terminated):
        return 128 + error.number, f"stopped by {error.number.name}"
    if isinstance(error, OSError) and error.errno in FULL:
        where = f" ({error.filename})" if error.filename else ""
        return (
            6,
            f"error: no room left on the disk{where}: {error.strerror}; free some space",
        )
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        name = os.fsdecode(error.filename or "")
        return 2, _one_line(f"error: {name[:SHOWN]}...: no file system has names so long; check it")
    if _out_of_memory(error):
        return 6, (
            "error: out of memory; take fewer or shorter sequences at a time, or a smaller batch"
            " (--set train.stages.NAME.batch=16)"
        )
    first = _one_line((str(error).splitlines() or [""])[0])
    return 1, f"error: unexpected {type(error).__name__}: {first} (--debug shows where)"


def _one_line(message: str) -> str:
    """Spell out what a terminal would obey, such as a line's end or an escape code in the name of a file."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)


def _out_of_memory(error: BaseException) -> bool:
    torch = sys.modules.get("torch")  # without torch there is no error of torch
    if isinstance(error, MemoryError) or (torch and isinstance(error, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
