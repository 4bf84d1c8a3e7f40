"""The paper's Table 1 in Markdown, with the details of its averages."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vtssi_pyro.config.variants import PAPER, Ablation
from vtssi_pyro.paper.cells import OWN, PAPERS, Key, chain, command
from vtssi_pyro.paper.published import FLAVOURS, TITLES

MISSING, UNABLE = "-", "n/a"
BINS = ("0-5", "5-10", "10-15", "15-20", "20+")  # of Evaluation.by_distance; a test compares them
AHEAD = (1, 2, 5, 10, 20, 50, 100)  # frames after the last observed one
# The measures of a row, and their places in a cell.
MEASURES: Mapping[str, tuple[str, ...]] = {
    "count_accuracy": ("metrics", "count_accuracy"),
    "count_accuracy_all_frames": ("all_frames", "count_accuracy"),
    "inference_error": ("metrics", "inference_error"),
    "prediction_error": ("metrics", "prediction_error"),
}
_NOTES = """
By the paper's rule the first K observed frames decide what the objects are, in all rows and columns but "count, all
frames", for which all frames of a sequence decide. Their positions are then inferred in all frames (inference), or
predicted after the observed ones (prediction): mean distance between an object's centre and its track's, px. Count:
right sequences, of AIR right frames. ± is one standard error over sequences; of several seeds their mean and, in
brackets, the lowest and the highest. The paper gives one training each on 10,000 sequences, without errors.

FIND, RECT, MOT and VTSSI are the paper's own blocks: presets `paper-fast` and `paper`, judged by the paper's procedure
at test time (modes, w = 0.5, K = M = 5, centres of attention windows). The other names are of this package's blocks:
presets `standard` and `quick`, judged by our own procedure at test time, on the same K frames: fusion by precision,
looks and positions registered on the frames, tight boxes and, with a count RECT, competing hypotheses about the
objects. AIR is the paper's in its presets, and a strided one in ours.

Core-hours are of the training, by the clock; after a plus those of the shared training that it starts from, which
counts once for all. `n/a`: cannot be measured. `-`: not made yet; the command makes it.
"""
_WHOSE = ("data", "model", "preset")
_BARE_MEASURES = ("count_accuracy", "inference_error", "prediction_error")
_BARE = """Our blocks alone: nothing is registered on the frames, no hypotheses compete, and centres of attention
windows replace tight boxes; the first K frames decide the objects, too."""

Rows = Sequence[dict[str, Any]]


def markdown(rows: Rows) -> str:
    """Write the whole file from the rows of ``table1.rows``."""
    made = [row for row in rows if row["cells"]]
    parts = ["# Table 1", _made_with(made), _NOTES.strip(), ""]
    for flavour in FLAVOURS:
        of_flavour = [row for row in rows if row["flavour"] == flavour]
        parts += [f"## {flavour}", "", *_table(_head(made), map(_row, of_flavour)), ""]
    if made:
        parts += ["## Behind the averages", "", *_behind(made), ""]
        parts += ["## Our blocks without our procedure at test time", "", _BARE, "", *_bare(made), ""]
        parts += ["## Count by the smallest distance of two objects in the observed frames", ""]
        parts += ["Of sequences with two objects or more; distance between centres, px.", ""]
        parts += [*_by_distance(made), "", "## Long predictions", ""]
        parts += [
            "Error, px, by the number of frames after the last observed one, and the share of all predicted centres"
        ]
        parts += ["that lie outside the frame.", "", *_far(made)]
    return "\n".join(parts).rstrip() + "\n"


def _head(made: Rows) -> tuple[str, ...]:
    frames = ", ".join(sorted({str(cell["observe"]) for row in made for cell in row["cells"]})) or "5"
    return (
        "model", "preset", "test time", f"count, first {frames} frames", "count, all frames", "inference, px",
        "prediction, px", "core-hours", "command", "code", "hardware",
    )  # fmt: skip


def _made_with(rows: Rows) -> str:
    cells = [cell for row in rows for cell in row["cells"]]
    if not cells:
        return "\nNo cell is made yet.\n"

    def all_of(name: str) -> str:
        return ", ".join(str(value) for value in sorted({cell[name] for cell in cells}))

    return (
        f"\nPresets {all_of('preset')}, digits {all_of('digits')}; {all_of('sequences')} held-out sequences a cell, "
        f"{all_of('observe')} frames observed before a prediction; seeds {all_of('seed')}.\n"
    )


def _row(row: dict[str, Any]) -> list[str]:
    if row["preset"] is None:
        told = [f"*{PAPER.titles[row['variant']]}*", "*the paper*", PAPERS]
        return [*told, *_measured(row), *[""] * 4]
    if not row["cells"]:
        key = Key(row["variant"], row["learned"] or row["flavour"], 0)
        makes = command([key], row["preset"])
        return [_model(row), row["preset"], *[MISSING] * 6, f"`{makes}`", MISSING, MISSING]
    return [_model(row), row["preset"], _procedure(row["cells"]), *_measured(row), *_origin(row["cells"])]


def _measured(row: dict[str, Any]) -> list[str]:
    """The cells of a row's measures."""
    words, cells = [], row["cells"]
    for name in MEASURES:
        found = row["measures"][name]
        percent = name.startswith("count")
        if found is not None:
            words.append(_measure(found, percent) + _unit(row) * percent)
        else:
            known = name == "inference_error" or (
                name == "prediction_error" and any(cell["long"] for cell in cells)
            )
            words.append(MISSING if known else UNABLE)
    return words


