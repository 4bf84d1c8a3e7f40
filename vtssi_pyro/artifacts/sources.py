"""The training data of a run, known by hash: data that were exchanged for others are refused when the run resumes."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vtssi_pyro.data.dataset import Dataset, spread
from vtssi_pyro.errors import DataError
from vtssi_pyro.movies import Movie
from vtssi_pyro.movies.microscopes import READERS
from vtssi_pyro.movies.pictures import is_picture, pattern
from vtssi_pyro.movies.prepared import KEPT, inspected_movie, was_kept
from vtssi_pyro.movies.tiff import is_tiff, tiff_files
from vtssi_pyro.system.fingerprint import fingerprint, same
from vtssi_pyro.system.naming import natural
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.splits import Splits, is_flavour

# Sequences, and frames of each, that are hashed of data in memory: few, since other data differ everywhere.
SEQUENCES, FRAMES = 32, 8


def identity(config: Config, splits: Splits, movie: Movie | None) -> dict[str, Any] | None:
    """The fingerprints of training data, ready for JSON; None for digits, which the configuration determines.

    Args:
        config: the configuration of the training.
        splits: its sequences.
        movie: the movie from which they were made, if any.

    Returns:
        ``files``, those of the source if it is on a disk; ``movies``, the paths of several; and ``frames``, of frames
        that were or could be in memory.
    """
    if is_flavour(config.data.source):
        return None
    names = [config.data.source] if movie is None else [part.name for part in movie.whole]
    places = [str(Path(name).resolve()) for name in names if files_of(name)]
    files = [file for place in places for file in files_of(place)] if len(places) == len(names) else []
    found: dict[str, Any] = {"files": fingerprint(files)} if files else {}
    if files and len(places) > 1:
        found["movies"] = places
    if movie is None:
        found["frames"] = _of_sequences((splits.train, splits.validation))
    elif not files:
        found["frames"] = _of_movie(movie)
    return found


def refuse_other_files(sources: Sequence[str], known: dict[str, Any] | None) -> None:
    """Refuse files that are not those of the fingerprints of a run; files that were moved or touched are the same.

    Raises:
        DataError: they were exchanged.
    """
    before, files = (known or {}).get("files"), [file for source in sources for file in files_of(source)]
    if before is None or not files:  # a former run, or a missing file, which opening it will report
        return
    now = fingerprint(files)
    if not same(before, now):
        other = " with other contents" if before["size"] == now["size"] else ""
        raise DataError(
            f"{', '.join(sources)}: is not what the run began with, {_described(before)}, but "
            f"{_described(now)}{other}: put the old file back, or start a new run"
        )


def refuse_other_frames(known: dict[str, Any] | None, now: dict[str, Any] | None) -> None:
    """Refuse data in memory that are not those of the fingerprints of a run.

    Raises:
        DataError: they were exchanged.
    """
    before, found = ((each or {}).get("frames") for each in (known, now))
    if before and found and not same(before, found):
        raise DataError(
            "these frames are not those that the run began with: give the old ones, or start a new run"
        )


def files_of(source: str | os.PathLike[str]) -> list[Path]:
    """The files of a source, the pictures of its folder or pattern, or an inspection's files and those of its movie.

    None if there is no such path.
    """
    path = Path(source)
    if was_kept(path):
        movie = inspected_movie(path)
        return [*(path / name for name in KEPT), *(files_of(movie) if movie else [])]
    if path.is_dir() and path.suffix.lower() in READERS:  # of files with names of their own
        return sorted(file for file in path.rglob("*") if file.is_file())
    if path.is_dir():
        return sorted((file for file in path.iterdir() if is_picture(file.name)), key=natural)
    if not path.exists():
        return pattern(path)
    return tiff_files(path) if is_tiff(path) else [path]


def parts_of_others(sources: Sequence[str]) -> dict[str, str]:
    """Those of several sources that are files of another's movie, and that other; of equals the first is the whole."""
    files = {source: files_of(source) for source in sources if Path(source).is_file()}
    whole: dict[Path, str] = {}
    found: dict[str, str] = {}
    for source in sorted(files, key=lambda source: -len(files[source])):
        if (own := Path(source).resolve()) in whole:
            found[source] = whole[own]
        elif len(files[source]) > 1:
            whole |= {file.resolve(): source for file in files[source]}
    return found


def _of_sequences(parts: Iterable[Dataset]) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    for part in parts:
        shape = (len(part), part.length, *part.frame_size)
        digest.update(repr(shape).encode())
        size += len(part)
        for sequence in spread(len(part), SEQUENCES).tolist():
            for frame in spread(part.length, FRAMES).tolist():
                digest.update(part.frames(torch.tensor([sequence]), 1, frame).cpu().numpy().tobytes())
    return {"size": size, "sha256": digest.hexdigest()}


def _of_movie(movie: Movie) -> dict[str, Any]:
    digest, size = hashlib.sha256(repr(movie.size).encode()), 0
    for frame in movie:
        digest.update(np.ascontiguousarray(frame).tobytes())
        size += 1
    return {"size": size, "sha256": digest.hexdigest()}


def _described(found: dict[str, Any]) -> str:
    day = datetime.fromtimestamp(found["time"]).strftime("%Y-%m-%d %H:%M:%S")
    return f"{found['size']:,} bytes of {day}"
