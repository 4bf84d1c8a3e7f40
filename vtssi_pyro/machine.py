"""What a whole process may set up for itself; commands do so, the library leaves the process of others alone."""

import ctypes
import sys

import torch

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h
_NEVER = 2**31 - 1


def prepare(threads: int) -> None:
    """Set the number of CPU threads, and have freed memory kept for the next step.

    glibc gives large blocks back to the system when they are freed, and has them zeroed, page by page, when the next
    training step asks for them again: a tenth of the step's time, more on a busy machine. Kept, they take a tenth more
    memory where steps are large.
    """
    torch.set_num_threads(threads)
    if sys.platform.startswith("linux"):
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
        if mallopt is not None:
            mallopt(_M_MMAP_MAX, 0)
            mallopt(_M_TRIM_THRESHOLD, _NEVER)
