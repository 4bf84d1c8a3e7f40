"""Names of files: their order, the patterns that stand for several, and the folders of their results."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from glob import glob, has_magic
from pathlib import Path

from vtssi_pyro.errors import DataError, UsageError


def natural(path: Path) -> list[tuple[int, str]]:
    """Return a sort key that orders numbers inside names by value."""
    pieces = re.split(r"(\d+)", path.name.casefold())
    return [(int(piece), piece) if piece.isdecimal() else (-1, piece) for piece in pieces]


def is_pattern(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a pattern such as ``movies/*.tif``, and no file of that very name is there."""
    return has_magic(os.fspath(path)) and not os.path.lexists(path)


def matched(paths: Iterable[str | os.PathLike[str]], missing: bool = False) -> list[str]:
    """Paths, in which patterns are replaced by all that they match, in natural order; each path once.

    Args:
        paths: the paths.
        missing: whether a pattern may match nothing.

    Raises:
        DataError: a pattern matches nothing, and may not.
    """
    found: dict[str, None] = {}
    for path in [os.fspath(path) for path in paths]:
        if not is_pattern(path):
            found[path] = None
            continue
        files = sorted(
            map(Path, glob(path, recursive=True)), key=lambda file: (str(file.parent), natural(file))
        )
        if not (files or missing):
            raise DataError(f"{path}: no file or folder matches; check the pattern")
        found |= dict.fromkeys(map(str, files))
    return list(found)


def result_names(paths: Sequence[str | os.PathLike[str]]) -> list[str]:
    """The names of the folders of results: those of the files, without their suffixes; of patterns, of their folders.

    Raises:
        UsageError: two have the same name.
    """
    places = [Path(path).absolute().parent if is_pattern(path) else Path(path) for path in paths]
    names = [path.name if path.is_dir() else path.stem for path in places]
    for name, count in Counter(names).items():
        if count > 1:
            raise UsageError(f"{count} of DATA are called {name}: their results would be in one folder")
    return names
