"""What a machine has, and what a process may set up for itself; the library leaves that of others alone."""

import ctypes
import math
import os
import sys
from pathlib import Path
from typing import Any

import torch

from vtssi_pyro.errors import UsageError

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h
_NEVER = 2**31 - 1
IDLE = 2**28  # bytes that may lie free


def prepare(threads: int | None = None) -> int:
    """Set the number of CPU threads, and have freed memory kept for the next step.

    Args:
        threads: None for :func:`default_threads`.

    Returns:
        the number of threads.

    glibc gives large blocks back to the system when they are freed, and has them zeroed, page by page, when the next
    training step asks for them again: a tenth of the step's time, more on a busy machine. Kept, they take a tenth more
    memory where steps are large.
    """
    threads = threads or default_threads()
    torch.set_num_threads(threads)
    _glibc("mallopt", _M_MMAP_MAX, 0)
    _glibc("mallopt", _M_TRIM_THRESHOLD, _NEVER)
    return threads


def tidy() -> None:
    """Give freed memory back to the system all the same where it has become much: now and then, in what takes long.

    A small result that is kept may be put where a large block was freed, which then is too small for the next large
    one: a movie's tracks, part by part, would take more memory than its frames.
    """
    state = _glibc("mallinfo2", returns=_Mallinfo)
    if state is not None and state.fordblks > IDLE:
        _glibc("malloc_trim", 0)


def available_device(name: str = "auto") -> torch.device:
    """The device of a name; ``auto`` is CUDA where there is one, and of several processes each has a GPU of its own."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and "LOCAL_RANK" in os.environ:  # torchrun's, counted per machine
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0][:120]
        raise UsageError(f"--device {name}: this torch cannot use it ({reason}); use --device cpu") from error
    return device


def default_threads() -> int:
    """Torch's own choice of threads, but no more than there are physical cores that nobody else keeps busy.

    Two threads train 1.4 times as fast as one on two idle cores, and many times slower where one core is taken: every
    operation then waits for the slower thread.
    """
    busy = math.floor(os.getloadavg()[0]) if hasattr(os, "getloadavg") else 0
    return max(1, min(torch.get_num_threads(), physical_cores() - busy))


def physical_cores() -> int:
    """Cores this process may run on; the two threads of a core count once where the system says so."""
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
    """glibc's ``struct mallinfo2``; ``fordblks`` are bytes that are free."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    )


def _glibc(name: str, *arguments: int, returns: Any = ctypes.c_int) -> Any:
    """Call a function of glibc's; other C libraries, and older ones, lack some of these and do without: None."""
    function = getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
    if function is None:
        return None
    function.restype = returns
    return function(*arguments)
