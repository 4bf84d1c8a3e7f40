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


def request(
    source: object, weights: str | None, *, test_time: TestTime | None = None, formats: Iterable[str] = (),
    **options: Any,
) -> Request:  # fmt: skip
    """Describe a tracking by all that its results depend on, but the versions of this and other packages.

    Args:
        source: the frames; those of no file are not described.
        weights: the digest of the tracker's weights; None: they follow from the frames and the options.
        test_time: the procedure at test time; None: the tracker's own, which the plainest one need not be.
        formats: further formats, in any order.
        options: further arguments, of which only those count that say something.
    """
    files = files_of(source) if isinstance(source, str | os.PathLike) else []
    about = fingerprint(files) if files else None
    if about is not None:
        del about["time"]  # of files that were moved or touched
    options |= {"test_time": test_time and asdict(test_time), "formats": sorted(formats)}
    said = {name: _said(value) for name, value in sorted(options.items())}
    kept = {name: value for name, value in said.items() if value not in (None, False, {}, [])}
    return {"weights": weights, "options": kept, "frames": about}


def answered(folder: Path, wanted: Request) -> bool:
    """Whether a folder holds complete results of a tracking of files that was asked for the same."""
    try:
        found = parsed(regular(folder / FILES[1]).read_text())["made"]["asked"]
    except (OSError, ValueError, TypeError, KeyError):
        return False
    return wanted["frames"] is not None and found == wanted and (folder / FILES[0]).is_file()


def _said(value: Any) -> Any:
    """A value for JSON; of a dataclass the fields that differ from their defaults."""
    if is_dataclass(value) and not isinstance(value, type):
        usual = asdict(type(value)())
        return {name: _said(own) for name, own in asdict(value).items() if own != usual[name]}
    if isinstance(value, Mapping):
        return {name: _said(own) for name, own in value.items()}
    return [_said(each) for each in value] if isinstance(value, tuple | list | frozenset | set) else value
