"""The names of all that can be reproduced."""

from collections.abc import Iterable

from vtssi_pyro.errors import Argument, UsageError
from vtssi_pyro.paper.published import FLAVOURS, MODELS, cell

ITEMS = (
    "table1",
    "figure1c",
    "figure3",
    "figure4",
    "figure5",
    "figure6",
    "figure7",
    "figure8",
    "figure9",
    "figure10",
    "figure11",
    "figure12",
    "figure13",
    "figure14",
)
SEEDS = (0,)  # seeds of the trainings: the paper has one of each
PRESETS = ("quick", "standard", "paper-fast", "paper")  # the presets with the data of the table


def refuse_unknown(items: Iterable[str], preset: str | None) -> None:
    """Refuse what is neither the table, nor a cell of it, nor a figure, and a preset with other data.

    Raises:
        UsageError: an item or the preset is unknown.
    """
    for item in items:
        if item not in ITEMS and cell(item) is None:
            raise UsageError(
                f"{item!r} is none of {', '.join(ITEMS)}, and no cell VARIANT-FLAVOUR-SEED, with a variant of "
                f"{', '.join(MODELS)} and a flavour of {', '.join(FLAVOURS)}"
            )
    if preset not in (None, *PRESETS):
        raise UsageError(Argument("preset"), f" {preset}: expected one of {', '.join(PRESETS)}")
