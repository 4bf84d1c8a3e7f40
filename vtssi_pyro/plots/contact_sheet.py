"""A movie looked at: what ``inspect`` tells of it, and what ``fit`` learns from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vtssi_pyro.cli.options import say
from vtssi_pyro.data import FLAVOURS
from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.movies import Hints, Inspection, Preparation, arrays, inspect, open_movie
from vtssi_pyro.movies.prepared import Footage
from vtssi_pyro.movies.transforms import Background, Contrast, Polarity
from vtssi_pyro.plots import film_strip

SHOWN = 8  # frames of a contact sheet
FEW = 10  # things, up to which a fit takes minutes


def is_movie(source: str) -> bool:
    """Whether a source is one movie: neither a flavour nor a file of several sequences, nor nothing at all."""
    path = Path(source)
    if source in FLAVOURS or not path.exists():
        return False
    if path.suffix.lower() not in (".npy", ".npz"):
        return True
    try:
        arrays.array(path)
    except DataError:  # of several sequences, or damaged, which reading it will tell
        return False
    return True


def look(
    source: str,
    said: dict[str, Any] | None = None,
    side: int | None = None,
    tell: Callable[[str], None] = say,
) -> Footage:
    """Inspect a movie, say what was found, and prepare it.

    Args:
        source: file or folder.
        said: what is known of it, by the names of :class:`~vtssi_pyro.movies.Hints`.
        side: of the model's frames, px; None: what suits the movie.
        tell: where to say it.
    """
    movie, hints = open_movie(source), Hints(**said or {})
    if hints.object_size is not None and hints.object_size > max(movie.size) / 2:
        raise UsageError(
            f"--object-size {hints.object_size:g}: frames are {movie.size[1]}x{movie.size[0]} pixels; "
            "expected half or less"
        )
    found = inspect(movie, hints)
    tell("\n".join(told(found)))
    if found.objects == 0 or found.object_size <= 0:
        raise DataError(
            f"{source}: nothing is seen to move (colours count by their brightness alone); if there is something, "
            "say what: --objects 3 --object-size 20, or --background smooth where things stay put"
        )
    footage = Footage.suggested(source, found, side)
    tell("prepared: " + "; ".join(footage.preparation.lines()))
    return footage


def told(found: Inspection) -> list[str]:
    """What was found, for people."""
    height, width = found.size
    rate = f", {found.rate:g} frames per second" if found.rate else ""
    scale = ", of full scale" if found.high <= 1 else ""  # floats are taken as they are
    many = "those are many, and minutes grow with their number: --crop a part, or say --objects"
    return [
        f"{found.name}: {found.length} frames of {width}x{height} pixels{rate}",
        f"intensities from {found.low:.3g} to {found.high:.3g}, noise {found.noise:.2g}{scale}; "
        f"background: {found.background}",
        f"moving things: {found.objects} at once, {found.polarity} before the background, about "
        f"{found.object_size:.0f} pixels large, {found.speed:.2g} pixels a frame",
        *([many] if found.objects > FEW else []),
    ]


def contact_sheet(path: Path, footage: Footage) -> None:
    """Draw frames from all over a movie, as they are and prepared, with a window around each thing that stands out."""
    found, total = footage.found, len(footage.frames)
    assert found is not None
    times = np.unique(np.linspace(0, total - 1, SHOWN).round().astype(int)).tolist()
    geometry = Preparation(
        tuple(s for s in footage.preparation.steps if not isinstance(s, Background | Polarity | Contrast))
    )
    chosen = (frame for time, frame in enumerate(open_movie(footage.name)) if time in set(times))
    grey = np.stack(list(geometry(chosen)))
    grey = ((grey - found.low) / max(found.high - found.low, 1e-9)).clip(0, 1)
    prepared = footage.frames[times]
    rows = [("movie", grey, None), ("prepared", prepared.numpy(), footage.standing_out(times))]
    film_strip(path, rows, columns=SHOWN, numbers=[time + 1 for time in times])
