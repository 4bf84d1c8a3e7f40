"""``vtssi-pyro report``."""

import click

from .options import command, option


@command("vtssi-pyro report runs/vtssi-linear-0001")
@click.argument("run", type=click.Path())
@option("--out", metavar="FILE.html", type=click.Path(), section="Output",
        help="File to write.  [default: report.html in RUN]")  # fmt: skip
def report(run: str, out: str | None) -> None:
    """Write RUN as one self-contained page: metrics, tracks, forecasts, curves, calibration, configuration.

    Its pictures are inside the file, which needs neither a server nor a network. Works while it trains.
    """
    from vtssi_pyro.artifacts.figures import curves
    from vtssi_pyro.artifacts.report import write_report
    from vtssi_pyro.artifacts.run import Run
    from vtssi_pyro.errors import UsageError

    folder = Run(run)
    if folder.config.train.steps and folder.records():
        curves(folder)
    try:
        click.echo(write_report(folder, out))
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be written ({error.strerror}); choose another") from error
