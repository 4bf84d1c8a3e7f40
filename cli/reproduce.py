"""``vtssi-pyro reproduce``."""

from typing import Any

import click

from vtssi_pyro.paper.published import FLAVOURS, MODELS, cell

from .options import DIGITS, POSITIVE, command, machine_options, option

ITEMS = ("table1", "figure3", "figure4", "figure10", "figure11", "figure12", "figure13", "figure14")
SEEDS = (0,)  # of the trainings: the paper has one each
PRESETS = ("quick", "standard", "paper")  # those with the data of the table


class Item(click.ParamType):
    """A table, a cell of it, or a figure."""

    name = "item"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As it is, where there is such an item."""
        if value not in ITEMS and cell(value) is None:
            variants, flavours = ", ".join(MODELS), ", ".join(FLAVOURS)
            self.fail(
                f"{value!r} is none of {', '.join(ITEMS)}, and no cell VARIANT-FLAVOUR-SEED, with a variant of "
                f"{variants} and a flavour of {flavours}", param, ctx,
            )  # fmt: skip
        return value


@command(
    "vtssi-pyro reproduce table1",
    "vtssi-pyro reproduce vtssi-linear-0 vtssi-linear-1 find-mot-linear-0",
    "vtssi-pyro reproduce figure3 figure4 --preset quick --digits embedded --out trial",
    hidden=True,
)
@click.argument("items", nargs=-1, required=True, type=Item(), metavar="ITEM...")
@option("--preset", type=click.Choice(PRESETS), default="standard", show_default=True, section="Training",
        help="Of every training that is missing; standard takes about an hour each on two cores.")  # fmt: skip
@option("--digits", type=click.Choice(DIGITS), default="mnist", show_default=True, section="Data",
        help="Source of the digits; the paper's is mnist, see vtssi-pyro generate.")  # fmt: skip
@option("--sequences", type=POSITIVE, default=10_000, show_default=True, section="Table",
        help="Held-out sequences that judge each cell.")  # fmt: skip
@option("--out", metavar="DIR", type=click.Path(), default="reproduction", show_default=True, section="Output",
        help="Folder for runs, cells, tables and figures.")  # fmt: skip
@machine_options
def reproduce(
    items: tuple[str, ...], preset: str, digits: str, sequences: int, out: str, device: str,
    threads: int | None,
) -> None:  # fmt: skip
    """Make the paper's tables and figures, and what they need.

    ITEM is table1, or a cell of it, VARIANT-FLAVOUR-SEED as in vtssi-linear-0; figure3, figure4, figure10, figure11,
    figure12, figure13 or figure14.

    Runs that are missing are trained in DIR/runs, interrupted ones go on, finished ones are used as they are.
    Each cell is written to DIR/cells as soon as it is known, and DIR/table1.md and table1.json from all
    the cells there are, beside the paper's numbers; all of it is 20 trainings. Figures go to DIR/figures, and
    show sequences chosen by the truth alone. vtssi-without-mot is judged from vtssi's run. Exit codes are
    those of vtssi-pyro --help; given again, the same command goes on where it was stopped.
    """
    from vtssi_pyro.paper import figures as paper_figures
    from vtssi_pyro.paper import table1
    from vtssi_pyro.paper.cells import Key
    from vtssi_pyro.paper.reproducing import Order, refuse_company
    from vtssi_pyro.system.atomic import writable_folder
    from vtssi_pyro.system.machine import available_device, prepare

    from .progress import reporter

    refuse_company()
    where = available_device(device)
    prepare(threads)
    order = Order(preset, digits, writable_folder(out), where, threads, True, reporter())
    keys = [Key(*found) for item in items if (found := cell(item))]
    if "table1" in items:
        keys += table1.keys(MODELS, FLAVOURS, SEEDS)
    if keys:
        for path in table1.make(order, list(dict.fromkeys(keys)), sequences):
            click.echo(path)
    for item in dict.fromkeys(items):
        if item in paper_figures.FIGURES:
            click.echo(paper_figures.draw(item, order, SEEDS[0]))
