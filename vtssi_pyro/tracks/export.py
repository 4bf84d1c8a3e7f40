"""Tracks as text that other programs read: CSV and MOTChallenge."""

import csv
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from torch import Tensor

from vtssi_pyro.errors import DataError
from vtssi_pyro.system.atomic import atomic_write, growing, write_bytes, write_json
from vtssi_pyro.system.files import replaceable, sweep
from vtssi_pyro.system.manifest import Manifest
from vtssi_pyro.tracks.columns import CONFIDENCE, INDEX, Column, Quantity, Rows, in_all_units, rows_of, table
from vtssi_pyro.tracks.meetings import meeting
from vtssi_pyro.tracks.tracks import Tracks, as_array, concatenated
from vtssi_pyro.tracks.units import NO_UNITS, Units

LENGTHS = [
    *"x y x_std y_std".split(),
    *"x_50_low x_50_high x_90_low x_90_high y_50_low y_50_high y_90_low y_90_high".split(),
    *"x_median y_median x_mean y_mean".split(),
]
MEETING = Quantity(
    "meeting", "share of futures in which it soon meets another object",
    lambda tracks: None if tracks.samples is None or tracks.box is None else meeting(tracks).numpy(),
)  # fmt: skip
PREDICTIONS_HEADER = [*INDEX, *LENGTHS, CONFIDENCE.name, MEETING.name]
TRACKS, PREDICTIONS = "tracks.json", "predictions.csv"  # all that is known of tracks, and what follows them
FILES, MOT = ("tracks.csv", TRACKS), "mot"  # that write_results makes: files, and a folder
QUANTILES = (0.25, 0.75, 0.05, 0.95, 0.5)  # ends of the 50 % and of the 90 % interval, and the median
DECIMALS = 4  # of a pixel: far finer than any registration (0.05 px), short enough to read
DIGITS = 7  # of a number in a table of tracks: as many as DECIMALS leave of a length in pixels
BUFFER = 2**20  # bytes, more than one append writes, so that another reader never meets half a line
CHUNK_ROWS = 20_000  # rows whose samples are sorted at a time: 100 samples of each, x and y, take 32 MB


def write_tracks_csv(path: str | Path, tracks: Tracks, units: Units = NO_UNITS) -> None:
    """Write one row per object and frame; indices count from 0, and unknown values are empty cells.

    The columns are those of :meth:`~vtssi_pyro.Tracks.to_dataframe`: ``pandas.read_csv`` reads the same table.

    Args:
        path: the file to write.
        tracks: (B, T, N, 2), px; absent objects get no row. If it is known how visible objects are, a column tells it:
            a hidden object is there, and has a row.
        units: known units; further columns tell lengths, speeds and times in them.
    """
    _write_columns(path, table(tracks, units))


def write_summary_csv(path: str | Path, movies: Mapping[str, Mapping[str, Sequence[Any]]]) -> None:
    """Write one row a track, those of several movies one after another.

    Args:
        path: the file to write.
        movies: the columns of :func:`~vtssi_pyro.tracks.summary.summary_table`, by the movie's name; those that a movie
            lacks, as of units that are not known of it, are empty in its rows.
    """
    names = list(dict.fromkeys(name for columns in movies.values() for name in columns))
    whole: dict[str, list[Any]] = {name: [] for name in ("movie", *names)}
    for movie, columns in movies.items():
        tracks = len(columns["particle"])
        whole["movie"] += [movie] * tracks
        for name in names:
            values = columns.get(name, [None] * tracks)
            whole[name] += [_digits(value) if isinstance(value, float) else value for value in values]
    _write_rows(path, list(whole), whole.values())


def write_predictions_csv(path: str | Path, tracks: Tracks, observed: int, units: Units = NO_UNITS) -> None:
    """Write the predicted frames with the central 50 % and 90 % intervals, median and mean of the sampled positions.

    The last columns are the probabilities that the object is there, empty where objects never leave, and that it soon
    meets another one.

    Args:
        path: the file to write.
        tracks: (B, T, N, 2), px; samples (S, B, T, N, 2).
        observed: number of frames that the tracker saw; only later ones are written. Indices count from 0.
        units: known units; further columns tell the same in them.
    """
    rows = rows_of(tracks, first=observed)
    values = [*_pair(tracks.position, rows), *_pair(tracks.scale, rows), *_intervals(tracks.samples, rows)]
    known = [
        (Quantity(name, "", lambda tracks: None, 1), column)
        for name, column in zip(LENGTHS, values, strict=True)
    ]
    known.append((CONFIDENCE, _column(tracks.confidence, rows)))
    soon = MEETING.values(tracks)
    known.append((MEETING, _column(None, rows) if soon is None else soon[rows]))
    sequence, frame, particle = rows
    numbers = units.numbered(frame)
    index = [Column(name, column) for name, column in zip(INDEX, (sequence, numbers, particle), strict=True)]
    _write_columns(path, [*index, *in_all_units(known, units, numbers)])


