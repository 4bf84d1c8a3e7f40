"""Files of cells and curves: those that ship are read, and a value of another kind is refused with its key."""

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vtssi_pyro.errors import DataError
from vtssi_pyro.paper.cells import Cells, Key, all_cells
from vtssi_pyro.paper.curves import label
from vtssi_pyro.paper.recorded import Cell, CurveFile, read

DOCS = Path(__file__).parents[2] / "docs"
CELL = json.loads((DOCS / "cells" / "paper-fast" / "vtssi-mixed-0-on-linear.json").read_text())
ERRORS = {
    "mean": [1.0, None],
    "sem": [0.5, None],
    "matched": [1.0, 1.0],
    "spans": {"1-2": {"mean": 1.0, "sem": 0.5}},
}
CURVE = {
    "model": "DDPAE", "variant": "ddpae", "preset": "fast", "flavour": "ddpae", "seed": 0, "partner": False,
    "without_motion": False, "sequences": 5, "frames": 2, "digits": "embedded", "weights": "ab12", "observe": 1,
    "trained_length": 2, "tracking": ERRORS, "prediction": None, "parameters": {"all": 7, "air": 0},
    "metrics": {
        "count_accuracy": 1.0, "count_accuracy_sem": 0.0, "count_frames": 1, "per_frame_count": False,
        "inference_error": 1.0, "inference_error_sem": 0.5, "prediction_error": None, "prediction_error_sem": None,
        "identity_switches": None,
    },
    "training": {
        "run": "ddpae-0", "steps": 4, "minutes": 0.5, "hours": 0.1, "unit": "core-hours",
        "machine": {"threads": 1, "device": "cpu"}, "starts": [], "start": None,
    },
    "evaluation": CELL["evaluation"],
}  # fmt: skip


def walk(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    """The paths of all values within a value of JSON, and of the first entry of each list."""
    yield path
    items = (
        value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    )
    for key, each in items:
        yield from walk(each, *path, key)


def changed(whole: Any, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> str:
    """The text of a file in which the part that holds the end of a path is changed."""
    made = within = copy.deepcopy(whole)
    for key in path[:-1]:
        within = within[key]
    change(within, path[-1])
    return json.dumps(made)


def test_a_label_counts_the_steps_of_all_trainings_that_led_to_a_curve() -> None:
    first = {"name": "first", "minutes": 1.0, "steps": 8000, "start": None}
    # of a former version, which did not tell steps
    second = {
        "name": "second",
        "minutes": 1.0,
        "start": first,
    }
    training = {**CURVE["training"], "steps": 300, "start": second}
    assert label({**CURVE, "training": training}) == "DDPAE, fast: 8,300 steps, 0.1 core-hours"


KINDS = pytest.mark.parametrize(("kind", "whole"), [(Cell, CELL), (CurveFile, CURVE)])


def test_all_that_ship_are_read() -> None:
    assert len(all_cells(DOCS)) == len(list(DOCS.glob("cells/*/*.json"))) > 20


@KINDS
def test_a_value_of_another_kind_is_refused_with_its_key(kind: type, whole: Any, tmp_path: Path) -> None:
    def odd(within: Any, key: Any) -> None:
        within[key] = [] if isinstance(within[key], dict | None) else {}

    file = tmp_path / "file.json"
    for path in filter(None, walk(whole)):
        file.write_text(changed(whole, path, odd))
        told = f"{file}: damaged ({'.'.join(map(str, path))}: expected "
        with pytest.raises(DataError, match=rf"^{re.escape(told)}.*; remove it to have it made anew$"):
            read(file, kind)


@pytest.mark.parametrize(
    ("kind", "whole", "path"),
    [
        (Cell, CELL, ("variant",)), (Cell, CELL, ("metrics",)),
        (Cell, CELL, ("training", "starts", 0, "hardware", "gpu")), (Cell, CELL, ("evaluation", "commit")),
        (CurveFile, CURVE, ("tracking", "mean")), (CurveFile, CURVE, ("tracking", "spans", "1-2", "sem")),
        (CurveFile, CURVE, ("training", "hours")),
    ],
)  # fmt: skip
def test_a_missing_value_is_too(kind: type, whole: Any, path: tuple[Any, ...], tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    file.write_text(changed(whole, path, lambda within, key: within.pop(key)))
    with pytest.raises(DataError, match=rf"damaged \({re.escape('.'.join(map(str, path)))}: is missing\)"):
        read(file, kind)


def test_a_file_of_a_former_version_may_lack_what_was_not_known(tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    for path in (("learned",), ("training", "start"), ("metrics", "count_frames")):
        file.write_text(changed(CELL, path, lambda within, key: within.pop(key, None)))
        assert read(file, Cell)["seed"] == 0


@pytest.mark.parametrize("content", ["", "[]", "{}", "3", "null"])
def test_what_is_no_record_is_damaged(content: str, tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    file.write_text(content)
    for kind in (Cell, CurveFile):
        with pytest.raises(DataError, match=r"file\.json: damaged"):
            read(file, kind)


def test_cells_are_read_so(tmp_path: Path) -> None:
    cells, key = Cells(tmp_path, "quick"), Key("ours", "linear", 0)
    cells.write(key, CELL | {"seed": "0"})
    with pytest.raises(DataError, match=r"ours-linear-0\.json: damaged \(seed: expected a whole number"):
        cells.read(key)
    with pytest.raises(DataError, match=r"ours-linear-0\.json: damaged"):
        all_cells(tmp_path)
