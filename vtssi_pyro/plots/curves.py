"""Curves over training steps and over frames."""

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vtssi_pyro.plots.style import FAINT_INK, FONT_FAMILY, GRID, INFERENCE, INK, PREDICTION, TERMS
from vtssi_pyro.system.atomic import atomic_write
from vtssi_pyro.tracks.units import NO_UNITS, Units

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LETTERS = 9  # points
DOTS_PER_INCH = 160  # of figures written as PNG: sharp on a screen, small as a file
FEW = 60  # values up to which a curve has a dot for each; more dots would touch, so a running mean replaces them
# Width of the running mean as a share of all records: half of it is noisy, twice as much hides a stage's beginning.
WINDOW = 1 / 40

PIXELS = "px"
LABELS = {"x": "likelihood"}  # the frames' site is called x

Records = Sequence[Mapping[str, Any]]


def learning_curves(path: str | Path, records: Records, units: Units = NO_UNITS) -> None:
    """Draw the course of training from the lines of ``metrics.jsonl``, without curves that no record holds.

    Args:
        path: the file to write; its suffix chooses the format.
        records: each with a ``step`` and any of ``elbo`` (nats per sequence), ``terms`` (name to nats per
            sequence), ``count_accuracy``, ``inference_error`` and ``prediction_error`` (px); a ``stage``, its
            name, marks where stages begin.
        units: known units, in which errors have an axis at the right.
    """
    records = sorted(records, key=lambda record: record["step"])
    parts = [part for part in PARTS if any(_holds(record, part[0]) for record in records)]
    columns = 1 if len(parts) < 2 else 2
    rows = max(1, -(-len(parts) // columns))
    figure = blank_figure(4.6 * columns, 2.9 * rows)
    for index, (_, title, unit, draw) in enumerate(parts):
        axes = figure.add_subplot(rows, columns, index + 1)
        draw(axes, records)
        axes.set_xlim(0, max(record["step"] for record in records) or 1)
        dress(axes, title, "training step", unit)
        if unit == PIXELS:
            _beside(axes, units)
        for step, name in _stages(records):
            _mark(axes, step, name if index == 0 else "", 0.03, upright=True)
    save(figure, path)


def error_curves(
    path: str | Path,
    evaluation: Mapping[str, Any],
    observe: int,
    trained_length: int,
    units: Units = NO_UNITS,
) -> None:
    """Draw the errors frame by frame, with the observation horizon and the training length (Figs. 5 to 7).

    Args:
        path: the file to write; its suffix chooses the format.
        evaluation: an evaluation as a mapping, px; predictions begin at frame ``observe + 1``.
        observe: number of observed frames.
        trained_length: number of frames in a training sequence.
        units: known units, in which errors have an axis at the right.
    """
    inference = _numbers(evaluation["inference_error_by_frame"])
    prediction = _numbers(evaluation["prediction_error_by_frame"])
    figure = blank_figure(6.4, 3.4)
    axes = figure.add_subplot()
    last = max(len(inference), observe + len(prediction), 1)
    line(axes, np.arange(1, len(inference) + 1), inference, INFERENCE, "inferred")
    line(axes, observe + np.arange(1, len(prediction) + 1), prediction, PREDICTION, "predicted")
    axes.set_xlim(0.5, last + 0.5)
    axes.set_ylim(0, 1.15 * np.nanmax([1e-3, *inference, *prediction]))
    dress(axes, "Position error", "frame", PIXELS)
    _beside(axes, units)
    _count_on(axes)
    for frame, words, height in ((observe, "observed", 1.0), (trained_length, "training length", 0.93)):
        if frame < last:
            _mark(axes, frame + 0.5, words, height)
    legend(axes)
    save(figure, path)


class CurveLine(NamedTuple):
    """A curve with the band of its standard errors; px by frame, None where no value is known."""

    label: str
    mean: Sequence[float | None]
    sem: Sequence[float | None]
    hue: int  # of TERMS; curves of one model share theirs
    dashed: bool = False


class CurvePanel(NamedTuple):
    """Curves of several trackers on the same sequences."""

    title: str
    lines: Sequence[CurveLine]
    observe: int
    trained_length: int
    last: int  # frame


def compared_curves(path: str | Path, panels: Sequence[CurvePanel]) -> None:
    """Draw position errors of several trackers by frame, panels above each other (Figs. 5 to 7).

    Vertical lines are at the last observed frame and at the length of training sequences; bands are of one standard
    error to either side.

    Args:
        path: the file to write; its suffix chooses the format.
        panels: at least one.
    """
    # the letters of a legend's line take 0.2 inches
    height = sum(3.2 + 0.2 * len(panel.lines) for panel in panels)
    figure = blank_figure(7.2, height)
    for index, panel in enumerate(panels):
        axes = figure.add_subplot(len(panels), 1, index + 1)
        top = 1e-3
        for mean, sem, drawn in ((_numbers(x.mean), _numbers(x.sem), x) for x in panel.lines):
            mean, sem = mean[: panel.last], np.nan_to_num(sem[: panel.last])
            frames, colour = np.arange(1, len(mean) + 1), TERMS[drawn.hue % len(TERMS)]
            axes.fill_between(frames, mean - sem, mean + sem, color=colour, alpha=0.25, linewidth=0)
            style = "--" if drawn.dashed else "-"
            axes.plot(frames, mean, style, color=colour, linewidth=1.4, label=drawn.label)
            top = float(np.nanmax([top, *(mean + sem)]))
        axes.set_xlim(0.5, panel.last + 0.5)
        axes.set_ylim(0, 1.15 * top)
        dress(axes, panel.title, "frame", "px")
        _count_on(axes)
        for frame, words, place in (
            (panel.observe, "observed", 1.0),
            (panel.trained_length, "training length", 0.93),
        ):
            _mark(axes, frame + 0.5, words, place)
        looks = {"frameon": False, "labelcolor": INK, "prop": {"family": FONT_FAMILY, "size": LETTERS}}
        axes.legend(loc="upper left", bbox_to_anchor=(0, -0.16), borderaxespad=0, **looks)
    save(figure, path)


def _holds(record: Mapping[str, Any], key: str) -> bool:
    return record.get(key) is not None


def _series(records: Records, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Return steps and values of the records that hold a key."""
    kept = [record for record in records if _holds(record, key)]
    return np.array([record["step"] for record in kept]), _numbers([record[key] for record in kept])


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    """Values as floats; NaN, a gap in a curve, for None."""
    return np.array([np.nan if value is None else value for value in values], float)


def _smooth(values: np.ndarray) -> np.ndarray:
    """Centred running mean over the known values, shorter at both ends."""
    half = int(len(values) * WINDOW / 2)
    known = np.isfinite(values)
    sums = np.concatenate([[0.0], np.where(known, values, 0.0).cumsum()])
    counts = np.concatenate([[0], known.cumsum()])
    low = np.maximum(np.arange(len(values)) - half, 0)
    high = np.minimum(np.arange(len(values)) + half + 1, len(values))
    total = counts[high] - counts[low]
    return np.where(total > 0, (sums[high] - sums[low]) / np.maximum(total, 1), np.nan)


def _draw_elbo(axes: "Axes", records: Records) -> None:
    steps, values = _series(records, "elbo")
    if len(steps) <= FEW:
        line(axes, steps, values, INFERENCE, None)
    else:
        axes.plot(steps, values, color=INFERENCE, alpha=0.25, linewidth=0.8)
        axes.plot(steps, _smooth(values), color=INFERENCE, linewidth=1.6)
    known = values[np.isfinite(values)]
    # The lowest 3 % are the first steps, which are far below all others and would flatten them; chosen by eye.
    if known.size > 20:
        low, high = np.quantile(known, 0.03), known.max()
        axes.set_ylim(low - 0.1 * (high - low) - 1e-6, high + 0.1 * (high - low) + 1e-6)


def _draw_terms(axes: "Axes", records: Records) -> None:
    held = [record for record in records if _holds(record, "terms")]
    names = list(dict.fromkeys(name for record in held for name in record["terms"]))
    for colour, name in zip(cycle(TERMS), names, strict=False):
        steps, values = _series([{"step": r["step"], name: r["terms"].get(name)} for r in held], name)
        axes.plot(steps, _smooth(values), color=colour, linewidth=1.4, label=LABELS.get(name, name))
    axes.set_yscale("symlog", linthresh=1.0)
    legend(axes, beside=True)


def _draw_accuracy(axes: "Axes", records: Records) -> None:
    steps, values = _series(records, "count_accuracy")
    line(axes, steps, 100 * values, INFERENCE, None)
    axes.set_ylim(0, 103)


def _draw_errors(axes: "Axes", records: Records) -> None:
    for key, colour, name in (
        ("inference_error", INFERENCE, "inferred"),
        ("prediction_error", PREDICTION, "predicted"),
    ):
        steps, values = _series(records, key)
        line(axes, steps, values, colour, name)
    axes.set_ylim(bottom=0)
    legend(axes)


PARTS: tuple[tuple[str, str, str, Callable[["Axes", Records], None]], ...] = (
    ("elbo", "ELBO", "nats per sequence", _draw_elbo),
    ("terms", "Terms", "nats per sequence", _draw_terms),
    ("count_accuracy", "Count accuracy", "% right", _draw_accuracy),
    ("inference_error", "Position error", PIXELS, _draw_errors),
)


def _beside(axes: "Axes", units: Units) -> None:
    """Tell lengths in the unit, too, along an axis at the right; nothing if the size of a pixel is not known."""
    if (side := units.pixel_size) is None:
        return
    right = axes.secondary_yaxis(
        "right", functions=(lambda y: np.multiply(y, side), lambda y: np.divide(y, side))
    )
    right.set_ylabel(units.unit or "", fontsize=LETTERS, color=FAINT_INK, family=FONT_FAMILY)
    right.tick_params(length=0, labelsize=LETTERS, labelcolor=FAINT_INK, labelfontfamily=FONT_FAMILY)
    right.spines["right"].set_visible(False)


def _stages(records: Records) -> list[tuple[int, str]]:
    """Find the steps at which another stage begins, and its name."""
    named = [(record["step"], record["stage"]) for record in records if _holds(record, "stage")]
    return [(step, name) for (_, before), (step, name) in pairwise(named) if name != before]


def line(axes: "Axes", x: np.ndarray, y: np.ndarray, colour: str, name: str | None) -> None:
    """Draw a curve with a dot at every value."""
    axes.plot(
        x, y, color=colour, linewidth=1.6, marker="o", markersize=3.5, label=name, clip_on=False, zorder=3
    )


def _mark(axes: "Axes", x: float, words: str, height: float, upright: bool = False) -> None:
    """Draw a vertical line with words beside it, or along it if lines may be close."""
    axes.axvline(x, color=FAINT_INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    axes.annotate(
        words,
        (x, height),
        xycoords=axes.get_xaxis_transform(),
        xytext=(-9, 0) if upright else (4, 0),
        textcoords="offset points",
        va="bottom" if upright else "top",
        rotation=90 if upright else 0,
        fontsize=LETTERS,
        color=FAINT_INK,
        family=FONT_FAMILY,
        # the words of one line may lie on the next one
        bbox=None if upright else {"facecolor": "white", "edgecolor": "none", "pad": 1},
    )


def _count_on(axes: "Axes") -> None:
    """Mark whole numbers alone along x."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


def legend(axes: "Axes", beside: bool = False) -> None:
    """Name the curves, at the emptiest place of the axes or to their right."""
    looks = {"frameon": False, "labelcolor": INK, "prop": {"family": FONT_FAMILY, "size": LETTERS}}
    axes.legend(**looks, **({"loc": "center left", "bbox_to_anchor": (1, 0.5)} if beside else {}))


def dress(axes: "Axes", title: str, x: str, y: str) -> None:
    """Give axes the common looks of all curves: no frame, a faint grid, small letters."""
    axes.set_title(title, loc="left", fontsize=LETTERS + 2, color=INK, family=FONT_FAMILY, weight="bold")
    axes.set_xlabel(x, fontsize=LETTERS, color=FAINT_INK, family=FONT_FAMILY)
    axes.set_ylabel(y, fontsize=LETTERS, color=FAINT_INK, family=FONT_FAMILY)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=LETTERS, labelcolor=FAINT_INK, labelfontfamily=FONT_FAMILY)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)


def blank_figure(width: float, height: float) -> "Figure":
    """An empty figure, inches; matplotlib is loaded by the first, since most commands draw none."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(figure: "Figure", path: str | Path) -> None:
    """Write a figure; an older file stays until the new one is complete."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=DOTS_PER_INCH, facecolor="white")