def write_results(
    out: Path,
    tracks: Tracks,
    frame_size: tuple[int, int],
    units: Units = NO_UNITS,
    appearance: Tensor | None = None,
    about: Mapping[str, Any] | None = None,
    meanwhile: Callable[[], Iterable[Path]] = tuple,
) -> list[Path]:
    """Write ``tracks.csv``, a MOTChallenge folder, ``mot/``, and last ``tracks.json``, which says what made them all.

    Args:
        out: the folder to write to.
        tracks: (B, T, N, 2), px.
        frame_size: (H, W), px.
        units: known units.
        appearance: (B, N, D), a vector of each object's looks; None: none is written.
        about: further values of ``tracks.json``, ready for JSON; None: none.
        meanwhile: writes further files before ``tracks.json``, so that this says that all is there, while a stop leaves
            the table.

    Returns:
        The two files, the folder, and the further files.
    """
    csv_file, plain, challenge = paths = [out / name for name in (*FILES, MOT)]
    write_tracks_csv(csv_file, tracks, units)
    write_mot_challenge(challenge, tracks, frame_size, units)
    more = list(meanwhile())
    write_tracks_json(plain, tracks, frame_size, units, appearance, about)
    return [*paths, *more]


class TracksWriter:
    """A ``tracks.csv`` that grows by the frames of one sequence, readable at any time and therefore not atomic.

    Args:
        path: the file; one that exists stays until the first frames are appended, and is then replaced.
        units: known units.
    """

    def __init__(self, path: str | Path, units: Units = NO_UNITS) -> None:
        self._path, self._units = replaceable(path), units
        self._file: IO[str] | None = None
        self._before: Tracks | None = None  # of the last frame, from which velocities are told
        self._frames = 0

    def append(self, tracks: Tracks) -> None:
        """Write the next frames, (1, T, N, 2), and flush them."""
        known = tracks if self._before is None else concatenated([self._before, tracks], 1)
        old = known.present.shape[1] - tracks.present.shape[1]
        columns = table(known, self._units, first=old, number=self._frames - old)
        with growing(self._path):
            header = [] if self._file else [[column.name for column in columns]]
            self._file = self._file or open(self._path, "w", BUFFER, newline="", encoding="utf-8")
            writer = csv.writer(self._file, lineterminator="\n")
            writer.writerows([*header, *zip(*(_cells(c.values, c.factor) for c in columns), strict=True)])
            self._file.flush()
        self._frames += tracks.present.shape[1]
        self._before = tracks.part(frames=slice(-1, None))

    def __enter__(self) -> "TracksWriter":
        return self

    def __exit__(self, *error: object) -> None:
        if self._file:
            with growing(self._path):  # if the disk is full, what is still to be written fails once more
                self._file.close()


def write_tracks_json(
    path: str | Path,
    tracks: Tracks,
    frame_size: tuple[int, int],
    units: Units = NO_UNITS,
    appearance: Tensor | None = None,
    about: Mapping[str, Any] | None = None,
) -> None:
    """Write the columns of :func:`write_tracks_csv` as JSON, object by object, with null for unknown values.

    Args:
        path: the file to write.
        tracks: (B, T, N, 2), px; absent objects are left out.
        frame_size: (H, W), px.
        units: known units.
        appearance: (B, N, D), a vector of each object's looks; None: none is written.
        about: further values, ready for JSON, by names of their own; None: none.
    """
    index, columns = (part := table(tracks, units))[: len(INDEX)], part[len(INDEX) :]
    sequence, frame, particle = (column.values for column in index)
    looks = None if appearance is None else as_array(appearance).round(DECIMALS)
    sequences: list[dict[str, Any]] = []
    for b in range(len(tracks.present)):
        begin, end = np.searchsorted(sequence, [b, b + 1])  # rows are sorted by sequence
        objects = []
        for n in np.unique(particle[begin:end]).tolist():
            own = begin + (particle[begin:end] == n).nonzero()[0]
            own_values: dict[str, Any] = {"object": n}
            if looks is not None:
                own_values["appearance"] = looks[b, n].tolist()
            own_values["frame"] = frame[own].tolist()
            objects.append(own_values | {c.name: _cells(c.values[own], c.factor) for c in columns})
        sequences.append({"sequence": b, "frames": tracks.present.shape[1], "objects": objects})
    height, width = frame_size
    whole = {
        "height": height, "width": width, "rate": units.frame_rate, "units": units.as_dict(), **(about or {}),
        "sequences": sequences,
    }  # fmt: skip
    write_json(path, whole, indent=None)


