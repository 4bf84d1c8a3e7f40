"""The paper's Table 1: its cells, made one after the other, in a table beside the paper's numbers."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from vtssi_pyro.config.variants import PAPER, Ablation
from vtssi_pyro.errors import Argument, CheckpointError, UsageError
from vtssi_pyro.paper.cells import HORIZON, LONG_SEQUENCES, Cells, HeldOut, Key, all_cells, measure
from vtssi_pyro.paper.markdown import MEASURES, markdown, within
from vtssi_pyro.paper.published import ALL, FLAVOURS, TABLE1, cell, usual_preset
from vtssi_pyro.paper.reproducing import Order, starts, trained
from vtssi_pyro.system.atomic import write_bytes, write_json
from vtssi_pyro.train.presets import PRESETS, SHARED
from vtssi_pyro.train.splits import LONG_SEED, TABLE_SEED, digits

# The presets in the order of the table: the paper's blocks, then ours. Those that the table expects have a row for
# every cell, made or not; the others have rows for the cells that are made.
ROWS = {"paper-fast": True, "paper": False, "standard": True, "quick": False}


def make(order: Order, keys: Sequence[Key], sequences: int) -> list[Path]:
    """Make the missing cells, and the table anew after each.

    Args:
        order: presets, folders and device of the runs.
        keys: the cells to make; other finished cells stay in the table.
        sequences: number of held-out sequences of each.

    Returns:
        The table's files.
    """
    cells = Cells(order.out, order.preset)
    paths = write(order.out, all_cells(order.out))
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
        write(order.out, all_cells(order.out))
    return paths


def wanted(items: Iterable[str], preset: str | None, seeds: Sequence[int]) -> dict[str, list[Key]]:
    """The cells that items name, ``table1`` or a training, by preset.

    Args:
        items: names; those of figures are left out.
        preset: the preset of all; None: that which is usual for a name, ``standard`` for the table.
        seeds: the seeds of the table.

    Raises:
        UsageError: a preset has no such variant.
    """
    found: dict[str, dict[Key, None]] = {}
    for item in items:
        if named := cell(item):
            found.setdefault(preset or usual_preset(named[0]), {}).update(dict.fromkeys(Key.judged(*named)))
        elif item == "table1":
            usual = preset or "standard"
            found.setdefault(usual, {}).update(dict.fromkeys(keys(usual, seeds)))
    for name, cells in found.items():
        for key in cells:
            PRESETS[name](key.trained.variant)
    return {name: list(cells) for name, cells in found.items()}


def keys(preset: str, seeds: Sequence[int], flavours: Sequence[str] = FLAVOURS) -> list[Key]:
    """List the cells of a preset, those of one training next to each other; one of all flavours comes first."""
    family = PRESETS[preset].system.family
    whole = family.name(Ablation.WHOLE)
    names = (*family.names, family.without_motion.name)
    mixed = [key for seed in seeds if preset in SHARED for key in Key.judged(whole, ALL, seed)]
    return mixed + [Key(name, flavour, seed) for seed, flavour, name in product(seeds, flavours, names)]


def write(out: Path, cells: Iterable[dict[str, Any]]) -> list[Path]:
    """Write ``table1.json`` and ``table1.md`` from the finished cells; returns both files."""
    table = rows(list(cells))
    paths = [out / "table1.md", out / "table1.json"]
    write_bytes(paths[0], markdown(table).encode())
    files = [[f"cells/{row['preset']}/{Key.of(cell).name}.json" for cell in row["cells"]] for row in table]
    write_json(paths[1], [{**row, "cells": names} for row, names in zip(table, files, strict=True)])
    return paths


def rows(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make the table's rows: for each flavour and each variant the paper's numbers, then those of every preset.

    Returns:
        rows; ``preset`` is None in the paper's. ``measures`` holds each measure as its ``mean`` over the seeds, with
        the standard error ``sem`` over the sequences if there is one seed, else with the seeds' ``low`` and ``high``;
        None without a value. ``measures`` is None as a whole without a cell.
    """
    table: list[dict[str, Any]] = []
    for flavour, ablation in product(FLAVOURS, Ablation):
        name = PAPER.name(ablation)
        numbers = TABLE1[flavour][name]._asdict()
        found = {measure: value and {"mean": value, "sem": None} for measure, value in numbers.items()}
        published = {measure: found.get(measure) for measure in MEASURES}
        table.append({
            "flavour": flavour, "variant": name, "preset": None, "learned": "", "measures": published, "cells": [],
        })  # fmt: skip
        for preset, expected in ROWS.items():
            family = PRESETS[preset].system.family
            named = [family.name(ablation)]
            if ablation is Ablation.WHOLE:
                named.append(family.without_motion.name)
            for variant, learned in product(named, ("", ALL)):
                held = [cell for cell in cells if _is_of(cell, flavour, variant, preset, learned)]
                held.sort(key=lambda cell: cell["seed"])
                wanted = expected and variant in family.names
                if learned:
                    wanted = wanted and preset in SHARED and ablation is Ablation.WHOLE
                if held or wanted:
                    row = {"flavour": flavour, "variant": variant, "preset": preset, "learned": learned}
                    measures = {measure: _over_seeds(measure, held) for measure in MEASURES} if held else None
                    table.append({**row, "measures": measures, "cells": held})
    return table


def _is_of(cell: dict[str, Any], flavour: str, variant: str, preset: str, learned: str) -> bool:
    key = Key.of(cell)
    return (*key._replace(seed=0), cell["preset"]) == (variant, flavour, 0, learned, preset)


def _over_seeds(name: str, cells: Sequence[dict[str, Any]]) -> dict[str, float | None] | None:
    path = MEASURES[name]
    cells = [cell for cell in cells if within(cell, path) is not None]
    if not cells:
        return None
    values = [within(cell, path) for cell in cells]
    mean = {"mean": sum(values) / len(values)}
    if len(values) > 1:
        return {**mean, "low": min(values), "high": max(values)}
    return {**mean, "sem": within(cells[0], (*path[:-1], f"{path[-1]}_sem"))}


def _has(order: Order, cells: Cells, key: Key, sequences: int) -> bool:
    """Tell whether a cell is finished; one judged on another number of sequences, or formerly, is judged again."""
    cell = cells.read(key)
    if cell is None:
        return False
    if cell["digits"] != order.digits:
        raise UsageError(
            f"{cells.path(key)}: was made with ",
            Argument("digits"),
            f" {cell['digits']}, not {order.digits}; choose another ",
            Argument("out"),
        )
    return bool(cell["sequences"] == sequences and "count_frames" in cell["metrics"])


def _measured(order: Order, key: Key, run: Any, sequences: int) -> dict[str, Any]:
    config = replace(run.config, data=replace(run.config.data, source=key.flavour))
    test = digits(config, "test", sequences, TABLE_SEED)
    few = min(sequences, LONG_SEQUENCES)
    long = digits(config, "test", few, LONG_SEED, config.observe + HORIZON)
    watched, passes = order.report.watched, 1 if order.procedure else 3
    with watched(test, "judging", times=passes) as near, watched(long, "predicting far") as far:
        return measure(key, run, HeldOut(near, far), order.device, starts(run), order.procedure)
