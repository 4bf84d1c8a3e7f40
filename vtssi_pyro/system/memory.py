"""The memory that is free, and the refusal of work that would take more."""

import math
from contextlib import suppress
from pathlib import Path

import psutil

from vtssi_pyro.errors import OutOfResources

# The limits that a container sets, of cgroups 2 and 1: a file with the limit and one with what is in use, bytes.
_LIMITS = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
_CONTAINER = Path("/sys/fs/cgroup")
FLOAT, DOUBLE = 4, 8  # bytes of a number


def free_memory() -> int:
    """Bytes that this process may still take: of the machine, or of the container it runs in."""
    free: int = psutil.virtual_memory().available
    for limit, used in _LIMITS:
        with suppress(OSError, ValueError):  # there is none, or it is "max"
            free = min(free, int((_CONTAINER / limit).read_text()) - int((_CONTAINER / used).read_text()))
    return max(free, 0)


def places(*counts: int, number: int = FLOAT) -> int:
    """Bytes of positions (x, y), of as many as the product of the counts, each of two numbers of some bytes."""
    return math.prod(counts) * 2 * number


def refuse_beyond_memory(takes: float, work: str, *remedy: str) -> None:
    """Refuse work that takes more memory than is free, before it begins.

    Args:
        takes: the bytes that it takes, estimated.
        work: the work, the subject of a sentence.
        remedy: what to change, in parts of an error's message.

    Raises:
        OutOfResources: so much is not free.
    """
    free = free_memory()
    if takes > free:
        raise OutOfResources(
            f"{work} would take about {amount(takes)} of memory, of which {amount(free)} are free: ", *remedy
        )


def amount(size: float) -> str:
    """A number of bytes, in a unit that people read."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size:.0f} bytes"
