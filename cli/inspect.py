"""``vtssi-pyro inspect``."""

import shlex
from typing import Any

import click

from .options import POSITIVE, command, movie_options, option, spelled


@command(
    "vtssi-pyro inspect beads.mp4",
    "vtssi-pyro inspect frames/ --objects 5 --object-size 20 --out looked",
    "vtssi-pyro inspect cells.tif --crop 0,40,512,472 --background smooth --out looked",
)
@click.argument("movie", type=click.Path())
@option(
    "--objects", type=POSITIVE, section="Movie", help="How many things there are at most.  [default: as seen]"
)
@movie_options
@option("--out", metavar="DIR", type=click.Path(), section="Output",
        help="Folder for contact_sheet.png and inspection.json.  [default: none is written]")  # fmt: skip
def inspect(movie: str, objects: int | None, said: dict[str, Any], out: str | None) -> None:
    """Look at MOVIE: what it holds, what moves in it, and how vtssi-pyro fit would learn from it.

    MOVIE is mp4, mov, avi, mkv, webm, GIF, WebP, a TIFF stack, a folder of pictures or an array (.npy, .npz).
    Tells its size, length and rate, the range of intensities, the background, the number, size and speed of the
    moving things, and the steps that prepare its frames; the contact sheet shows frames before and after these,
    with a window around each thing that stands out, counted anew in each frame. Where it sees things wrong, say
    how they are: options of that name are fit's, too.
    """
    from vtssi_pyro import api
    from vtssi_pyro.movies import Hints
    from vtssi_pyro.train.movies import FEWEST

    from .progress import reporter

    prepared = api.inspect(movie, Hints(objects, **said), out=out, report=reporter(click.echo))
    if len(prepared.frames) < FEWEST:
        click.echo(f"too short to learn from: fit takes {FEWEST} frames or more")
    else:
        given = ({"objects": objects} if objects else {}) | said
        click.echo(f"fit with: vtssi-pyro fit {shlex.quote(movie)}{spelled(given)}")
