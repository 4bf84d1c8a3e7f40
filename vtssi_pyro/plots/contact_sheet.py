"""A movie before and after its preparation, on one page."""

from pathlib import Path

import numpy as np

from vtssi_pyro.movies import Preparation
from vtssi_pyro.movies.prepared import PreparedMovie
from vtssi_pyro.movies.transforms import Background, Contrast, Polarity
from vtssi_pyro.ops.channels import channels_first
from vtssi_pyro.plots.film import film_strip

SHOWN = 8  # frames of a contact sheet, as many as fit a page's width


def contact_sheet(path: str | Path, movie: PreparedMovie) -> None:
    """Draw evenly spread frames of a movie, as they are and prepared, with a window around each visible object.

    Nobody has told these objects apart yet: their windows are alike.

    Args:
        path: the file to write.
        movie: a prepared movie that was inspected.
    """
    found, total = movie.inspected, movie.inspected.length
    times = np.unique(np.linspace(0, total - 1, SHOWN).round().astype(int)).tolist()
    geometry = Preparation(
        tuple(t for t in movie.preparation.transforms if not isinstance(t, Background | Polarity | Contrast))
    )
    chosen = (frame for time, frame in enumerate(movie.movie) if time in set(times))
    seen = np.stack([channels_first(frame) for frame in geometry(chosen)])
    seen = ((seen - found.low) / max(found.high - found.low, 1e-9)).clip(0, 1)
    rows = [
        ("movie", seen, None),
        ("prepared", movie.frames[times].numpy(), movie.standing_out(times)),
    ]
    film_strip(path, rows, columns=SHOWN, numbers=[time + 1 for time in times], identities=False)
