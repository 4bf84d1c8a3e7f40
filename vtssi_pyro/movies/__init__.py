"""Users' movies of any file format, as streams of frames."""

import os
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from pathlib import Path

from vtssi_pyro.config import checked
from vtssi_pyro.errors import DataError
from vtssi_pyro.movies import film, microscopes, pictures, tiff
from vtssi_pyro.movies.arrays import Arraylike, array, array_movie
from vtssi_pyro.movies.film import write_film
from vtssi_pyro.movies.inspection import Hints, Inspection, inspect
from vtssi_pyro.movies.levels import Levels
from vtssi_pyro.movies.movie import Kept, Movie, luminance
from vtssi_pyro.movies.preparation import Preparation, suggested_preparation
from vtssi_pyro.movies.stored import Stored
from vtssi_pyro.movies.thumbnails import Thumbnails, thumbnails
from vtssi_pyro.system.naming import matched

__all__ = [
    "SUFFIXES",
    "Arraylike",
    "Hints",
    "Inspection",
    "Levels",
    "Movie",
    "Preparation",
    "Stored",
    "Thumbnails",
    "array_movie",
    "inspect",
    "is_movie",
    "luminance",
    "movies_matched",
    "open_movie",
    "suggested_preparation",
    "thumbnails",
    "write_film",
]

SUFFIXES = (*film.SUFFIXES, *pictures.ANIMATIONS, *tiff.SUFFIXES, *microscopes.READERS, ".npy", ".npz")


@checked
def open_movie(path: Path | str, stored: Stored = Stored()) -> Movie:
    """Open a movie file, an animation, a TIFF stack, a microscope's file, an array, or a folder or pattern of pictures.

    The decoded frames of small ones are kept.

    Args:
        path: the file or folder, or a pattern of pictures, such as ``frames/*.png``.
        stored: how its frames are stored, as far as it is known.

    Returns:
        The movie.

    Raises:
        DataError: the path does not exist, or cannot be read as a movie.
        UsageError: it needs PyAV, which is not installed.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    files = pictures.pattern(path)
    if not (files or path.exists()):
        raise DataError(f"no file or folder {path}: check the path")
    if suffix in (".npy", ".npz") and not path.is_dir():
        return array(path, stored)  # nothing has to be decoded
    if files:
        movie = pictures.stills(path, files, stored)
    elif suffix in microscopes.READERS:
        movie = microscopes.microscope(path, stored)
    elif path.is_dir():
        movie = pictures.folder(path, stored)
    elif tiff.is_tiff(path):
        movie = tiff.tiff(path, stored)
    elif suffix in (*pictures.ANIMATIONS, *tiff.SUFFIXES):
        movie = pictures.animation(path, stored)
    elif suffix in film.SUFFIXES:
        movie = film.film(path, stored)
    else:
        raise DataError(f"{path} is of no known kind: expected a folder of pictures or {', '.join(SUFFIXES)}")
    return replace(movie, reader=Kept(movie.reader))


def movies_matched(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Paths, in which patterns are replaced by all that they match, but for those of pictures, which are one movie.

    Raises:
        DataError: a pattern matches nothing.
    """
    each = ([os.fspath(path)] if pictures.pattern(path) else matched([path]) for path in paths)
    return list(dict.fromkeys(chain.from_iterable(each)))


def is_movie(path: Path | str, stored: Stored = Stored()) -> bool:
    """Tell whether a path holds one movie; a file of several sequences does not, nor does a missing path."""
    path = Path(path)
    if not path.exists():
        return bool(pictures.pattern(path))
    if path.suffix.lower() not in (".npy", ".npz"):
        return True
    try:
        array(path, stored)
    except DataError:  # several sequences, or a damaged file, which reading it will report
        return False
    return True
