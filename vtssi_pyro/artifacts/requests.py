"""What a tracking was asked for, by which its results are known again: weights, options and frames."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from vtssi_pyro.artifacts.sources import files_of
from vtssi_pyro.model.config import TestTime
from vtssi_pyro.system.files import regular
from vtssi_pyro.system.fingerprint import fingerprint
from vtssi_pyro.system.plain import parsed
from vtssi_pyro.tracks.export import FILES

Request = dict[str, Any]  # ready for JSON


def request(source: object, tracker: str | None, **options: Any) -> Request:
    """Describe a tracking by all that its results depend on, but the versions of this and other packages.

    Args:
        source: the frames; those of no file are not described.
        tracker: its identity (:class:`~vtssi_pyro.artifacts.loading.Loaded`); None: it follows from the frames and the
            options.
        options: further arguments of :func:`vtssi_pyro.track`, of which only those count that say something.
    """
    return {**_asked(tracker, **options), "frames": _frames(source)}


def answered(folder: Path, source: object, tracker: str | None, **options: Any) -> bool:
    """Whether a folder holds complete results of a tracking of files that was asked for the same.

    Frames are read, to be hashed, only if all else is the same. See :func:`request` for the arguments.
    """
    try:
        found = parsed(regular(folder / FILES[1]).read_text())["made"]["asked"]
        alike = found == {**_asked(tracker, **options), "frames": found["frames"]}
    except (OSError, ValueError, TypeError, KeyError):
        return False
    if not alike or not (folder / FILES[0]).is_file():
        return False
    frames = _frames(source)
    return frames is not None and found["frames"] == frames


def _asked(
    tracker: str | None, *, test_time: TestTime | None = None, formats: Iterable[str] = (), **options: Any
) -> Request:
    """A request without its frames; None as ``test_time`` is the tracker's own, and formats have no order."""
    options |= {"test_time": test_time and asdict(test_time), "formats": sorted(formats)}
    told = {name: said(value) for name, value in sorted(options.items())}
    return {
        "tracker": tracker,
        "options": {name: value for name, value in told.items() if not _silent(value)},
    }


def _silent(value: Any) -> bool:
    """Whether an option says nothing; 0, which is equal to False, does."""
    return value is None or value is False or value in ({}, [])


def _frames(source: object) -> Request | None:
    """The fingerprint of a source's files, without the time of files that were moved or touched; None without files."""
    files = files_of(source) if isinstance(source, str | os.PathLike) else []
    return {name: value for name, value in fingerprint(files).items() if name != "time"} if files else None


def said(value: Any) -> Any:
    """A value for JSON; of a dataclass the fields that differ from their defaults."""
    if is_dataclass(value) and not isinstance(value, type):
        usual = asdict(type(value)())
        return {name: said(own) for name, own in asdict(value).items() if own != usual[name]}
    if isinstance(value, Mapping):
        return {name: said(own) for name, own in value.items()}
    return [said(each) for each in value] if isinstance(value, tuple | list | frozenset | set) else value
