"""``vtssi-pyro generate``."""

import click

from vtssi_pyro.config.ranges import FRAMES, OBJECTS, SEED, SEQUENCES, SIDE

from .options import FLAVOURS, command, digits_option, force_option, json_option, option, whole_number


@command(
    "vtssi-pyro generate linear --out test.npz",
    "vtssi-pyro generate elliptic --out long.npz --sequences 5000 --length 100",
    "vtssi-pyro generate ddpae --out ddpae.npz --digits mnist",
    "vtssi-pyro generate visitors --out visitors.npz",
)
@click.argument("flavour", type=click.Choice(FLAVOURS), metavar="FLAVOUR")
@option(
    "--out", required=True, metavar="FILE.npz", type=click.Path(), section="Output", help="File to write."
)
@digits_option
@option(
    "--sequences",
    type=whole_number(SEQUENCES),
    default=1000,
    show_default=True,
    section="Data",
    help="Number of sequences.",
)
@option(
    "--length",
    type=whole_number(FRAMES),
    section="Data",
    help="Frames of each.  [default: 20; of linear-wide and sqair 10, of balls 60]",
)
@option(
    "--frame-size",
    type=whole_number(SIDE),
    section="Data",
    help="Side, pixels.  [default: 50; of ddpae and sprites 64, of balls 128]",
)
@option(
    "--objects",
    type=whole_number(OBJECTS),
    section="Data",
    help="Largest number of objects at once; of ddpae and balls their number.  [default: 2; of balls 4; of visitors, "
    "discs-behind and sprites 3]",
)
@option(
    "--seed",
    type=whole_number(SEED),
    default=0,
    show_default=True,
    section="Data",
    help="The same seed gives the same file.",
)
@force_option
@json_option
def generate(
    flavour: str, out: str, digits: str | None, sequences: int, length: int | None, frame_size: int | None,
    objects: int | None, seed: int, force: bool, as_json: bool,
) -> None:  # fmt: skip
    """Write moving digits that no training shows, or other objects, with their positions, to a new file.

    FLAVOUR is one of the paper's own: linear, linear-overlap, elliptic, elliptic-overlap, or linear-wide (walls outside
    the frame); or of a model that the paper compares with: ddpae (two digits whose corners are whole pixels), sqair
    (digits that leave the frame at its lower and right side), sqair-original (which also accelerate), or balls, white
    discs that collide; or of objects that come and go, hide or turn: visitors (digits that cross the frame),
    discs-behind (textured discs behind each other and behind a bar), rods (which turn), or sprites (coloured ones,
    which come and go, by the rules of Sprites-MOT). The file then tells presence, visibility, depth and angle, too.
    --digits means nothing for flavours without digits.
    """
    from vtssi_pyro import api

    from .progress import results

    with results(as_json) as report:
        api.generate(
            flavour, out, digits=digits or "embedded", sequences=sequences, length=length,
            frame_size=frame_size, objects=objects, seed=seed, force=force, report=report,
        )  # fmt: skip
