"""The formats of tracks: each is written, read and recognised by one entry of a registry."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from vtssi_pyro.config import OneOf, checked
from vtssi_pyro.config.ranges import FRAMES, SEQUENCES
from vtssi_pyro.errors import Argument, DataError, UsageError
from vtssi_pyro.system.atomic import make_parent
from vtssi_pyro.system.files import regular
from vtssi_pyro.system.manifest import Manifest
from vtssi_pyro.system.naming import natural
from vtssi_pyro.tracks import cell_tracking, geff_graph, trackmate
from vtssi_pyro.tracks.about import About
from vtssi_pyro.tracks.export import TRACKS, write_mot_challenge, write_tracks_csv
from vtssi_pyro.tracks.importing import mot_folders, read_mot, read_tracks_csv
from vtssi_pyro.tracks.results import read_about
from vtssi_pyro.tracks.rows import Row, collected
from vtssi_pyro.tracks.tracks import Tracks, as_array
from vtssi_pyro.tracks.units import NO_UNITS, Units


@dataclass(frozen=True)
class Format:
    """A format of files or folders of tracks.

    Args:
        what: its description, for people.
        suffix: that of its files' names; empty for a folder, which takes any name.
        holds: whether a path looks like it.
        read: reads a path that does, of so many sequences and frames (None: as many as there are), with the units of
            its coordinates, if it does not tell them.
        write: writes tracks (B, T, N, 2) to a path.
        together: whether one file holds all sequences.
        numbered: whether frames have the numbers of the movie, of which some may not have been read.
        ready: raises a :class:`~vtssi_pyro.errors.UsageError` if a package for it is missing.
    """

    what: str
    suffix: str
    holds: Callable[[Path], bool]
    read: Callable[[Path, int | None, int | None, Units], Tracks]
    write: Callable[[Path, Tracks, About], None]
    together: bool = False
    numbered: bool = True
    ready: Callable[[], object] = lambda: None


def of_sequences(
    what: str,
    suffix: str,
    holds: Callable[[Path], bool],
    read: Callable[[Path, int, int | None, Units], list[Row]],
    write: Callable[[Path, Tracks, About], Iterable[Path]],
    name: str,
    own: str,
    ready: Callable[[], object] = lambda: None,
    numbered: bool = True,
) -> Format:
    """A format whose files, or folders, hold one sequence each; several are in a folder, in the order of their names.

    Args:
        what: its description.
        suffix: that of its names, if they have one.
        holds: whether a path looks like one sequence of it.
        read: reads the rows of one sequence: its path, its number, the length that is expected (None: any), and the
            units of its coordinates if it does not tell them.
        write: writes tracks (1, T, N, 2) to a path and returns the files.
        name: the name of one sequence among several, for ``str.format`` with its number from 0, or ``{1}`` from 1.
        own: a regular expression of names to which a single sequence is written without a folder around it.
        ready: see :class:`Format`.
        numbered: likewise.
    """

    def parts(path: Path) -> list[Path]:
        if holds(path):
            return [path]
        return sorted(filter(holds, path.iterdir()), key=natural) if path.is_dir() else []

    def read_all(path: Path, sequences: int | None, length: int | None, units: Units) -> Tracks:
        found = parts(path)
        if sequences not in (None, len(found)):
            raise DataError(f"{path}: tracks of {len(found)} sequences, expected {sequences}")
        rows = [row for b, part in enumerate(found) for row in read(part, b, length, units)]
        return collected(rows, len(found), length, first=0)

    def write_all(path: Path, tracks: Tracks, about: About) -> None:
        if len(tracks.present) == 1 and re.fullmatch(own, path.name):
            list(write(path, tracks, about))
            return
        with Manifest(path) as made:
            for b in range(len(tracks.present)):
                part = name.format(b, b + 1)
                if not suffix:
                    made.folder(part)
                for file in write(path / part, tracks.part(slice(b, b + 1)), about):
                    made.wrote(file)

    def looks(path: Path) -> bool:
        return bool(parts(path))

    return Format(what, suffix, looks, read_all, write_all, numbered=numbered, ready=ready)


def _holds_mot(path: Path) -> bool:
    if not path.is_dir():
        return path.suffix.lower() == ".txt"
    return bool(mot_folders(path) or [*path.glob("*.txt")])


# In the order in which a path is compared with them: text files are MOTChallenge's if they are nothing else.
FORMATS: dict[str, Format] = {
    "csv": Format(
        "a table, one row for each object and frame", ".csv", lambda path: path.suffix.lower() == ".csv",
        lambda path, sequences, length, units: read_tracks_csv(path, sequences, length),
        lambda path, tracks, about: write_tracks_csv(path, tracks, about.units),
        together=True,
    ),
    "geff": of_sequences(
        "GEFF, the Graph Exchange File Format", ".geff", geff_graph.holds, geff_graph.read, geff_graph.write,
        "sequence-{0:04d}.geff", r".*\.geff", geff_graph.library,
    ),
    "trackmate": of_sequences(
        "TrackMate's XML", ".xml", trackmate.holds, trackmate.read, trackmate.write,
        "sequence-{0:04d}.xml", r".*\.xml",
    ),
    "ctc": of_sequences(
        "Cell Tracking Challenge: masks and res_track.txt", "", cell_tracking.holds, cell_tracking.read,
        cell_tracking.write, "{1:02d}_RES", r"\d+_RES", numbered=False,
    ),
    "mot": Format(
        "MOTChallenge, as TrackEval reads it", "", _holds_mot,
        lambda path, sequences, length, units: read_mot(path, sequences, length),
        lambda path, tracks, about: write_mot_challenge(path, tracks, about.frame_size, about.units),
    ),
}  # fmt: skip
FORMAT_NAMES = OneOf(lambda: FORMATS)
FormatName = Annotated[str | None, FORMAT_NAMES]


def format_of(path: Path) -> Format | None:
    """The format that a path looks like; None: none, or a run."""
    if path.is_dir() and (path / "config.json").exists():
        return None
    return next((each for each in FORMATS.values() if each.holds(path)), None)


def holds_tracks(path: str | Path) -> bool:
    """Tell whether a path looks like tracks of any format."""
    return format_of(Path(path)) is not None


@checked
def read_tracks(
    path: str | Path,
    sequences: Annotated[int | None, SEQUENCES] = None,
    length: Annotated[int | None, FRAMES] = None,
    format: FormatName = None,
    units: Units = NO_UNITS,
) -> Tracks:
    """Read tracks of any of the :data:`FORMATS`.

    Coordinates become those of this package, px, with (0.5, 0.5) the centre of the top-left pixel: GEFF and TrackMate,
    which place it at (0, 0), and MOTChallenge, at (1, 1), are converted. Tables are taken as they are.

    Args:
        path: a file or folder.
        sequences: expected number of sequences; None: as many as there are.
        length: frames of each sequence; None: up to the last with an object.
        format: its name, a key of :data:`FORMATS`; None: as the path looks.
        units: the size of a pixel, of a graph or a file whose coordinates are lengths and which does not tell it.

    Returns:
        Tracks (B, T, N, 2), px, float64, as :func:`~vtssi_pyro.tracks.rows.collected` makes them. Where a graph divides
        or merges, identities end and others begin.

    Raises:
        DataError: the file is missing or damaged, of no known format, or goes beyond ``sequences`` or ``length``.
        UsageError: the package that reads the format is not installed.

    Example:
        >>> import torch
        >>> from vtssi_pyro import Tracks, read_tracks, write_tracks
        >>> write_tracks(Tracks(torch.full((1, 2, 1, 2), 5.0), torch.ones(1, 2, 1, dtype=torch.bool)), "two.csv")
        >>> read_tracks("two.csv").position.shape
        torch.Size([1, 2, 1, 2])
    """
    path = Path(path)
    known = FORMATS[format] if format is not None else format_of(path)
    if known is None:
        try:
            if not path.is_dir():
                regular(path)
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from error
        raise DataError(f"{path}: no tracks of a known format, {', '.join(FORMATS)} (.txt)")
    return known.read(path, sequences, length, units)


@checked
def write_tracks(
    tracks: Tracks,
    path: str | Path,
    format: FormatName = None,
    *,
    frame_size: tuple[int, int] | None = None,
    units: Units = NO_UNITS,
) -> None:
    """Write tracks in one of the :data:`FORMATS`.

    Coordinates become the format's own: tables keep this package's, in which (0.5, 0.5) is the centre of the top-left
    pixel; it is (0, 0) in GEFF and TrackMate, and (1, 1) in MOTChallenge.

    Args:
        tracks: (B, T, N, 2), px.
        path: the file or folder; several sequences of a format with a file for each are written to a folder.
        format: its name, a key of :data:`FORMATS`; None: as the name of ``path`` ends.
        frame_size: (H, W) of the frames, px; None: the least that holds all objects.
        units: known units, of the formats that tell them.

    Raises:
        DataError: the format needs boxes, and the tracks have none.
        UsageError: no format has names like that, or its package is not installed.

    Example:
        >>> import torch
        >>> from vtssi_pyro import Tracks, read_tracks, write_tracks
        >>> tracks = Tracks(torch.full((1, 2, 1, 2), 5.0), torch.ones(1, 2, 1, dtype=torch.bool))
        >>> write_tracks(tracks, "kept.csv")
        >>> read_tracks("kept.csv").present.sum()
        tensor(2)
    """
    path = Path(path)
    suffix = path.suffix.lower()
    known = next((each for each in FORMATS.values() if each.suffix and each.suffix == suffix), None)
    if format is not None:
        known = FORMATS[format]
    if known is None:
        ends = ", ".join(each.suffix for each in FORMATS.values() if each.suffix)
        raise UsageError(
            f"{path}: expected a name that ends in {ends}, or the format, ",
            Argument("format"), f" {', '.join(FORMATS)}",
        )  # fmt: skip
    make_parent(path)
    known.write(path, tracks, About(frame_size or _extent(tracks), units))


def write_formats(
    out: Path, tracks: Tracks, formats: Iterable[str], frame_size: tuple[int, int], units: Units
) -> list[Path]:
    """Write tracks in several formats to a folder; returns the files and folders, see :func:`beside`."""
    paths = [out / beside(name, tracks) for name in formats]
    for path, name in zip(paths, formats, strict=True):
        write_tracks(tracks, path, name, frame_size=frame_size, units=units)
    return paths


def beside(name: str, tracks: Tracks) -> str:
    """The name of the file or folder of a format among other results."""
    known = FORMATS[name]
    return f"tracks{known.suffix}" if known.suffix and (known.together or len(tracks.present) == 1) else name


def read_told(path: Path) -> tuple[Tracks, tuple[int, int] | None, Units]:
    """Read tracks of any format, with what a ``tracks.json`` beside them tells; frames count as they were read.

    Returns:
        the tracks, the size of the frames, None if it is not told, and the units, which number the frames.

    Raises:
        DataError: there are none, or the file beside them is damaged.
    """
    size, units = told_beside(path)
    known = format_of(path)
    frames = slice(units.first, None, units.step) if known and known.numbered else slice(None)
    return read_tracks(path).part(frames=frames), size, units


def told_beside(path: Path) -> tuple[tuple[int, int] | None, Units]:
    """Size of the frames, and units, as a ``tracks.json`` beside a file of tracks tells them; None if there is none."""
    beside = path.parent / TRACKS
    return read_about(beside)[0] if beside.is_file() else (None, NO_UNITS)


def _extent(tracks: Tracks) -> tuple[int, int]:
    """(H, W) of the least frames that hold all objects."""
    position = as_array(tracks.position)[tracks.present.cpu().numpy()]
    half = 0.0 if tracks.box is None else as_array(tracks.box)[tracks.present.cpu().numpy()] / 2
    ends = np.ceil(position + np.nan_to_num(half)) if len(position) else np.ones((1, 2))
    width, height = np.maximum(ends.max(0), 1).astype(int).tolist()
    return height, width
