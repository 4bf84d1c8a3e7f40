"""Show tracks on the frames that they are of."""

from pathlib import Path
from typing import Annotated

from vtssi_pyro.api.places import apart
from vtssi_pyro.artifacts.figures import FILM, OVERLAY, overlaid_pictures
from vtssi_pyro.artifacts.opening import File, Source, bare
from vtssi_pyro.config import checked
from vtssi_pyro.config.ranges import FRAMES
from vtssi_pyro.inference.filter import Estimate
from vtssi_pyro.movies import Stored
from vtssi_pyro.movies.film import writer
from vtssi_pyro.plots import Panel, Player, film_of
from vtssi_pyro.tracks.formats import read_tracks
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.train.reporting import Reporter, Silent


@checked
def overlay(
    tracks: Tracks | File,
    data: Source,
    out: File,
    *,
    stored: Stored = Stored(),
    film: bool = False,
    report: Reporter | None = None,
) -> list[Path]:
    """Draw tracks of any program on the frames that they are of.

    Args:
        tracks: (S, T, N, 2), px, or their file or folder (:func:`vtssi_pyro.read_tracks`).
        data: the frames: sequences, or one movie.
        out: folder for ``overlay.gif``.
        stored: how the frames are stored, as far as it is known.
        film: whether to write ``overlay.mp4``, too.
        report: receives the files.

    Returns:
        the files.

    Example:
        >>> from vtssi_pyro import overlay, sample_movie
        >>> from vtssi_pyro.data.store import read
        >>> movie = sample_movie(out="drawn.npz")
        >>> [path.name for path in overlay(read(movie).truth, movie, "drawn")]
        ['overlay.gif']
    """
    report = report or Silent()
    if film:
        writer()
    seen = bare(data, stored)
    known = tracks if isinstance(tracks, Tracks) else read_tracks(tracks, *seen.extent)
    target = apart(data, out, (OVERLAY, *((FILM,) if film else ())), report)
    paths = overlaid_pictures(target, seen, known, film)
    for path in paths:
        report.wrote(path)
    return paths


@checked
def play(
    tracks: Tracks | Estimate | File, data: Source, *, observed: Annotated[int | None, FRAMES] = None,
    stored: Stored = Stored(),
) -> Player:  # fmt: skip
    """Play tracks of any program, and sampled futures, on the frames that they are of, in a notebook or a page.

    The player needs no server and no network, so that it also plays in the output of a notebook that was saved.

    Args:
        tracks: (S, T, N, 2), px, an estimate of :func:`track` or :func:`forecast`, or a file or folder of tracks
            (:func:`vtssi_pyro.read_tracks`).
        data: the frames: sequences, or one movie. Of many sequences some are shown, of many frames as many as a page
            can hold, and the player says how many are left out.
        observed: number of frames that were observed, before others were predicted; None: all.
        stored: how the frames are stored, as far as it is known.

    Returns:
        the player, which a notebook shows; its ``page()`` is a page of its own, as text.

    Example:
        >>> from vtssi_pyro import load_digits, moving_digits, play
        >>> data = moving_digits("linear", load_digits("embedded", "test"), sequences=1, length=3)
        >>> "<html" in play(data.truth, data).page()
        True
    """
    seen = bare(data, stored)
    if isinstance(tracks, Estimate):
        known = tracks.tracks
    else:
        known = tracks if isinstance(tracks, Tracks) else read_tracks(tracks, *seen.extent)
    frames, drawn, names = seen.shown(known)
    panel = Panel("tracked" if observed is None else "predicted", frames, drawn, observed, names=names)
    return Player(film_of([panel], known.present.shape[1]))
