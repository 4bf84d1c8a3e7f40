"""Tracks from text that this or another program wrote: CSV and MOTChallenge."""

import csv
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from vtssi_pyro.errors import DataError
from vtssi_pyro.system.files import regular
from vtssi_pyro.system.naming import natural
from vtssi_pyro.tracks.columns import HEADER
from vtssi_pyro.tracks.export import LENGTHS
from vtssi_pyro.tracks.rows import COUNTED, VALUES, Identity, Row, collected
from vtssi_pyro.tracks.tracks import Tracks

# Names of the column; the first present counts. Before it had trackpy's name, it was "object".
IDENTITIES = ("particle", "object", "track", "track_id", "id")
SHOWN = 60  # characters of a header in messages
PREDICTED = set(LENGTHS) - set(HEADER)  # columns of a file of predictions alone


def read_tracks_csv(path: str | Path, sequences: int | None = None, length: int | None = None) -> Tracks:
    """Read a table with one row per object and frame, as :func:`~vtssi_pyro.tracks.export.write_tracks_csv` writes it.

    Columns are known by their names. Needed are ``frame``, counted from 0, an identity (:data:`IDENTITIES`), ``x`` and
    ``y``; without ``sequence``, counted from 0, too, all rows are of one sequence. An identity is a number or a name
    and holds within its sequence. Rows come in any order; an object without a row is absent from that frame.

    Args:
        path: the file; ``x`` and ``y`` in pixels, with (0.5, 0.5) the centre of the top-left one.
        sequences: number of sequences; None: as many as have rows.
        length: frames of each sequence; None: as many as have rows.

    Returns:
        Tracks as :func:`~vtssi_pyro.tracks.rows.collected` makes them.

    Raises:
        DataError: the table is empty or damaged, or goes beyond ``sequences`` or ``length``.
    """
    return collected(csv_rows(path, sequences, length), sequences, length, first=0)


def csv_rows(
    path: str | Path, sequences: int | None = None, length: int | None = None, predicted: bool = False
) -> list[Row]:
    """The rows of a table of tracks, see :func:`read_tracks_csv`; or of one of predictions, their means alone."""
    with _opened(path) as file:
        return table_rows(str(path), file, sequences, length, predicted)


def table_rows(
    name: str, file: IO[str], sequences: int | None = None, length: int | None = None, predicted: bool = False
) -> list[Row]:
    """The rows of a table of a name in an open file; see :func:`csv_rows`."""
    reader = csv.reader(file)
    header = [cell.strip().lower() for cell in next(reader, [])]
    if not any(header):
        raise DataError(f"{name}: empty, expected a first line such as {','.join(HEADER[:5])}")
    columns = _columns(f"{name}, line 1", header, sequences, predicted)
    return [
        _csv_row(f"{name}, line {reader.line_num}", columns, cells, sequences, length)
        for cells in reader
        if any(cells)
    ]


def read_mot(path: str | Path, sequences: int | None = None, length: int | None = None) -> Tracks:
    """Read MOTChallenge text, one file a sequence: frame, id, left, top, width, height and, if known, confidence.

    MOTChallenge counts frames and pixels from 1, see :func:`~vtssi_pyro.tracks.export.write_mot`; further columns are
    passed over. A file without a line is a sequence without objects.

    Args:
        path: a file, a folder of files (sequences in the order of their names, 2 before 10), or one that holds the
            files of one tracker as TrackEval expects them, such as ``mot/`` of ``vtssi-pyro track``.
        sequences: expected number of sequences; None: any number.
        length: frames of each sequence; None: up to the last that has a line.

    Returns:
        See :func:`read_tracks_csv`. Confidences outside [0, 1] are scores of another kind, and unknown.

    Raises:
        DataError: a file is damaged or goes beyond ``length``, or the number of files is not ``sequences``.
    """
    files = _mot_files(Path(path))
    if sequences not in (None, len(files)):
        raise DataError(f"{path}: tracks of {len(files)} sequences, expected {sequences}, a file each")
    rows = []
    for b, name in enumerate(files):
        with _opened(name) as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    rows.append(_mot_row(f"{name}, line {number}", b, line, length))
    return collected(rows, len(files), length, first=1)


@contextmanager
def _opened(path: str | Path) -> Iterator[IO[str]]:
    try:
        # -sig: spreadsheets write a byte-order mark
        with regular(path).open(newline="", encoding="utf-8-sig") as file:
            yield file
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {path} ({error}): expected text in UTF-8") from error


