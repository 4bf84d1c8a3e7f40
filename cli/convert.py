"""``vtssi-pyro convert``."""

import click

from .options import FORMATS, command, force_option, json_option, option, size_of


@command(
    "vtssi-pyro convert tracks/tracks.csv beads.geff",
    "vtssi-pyro convert trackmate.xml tracks.csv",
    "vtssi-pyro convert tracks/tracks.csv masks/01_RES --format ctc",
)
@click.argument("tracks", type=click.Path())
@click.argument("target", type=click.Path())
@option("--format", type=click.Choice(FORMATS), section="Output",
        help="Format of TARGET.  [default: as its name ends]")  # fmt: skip
@option("--size", "frame_size", metavar="WIDTHxHEIGHT", section="Output",
        help="Size of the frames, for masks and MOTChallenge.  [default: as a tracks.json beside TRACKS tells, else "
             "the least that holds all objects]")  # fmt: skip
@force_option
@json_option
def convert(
    tracks: str, target: str, format: str | None, frame_size: str | None, force: bool, as_json: bool
) -> None:
    """Write TRACKS of any program to TARGET, a new file or folder, in another format.

    Formats are csv, geff (Graph Exchange File Format; extra named formats), trackmate (XML), ctc (masks of the Cell
    Tracking Challenge) and mot (MOTChallenge). Each has its own place for the centre of the first pixel, to which
    coordinates are converted: (0.5, 0.5) in tables, (0, 0) in GEFF and TrackMate, (1, 1) in MOTChallenge. Several
    sequences become a table, or a folder with a file, or folder, for each. Units are those of a tracks.json beside
    TRACKS, if there is one.
    """
    from vtssi_pyro import api

    from .progress import results

    with results(as_json) as report:
        api.convert(tracks, target, format, frame_size=size_of(frame_size), force=force, report=report)
