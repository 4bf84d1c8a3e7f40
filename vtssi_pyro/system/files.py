"""What may be read, replaced and swept: regular files alone, and unfinished content that a killed process left."""

import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path

from vtssi_pyro.errors import UsageError
from vtssi_pyro.system.locking import locked

# The name of unfinished content: that of its file, eight digits that nobody else draws, and the suffix, by which
# writers choose a format.
_UNFINISHED = re.compile(r"\.(?P<stem>.+)-[0-9a-f]{8}\.tmp(?P<suffix>\.[^.]*)?", re.DOTALL)
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISLNK, "a link to itself"),  # any other link has been followed
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def is_name(value: object) -> bool:
    """Whether a value is a path, which the system can be asked for."""
    try:
        return isinstance(value, str | os.PathLike) and b"\0" not in os.fsencode(value)
    except (TypeError, UnicodeEncodeError):  # half a character, which no file's name has
        return False


def regular(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file that may be opened: a regular one, or a link to one.

    A pipe would be waited for, perhaps for ever, and a device might have no end.

    Raises:
        OSError: there is none, or it is of another kind.
    """
    path = Path(path)
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, f"it is {_kind(mode)}, not a regular file", str(path))
    return path


def obstacle(path: str | os.PathLike[str]) -> str | None:
    """Return the reason for which the present file of a name may not be replaced; None if it may, or there is none.

    Results replace files of their own names alone: a link may lead to another folder, but not onto other data.
    """
    place = os.path.realpath(path)
    try:
        mode = os.lstat(place).st_mode
    except OSError:  # there is none, or nobody can tell: writing will
        return None
    if not stat.S_ISREG(mode):
        return f"is {_kind(mode)}, not a regular file"
    if not mode & 0o222:  # root, too, respects the mark
        return "may only be read"
    if os.path.basename(place) != os.path.basename(path):
        return f"is a link to {place}, a file of another name, which would be replaced"
    return None


def replaceable(path: str | os.PathLike[str]) -> Path:
    """Return the file, existing or not, that a write to a path replaces: links are followed, so that they stay.

    Raises:
        UsageError: that is a folder, a pipe, a device, a file that is marked as one to be read alone, or one of another
            name.
    """
    if reason := obstacle(path):
        raise UsageError(f"{os.fspath(path)}: {reason}; choose another name, or move it away")
    return Path(os.path.realpath(path))


def identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """What tells the file of a path from all others, whatever its names: links, and hard links, lead to one.

    None if there is none.
    """
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def belongs(path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> bool:
    """Whether a path is a regular file of a folder, and no link on the way leads elsewhere."""
    try:
        within = Path(os.path.abspath(path)).relative_to(os.path.abspath(folder))
        place = Path(os.path.realpath(folder), within)
        return Path(os.path.realpath(path)) == place and stat.S_ISREG(place.lstat().st_mode)
    except (OSError, ValueError):
        return False


def refuse_outward(folder: str | os.PathLike[str], names: Iterable[str]) -> None:
    """Refuse to write to a folder, perhaps somebody else's, in which a file of ours is a link to one elsewhere.

    Args:
        folder: the folder.
        names: the paths below it of the files that may be written.

    Raises:
        UsageError: one of them is such a link.
    """
    for path in (Path(folder) / name for name in names):
        if path.is_symlink() and not path.resolve().is_relative_to(Path(folder).resolve()):
            raise UsageError(f"{path}: is a link to {os.readlink(path)}, out of {folder}; remove it")


def unfinished(path: Path) -> Path:
    """Return a new, hidden name beside a file for its unfinished content."""
    return path.with_name(f".{path.stem}-{secrets.token_hex(4)}.tmp{path.suffix}")


def sweep(folder: str | os.PathLike[str], *patterns: str) -> None:
    """Remove unfinished content that killed processes have left in a folder.

    That of a living process stays: while it writes, it holds the folder (:func:`held`).

    Args:
        folder: the folder.
        patterns: names of the files that were to be written, such as ``overlay.gif`` or ``sequence-*.txt``.
    """
    found = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if match := _UNFINISHED.fullmatch(entry.name):
                name = match["stem"] + (match["suffix"] or "")
                if entry.is_file(follow_symlinks=False) and any(fnmatchcase(name, p) for p in patterns):
                    found.append(entry.path)
    if found:  # listed before the folder is locked: what appears later is of a living process
        with locked(folder, alone=True) as alone:
            for path in found if alone else ():
                with suppress(OSError):
                    os.unlink(path)


@contextmanager
def held(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Hold a folder while unfinished content is in it, so that no other process sweeps it."""
    with locked(folder, alone=False):
        yield


def _kind(mode: int) -> str:
    return next((words for holds, words in _KINDS if holds(mode)), "something else")