def _columns(where: str, header: list[str], sequences: int | None, predicted: bool) -> dict[str, int]:
    """Find the index of each known column."""
    if not predicted and PREDICTED & set(header):
        raise DataError(f"{where}: predictions, expected tracks of frames that were seen, such as tracks.csv")
    twice = {name for name in ("sequence", "frame", *VALUES) if header.count(name) > 1}
    if twice:
        raise DataError(f"{where}: two columns {min(twice)}, expected one")
    columns = {name: header.index(name) for name in ("sequence", "frame", *VALUES) if name in header}
    identity = next((name for name in IDENTITIES if name in header), None)
    if identity:
        columns["particle"] = header.index(identity)
    for name in ("frame", "particle", "x", "y"):
        if name not in columns:
            other = f" (or {', '.join(IDENTITIES[1:])})" if name == "particle" else ""
            raise DataError(
                f"{where}: no column {name}{other} in {','.join(header)[:SHOWN]!r}, expected frame, particle, x "
                "and y at least, between commas"
            )
    if "sequence" not in columns and sequences not in (None, 1):
        raise DataError(f"{where}: no column sequence, expected one that tells {sequences} sequences apart")
    return columns


def _csv_row(
    where: str, columns: dict[str, int], cells: list[str], sequences: int | None, length: int | None
) -> Row:
    def cell(name: str) -> str:
        place = columns.get(name, len(cells))
        return cells[place].strip() if place < len(cells) else ""

    sequence = _index(where, "sequence", cell("sequence"), 0, sequences) if "sequence" in columns else 0
    frame = _index(where, "frame", cell("frame"), 0, length)
    values = tuple(_number(where, name, cell(name)) for name in VALUES)
    return Row(where, sequence, frame, _identity(where, cell("particle")), values)


def _mot_row(where: str, sequence: int, line: str, length: int | None) -> Row:
    cells = [cell.strip() for cell in line.split(",")] if "," in line else line.split()
    if len(cells) < 6:
        raise DataError(f"{where}: {len(cells)} columns, expected frame, id, left, top, width, height")
    frame, identity = _index(where, "frame", cells[0], 1, length), _identity(where, cells[1])
    left, top = (_number(where, name, cell) for name, cell in zip(("x", "y"), cells[2:4], strict=True))
    width, height = (_number(where, name, cell) for name, cell in zip(VALUES[2:4], cells[4:6], strict=True))
    if math.isnan(width + height):
        raise DataError(f"{where}: a box without a size, expected frame, id, left, top, width, height")
    confidence = _number(where, "confidence", cells[6]) if len(cells) > 6 else math.nan
    centre = [left - 1 + width / 2, top - 1 + height / 2]
    return Row(where, sequence, frame, identity, (*centre, width, height, math.nan, math.nan, confidence))


def _index(where: str, name: str, text: str, first: int, number: int | None) -> int:
    """Parse an index that counts from ``first``, below ``first + number``, as one that counts from 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    last = COUNTED if number is None else first + number - 1
    if not (value.is_integer() and first <= value <= last):
        span = f"from {first} on" if number is None else f"from {first} to {last}"
        raise DataError(f"{where}: {name} is {text!r}, expected a whole number {span}")
    return int(value) - first


def _identity(where: str, text: str) -> Identity:
    """Parse an identity, a number if the text is one, so that 7 and 7.0 are the same."""
    if not text:
        raise DataError(f"{where}: an object without identity, expected a number or a name")
    with suppress(ValueError):
        return int(text)  # all digits of it: other programs have identities of 64 bits
    try:
        value = float(text)
    except ValueError:
        return text
    return int(value) if value.is_integer() else text


def _number(where: str, name: str, text: str) -> float:
    """Parse a finite number; an empty cell of a column other than x and y is NaN."""
    needed = name in ("x", "y")
    try:
        value = float(text or math.nan)
    except ValueError:
        value = math.inf
    if math.isinf(value) or (needed and math.isnan(value)):
        raise DataError(f"{where}: {name} is {text!r}, expected a number{'' if needed else ' or nothing'}")
    return value


def mot_folders(path: Path) -> list[Path]:
    """Find the folders in which a folder for TrackEval holds the files of each tracker."""
    return sorted(path.glob("trackers/*/data"))


def _mot_files(path: Path) -> list[Path]:
    """List the files of a tracker, sequence by sequence."""
    if not path.is_dir():
        return [path]
    folders = mot_folders(path) or [path]
    if len(folders) > 1:
        raise DataError(f"{path}: tracks of {len(folders)} trackers, expected one: give {folders[0]}, say")
    files = sorted(folders[0].glob("*.txt"), key=natural)
    if not files:
        raise DataError(f"{folders[0]}: no tracks, expected a file .txt for each sequence")
    return files
