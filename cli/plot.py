"""``vtssi-pyro plot``."""

import click

from .options import command


@command(
    "vtssi-pyro plot runs/vtssi-linear-0001",
)
@click.argument("run", type=click.Path())
def plot(run: str) -> None:
    """Draw the learning curves of RUN anew; works while it trains."""
    from vtssi_pyro.artifacts.figures import curves
    from vtssi_pyro.artifacts.run import Run
    from vtssi_pyro.errors import DataError

    folder = Run(run)
    if not folder.config.train.steps or not folder.records():
        raise DataError(f"{folder.metrics}: no records yet; wait until the training has logged some steps")
    for path in curves(folder):
        click.echo(path)
