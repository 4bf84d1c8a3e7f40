"""``vtssi-pyro generate``."""

import click

from .options import FLAVOURS, POSITIVE, command, digits_option, option


@command(
    "vtssi-pyro generate linear --out test.npz",
    "vtssi-pyro generate elliptic --out long.npz --sequences 5000 --length 100",
)
@click.argument("flavour", type=click.Choice(FLAVOURS), metavar="FLAVOUR")
@option(
    "--out", required=True, metavar="FILE.npz", type=click.Path(), section="Output", help="File to write."
)
@digits_option
@option(
    "--sequences", type=POSITIVE, default=1000, show_default=True, section="Data", help="Number of sequences."
)
@option("--length", type=POSITIVE, section="Data", help="Frames of each.  [default: 20, of linear-wide 10]")
@option("--frame-size", type=POSITIVE, default=50, show_default=True, section="Data", help="Side, pixels.")
@option(
    "--objects", type=POSITIVE, default=2, show_default=True, section="Data", help="Largest number of digits."
)
@option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    section="Data",
    help="The same seed gives the same file.",
)
def generate(
    flavour: str, out: str, digits: str | None, sequences: int, length: int | None, frame_size: int,
    objects: int, seed: int,
) -> None:  # fmt: skip
    """Write moving digits that no training shows, with their positions, to a new file.

    FLAVOUR is linear, linear-overlap, elliptic, elliptic-overlap or linear-wide.
    """
    from vtssi_pyro import api

    from .progress import reporter

    api.generate(
        flavour, out, digits=digits or "embedded", sequences=sequences, length=length, frame_size=frame_size,
        objects=objects, seed=seed, report=reporter(),
    )  # fmt: skip
