"""``vtssi-pyro reproduce``."""

from typing import Any

import click

from vtssi_pyro.paper.published import FLAVOURS, MODELS

from .options import DIGITS, POSITIVE, command, machine_options, mnist_option, option

ITEMS = ("table1", "figure3", "figure4", "figure10", "figure11", "figure12", "figure13", "figure14")
PRESETS = ("quick", "standard", "paper")  # those with the data of the table


class Several(click.ParamType):
    """Values with commas between them, none twice."""

    name = "list"

    def __init__(self, each: click.ParamType) -> None:
        self.each = each

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Any, ...]:
        """Convert one by one."""
        if isinstance(value, tuple):
            return value
        parts = [self.each.convert(part.strip(), param, ctx) for part in value.split(",")]
        return tuple(dict.fromkeys(parts))


@command(
    "vtssi-pyro reproduce table1",
    "vtssi-pyro reproduce table1 --variants vtssi,find-mot --flavours linear --seeds 0,1,2",
    "vtssi-pyro reproduce figure3 figure4 --preset quick --digits embedded --out trial",
    "vtssi-pyro reproduce table1 --no-training",
)
@click.argument("items", nargs=-1, required=True, type=click.Choice(ITEMS), metavar="ITEM...")
@option("--preset", type=click.Choice(PRESETS), default="standard", show_default=True, section="Training",
        help="Of every training that is missing; standard takes about an hour each on two cores.")  # fmt: skip
@option("--no-training", is_flag=True, section="Training",
        help="Make what can be made of the runs and cells there are.")  # fmt: skip
@option("--digits", type=click.Choice(DIGITS), default="mnist", show_default=True, section="Data",
        help="Source of the digits; the paper's is mnist.")  # fmt: skip
@mnist_option
@option("--variants", type=Several(click.Choice(MODELS)), default=",".join(MODELS), section="Table",
        help=f"Columns: some of {', '.join(MODELS)}.  [default: all]")  # fmt: skip
@option("--flavours", type=Several(click.Choice(FLAVOURS)), default=",".join(FLAVOURS), section="Table",
        help=f"Rows: some of {', '.join(FLAVOURS)}.  [default: all]")  # fmt: skip
@option("--seeds", type=Several(click.INT), default="0", show_default=True, section="Table",
        help="Of the trainings, as in 0,1,2; figures are of the first.")  # fmt: skip
@option("--sequences", type=POSITIVE, default=10_000, show_default=True, section="Table",
        help="Held-out sequences that judge each cell.")  # fmt: skip
@option("--samples", type=click.IntRange(min=0), default=0, show_default=True, metavar="S", section="Figures",
        help="Futures to draw as dots around predicted boxes.")  # fmt: skip
@option("--out", metavar="DIR", type=click.Path(), default="reproduction", show_default=True, section="Output",
        help="Folder for runs, cells, tables and figures.")  # fmt: skip
@machine_options
def reproduce(
    items: tuple[str, ...], preset: str, no_training: bool, digits: str, mnist: str | None,
    variants: tuple[str, ...], flavours: tuple[str, ...], seeds: tuple[int, ...], sequences: int, samples: int,
    out: str, device: str, threads: int | None,
) -> None:  # fmt: skip
    """Make the paper's tables and figures, and what they need.

    ITEM is table1, figure3, figure4, figure10, figure11, figure12, figure13 or figure14.

    Runs that are missing are trained in DIR/runs, interrupted ones go on, finished ones are used as they are.
    table1 writes each cell to DIR/cells as soon as it is known, and DIR/table1.md and table1.json from all
    the cells there are, beside the paper's numbers; all of it is 20 trainings. Figures go to DIR/figures, and
    show sequences chosen by the truth alone. vtssi-without-mot is judged from vtssi's run. Exit codes are
    those of vtssi-pyro --help; given again, the same command goes on where it was stopped.
    """
    from vtssi_pyro.paper import figures as paper_figures
    from vtssi_pyro.paper import table1
    from vtssi_pyro.paper.reproducing import Order, refuse_company
    from vtssi_pyro.system.atomic import writable_folder
    from vtssi_pyro.system.machine import available_device, prepare

    from .progress import reporter

    refuse_company()
    where = available_device(device)
    prepare(threads)
    order = Order(preset, digits, mnist, writable_folder(out), where, threads, not no_training, reporter())
    for item in dict.fromkeys(items):
        if item == "table1":
            paths = table1.make(order, table1.keys(variants, flavours, seeds), sequences)
        else:
            paths = [paper_figures.draw(item, order, seeds[0], samples)]
        for path in paths:
            click.echo(path)
