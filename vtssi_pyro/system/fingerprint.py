"""Fingerprints of files, by which a file is known again that was moved, copied or touched, and no other."""

import hashlib
import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from vtssi_pyro.system.files import regular

BLOCK = 2**16  # bytes that are read at a time
WHOLE = 2**26  # bytes (64 MiB) up to which files are hashed as a whole: a tenth of a second
BLOCKS = (
    1024  # of larger files, evenly spaced: as many bytes; a film that was cut or encoded anew differs in most
)


def sha256(path: str | os.PathLike[str]) -> str:
    """Compute the SHA-256 of a whole file."""
    with regular(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(paths: Sequence[str | os.PathLike[str]]) -> dict[str, Any]:
    """Describe files, ready for JSON.

    Args:
        paths: the files, in an order that means something.

    Returns:
        ``size``, bytes of all; ``time`` of the last change, seconds since 1970; ``sha256`` of sizes and contents, of
        more than WHOLE bytes of BLOCKS blocks alone.

    Raises:
        OSError: a file is missing, or is no regular file.
    """
    files = [regular(path) for path in paths]
    about = [file.stat() for file in files]
    sizes = [each.st_size for each in about]
    digest = hashlib.sha256(repr(sizes).encode())
    for index, offset in _places(sizes):
        with files[index].open("rb") as file:
            file.seek(offset)
            digest.update(file.read(BLOCK))
    times = max((each.st_mtime for each in about), default=0.0)
    return {"size": sum(sizes), "time": times, "sha256": digest.hexdigest()}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two fingerprints are of the same contents, whatever their times."""
    return all(one.get(key) == other.get(key) for key in ("size", "sha256"))


def _places(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Where blocks begin: the index of a file and the offset in it."""
    total = sum(sizes)
    if total <= WHOLE:
        yield from ((index, at) for index, size in enumerate(sizes) for at in range(0, size, BLOCK))
        return
    ends = list(accumulate(sizes))
    for number in range(BLOCKS):
        place = number * (total - BLOCK) // (BLOCKS - 1)
        index = bisect_right(ends, place)
        yield index, place - (ends[index] - sizes[index])
