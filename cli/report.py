"""``vtssi-pyro report``."""

import click

from .options import command, force_option, json_option, option


@command("vtssi-pyro report runs/ours-linear-0001", "vtssi-pyro report runs/ours-linear-0001 --out page.html")
@click.argument("run", type=click.Path())
@option("--out", metavar="FILE", type=click.Path(), section="Output",
        help="File of the page, a new one or a report; nothing in RUN then changes.  "
             "[default: report.html in RUN]")  # fmt: skip
@force_option
@json_option
def report(run: str, out: str | None, force: bool, as_json: bool) -> None:
    """Write one self-contained page of RUN: metrics, tracks, forecasts, curves, calibration, configuration.

    The page is report.html in RUN, or the file of --out. Its pictures are inside the file, which needs neither a server
    nor a network, and forbids scripts. The learning curves are drawn anew, without --out also as files in RUN/figures.
    The command also works during a training, and with --out on a run that may only be read.
    """
    from vtssi_pyro import api

    from .progress import results

    with results(as_json) as shown:
        for path in api.page(run, out, force=force):
            shown.wrote(path)
