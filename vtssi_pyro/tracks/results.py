"""The results that ``track`` and ``predict`` wrote to a folder, read again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from vtssi_pyro.errors import DataError
from vtssi_pyro.system.files import regular
from vtssi_pyro.system.plain import parsed
from vtssi_pyro.tracks.about import About
from vtssi_pyro.tracks.export import PREDICTIONS, TRACKS
from vtssi_pyro.tracks.importing import csv_rows
from vtssi_pyro.tracks.rows import VALUES, Row, collected
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.tracks.units import Units


class Results(NamedTuple):
    """Tracks of observed and of predicted frames, as a folder holds them."""

    tracks: (
        Tracks  # (B, T, N, 2), px; predicted frames come last, and tell places and standard deviations alone
    )
    observed: int  # number of frames that were observed
    frame_size: tuple[int, int]  # (H, W), px
    units: Units


def holds_results(path: Path) -> bool:
    """Whether a path is a folder of results, or a file of one that :func:`read_results` reads."""
    if path.is_dir():
        return (path / TRACKS).is_file()
    return path.name in (TRACKS, PREDICTIONS) and (path.parent / TRACKS).is_file()


def read_results(path: Path) -> Results:
    """Read a folder of results: ``tracks.json`` and, if it is there, ``predictions.csv``.

    Args:
        path: the folder, or one of these files; of ``tracks.json`` alone no predictions are read.

    Returns:
        The results; slots are dealt as by :func:`~vtssi_pyro.read_tracks`.

    Raises:
        DataError: a file is missing or damaged.
    """
    folder = path if path.is_dir() else path.parent
    about, sequences = read_about(folder / TRACKS)
    units = about.units
    rows, lengths = _all_rows(folder / TRACKS, sequences, units)
    observed, ahead = max(lengths, default=0), folder / PREDICTIONS
    if path.name != TRACKS and ahead.exists():
        rows += [_later(row, observed, units) for row in csv_rows(ahead, predicted=True)]
    last = max((row.frame + 1 for row in rows), default=0)
    return Results(collected(rows, len(lengths), max(observed, last), first=0), observed, *about)


def read_about(path: Path) -> tuple[About, list[Any]]:
    """Read what a ``tracks.json`` tells beside tracks, and its sequences, in plain values.

    Raises:
        DataError: it is missing or damaged.
    """
    with _reading(path):
        told = parsed(regular(path).read_text())
        units = Units.from_dict(told.get("units") or {})
        return About((int(told["height"]), int(told["width"])), units), list(told["sequences"])


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn errors of a damaged file into a :class:`~vtssi_pyro.errors.DataError`."""
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: damaged, or not what vtssi-pyro track wrote ({error!r})") from error


def _all_rows(path: Path, sequences: list[Any], units: Units) -> tuple[list[Row], list[int]]:
    """The rows of all sequences, and the sequences' lengths."""
    with _reading(path):
        lengths = [int(each["frames"]) for each in sequences]
        rows = [
            row
            for b, each in enumerate(sequences)
            for known in each["objects"]
            for row in _rows(path, b, known, lengths[b], units)
        ]
        return rows, lengths


def _later(row: Row, observed: int, units: Units) -> Row:
    """A predicted row, whose frame is counted as those that were read."""
    try:
        frame = units.counted(row.frame)
    except ValueError as error:
        raise DataError(f"{row.where}: {error}") from error
    if frame < observed:
        raise DataError(f"{row.where}: frame {row.frame} was observed; the files are of other results")
    return row._replace(frame=frame)


def _rows(path: Path, sequence: int, known: dict[str, Any], length: int, units: Units) -> list[Row]:
    """The rows of one object."""
    frames = known["frame"]
    columns = [known.get(name, [None] * len(frames)) for name in VALUES]
    found = []
    for frame, *values in zip(frames, *columns, strict=True):
        where = f"{path}, object {known['object']}"
        if not isinstance(frame, int) or (count := units.counted(frame)) >= length:
            raise ValueError(f"{where}: frame {frame} of {length}")
        numbers = tuple(float("nan") if value is None else float(value) for value in values)
        found.append(Row(where, sequence, count, int(known["object"]), numbers))
    return found
