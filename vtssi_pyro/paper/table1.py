"""The paper's Table 1: its cells, made one after the other, in a table beside the paper's numbers."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from vtssi_pyro.errors import CheckpointError, UsageError
from vtssi_pyro.paper.cells import HORIZON, LONG_SEQUENCES, Cells, HeldOut, Key, measure
from vtssi_pyro.paper.markdown import MEASURES, markdown
from vtssi_pyro.paper.published import ALL, FLAVOURS, MODELS, TABLE1
from vtssi_pyro.paper.reproducing import Order, starts, trained
from vtssi_pyro.system.atomic import atomic_write, write_json
from vtssi_pyro.train.splits import LONG_SEED, TABLE_SEED, digits


def make(order: Order, keys: Sequence[Key], sequences: int) -> list[Path]:
    """Make the missing cells, and the table anew after each.

    Args:
        order: presets, folders and device of the runs.
        keys: the cells to make; other finished cells stay in the table.
        sequences: number of held-out sequences of each.

    Returns:
        The table's files.
    """
    cells = Cells(order.out)
    paths = write(order.out, cells.all())
    for number, key in enumerate(keys, start=1):
        where = f"cell {number} of {len(keys)}, {key.name}"
        if _has(order, cells, key, sequences):
            order.report.say(f"{where}: is there")
            continue
        order.report.say(where)
        try:
            run = trained(order, key)
        except CheckpointError:
            if order.train:
                raise
            order.report.say(f"{where}: not trained, left out")
            continue
        cells.write(key, _measured(order, key, run, sequences))
        write(order.out, cells.all())
    return paths


def keys(variants: Sequence[str], flavours: Sequence[str], seeds: Sequence[int]) -> list[Key]:
    """List the cells of a table, those of one training next to each other."""
    return [Key(variant, flavour, seed) for seed, flavour, variant in product(seeds, flavours, variants)]


def write(out: Path, cells: Iterable[dict[str, Any]]) -> list[Path]:
    """Write ``table1.json`` and ``table1.md`` from the finished cells; returns both files."""
    table = rows(list(cells))
    paths = [out / "table1.md", out / "table1.json"]
    with atomic_write(paths[0]) as temporary:
        temporary.write_text(markdown(table))
    files = [[f"cells/{Key.of(cell).name}.json" for cell in row["cells"]] for row in table]
    write_json(paths[1], [{**row, "cells": names} for row, names in zip(table, files, strict=True)])
    return paths


def rows(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make the table's rows in the paper's order: for each model and flavour our numbers and the paper's.

    Returns:
        rows; ``ours`` is None without a cell. A measure is its ``mean`` over the seeds, with the standard
        error ``sem`` over the sequences if there is one seed, else with the seeds' ``low`` and ``high``.
    """
    table = []
    for flavour, variant, learned in product(FLAVOURS, MODELS, ("", ALL)):
        held = [cell for cell in cells if Key.of(cell)._replace(seed=0) == (variant, flavour, 0, learned)]
        held.sort(key=lambda cell: cell["seed"])
        if learned and not held:
            continue
        published = TABLE1[flavour].get(variant)
        table.append({
            "flavour": flavour,
            "variant": variant,
            "learned": learned,
            "ours": {name: _over_seeds(name, held) for name in MEASURES} if held else None,
            "paper": published and published._asdict(),
            "cells": held,
        })  # fmt: skip
    return table


def _over_seeds(name: str, cells: Sequence[dict[str, Any]]) -> dict[str, float] | None:
    cells = [cell for cell in cells if cell["metrics"][name] is not None]
    if not cells:
        return None
    values = [cell["metrics"][name] for cell in cells]
    mean = {"mean": sum(values) / len(values)}
    if len(values) > 1:
        return {**mean, "low": min(values), "high": max(values)}
    return {**mean, "sem": cells[0]["metrics"][f"{name}_sem"]}


def _has(order: Order, cells: Cells, key: Key, sequences: int) -> bool:
    """Tell whether a cell is finished; one judged on another number of sequences is judged again."""
    cell = cells.read(key)
    if cell is None:
        return False
    for name, asked in (("preset", order.preset), ("digits", order.digits)):
        if cell[name] != asked:
            raise UsageError(
                f"{cells.path(key)}: was made with --{name} {cell[name]}, not {asked}; choose another --out"
            )
    return bool(cell["sequences"] == sequences and "plain" in cell)


def _measured(order: Order, key: Key, run: Any, sequences: int) -> dict[str, Any]:
    config = replace(run.config, data=replace(run.config.data, source=key.flavour))
    test = digits(config, "test", sequences, TABLE_SEED)
    few = min(sequences, LONG_SEQUENCES)
    long = digits(config, "test", few, LONG_SEED, config.observe + HORIZON)
    watched = order.report.watched
    with watched(test, "judging", times=2) as near, watched(long, "predicting far") as far:
        return measure(key, run, HeldOut(near, far), order.device, starts(run))
