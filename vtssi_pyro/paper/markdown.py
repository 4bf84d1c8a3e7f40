"""The paper's Table 1 in Markdown, with the details of its averages."""

from collections.abc import Iterable, Sequence
from typing import Any

from vtssi_pyro.paper.cells import Key

MISSING = "-"
NAMES = {
    "air": "AIR",
    "find": "FIND",
    "rect-find": "RECT/FIND",
    "find-mot": "FIND/MOT",
    "vtssi": "VTSSI",
    "vtssi-without-mot": "VTSSI without MOT",
}
BINS = ("0-5", "5-10", "10-15", "15-20", "20+")  # of Evaluation.by_distance; a test compares them
AHEAD = (1, 2, 5, 10, 20, 50, 100)  # frames after the last observed one
MEASURES = ("count_accuracy", "inference_error", "prediction_error")
_PLAIN = """The paper's procedure: the first frames alone decide the objects, and nothing is settled on the frames at
test time; averages replace precisions, and centres of attention windows replace tight boxes."""
_NOTES = """
Count: right sequences, of AIR right frames. Errors: mean distance between an object's centre and its track's, px; the
prediction is of all frames after the observed ones. ± is one standard error over sequences; of several seeds their mean
and, in brackets, the lowest and the highest. The paper gives one training each on 10,000 sequences, without errors, and
has no row for VTSSI without MOT in this table. `n/a`: cannot predict. `-`: not made yet.
"""

Rows = Sequence[dict[str, Any]]


def markdown(rows: Rows) -> str:
    """Write the whole file from the rows of ``table1.rows``."""
    made = [row for row in rows if row["cells"]]
    parts = ["# Table 1", _made_with(made), *_table(_HEAD, map(_row, rows)), _NOTES]
    if made:
        parts += ["## Behind the averages", "", *_behind(made), ""]
        parts += ["## Without refinement at test time", ""]
        parts += [_PLAIN, "", *_plain(made), ""]
        parts += ["## Count by the smallest distance of two objects in the observed frames", ""]
        parts += ["Of sequences with two objects or more; distance between centres, px.", ""]
        parts += [*_by_distance(made), "", "## Long predictions", ""]
        parts += [
            "Error, px, by the number of frames after the last observed one, and the share of all predicted centres"
        ]
        parts += [
            "that lie outside the frame.",
            "",
            *_far(made),
            "",
            "## Where the cells come from",
            "",
            *_origins(made),
        ]
    return "\n".join(parts).rstrip() + "\n"


_HEAD = ("data", "model", "count", "paper", "inference, px", "paper", "prediction, px", "paper", "minutes")


def _made_with(rows: Rows) -> str:
    cells = [cell for row in rows for cell in row["cells"]]
    if not cells:
        return "\nNo cell is made yet.\n"

    def all_of(name: str) -> str:
        return ", ".join(str(value) for value in sorted({cell[name] for cell in cells}))

    return (
        f"\nPreset {all_of('preset')}, digits {all_of('digits')}; {all_of('sequences')} held-out sequences a cell, "
        f"{all_of('observe')} frames observed before a prediction; seeds {all_of('seed')}.\n"
    )


def _row(row: dict[str, Any]) -> list[str]:
    words = [row["flavour"], _model(row)]
    for name in MEASURES:
        percent = name == "count_accuracy"
        for numbers, write in ((row["ours"], _measure), (row["paper"], _published)):
            known = numbers is not None and numbers[name] is not None
            unable = "n/a" if numbers and name == "prediction_error" else MISSING
            words.append(write(numbers[name], percent) if known else unable)
    minutes = _mean(row["cells"], "training", "minutes")
    return [*words, MISSING if minutes is None else f"{minutes:.0f}"]


def _model(row: dict[str, Any]) -> str:
    return NAMES[row["variant"]] + (", trained on all four" if row["learned"] else "")


def _published(value: float, percent: bool) -> str:
    return f"{100 * value:.2f} %" if percent else f"{value:.3f}"


