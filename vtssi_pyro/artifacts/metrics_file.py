"""The file of a training's metrics: JSON, one record per line, which a killed process may leave unfinished."""

from pathlib import Path
from typing import Any

from vtssi_pyro.config import not_finite
from vtssi_pyro.errors import CheckpointError
from vtssi_pyro.system.files import regular
from vtssi_pyro.system.plain import parsed


def read_records(path: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """The records of a file, and the numbers, from 1, of its lines that are none; a missing file has neither.

    Raises:
        CheckpointError: the file cannot be read.
    """
    try:
        content = regular(path).read_bytes()
    except FileNotFoundError:
        return [], []
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    records, damaged, lines = [], [], content.split(b"\n")
    for number, line in enumerate(lines, 1):
        record = _record(line)
        if record is not None:
            records.append(record)
        elif line.strip() and number < len(lines):  # the last one has no end: the process was killed
            damaged.append(number)
    return records, damaged


def _record(line: bytes) -> dict[str, Any] | None:
    """The record in a line, words under ``kind`` and ``stage`` and finite numbers elsewhere; None if it is none."""
    try:
        found = parsed(line)
    except ValueError:
        return None
    if not isinstance(found, dict) or not isinstance(found.get("step"), int) or not_finite(found):
        return None
    numbers = [value for key, value in found.items() if key not in ("kind", "stage")]
    numbers += [value for each in numbers if isinstance(each, dict) for value in each.values()]
    return None if any(isinstance(value, str | list) for value in numbers) else found
