"""The figures of the benchmarks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from vtssi_pyro.plots.curves import LETTERS, dress, line, save
from vtssi_pyro.plots.style import FAINT_INK, FONT_FAMILY, INFERENCE, INK, PREDICTION

TITLES = {
    "length": ("Length", "frames of a sequence"),
    "objects": ("Objects", "at most, a frame"),
    "batch": ("Batch", "sequences"),
    "frame": ("Frame", "side, px"),
    "sequences": ("Data", "sequences of 20 frames"),
}


def growth(path: Path, found: Mapping[str, Any]) -> None:
    """Draw seconds above and memory below, one column per axis, on logarithmic scales; slopes are the exponents."""
    axes = found["axes"]
    figure = Figure(figsize=(2.6 * len(axes), 5.2), layout="constrained")
    for column, (name, curve) in enumerate(axes.items(), start=1):
        title, label = TITLES[name]
        upper = figure.add_subplot(2, len(axes), column)
        seconds = [point["seconds"] for point in curve["points"]]
        _loglog(upper, curve["values"], seconds, INFERENCE, curve["seconds_exponent"])
        dress(upper, title, label, "generation, s" if name == "sequences" else "training step, s")
        lower = figure.add_subplot(2, len(axes), len(axes) + column)
        if name == "sequences":
            curve = found["data_set"]
            memory, slope, label = (
                [point["bytes"] for point in curve["points"]],
                None,
                "sequences of 10 frames",
            )
        else:
            memory, slope = [point["added_bytes"] for point in curve["points"]], curve["added_bytes_exponent"]
        _loglog(lower, curve["values"], [size / 1e6 for size in memory], PREDICTION, slope)
        dress(lower, "", label, "peak of training, MB" if slope is None else "memory added by steps, MB")
    save(figure, path)


def report(path: Path, found: Mapping[str, Any]) -> None:
    """Draw the time of other steps over one of the package's, and the speed of each preset."""
    figure = Figure(figsize=(11, 2.9), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    others = {row["title"]: row["over_package"] for row in found["comparisons"].values()}
    _bars(left, others, PREDICTION, "{:.2f}")
    left.axvline(1, color=FAINT_INK, linewidth=0.9, linestyle=(0, (4, 3)))
    dress(left, "Time of a training step", "over that of this package on as many frames", "")
    presets = found["presets"]
    _bars(middle, {n: p["train_sequences_per_second"] for n, p in presets.items()}, INFERENCE, "{:,.0f}")
    batch = next(iter(presets.values()))
    dress(middle, "Training", f"sequences of {batch['length']} frames per second", "")
    _bars(right, {n: p["track_frames_per_second"] for n, p in presets.items()}, INFERENCE, "{:,.0f}")
    dress(right, "Tracking", "frames per second", "")
    for axes in (left, middle, right):
        axes.grid(visible=False)
    save(figure, path)


def _bars(axes: Axes, heights: Mapping[str, float], colour: str, number: str) -> None:
    """Draw bars from left to right, the first on top, with their values at their ends."""
    bars = axes.barh(list(heights), list(heights.values()), color=colour, height=0.55)
    axes.bar_label(bars, [number.format(value) for value in heights.values()], padding=3, fontsize=LETTERS,
                   color=INK, family=FONT_FAMILY)  # fmt: skip
    axes.invert_yaxis()
    axes.set_xlim(0, 1.2 * max(*heights.values(), 1.0))


def _loglog(
    axes: Axes, values: Sequence[float], heights: Sequence[float], colour: str, slope: float | None
) -> None:
    """Draw a curve on logarithmic scales, with the values themselves as ticks, and write its slope."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    line(axes, np.array(values), np.array(heights), colour, None)
    axes.set_xticks(values, [f"{value // 1000}k" if value >= 1000 else f"{value}" for value in values])
    axes.xaxis.set_minor_locator(NullLocator())
    low, high = min(heights), max(heights)
    middle, reach = (low * high) ** 0.5, max((high / low) ** 0.5 * 1.4, 2.0)  # a flat curve must look flat
    axes.set_ylim(middle / reach, middle * reach)
    ticks = [step * 10.0**power for power in range(-4, 6) for step in (1, 2, 5)]
    ticks = [tick for tick in ticks if middle / reach <= tick <= middle * reach]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.yaxis.set_minor_locator(NullLocator())
    if slope is not None:
        write(axes, 0.05, 0.93, f"exponent {slope:.2f}")


def write(axes: Axes, x: float, y: float, words: str) -> None:
    """Write a remark at a place in fractions of the axes."""
    axes.text(
        x, y, words, transform=axes.transAxes, fontsize=LETTERS, color=INK, family=FONT_FAMILY, va="top",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
    )  # fmt: skip
