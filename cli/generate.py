"""``vtssi-pyro generate``."""

from pathlib import Path

import click

from .options import DIGITS, FLAVOURS, POSITIVE, SPLITS, command, mnist_option, option, say


@command(
    "vtssi-pyro generate linear --out test.npz",
    "vtssi-pyro generate elliptic --out train.npz --split train --sequences 50000 --length 100",
)
@click.argument("flavour", type=click.Choice(FLAVOURS), metavar="FLAVOUR")
@option(
    "--out", required=True, metavar="FILE.npz", type=click.Path(), section="Output", help="File to write."
)
@option("--force", is_flag=True, section="Output", help="Replace the file if it exists.")
@option("--split", type=click.Choice(SPLITS), default="test", show_default=True, section="Data",
        help="Digits that only this split shows.")  # fmt: skip
@option(
    "--digits", type=click.Choice(DIGITS), section="Data", help="Source of the digits.  [default: embedded]"
)
@mnist_option
@option(
    "--sequences", type=POSITIVE, default=1000, show_default=True, section="Data", help="Number of sequences."
)
@option("--length", type=POSITIVE, section="Data", help="Frames of each.  [default: 20, of linear-wide 10]")
@option("--frame-size", type=POSITIVE, default=50, show_default=True, section="Data", help="Side, pixels.")
@option(
    "--objects", type=POSITIVE, default=2, show_default=True, section="Data", help="At most so many digits."
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
    flavour: str, out: str, force: bool, split: str, digits: str | None, mnist: str | None,
    sequences: int, length: int | None, frame_size: int, objects: int, seed: int,
) -> None:  # fmt: skip
    """Write moving digits, with their positions, to a file.

    FLAVOUR is linear, linear-overlap, elliptic, elliptic-overlap or linear-wide.
    """
    from vtssi_pyro.data import load_digits, moving_digits, write
    from vtssi_pyro.errors import UsageError

    from .progress import watched

    path = Path(out)
    if path.suffix.lower() != ".npz":
        raise UsageError(f"--out {out}: expected a name that ends in .npz")
    if path.exists() and not force:
        raise UsageError(f"--out {out}: exists already; choose another name, or --force to replace it")
    sprites = load_digits(digits or ("mnist" if mnist else "embedded"), split, Path(mnist) if mnist else None)
    data = moving_digits(
        flavour,
        sprites,
        sequences=sequences,
        length=length,
        frame_size=frame_size,
        objects=objects,
        seed=seed,
    )
    with watched(data, "drawing") as dataset:
        write(path, dataset)
    say(f"{len(data)} sequences of {data.length} frames, {frame_size}x{frame_size} px, 0 to {objects} digits")
    click.echo(path)
