"""Locks of files and folders, by which processes keep out of each other's way; that of an ended process is void."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO


def claim(file: IO[str]) -> bool:
    """Lock an open file until it is closed; returns whether no other process holds it."""
    if sys.platform == "win32":
        import msvcrt

        try:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    with suppress(OSError):  # a file system without locks keeps no process out
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@contextmanager
def locked(folder: str | os.PathLike[str], alone: bool) -> Iterator[bool]:
    """Lock a folder, alone or with others, without waiting; yields whether that went well.

    Where there are no such locks, nothing is locked.
    """
    if sys.platform == "win32":
        yield False
        return
    import fcntl

    descriptor, locked = None, False
    try:
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            locked = True
        yield locked
    finally:
        if descriptor is not None:
            os.close(descriptor)
