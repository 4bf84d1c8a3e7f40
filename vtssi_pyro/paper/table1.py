"""The paper's Table 1: its cells, made one after the other, in a table beside the paper's numbers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from vtssi_pyro.config.variants import PAPER, Ablation
from vtssi_pyro.errors import Argument, CheckpointError, UsageError
from vtssi_pyro.paper.cells import HORIZON, LONG_SEQUENCES, Cells, HeldOut, Key, all_cells, measure, starts
from vtssi_pyro.paper.markdown import MEASURES, markdown, within
from vtssi_pyro.paper.published import ALL, FLAVOURS, TABLE1, cell, usual_preset
from vtssi_pyro.paper.reproducing import Order, shared, trained
from vtssi_pyro.system.atomic import write_bytes, write_json
from vtssi_pyro.train.jobs import HERE, Job, Workers
from vtssi_pyro.train.presets import PRESETS, SHARED
from vtssi_pyro.train.reporting import Reporter, Silent
from vtssi_pyro.train.splits import LONG_SEED, TABLE_SEED, digits

# The presets in the order of the table: the paper's blocks, then ours. Those that the table expects have a row for
# every cell, made or not; the others have rows for the cells that are made.
ROWS = {"paper-fast": True, "paper": False, "standard": True, "quick": False}


def make(order: Order, keys: Sequence[Key], sequences: int, workers: Workers = HERE) -> list[Path]:
    """Make the missing cells, and the table anew after each training.

    Args:
        order: presets, folders and device of the runs.
        keys: the cells to make; other finished cells stay in the table.
        sequences: number of held-out sequences of each.
        workers: where runs are trained and judged.

    Returns:
        The table's files.

    Raises:
        Exception: the first error of a training or a judgement, after those that do not depend on it are done.
    """
    paths = write(order.out, all_cells(order.out))
    where = {key: f"cell {number} of {len(keys)}, {key.name}" for number, key in enumerate(keys, start=1)}
    bare = order._replace(report=Silent())  # the order goes to other processes, this one's report does not
    for trainings in rounds(order, keys):
        jobs = [
            Job(training.name, partial(_cells, bare, {key: where[key] for key in cells}, training, sequences))
            for training, cells in trainings.items()
        ]
        errors = []
        for outcome in workers.do(jobs, order.report):
            errors += [outcome.error] if outcome.error else []
            write(order.out, all_cells(order.out))
        if errors:
            raise errors[0]
    return paths


def rounds(order: Order, keys: Sequence[Key]) -> list[dict[Key, list[Key]]]:
    """Cells by their trainings, in two rounds: the trainings of the second may start from the weights of the first."""
    trainings: dict[Key, list[Key]] = {}
    for key in keys:
        trainings.setdefault(key.trained, []).append(key)
    bases = dict.fromkeys(base for training in trainings if (base := shared(order, training)))
    return [{base: trainings.pop(base, []) for base in bases}, trainings]


def _cells(order: Order, where: Mapping[Key, str], training: Key, sequences: int, report: Reporter) -> None:
    """Make the missing cells of a training, and the training itself if it is missing, too.

    Args:
        order: presets, folders and device of the run.
        where: the cells, and what is said of each; none: the training alone is made.
        training: the training.
        sequences: number of held-out sequences of each cell.
        report: receives the messages.
    """
    order, cells = order._replace(report=report), Cells(order.out, order.preset)
    if not where and order.train:
        trained(order, training)
    for key, told in where.items():
        if _has(order, cells, key, sequences):
            report.say(f"{told}: is there")
            continue
        report.say(told)
        try:
            run = trained(order, key)
        except CheckpointError:
            if order.train:
                raise
            report.say(f"{told}: not trained, left out")
            continue
        cells.write(key, _measured(order, key, run, sequences))


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
            table += _rows_of(preset, expected, flavour, ablation, cells)
    return table


def _rows_of(
    preset: str, expected: bool, flavour: str, ablation: Ablation, cells: Sequence[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """The rows of a preset for a flavour and a variant; ``expected`` ones are there without cells, too."""
    family, whole = PRESETS[preset].system.family, ablation is Ablation.WHOLE
    named = [family.name(ablation), *([family.without_motion.name] if whole else [])]
    for variant, learned in product(named, ("", ALL)):
        held = [cell for cell in cells if _is_of(cell, flavour, variant, preset, learned)]
        held.sort(key=lambda cell: cell["seed"])
        shared = not learned or (whole and preset in SHARED)
        if held or (expected and shared and variant in family.names):
            measures = {measure: _over_seeds(measure, held) for measure in MEASURES} if held else None
            row = {"flavour": flavour, "variant": variant, "preset": preset, "learned": learned}
            yield {**row, "measures": measures, "cells": held}


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
