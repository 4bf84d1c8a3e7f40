"""Arguments that may be left out, or be one of several kinds: ``[RUN] DATA...``."""

from collections import Counter
from pathlib import Path

from vtssi_pyro.errors import UsageError

from .options import say

RUNS = "runs"  # where fit makes runs that nobody gives a folder


def weights(run: str) -> tuple[str, str]:
    """A run and the name of its checkpoint, from the run or from RUN/checkpoints/NAME.pt."""
    path = Path(run)
    if path.suffix == ".pt" and path.parent.name == "checkpoints":
        return str(path.parent.parent), path.stem
    return run, "last"


def run_and_data(arguments: tuple[str, ...]) -> tuple[str, str, tuple[str, ...]]:
    """A run, its checkpoint and what to track, from ``[RUN] DATA...``; without a run, the newest there is.

    The first argument is a run if it is a name of weights that ship, a folder with config.json, or a checkpoint in one.
    """
    from vtssi_pyro.artifacts.run import Run
    from vtssi_pyro.artifacts.shipped import PREFIX, available

    first, checkpoint = weights(arguments[0])
    shipped = first.startswith(PREFIX) or (first in available() and not Path(first).exists())
    if shipped or (Path(first) / "config.json").exists():
        if len(arguments) == 1:
            raise UsageError(f"{arguments[0]}: is a run: say what to track with it, too")
        return first, checkpoint, arguments[1:]
    newest = Run.newest(RUNS)
    if newest is None:
        raise UsageError(
            f"{arguments[0]}: is no run, and there is none in {RUNS}: name one first, or {PREFIX}moving-mnist, which "
            "ships with the package"
        )
    say(f"with {newest.folder}, the newest run")
    return str(newest.folder), "last", arguments


def results(out: str, data: tuple[str, ...]) -> list[tuple[str, str]]:
    """Each of several data and the folder for what is found in it: of one ``out``, else OUT/NAME-OF-DATA."""
    if len(data) == 1:
        return [(data[0], out)]
    names = [path.name if path.is_dir() else path.stem for path in map(Path, data)]
    for name, count in Counter(names).items():
        if count > 1:
            raise UsageError(f"{count} of DATA are called {name}: their results would be in one folder")
    return [(each, str(Path(out) / name)) for each, name in zip(data, names, strict=True)]