def _measure(found: dict[str, Any], percent: bool) -> str:
    digits, factor, unit = (2, 100, " %") if percent else (3, 1, "")
    mean = f"{factor * found['mean']:.{digits}f}"
    if "low" in found:
        return f"{mean}{unit} ({factor * found['low']:.{digits}f} to {factor * found['high']:.{digits}f})"
    return f"{mean}{unit}" if found["sem"] is None else f"{mean} ± {factor * found['sem']:.{digits}f}{unit}"


def _behind(rows: Rows) -> list[str]:
    head = ("data", "model", "count, observed frames alone", "inference: median", "one object", "two objects",
            "prediction: median", "one object", "two objects", "identity switches")  # fmt: skip
    paths: tuple[tuple[str, ...], ...] = (
        ("inference_error_median",),
        ("by_objects", "1", "inference_error"),
        ("by_objects", "2", "inference_error"),
        ("prediction_error_median",),
        ("by_objects", "1", "prediction_error"),
        ("by_objects", "2", "prediction_error"),
    )
    lines = []
    for row in rows:
        cells = row["cells"]
        numbers = [_px(_mean(cells, "metrics", *path)) for path in paths]
        shares = [
            _percent(_mean(cells, "metrics", name))
            for name in ("count_accuracy_observed", "identity_switches")
        ]
        lines.append([row["flavour"], _model(row), shares[0], *numbers, shares[1]])
    return _table(head, lines)


def _plain(rows: Rows) -> list[str]:
    lines = []
    for row in rows:
        count, inference, prediction = (_mean(row["cells"], "plain", name) for name in MEASURES)
        lines.append([row["flavour"], _model(row), _percent(count), _px(inference), _px(prediction)])
    return _table(("data", "model", "count", "inference, px", "prediction, px"), lines)


def _by_distance(rows: Rows) -> list[str]:
    lines = []
    for row in rows:
        numbers = [
            _percent(_mean(row["cells"], "metrics", "by_distance", name, "count_accuracy")) for name in BINS
        ]
        lines.append([row["flavour"], _model(row), *numbers])
    return _table(("data", "model", *BINS), lines)


def _far(rows: Rows) -> list[str]:
    lines = []
    for row in rows:
        if row["cells"][0]["long"]:
            errors = [_mean(row["cells"], "long", "prediction_error_by_frame", h - 1) for h in AHEAD]
            outside = _percent(_mean(row["cells"], "long", "predictions_outside"))
            lines.append([row["flavour"], _model(row), *map(_px, errors), outside])
    return _table(("data", "model", *map(str, AHEAD), "outside"), lines)


def _origins(rows: Rows) -> list[str]:
    lines = []
    for row in rows:
        for cell in row["cells"]:
            starts = cell["training"]["starts"] or [cell["evaluation"]]
            commits = list(dict.fromkeys(_code(start) for start in [*starts, cell["evaluation"]]))
            hardware = starts[-1]["hardware"]
            threads = hardware["threads"]
            machine = f"{hardware['gpu'] or hardware['processor']}, {threads} thread{'s' * (threads > 1)}"
            minutes = f"{cell['training']['minutes']:.0f}"
            name = Key.of(cell).name
            lines.append([name, f"`{cell['command']}`", ", ".join(commits), machine, minutes])
    return _table(("cell", "command", "code", "hardware", "minutes"), lines)


def _code(start: dict[str, Any]) -> str:
    return start["commit"] or f"version {start['versions']['vtssi-pyro']}"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines)]


def _mean(cells: Sequence[dict[str, Any]], *path: Any) -> float | None:
    """Average a nested number over the cells; None if no cell has it."""
    values = [value for cell in cells if (value := _within(cell, path)) is not None]
    return sum(values) / len(values) if values else None


def _within(value: Any, path: Sequence[Any]) -> Any:
    """Return the value at a path of keys and indices, None if the path ends early."""
    for step in path:
        if value is None:
            return None
        if isinstance(value, list):
            value = value[step] if step < len(value) else None
        else:
            value = value.get(step)
    return value


def _px(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return MISSING if value is None else f"{100 * value:.1f} %"
