"""``vtssi-pyro inspect``."""

import shlex

import click

from .options import POSITIVE, command, option


@command(
    "vtssi-pyro inspect beads.mp4",
    "vtssi-pyro inspect frames/ --objects 5 --object-size 20 --out looked",
)
@click.argument("movie", type=click.Path())
@option(
    "--objects", type=POSITIVE, section="Movie", help="How many things there are at most.  [default: as seen]"
)
@option("--object-size", type=click.FloatRange(min=1), metavar="PIXELS", section="Movie",
        help="Longer side of the box around one.  [default: as seen]")  # fmt: skip
@option("--out", metavar="DIR", type=click.Path(), section="Output",
        help="Folder for contact_sheet.png and inspection.json.  [default: none is written]")  # fmt: skip
def inspect(movie: str, objects: int | None, object_size: float | None, out: str | None) -> None:
    """Look at MOVIE: what it holds, what moves in it, and how vtssi-pyro fit would learn from it.

    MOVIE is mp4, mov, avi, mkv, webm, GIF, WebP, a TIFF stack, a folder of pictures or an array (.npy, .npz).
    Tells its size, length and rate, the range of intensities, the background, the number, size and speed of the
    moving things, and the steps that prepare its frames; the contact sheet shows frames before and after these,
    with a window around each thing that stands out.
    """
    from vtssi_pyro.atomic import write_json
    from vtssi_pyro.footage import FEWEST

    from .looking import contact_sheet, look
    from .reading import folder

    target = folder(out) if out else None
    footage = look(movie, objects, object_size, tell=click.echo)
    assert footage.found is not None
    if target:
        contact_sheet(target / "contact_sheet.png", footage)
        write_json(target / "inspection.json", footage.found.as_dict())
        click.echo(target / "contact_sheet.png")
        click.echo(target / "inspection.json")
    given = f" --objects {objects}" if objects else ""
    given += f" --object-size {object_size:g}" if object_size else ""
    if len(footage.frames) < FEWEST:
        click.echo(f"too short to learn from: fit takes {FEWEST} frames or more")
    else:
        click.echo(f"fit with: vtssi-pyro fit {shlex.quote(movie)}{given}")
