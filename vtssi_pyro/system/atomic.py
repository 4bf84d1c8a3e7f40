"""Atomic files: complete, or absent."""

import errno
import glob
import json
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from vtssi_pyro.errors import Argument, OutOfResources, UsageError
from vtssi_pyro.system.files import held, obstacle, replaceable, sweep, unfinished
from vtssi_pyro.system.memory import amount

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # errors that another folder would not mend


@contextmanager
def atomic_write(path: str | os.PathLike[str], size: int | None = None) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, which replaces ``path`` once the block has ended well.

    The temporary name is hidden, keeps the suffix (writers choose a format by it) and holds ``.tmp``. If the block
    raises, it is removed and an older file stays as it was; what a killed process leaves, the next command with the
    same results sweeps (:func:`~vtssi_pyro.system.files.sweep`). The new file has the mode and the owner of the old
    one, and takes its place where a link leads.

    Args:
        path: the file to write; its folder must exist.
        size: its bytes, for which there must be room; None: unknown.

    Yields:
        The path to write to, in the same folder.

    Raises:
        UsageError: there is something else than a file that may be replaced, or nothing can be written there.
        OutOfResources: the disk is full, or has less room than the file takes, in which case nothing is written.
    """
    target = replaceable(path)
    temporary = unfinished(target)
    if size is not None:
        _refuse_beyond_disk(path, target.parent, size)
    with held(target.parent):
        try:
            with _explained(path, temporary, size):
                yield temporary
                if not temporary.exists():
                    raise FileNotFoundError(f"{path}: nothing was written")
                _flush(temporary)
                _resemble(temporary, target)
                os.replace(temporary, target)
        finally:
            with suppress(OSError):  # it was never there, or the error on its way tells more
                temporary.unlink()
    if os.name == "posix":  # elsewhere a folder cannot be opened
        _flush(target.parent)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield the path of a folder to make beside ``path``, which replaces the folder ``path`` once the block ended well.

    Until then, and if the block raises, an older folder stays as it was. A folder cannot replace another in one step:
    for an instant neither is there. What a killed process leaves has a hidden name, and stays.

    Raises:
        UsageError: nothing can be written there.
        OutOfResources: the disk is full.
    """
    target = Path(path)
    new, old = unfinished(target), unfinished(target)
    with _explained(path, new, None):
        try:
            yield new
            if target.exists():
                os.replace(target, old)
            os.replace(new, target)
        except BaseException:  # a signal, too, may fall between the two steps
            if old.exists() and not target.exists():
                os.replace(old, target)
            raise
        finally:
            for left in (new, old):
                shutil.rmtree(left, ignore_errors=True)


def write_bytes(path: str | os.PathLike[str], content: bytes | memoryview) -> None:
    """Write a whole file, atomically."""
    with atomic_write(path, len(content)) as temporary:
        temporary.write_bytes(content)


def write_json(path: str | os.PathLike[str], value: Any, indent: int | None = 1) -> None:
    """Write a value as JSON, atomically; NaN raises a ValueError."""
    write_bytes(path, (json.dumps(value, indent=indent, allow_nan=False) + "\n").encode())


def append(path: str | os.PathLike[str], line: str) -> None:
    """Add a line to a file, which a reader may meet half-written; a missing file is made.

    Raises:
        UsageError: there is something else than a file that may be written.
        OutOfResources: the disk is full.
    """
    content = line.encode() + b"\n"
    with _explained(path, path, len(content)), replaceable(path).open("ab") as file:
        file.write(content)


