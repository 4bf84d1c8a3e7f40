"""Arguments that are optional, or one of several kinds: ``[RUN] DATA...``."""

from pathlib import Path

from vtssi_pyro.errors import UsageError
from vtssi_pyro.system.naming import is_pattern

from .options import say


def weights(run: str) -> tuple[str, str]:
    """Split a run or RUN/checkpoints/NAME.pt into the run and the name of its checkpoint."""
    path = Path(run)
    if path.suffix == ".pt" and path.parent.name == "checkpoints":
        return str(path.parent.parent), path.stem
    return run, "last"


def run_and_data(
    arguments: tuple[str, ...], otherwise: str | None = None
) -> tuple[str, str, tuple[str, ...]]:
    """Split ``[RUN] DATA...`` into a run, its checkpoint and the data; without a run, the newest one is taken.

    The first argument is a run if it names weights that ship, a folder with config.json, or a checkpoint. The
    word untrained is no data beside others, even if there is such a folder: results may be in it.
    ``otherwise`` stands for a run where there is none; None: that is refused.
    """
    from vtssi_pyro.artifacts.loading import UNTRAINED, newest
    from vtssi_pyro.artifacts.shipped import PREFIX, available

    first, checkpoint = weights(arguments[0])
    alone = len(arguments) == 1
    word = first == UNTRAINED and not alone
    named = first in (UNTRAINED, *available()) and not Path(first).exists()
    shipped = first.startswith(PREFIX) or word or named
    is_checkpoint = first != arguments[0]
    if shipped or is_checkpoint or (Path(first) / "config.json").exists():
        if alone:
            raise UsageError(f"{arguments[0]}: is a run: say what to track with it, too")
        return first, checkpoint, arguments[1:]
    try:
        run = newest()
    except UsageError as error:
        if otherwise:
            say(f"{otherwise}, for there is no run yet")
            return otherwise, "last", arguments
        raise UsageError(f"{arguments[0]}: is no run, and {error}") from error
    say(f"with {run.folder}, the newest run")
    return str(run.folder), "last", arguments


def several(data: tuple[str, ...]) -> bool:
    """Whether DATA are several movies, or a pattern, which may stand for several; one of pictures is one movie."""
    if len(data) > 1 or not any(map(is_pattern, data)):
        return len(data) > 1
    from vtssi_pyro.movies import is_movie

    return not is_movie(data[0])
