"""``vtssi-pyro overlay``."""

from typing import Any

import click

from .options import command, film_option, json_option, option, stored_options


@command(
    "vtssi-pyro overlay tracks.csv beads.mp4",
    "vtssi-pyro overlay trackmate.xml cells.tif --channel 1 --out pictures",
)
@click.argument("tracks", type=click.Path())
@click.argument("data", type=click.Path())
@option("--out", default="overlay", show_default=True, metavar="DIR", type=click.Path(), section="Output",
        help="Folder for overlay.gif.")  # fmt: skip
@film_option
@json_option
@stored_options
def overlay(tracks: str, data: str, out: str, film: bool, as_json: bool, stored: dict[str, Any]) -> None:
    """Draw TRACKS of any program on the frames of DATA.

    TRACKS are a table (.csv), a graph (.geff), TrackMate's file (.xml), a folder of masks of the Cell Tracking
    Challenge, or MOTChallenge text; see docs/results.md. DATA are the frames that they are of: sequences or a movie.
    """
    from vtssi_pyro import api
    from vtssi_pyro.movies import Stored

    from .progress import results

    with results(as_json) as report:
        api.overlay(tracks, data, out, stored=Stored(**stored), film=film, report=report)