@contextmanager
def growing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Explain the errors of a block that writes to a file which grows and is therefore not atomic."""
    with _explained(path, path, None):
        yield


def refuse_existing(
    path: str | os.PathLike[str], force: bool, argument: str = "out", but: str = " already"
) -> None:
    """Refuse to replace what bears a name that a user chose; files in folders of results have names of their own.

    Args:
        path: the file or folder that will be written; an empty folder is none.
        force: whether it may be replaced.
        argument: the argument that named it, for messages.
        but: what is known of it, for messages.

    Raises:
        UsageError: it is there, and may not be replaced.
    """
    place = Path(path)
    if force or not os.path.lexists(place) or (place.is_dir() and not any(place.iterdir())):
        return
    raise UsageError(
        Argument(argument), f" {os.fspath(path)}: exists{but}; choose another name, or replace it with ",
        Argument("force"),
    )  # fmt: skip


def make_parent(path: str | os.PathLike[str]) -> None:
    """Make the folder of a file that will be written, if it is missing.

    Raises:
        UsageError: it cannot be made.
    """
    parent = Path(path).parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{parent}: cannot be made ({error.strerror}); choose another place") from error


def writable_folder(
    path: str | os.PathLike[str],
    argument: str = "out",
    files: Sequence[str] = (),
    folders: Sequence[str] = (),
) -> Path:
    """Make a folder for results if it is missing, and check that they can be written; long work calls this first.

    Args:
        path: the folder.
        argument: the argument that named it, for messages.
        files: names of the files that will be written to it; what killed processes left of them is swept.
        folders: names of the folders that will be made in it.

    Returns:
        The folder.

    Raises:
        UsageError: the folder cannot be made or written, or something that may not be replaced is in the way.
    """

    def refused(reason: str) -> UsageError:
        return UsageError(Argument(argument), f" {os.fspath(path)}: {reason}")

    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refused(f"cannot be made ({error.strerror}); choose another") from error
    try:
        with TemporaryFile(dir=path):
            pass
    except OSError as error:
        if error.errno in FULL:
            raise
        raise refused(f"cannot be written ({error.strerror}); choose another") from error
    for name in files:
        if reason := obstacle(Path(path) / name):
            raise refused(f"its {name} {reason}; move it away, or choose another folder")
    for name in folders:
        if (Path(path) / name).exists() and not (Path(path) / name).is_dir():
            raise refused(f"its {name} is no folder; move it away, or choose another folder")
    sweep(path, *map(glob.escape, files))
    return Path(path)


@contextmanager
def _explained(
    path: str | os.PathLike[str], written: str | os.PathLike[str], size: int | None
) -> Iterator[None]:
    """Name the file whose writing fails, and what it takes if the disk is full.

    Args:
        path: the file, for messages.
        written: the file that is written to.
        size: the bytes it takes; None: more than are written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise OutOfResources(f"{os.fspath(path)}: {_full(Path(written), size, error)}") from error
        about_it = error.filename is None or os.fspath(error.filename) == os.fspath(written)
        if error.errno is None or not about_it:
            raise
        raise UsageError(
            f"{os.fspath(path)}: cannot be written ({error.strerror}); choose another place"
        ) from error


def _full(written: Path, size: int | None, error: OSError) -> str:
    there, free = 0, None
    with suppress(OSError):
        there = written.stat().st_size
        free = shutil.disk_usage(written.parent).free
    return _no_room(
        f"more than {amount(there)}" if size is None else amount(size), free, f" ({error.strerror})"
    )


def _no_room(takes: str, free: int | None, reason: str = "") -> str:
    """Say what a file takes, and what is free if that is known."""
    left = "" if free is None else f", {amount(free)} are free"
    return f"no room left on the disk{reason}: it takes {takes}{left}; free some space"


def _refuse_beyond_disk(path: str | os.PathLike[str], folder: Path, size: int) -> None:
    """Refuse to begin a file for which a folder's disk has no room."""
    with suppress(OSError):  # the folder is missing, or nobody can tell: writing will
        free = shutil.disk_usage(folder).free
        if size > free:
            raise OutOfResources(f"{os.fspath(path)}: {_no_room(amount(size), free)}")


def _resemble(new: Path, old: Path) -> None:
    """Give a new file the mode and, if the system lets us, the owner of the old one."""
    try:
        about = old.stat()
    except FileNotFoundError:
        return
    with suppress(OSError, AttributeError):  # there are no owners everywhere
        os.chown(new, about.st_uid, about.st_gid)
    os.chmod(new, stat.S_IMODE(about.st_mode) & 0o777)


def _flush(path: Path) -> None:
    """Push a file's bytes, or a folder's names, down to the disk: a rename may otherwise overtake them."""
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