def write_mot(folder: str | Path, tracks: Tracks, name: str, units: Units = NO_UNITS) -> list[Path]:
    """Write MOTChallenge text, one file a sequence: frame, id, left, top, width, height, conf, -1, -1, -1.

    MOTChallenge counts frames, identities and pixels from 1, so a box at the very left has ``left`` 1.

    Args:
        folder: the folder to write to; made if missing.
        tracks: (B, T, N, 2), px, with boxes; a missing confidence is written as 1.
        name: the files become ``name-0000.txt`` and so on, numbered as sequences are in the CSV files.
        units: tell the frames' numbers in their movie.

    Returns:
        The files, one per sequence, empty for a sequence without objects.
    """
    confidence = _column(tracks.confidence, rows_of(tracks))
    columns = _mot_columns(tracks, (np.where(np.isnan(confidence), 1.0, confidence), -1, -1, -1), units)
    sequence, folder = rows_of(tracks)[0], Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder, f"{name}-*.txt")
    paths = [folder / f"{name}-{b:04d}.txt" for b in range(len(tracks.present))]
    for b, path in enumerate(paths):
        begin, end = np.searchsorted(sequence, [b, b + 1])  # rows are sorted by sequence
        _write_csv(path, [column[begin:end] for column in columns])
    return paths


def _mot_columns(tracks: Tracks, rest: tuple[Any, ...], units: Units) -> list[np.ndarray]:
    """Frame, identity, left, top, width and height of each object, all counted from 1, and the columns ``rest``."""
    _, frame, slot = rows = rows_of(tracks)
    position, box = np.stack(_pair(tracks.position, rows), -1), np.stack(_pair(tracks.box, rows), -1)
    if not np.isfinite(position + box).all():
        raise DataError(
            "MOTChallenge text needs a position and a box for every object, found an object without:"
            " write CSV instead"
        )
    corner = position - box / 2 + 1
    frame = units.numbered(frame)
    return [frame + 1, slot + 1, *corner.T, *box.T, *(np.broadcast_to(value, len(frame)) for value in rest)]


def write_mot_challenge(
    folder: str | Path,
    tracks: Tracks,
    frame_size: tuple[int, int],
    units: Units = NO_UNITS,
    truth: Tracks | None = None,
) -> None:
    """Write a folder that TrackEval reads as it is: ``trackers/vtssi-pyro/data``, ``gt`` and ``seqmap.txt``.

    Sequences that an earlier call wrote are removed (:class:`~vtssi_pyro.system.manifest.Manifest`). Other files stay,
    be it a user's own ``gt.txt`` in one of these sequences.

    Args:
        folder: the folder to write to; made if missing.
        tracks: (B, T, N, 2), px, with boxes.
        frame_size: (H, W), px.
        units: frames per second, written as 1 if they are not known, and the frames' numbers in their movie.
        truth: (B, T, N, 2), px, with boxes, and perhaps visibility, 1 if it is not known; None: ``gt`` only tells the
            sequences' lengths and sizes.
    """
    with Manifest(folder) as made:
        paths = write_mot(made.folder("trackers/vtssi-pyro/data"), tracks, "sequence", units)
        length = int(units.numbered(np.array(tracks.present.shape[1] - 1))) + 1
        for path in paths:
            made.wrote(path)
        for b, name in enumerate(path.stem for path in paths):
            info = {
                "name": name, "imDir": "img1", "frameRate": units.frame_rate or 1, "seqLength": length,
                "imWidth": frame_size[1], "imHeight": frame_size[0], "imExt": ".png",
            }  # fmt: skip
            lines = ["[Sequence]", *(f"{key}={value}" for key, value in info.items())]
            about = made.folder(f"gt/{name}", "seqinfo.ini") / "seqinfo.ini"
            write_bytes(about, _text(lines))
            made.wrote(about)
            own = made.folder(f"gt/{name}/gt", "gt.txt") / "gt.txt"
            if truth is not None:
                one = truth.part(slice(b, b + 1))
                visible = 1 if one.visible is None else _column(one.visible, rows_of(one))
                _write_csv(own, _mot_columns(one, (1, 1, visible), units))
                made.wrote(own)
        index = made.folder("", "seqmap.txt") / "seqmap.txt"
        write_bytes(index, _text(["name", *(path.stem for path in paths)]))
        made.wrote(index)


