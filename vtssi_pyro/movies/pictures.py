"""Movies that are pictures: animations, and folders of pictures."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vtssi_pyro.errors import DataError
from vtssi_pyro.movies.movie import Movie
from vtssi_pyro.movies.pace import paced
from vtssi_pyro.movies.pillow import array_of, decoding, opened_picture
from vtssi_pyro.movies.stored import Stored
from vtssi_pyro.movies.tiff import is_tiff, tiff, tiff_picture
from vtssi_pyro.system.naming import is_pattern, matched, natural
from vtssi_pyro.tracks.units import NO_UNITS

if TYPE_CHECKING:
    from PIL.Image import Image

ANIMATIONS = (".gif", ".webp", ".apng", ".png")
# Formats of pictures whose files may hold a movie; thumbnails in a JPEG are none.
MULTIPLE = ("GIF", "PNG", "WEBP")
SHOWN = 3  # series that are named, of more the first
PICTURES = (".png", ".apng", ".gif", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")


def animation(path: Path, stored: Stored = Stored()) -> Movie:
    """Open a GIF, WebP or APNG of several frames."""
    with opened_picture(path) as opened:
        with decoding(path):
            frames, first = getattr(opened, "n_frames", 1), _first(opened)
            opened.seek(first)
            shown = array_of(opened)
    stored.refuse_for_pictures(str(path), 1 if shown.ndim == 2 else shown.shape[-1])
    stored.refuse_bomb(str(path), shown.nbytes * (frames - first), path.stat().st_size)

    def read() -> Iterator[np.ndarray]:
        with opened_picture(path) as opened:
            for number in range(first, frames):
                with decoding(path):
                    opened.seek(number)
                    frame = array_of(opened)
                yield frame

    pauses = _pauses(path, range(first, frames))
    rate = 1000 * len(pauses) / sum(pauses) if pauses else None
    uneven, lines = paced(str(path), [begun / 1000 for begun in accumulate(pauses[:-1], initial=0.0)])
    return Movie(str(path), shown.shape[:2], frames - first, rate, read, stored, lines, times=uneven)


def _pauses(path: Path, numbers: Iterable[int]) -> list[float]:
    """How long an animation shows each frame, ms; none if it does not tell of all, or cannot be read to its end."""
    found = []
    with suppress(DataError), opened_picture(path) as opened:
        for number in numbers:
            with decoding(path):
                opened.seek(number)
                if opened.format == "WEBP":  # which tells once it is decoded
                    opened.load()
            found.append(opened.info.get("duration", 0))
        return found if all(found) else []
    return []


def _first(opened: "Image") -> int:
    """The first frame that is one: an APNG may have a picture in front for programs that show no animations."""
    return int(getattr(opened, "default_image", False))


def folder(path: Path, stored: Stored = Stored()) -> Movie:
    """Open the pictures of a folder as a movie, in natural order (2 before 10).

    Raises:
        DataError: there are none, they are of several series, or, while they are read, one is itself a movie.
    """
    try:
        inside = sorted(path.iterdir(), key=natural)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    files = [file for file in inside if is_picture(file.name)]
    if not files:
        movies = next((file.suffix for file in inside if file.is_file() and file.suffix), None)
        several = f"; if it holds movies, give these: '{path / f'*{movies}'}'" if movies else ""
        raise DataError(f"no pictures in {path}: expected {', '.join(PICTURES)}{several}")
    return stills(path, files, stored)


def pattern(path: str | os.PathLike[str]) -> list[Path]:
    """The pictures that a pattern such as ``frames/*.png`` stands for as one movie, in natural order.

    There are none if it is no pattern, or if it matches files of another kind, or movies.
    """
    if not is_pattern(path):
        return []
    files = [Path(file) for file in matched([path], missing=True)]
    if not all(file.is_file() and is_picture(file.name) for file in files):
        return []
    return files if files and _count(files[0]) == 1 else []


def _count(path: Path) -> int:
    """Number of pictures in a file; 0 of one that cannot be read."""
    try:
        if is_tiff(path):
            return tiff_picture(path)[1]
        with opened_picture(path) as opened, decoding(path):
            return int(getattr(opened, "n_frames", 1)) if opened.format in MULTIPLE else 1
    except DataError:
        return 0


def stills(path: Path, files: list[Path], stored: Stored = Stored()) -> Movie:
    """Open pictures as a movie.

    Args:
        path: what stands for all of them.
        files: the pictures, in order.
        stored: see :func:`~vtssi_pyro.movies.open_movie`.
    """
    _refuse_series(path, files)
    first = picture(files[0])
    stored.refuse_for_pictures(str(path), 1 if first.ndim == 2 else first.shape[-1])
    stored.refuse_bomb(str(path), first.nbytes * len(files), sum(file.stat().st_size for file in files))
    lines, numbers = _gaps(path, files)
    noted = tiff(files[0]) if is_tiff(files[0]) else None
    units, bits = (noted.noted, noted.bits) if noted else (NO_UNITS, None)
    doubts = noted.lines if noted else ()
    return Movie(
        str(path), first.shape[:2], len(files), units.frame_rate, lambda: _pictures(files), stored,
        (*lines, *doubts), bits=bits, numbers=numbers, noted=units,
    )  # fmt: skip


def _refuse_series(path: Path, files: list[Path]) -> None:
    """Refuse pictures of several series: names that differ in more than their numbers, such as a_1, a_2, b_1."""
    series = Counter(re.sub(r"\d+", "#", file.name) for file in files)
    if len(series) == 1 or max(series.values()) == 1:  # no two names have anything in common
        return
    named = ", ".join(f"{name} ({count})" for name, count in list(series.items())[:SHOWN])
    more = f" and {len(series) - SHOWN} more" if len(series) > SHOWN else ""
    raise DataError(
        f"{path}: holds {len(series)} series of pictures, {named}{more}, and each is a movie: name one by a pattern "
        "such as 'a_*.png', or move each into a folder of its own"
    )


def _gaps(path: Path, files: list[Path]) -> tuple[tuple[str, ...], tuple[int, ...] | None]:
    """Tell of pictures that several numbers count, and of numbers that are left out; also these, if there are such."""
    numbers = [[int(number) for number in re.findall(r"\d+", file.stem)] for file in files]
    if len({len(each) for each in numbers}) > 1:
        return (), None
    counters = [each for each in zip(*numbers, strict=True) if len(set(each)) > 1]  # numbers that change
    if any(b < a for each in counters for a, b in pairwise(each)):  # one counts anew within another
        told = (
            f"{path}: names have {len(counters)} numbers that change, from {files[0].name} to {files[-1].name}: read "
            "as one movie in that order; if they are several series, move each into a folder of its own"
        )
        return (told,), None
    if len(counters) != 1:
        return (), None
    counter = counters[0]
    gaps = [(a + 1, b - 1) for a, b in pairwise(counter) if b > a + 1]
    steps = {b - a for a, b in pairwise(counter)}
    if not gaps or len(steps) == 1:  # every tenth picture is no gap
        return (), None
    shown = ", ".join(f"{a} to {b}" if b > a else str(a) for a, b in gaps[:3])
    more = f" and {len(gaps) - 3} more gaps" if len(gaps) > 3 else ""
    told = f"{path}: numbers {shown}{more} are missing; frames count on without them, tracks.json has the numbers"
    return (told,), counter


def is_picture(name: str) -> bool:
    """Tell whether a file's name is a picture's; a dot in front marks files that programs keep or still write."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in PICTURES


def picture(path: Path) -> np.ndarray:
    """Read one picture, upright.

    Raises:
        DataError: the picture cannot be decoded, is cut off, or is one of several in its file.
    """
    if is_tiff(path):
        found, several = tiff_picture(path)
    else:
        with opened_picture(path) as opened, decoding(path):
            several = getattr(opened, "n_frames", 1) if opened.format in MULTIPLE else 1
            found = array_of(opened)
    if several > 1:
        raise DataError(
            f"{path}: is itself a movie, of several pictures, and each file of a folder stands for one frame: give "
            "this file alone, or save its pictures as files of their own"
        )
    return found


def _pictures(files: list[Path]) -> Iterator[np.ndarray]:
    size = None
    for file in files:
        frame = picture(file)
        size = size or frame.shape[:2]
        if frame.shape[:2] != size:
            found, expected = (f"{shape[0]}x{shape[1]}" for shape in (frame.shape, size))
            raise DataError(
                f"{file} has {found} pixels (H x W), {files[0].name} {expected}: expected one size"
            )
        yield frame