def _unit(row: dict[str, Any]) -> str:
    """AIR counts every frame by itself."""
    return " of frames" if row["variant"] == PAPER.name(Ablation.FRAMES) else ""


def _model(row: dict[str, Any]) -> str:
    return TITLES[row["variant"]] + (", trained on all four" if row["learned"] else "")


def _measure(found: dict[str, Any], percent: bool) -> str:
    digits, factor, unit = (2, 100, " %") if percent else (3, 1, "")
    mean = f"{factor * found['mean']:.{digits}f}"
    if "low" in found:
        return f"{mean}{unit} ({factor * found['low']:.{digits}f} to {factor * found['high']:.{digits}f})"
    return f"{mean}{unit}" if found["sem"] is None else f"{mean} ± {factor * found['sem']:.{digits}f}{unit}"


def _origin(cells: Sequence[dict[str, Any]]) -> list[str]:
    """Core-hours, command, code and hardware of the cells of a row."""
    commits: list[str] = []
    machines: list[str] = []
    for cell in cells:
        starts = cell["training"]["starts"] or [cell["evaluation"]]
        commits += map(_code, [*starts, cell["evaluation"]])
        hardware = starts[-1]["hardware"]
        threads = hardware["threads"]
        machines.append(f"{hardware['gpu'] or hardware['processor']}, {threads} thread{'s' * (threads > 1)}")
    alike: dict[tuple[str, int, str], list[Key]] = {}
    for cell in cells:
        alike.setdefault((cell["preset"], cell["sequences"], cell["digits"]), []).append(Key.of(cell))
    commands = (f"`{command(keys, *settings)}`" for settings, keys in alike.items())
    hours = [hours for cell in cells if (hours := _hours(cell, cell["training"])) is not None]
    return [
        MISSING if len(hours) < len(cells) else f"{sum(hours) / len(hours):.2f}" + _shared(cells),
        ", ".join(commands),
        *(", ".join(dict.fromkeys(each)) for each in (commits, machines)),
    ]


def _hours(cell: dict[str, Any], training: Mapping[str, Any]) -> float | None:
    """Core-hours of a training; None on a GPU."""
    starts = cell["training"]["starts"] or [cell["evaluation"]]
    hardware = starts[-1]["hardware"]
    return None if hardware["gpu"] else float(training["minutes"] * hardware["threads"] / 60)


def _shared(cells: Sequence[dict[str, Any]]) -> str:
    """The core-hours of the trainings that the cells start from, one after another."""
    _, *before = chain(cells[0]["training"])
    return "".join(f" + {_told(cells[0], start)} of {start['name']}" for start in before)


def _told(cell: dict[str, Any], start: Mapping[str, Any]) -> str:
    """The core-hours of a training that a cell starts from, or the minutes on a GPU."""
    if gpu := start.get("gpu"):
        return f"{start['minutes']:.0f} minutes on {gpu}"
    return f"{_hours(cell, start):.2f}"


def _procedure(cells: Sequence[dict[str, Any]]) -> str:
    """The procedure at test time, and the number of frames that it decides on where that is not the paper's."""
    named = (
        f"{cell['procedure']}, on {cell['observe']} frames" if cell["procedure"] == OWN else cell["procedure"]
        for cell in cells
    )
    return ", ".join(dict.fromkeys(named))


def _behind(rows: Rows) -> list[str]:
    head = (*_WHOSE, "inference: median", "one object", "two objects", "prediction: median", "one object",
            "two objects", "identity switches")  # fmt: skip
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
        numbers = [_px(_mean(row["cells"], "metrics", *path)) for path in paths]
        lines.append([*_whose(row), *numbers, _percent(_mean(row["cells"], "metrics", "identity_switches"))])
    return _table(head, lines)


def _bare(rows: Rows) -> list[str]:
    lines = []
    for row in rows:
        if any(cell["bare"] for cell in row["cells"]):
            count, *errors = (_mean(row["cells"], "bare", name) for name in _BARE_MEASURES)
            lines.append([*_whose(row), _percent(count), *map(_px, errors)])
    return _table((*_WHOSE, "count", "inference, px", "prediction, px"), lines)


def _by_distance(rows: Rows) -> list[str]:
    lines = []
    for row in rows:
        numbers = [
            _percent(_mean(row["cells"], "metrics", "by_distance", name, "count_accuracy")) for name in BINS
        ]
        lines.append([*_whose(row), *numbers])
    return _table((*_WHOSE, *BINS), lines)


def _far(rows: Rows) -> list[str]:
    lines = []
    for row in rows:
        if row["cells"][0]["long"]:
            errors = [_mean(row["cells"], "long", "prediction_error_by_frame", h - 1) for h in AHEAD]
            outside = _percent(_mean(row["cells"], "long", "predictions_outside"))
            lines.append([*_whose(row), *map(_px, errors), outside])
    return _table((*_WHOSE, *map(str, AHEAD), "outside"), lines)


def _whose(row: dict[str, Any]) -> list[str]:
    return [row["flavour"], _model(row), row["preset"]]


def _code(start: dict[str, Any]) -> str:
    return start["commit"] or f"version {start['versions']['vtssi-pyro']}"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines)]


def _mean(cells: Sequence[dict[str, Any]], *path: Any) -> float | None:
    """Average a nested number over the cells; None if no cell has it."""
    values = [value for cell in cells if (value := within(cell, path)) is not None]
    return sum(values) / len(values) if values else None


def within(value: Any, path: Sequence[Any]) -> Any:
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
