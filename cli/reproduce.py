"""``vtssi-pyro reproduce``."""

from typing import Any

import click

from vtssi_pyro.config.ranges import SEQUENCES
from vtssi_pyro.errors import UsageError
from vtssi_pyro.paper.items import PRESETS, refuse_unknown

from .options import DIGITS, command, json_option, machine_options, option, whole_number, workers_options


class Item(click.ParamType):
    """A table, a cell of it, or a figure."""

    name = "item"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return an existing item unchanged."""
        try:
            refuse_unknown([value], None)
        except UsageError as error:
            self.fail(str(error), param, ctx)
        return value


class Named(click.ParamType):
    """The name of a training, and the folder of its run."""

    name = "training"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert NAME=FOLDER to a pair."""
        if isinstance(value, tuple):
            return value
        name, _, folder = value.partition("=")
        if not (name and folder):
            self.fail(
                f"{value!r} is not NAME=FOLDER, such as ddpae-ddpae-0=runs/ddpae-ddpae-0001", param, ctx
            )
        return name, folder


@command(
    "vtssi-pyro reproduce table1",
    "vtssi-pyro reproduce vtssi-mixed-0 vtssi-linear-0 ours-linear-0",
    "vtssi-pyro reproduce table1 --preset paper-fast",
    "vtssi-pyro reproduce figure3 figure4 --preset quick --digits embedded --out trial",
    "vtssi-pyro reproduce figure5 figure6 figure7 figure8 figure9",
    "vtssi-pyro reproduce figure5 --no-training --run ddpae-ddpae-0=runs/ddpae-ddpae-0001",
    hidden=True,
)
@click.argument("items", nargs=-1, required=True, type=Item(), metavar="ITEM...")
@option("--preset", type=click.Choice(PRESETS), section="Training",
        help="Preset of missing trainings; figures 5 to 9 take its variation for their comparison.  [default: "
             "standard, about an hour each; paper-fast of cells with the paper's names; both for figures 5 to "
             "9]")  # fmt: skip
@option("--run", "runs", type=Named(), multiple=True, metavar="NAME=FOLDER", section="Training",
        help="Take a finished run as a training of figures 4 to 9, such as ddpae-ddpae-0; repeatable.")  # fmt: skip
@option("--no-training", "train", is_flag=True, flag_value=False, default=True, section="Training",
        help="Train nothing: make what finished runs allow, and say which commands make the rest.")  # fmt: skip
@option("--digits", type=click.Choice(DIGITS), default="mnist", show_default=True, section="Data",
        help="Source of the digits; the paper's is mnist, see vtssi-pyro generate.")  # fmt: skip
@option("--sequences", type=whole_number(SEQUENCES), default=10_000, show_default=True, section="Data",
        help="Number of held-out sequences for each cell or curve.")  # fmt: skip
@option("--out", metavar="DIR", type=click.Path(), default="reproduction", show_default=True, section="Output",
        help="Folder for runs, cells, curves, tables and figures.")  # fmt: skip
@json_option
@machine_options
@workers_options
def reproduce(
    items: tuple[str, ...], preset: str | None, runs: tuple[tuple[str, str], ...], train: bool, digits: str,
    sequences: int, out: str, as_json: bool, device: str, threads: int | None, workers: int | None,
    scheduler: str | None,
) -> None:  # fmt: skip
    """Make the paper's tables and figures, and their missing trainings.

    ITEM is table1, all cells of the preset; or a cell, VARIANT-FLAVOUR-SEED as in ours-linear-0, or the four cells of
    one training on all flavours, as in vtssi-mixed-0; or figure1c, or one of figure3 to figure14. The paper's names
    (find, rect-find, find-mot, vtssi) are of its own blocks, presets paper-fast and paper; those of this package's
    blocks are of standard and quick. A figure takes the run of its flavour, or one of all flavours if that is all there
    is.

    As in the paper, the first five frames decide what the objects are. Missing runs are trained in DIR/runs,
    interrupted ones are continued, and finished ones are used as they are. Each finished cell is written to DIR/cells,
    and DIR/table1.md and table1.json show all finished cells beside the paper's numbers. The whole table takes 20
    trainings of a preset. Figures are written to DIR/figures, and show sequences chosen by the truth alone. Cells
    without motion (vtssi-without-mot) are judged from the whole's run.

    Figures 5 to 9 set VTSSI beside DDPAE (5) and SQAIR (6 to 9), with the data and the variations of App. C.2: VTSSI by
    the paper's own blocks (paper-fast) and by ours (standard). The command first says which trainings are missing and
    how long they take. Each curve is kept in DIR/curves; beside a picture is a JSON of all that it shows, and beside
    curves the paper's sentences with what was found. Figure 4 shows SQAIR if its training for figure 9 is finished.

    Workers share the trainings behind cells of the table; figures are then made by this process.

    Exit codes are those of vtssi-pyro --help. The
    same command continues after an interruption.
    """
    from vtssi_pyro import api
    from vtssi_pyro.system.machine import prepare

    from .progress import results

    prepare(threads)
    with results(as_json) as report:
        api.reproduce(
            items, preset=preset, digits=digits, sequences=sequences, out=out, runs=dict(runs), train=train,
            device=device, threads=threads, workers=workers, scheduler=scheduler, report=report,
        )  # fmt: skip