def _text(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _column(values: Tensor | None, rows: Rows) -> np.ndarray:
    """Values of the rows, (R, ...), NaN where unknown."""
    if values is None:
        return np.full(len(rows[0]), np.nan)
    return values.detach().cpu().numpy()[rows].astype(np.float64)


def _pair(values: Tensor | None, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """The x and the y column of (B, T, N, 2) values."""
    column = _column(values, rows)
    return (column, column) if column.ndim == 1 else (column[:, 0], column[:, 1])


def _intervals(samples: Tensor | None, rows: Rows) -> Iterable[np.ndarray]:
    """The columns of interval ends, x before y, then those of medians and means."""
    if samples is None:
        return [_column(None, rows)] * 12
    values = samples.detach().cpu().numpy()  # (S, B, T, N, 2)
    ends, mean = np.full((len(QUANTILES), len(rows[0]), 2), np.nan), np.full((len(rows[0]), 2), np.nan)
    for begin in range(0, len(rows[0]), CHUNK_ROWS):
        chunk = slice(begin, begin + CHUNK_ROWS)
        b, t, n = (index[chunk] for index in rows)
        drawn = values[:, b, t, n].astype(np.float64)
        ends[:, chunk] = _quantiles(drawn)
        known = np.isfinite(drawn)
        mean[chunk] = np.divide(
            np.where(known, drawn, 0).sum(0), known.sum(0), where=known.any(0), out=mean[chunk]
        )
    low_50, high_50, low_90, high_90, median = ends  # each (R, 2)
    intervals = [end[:, axis] for axis in (0, 1) for end in (low_50, high_50, low_90, high_90)]
    return [*intervals, *median.T, *mean.T]


def _quantiles(values: np.ndarray) -> np.ndarray:
    """Linearly interpolated quantiles along the first axis that pass over NaN.

    ``np.nanquantile`` gives the same with one Python call per column.
    """
    known = np.isfinite(values).sum(0)  # (R, 2)
    ordered = np.sort(values, axis=0)  # NaN last
    out = []
    for q in QUANTILES:
        place = q * np.maximum(known - 1, 0)
        below = place.astype(int)
        above = np.minimum(below + 1, np.maximum(known - 1, 0))
        low, high = (np.take_along_axis(ordered, index[None], 0)[0] for index in (below, above))
        out.append(low + (place - below) * (high - low))
    return np.stack(out)


def _write_columns(path: str | Path, columns: Sequence[Column]) -> None:
    _write_rows(path, [column.name for column in columns], [_cells(c.values, c.factor) for c in columns])


def _write_csv(path: str | Path, columns: Iterable[np.ndarray]) -> None:
    """Write columns in pixels, without a header."""
    _write_rows(path, [], [_cells(column) for column in columns])


def _write_rows(path: str | Path, header: list[str], columns: Iterable[list[Any]]) -> None:
    with atomic_write(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if header:
            writer.writerow(header)
        writer.writerows(zip(*columns, strict=True))


def _digits(value: float) -> float | None:
    """A number with the digits that mean something in any unit; None, an empty cell, of one that is not finite."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def _cells(column: np.ndarray, factor: float = 1.0) -> list[Any]:
    """Python values of a column; None, an empty cell, for values that are not finite.

    Args:
        column: the values.
        factor: their unit for a pixel: decimals are those that mean as much as :data:`DECIMALS` of a pixel.
    """
    if column.dtype.kind != "f":
        return column.tolist()
    finite = np.isfinite(column).tolist()
    decimals = DECIMALS - math.floor(math.log10(factor))
    rounded = (np.round(column, decimals) + 0.0).tolist()  # + 0.0: no "-0.0"
    return [value if known else None for value, known in zip(rounded, finite, strict=True)]
