"""Look at a movie before anything is learned from it."""

import numpy as np

from vtssi_pyro.api.places import apart
from vtssi_pyro.artifacts.opening import File, movie_of
from vtssi_pyro.config import checked
from vtssi_pyro.movies import Arraylike, Hints, Movie, Stored
from vtssi_pyro.movies.prepared import KEPT, PreparedMovie, look
from vtssi_pyro.plots import contact_sheet
from vtssi_pyro.train.reporting import Reporter, Silent

SHEET = "contact_sheet.png"


@checked
def inspect(
    movie: File | Movie | np.ndarray | Arraylike,
    hints: Hints = Hints(),
    *,
    stored: Stored = Stored(),
    out: File | None = None,
    report: Reporter | None = None,
) -> PreparedMovie:
    """Inspect a movie for moving objects, and prepare its frames for training.

    Args:
        movie: file, folder, the movie itself, or its frames, (T, H, W) or (T, H, W, C), in an array of NumPy, Dask,
            zarr or the like.
        hints: known properties of the movie.
        stored: how the frames are stored, as far as it is known: axes, range, channel, depth, and the size of a pixel
            and the frame rate, in which results then are, too; see :class:`~vtssi_pyro.Stored`.
        out: folder for ``contact_sheet.png``, ``inspection.json`` and ``preparation.npz``. Other functions take this
            folder in place of the movie, and prepare the movie accordingly. None: no files.
        report: receives the findings.

    Returns:
        the prepared movie, for :func:`fit`, :func:`track` and :func:`forecast`; its ``found`` holds the findings. Its
        frames are read when one of these first needs them, so that neither a file nor an array may change before.

    Example:
        >>> from vtssi_pyro import inspect, scene
        >>> prepared = inspect(scene("blobs", 30, side=96, objects=2, size=16).frames)
        >>> prepared.found.objects
        2
    """
    report = report or Silent()
    target = apart(movie, out, (SHEET, *KEPT), report) if out else None
    if isinstance(movie, Arraylike):
        movie = movie_of(movie, stored)
    prepared = look(movie, hints, tell=report.say, stored=stored)
    report.found({"movie": prepared.name, **prepared.inspected.as_dict()})
    if target:
        contact_sheet(target / SHEET, prepared)
        for path in (target / SHEET, *prepared.save(target)):
            report.wrote(path)
    return prepared
