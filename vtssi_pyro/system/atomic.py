"""Atomic files: complete, or absent."""

import errno
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from vtssi_pyro.errors import Argument, UsageError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # errors that another folder would not mend


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, which replaces ``path`` once the block has ended well.

    The temporary name is hidden, keeps the suffix (writers choose a format by it) and holds ``.tmp``, so that
    leftovers of a killed process can be found with ``.*.tmp*``. If the block raises, it is removed and an
    older file stays as it was.

    Args:
        path: the file to write; its folder must exist.

    Yields:
        The path to write to, in the same folder.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}.tmp{path.suffix}")
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        _flush(path.parent)


def write_json(path: str | os.PathLike[str], value: Any, indent: int | None = 1) -> None:
    """Write a value as JSON, atomically; NaN raises a ValueError."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=indent, allow_nan=False) + "\n")


def writable_folder(path: str | os.PathLike[str], argument: str = "out") -> Path:
    """Make a folder for results if it is missing, and check that it can be written.

    Args:
        path: the folder.
        argument: the argument that named it, for messages.

    Returns:
        The folder.

    Raises:
        UsageError: the folder cannot be made or written.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            Argument(argument), f" {path}: cannot be made ({error.strerror}); choose another"
        ) from error
    try:
        with TemporaryFile(dir=path):
            pass
    except OSError as error:
        if error.errno in FULL:
            raise
        raise UsageError(
            Argument(argument), f" {path}: cannot be written ({error.strerror}); choose another"
        ) from error
    return Path(path)


def _flush(path: Path) -> None:
    """Push a file's bytes, or a folder's names, down to the disk: a rename may otherwise overtake them."""
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
