"""Folders of results, in which nothing is replaced that a command reads."""

import os
from collections.abc import Sequence
from pathlib import Path

from vtssi_pyro.artifacts.opening import File
from vtssi_pyro.errors import Argument, UsageError
from vtssi_pyro.movies.prepared import was_kept
from vtssi_pyro.system.atomic import writable_folder
from vtssi_pyro.system.files import identity
from vtssi_pyro.train.reporting import Reporter


def apart(
    source: object, out: File, files: Sequence[str], report: Reporter, folders: Sequence[str] = ()
) -> Path:
    """The folder of results, which neither replace the frames that they are made from nor lie among their pictures.

    Files of these names are those of an earlier command: they will be replaced, which is told.

    Raises:
        UsageError: they would, or cannot be written.
    """
    if isinstance(source, str | os.PathLike):
        _refuse_onto(source, out, files)
    target = writable_folder(out, files=files, folders=folders)
    if before := [name for name in files if (target / name).exists()]:
        report.say(f"{target}: has results of an earlier command, which these replace: {', '.join(before)}")
    return target


def _refuse_onto(source: str | os.PathLike[str], out: File, files: Sequence[str]) -> None:
    place, folder = Path(source), Path(out)
    pictures = place.is_dir() and not was_kept(place)
    if pictures and identity(place) == identity(folder):
        raise UsageError(
            Argument("out"), f" {out}: holds the pictures themselves, among which results would count as frames; "
            "choose another folder"
        )  # fmt: skip
    there: dict[tuple[int, int] | None, str] = {
        found: name for name in files if (found := identity(folder / name))
    }
    for path in place.iterdir() if there and pictures else (place,):
        if name := there.get(identity(path)):
            raise UsageError(Argument("out"), f" {out}: its {name} is {path} itself; choose another folder")
