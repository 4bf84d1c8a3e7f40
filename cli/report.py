"""``vtssi-pyro report``."""

import click

from .options import command


@command("vtssi-pyro report runs/ours-linear-0001")
@click.argument("run", type=click.Path())
def report(run: str) -> None:
    """Write one self-contained page of RUN: metrics, tracks, forecasts, curves, calibration, configuration.

    The page is report.html in RUN. Its pictures are inside the file, which needs neither a server nor a network. The
    learning curves are drawn anew, also as files in RUN/figures. The command also works during a training.
    """
    from vtssi_pyro import api

    for path in api.page(run):
        click.echo(path)
