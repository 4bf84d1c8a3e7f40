"""``vtssi-pyro inspect``."""

import shlex
from typing import Any

import click

from .options import BACKGROUNDS, POLARITIES, POSITIVE, Rectangle, command, option, spelled


@command(
    "vtssi-pyro inspect beads.mp4",
    "vtssi-pyro inspect frames/ --objects 5 --object-size 20 --out looked",
    "vtssi-pyro inspect cells.tif --crop 0,40,512,472 --background smooth --out looked",
    "vtssi-pyro fit --prepared looked",
)
@click.argument("movie", type=click.Path())
@option("--objects", type=POSITIVE, section="Movie", help="How many there are at most.  [default: as seen]")
@option("--object-size", type=click.FloatRange(min=1), metavar="PIXELS", section="Movie",
        help="Longer side of the box around an object.  [default: as seen]")  # fmt: skip
@option("--background", type=click.Choice(BACKGROUNDS), section="Movie",
        help="Is taken away: all that stays (static), the light alone, so that what stays put is an object, too "
             "(smooth), all that stays for a while (rolling), or nothing.  [default: static, rolling where the light "
             "changes, none where it is black]")  # fmt: skip
@option("--polarity", type=click.Choice(POLARITIES), section="Movie",
        help="Objects are brighter than the background, darker, or both.  [default: as seen]")  # fmt: skip
@option("--crop", type=Rectangle(), metavar="LEFT,TOP,WIDTH,HEIGHT", section="Movie",
        help="The part of every frame to look at, in pixels, that leaves out a time stamp, say.  "
             "[default: all]")  # fmt: skip
@option("--out", metavar="DIR", type=click.Path(), section="Output",
        help="Folder for contact_sheet.png and for how to prepare the movie so again.  [default: none]")  # fmt: skip
def inspect(movie: str, out: str | None, **hints: Any) -> None:
    """Look at MOVIE: what it holds, what moves in it, and how vtssi-pyro fit would learn from it.

    MOVIE is mp4, mov, avi, mkv, webm, GIF, WebP, a TIFF stack, a folder of pictures or an array (.npy, .npz).
    Tells its size, length and rate, the range of intensities, the background, the number, size and speed of the
    moving objects, and the steps that prepare its frames; the contact sheet shows frames before and after these,
    with a window around each object that stands out, counted anew in each frame. Where it sees objects wrong, say
    how they are. fit --prepared takes the folder of --out, and so do track and predict in place of a movie, which
    then is prepared as is said here, not as the one that the run learned from.
    """
    from vtssi_pyro import api
    from vtssi_pyro.movies import Hints
    from vtssi_pyro.train.movies import FEWEST

    from .progress import reporter

    prepared = api.inspect(movie, Hints(**hints), out=out, report=reporter(click.echo))
    said, name = spelled(hints), shlex.quote(movie)
    if len(prepared.frames) < FEWEST:
        click.echo(f"too short to learn from: fit takes {FEWEST} frames or more")
    elif out:
        click.echo(f"fit with: vtssi-pyro fit --prepared {shlex.quote(out)}")
    elif said:
        click.echo(f"keep this with: vtssi-pyro inspect {name}{said} --out looked")
    else:
        click.echo(f"fit with: vtssi-pyro fit {name}")
