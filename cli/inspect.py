"""``vtssi-pyro inspect``."""

import shlex
from typing import Any

import click

from .options import (
    BACKGROUNDS,
    POLARITIES,
    Rectangle,
    command,
    json_option,
    learning,
    objects_options,
    option,
    stored_options,
)


@command(
    "vtssi-pyro inspect beads.mp4",
    "vtssi-pyro inspect frames/ --objects 5 --object-size 20 --out looked",
    "vtssi-pyro inspect cells.tif --crop 0,40,512,472 --background smooth --out looked",
    "vtssi-pyro fit --prepared looked",
)
@click.argument("movie", type=click.Path())
@objects_options
@option("--background", type=click.Choice(BACKGROUNDS), section="Movie",
        help="The subtracted background: the static part of the movie (static), the light alone, which keeps objects "
             "at rest (smooth), the part that stays for a while (rolling), or none.  [default: static; rolling if the "
             "light changes, none if the background is black]")  # fmt: skip
@option("--polarity", type=click.Choice(POLARITIES), section="Movie",
        help="Objects are brighter than the background, darker, or both.  [default: as found]")  # fmt: skip
@option("--crop", type=Rectangle(), metavar="LEFT,TOP,WIDTH,HEIGHT", section="Movie",
        help="The part of every frame to use, in pixels, for example without a time stamp.  "
             "[default: all]")  # fmt: skip
@option("--out", metavar="DIR", type=click.Path(), section="Output",
        help="Folder for contact_sheet.png and for the preparation of the movie.  [default: none]")  # fmt: skip
@json_option
@stored_options
def inspect(movie: str, out: str | None, as_json: bool, stored: dict[str, Any], **hints: Any) -> None:
    """Inspect MOVIE for moving objects, and show the preparation of its frames for vtssi-pyro fit.

    MOVIE is mp4, mov, avi, mkv, webm, GIF, WebP, a TIFF stack, a folder of pictures or an array (.npy, .npz).

    The findings are its size, length and rate, the range of intensities, the background, the number, size and speed of
    the moving objects, and the steps that prepare its frames. The contact sheet shows frames before and after these
    steps, with a window around each visible object, numbered anew in each frame. Options replace wrong findings. fit
    --prepared takes the folder of --out. track and predict take it in place of a movie, which then has this preparation
    and not that of the run.
    """
    from vtssi_pyro import api
    from vtssi_pyro.movies import Hints, Stored
    from vtssi_pyro.train.movies import FEWEST

    from .options import say
    from .progress import results

    tell = say if as_json else click.echo  # the findings for people are the result
    with results(as_json, tell) as report:
        prepared = api.inspect(movie, Hints(**hints), stored=Stored(**stored), out=out, report=report)
        if prepared.inspected.length < FEWEST:
            tell(f"too short to learn from: fit takes {FEWEST} frames or more")
        elif out:
            tell(f"fit with: vtssi-pyro fit --prepared {shlex.quote(out)}")
        else:
            tell(f"fit with: {learning(movie, hints, stored)}")
