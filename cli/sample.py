"""``vtssi-pyro sample``."""

import click

from .options import SAMPLES, command, force_option, json_option, option


@command(
    "vtssi-pyro sample",
    "vtssi-pyro track untrained beads.npz",
    "vtssi-pyro evaluate tracks/tracks.csv beads.npz",
)
@click.argument("name", type=click.Choice(SAMPLES), default="beads", metavar="[NAME]")
@option("--out", metavar="FILE.npz", type=click.Path(), section="Output",
        help="File to write.  [default: beads.npz]")  # fmt: skip
@force_option
@json_option
def sample(name: str, out: str | None, force: bool, as_json: bool) -> None:
    """Write a sample movie, with the true positions of its objects, to a new file.

    The movie is drawn, not recorded: NAME is beads, four beads under a microscope, whose stage drifts, whose light is
    uneven and bleaches them, and whose camera adds noise, hot pixels and dust. The file is in place of a movie of your
    own for track, inspect, fit and predict, and evaluate judges tracks by it.
    """
    from vtssi_pyro import api

    from .progress import results

    with results(as_json) as report:
        api.sample_movie(name, out, force=force, report=report)
