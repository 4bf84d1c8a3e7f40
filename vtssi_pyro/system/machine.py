"""The machine's resources, and the settings that a process makes for itself alone."""

import ctypes
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from vtssi_pyro.errors import Argument, UsageError

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h
_NEVER = 2**31 - 1  # the largest C int
# Threads at most: no machine gains by more, and OpenMP ends the process without a word if it cannot make them.
MOST_THREADS = max(256, os.cpu_count() or 1)
# Bytes (256 MiB) that may stay free: with a lower limit, memory would be returned that is soon requested again.
IDLE = 2**28
if hasattr(os, "register_at_fork"):
    # A forked child has none of OpenMP's threads, for which GNU's library would wait for ever; a DataLoader of torch
    # likewise leaves each worker one thread.
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def prepare(threads: int | None = None) -> int:
    """Set the number of CPU threads, and keep freed memory for the next step.

    Args:
        threads: number of threads; None: :func:`default_threads`.

    Returns:
        the number of threads.

    Raises:
        UsageError: fewer than 1 or more than MOST_THREADS.

    glibc gives large blocks back to the system when they are freed, and has them zeroed, page by page, when the next
    training step asks for them again: a tenth of the step's time, more on a busy machine. Kept, they take a tenth more
    memory where steps are large.
    """
    threads = _allowed(threads or default_threads())
    torch.set_num_threads(threads)
    _glibc("mallopt", _M_MMAP_MAX, 0)
    _glibc("mallopt", _M_TRIM_THRESHOLD, _NEVER)
    return threads


@contextmanager
def threaded(number: int | None) -> Iterator[None]:
    """Use a number of CPU threads for a while; None: the number that is set."""
    before = torch.get_num_threads()
    torch.set_num_threads(_allowed(number or before))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _allowed(threads: int) -> int:
    if not 1 <= threads <= MOST_THREADS:
        raise UsageError(Argument("threads"), f" {threads}: expected 1 or more, and {MOST_THREADS} or fewer")
    return threads


def tidy() -> None:
    """Give freed memory back to the system if it exceeds :data:`IDLE`; long computations call this now and then.

    A small result may take the place of a large freed block, which then is too small for the next large one: a movie's
    tracks, part by part, would take more memory than its frames.
    """
    state = _glibc("mallinfo2", returns=_Mallinfo)
    if state is not None and state.fordblks > IDLE:
        _glibc("malloc_trim", 0)


def available_device(name: str | torch.device = "auto") -> torch.device:
    """Find the device of a name; ``auto`` is CUDA if available, and each of several processes has its own GPU.

    Raises:
        UsageError: torch cannot use the device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and "LOCAL_RANK" in os.environ:  # torchrun's, counted per machine
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0][:120]
        raise UsageError(
            Argument("device"),
            f" {' '.join(str(name).split())[:120]}: this torch cannot use it ({reason}); use ",
            Argument("device"),
            " cpu",
        ) from error
    return device


def default_threads() -> int:
    """Return torch's own choice of threads, at most the number of idle physical cores.

    Two threads train 1.4 times as fast as one on two idle cores, and many times slower if one core is busy: every
    operation then waits for the slower thread.
    """
    busy = math.floor(os.getloadavg()[0]) if hasattr(os, "getloadavg") else 0
    return max(1, min(torch.get_num_threads(), physical_cores() - busy))


def physical_cores() -> int:
    """Count the cores this process may run on; the two threads of a core count once if the system tells them."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    cores = set()
    for cpu in os.sched_getaffinity(0):
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        try:
            cores.add(siblings.read_text().strip())
        except OSError:
            cores.add(str(cpu))
    return max(1, len(cores))


class _Mallinfo(ctypes.Structure):
    """glibc's ``struct mallinfo2``; ``fordblks`` is the number of free bytes."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    )


def _glibc(name: str, *arguments: int, returns: Any = ctypes.c_int) -> Any:
    """Call a function of glibc's; None for a C library that lacks it."""
    function = getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
    if function is None:
        return None
    function.restype = returns
    return function(*arguments)
