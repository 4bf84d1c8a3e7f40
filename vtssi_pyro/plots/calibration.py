"""Pictures of the calibration of forecasts."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtssi_pyro.plots.curves import LETTERS, blank_figure, dress, legend, line, save
from vtssi_pyro.plots.style import FAINT_INK, FONT_FAMILY, INFERENCE, INK, PREDICTION
from vtssi_pyro.plots.tracks import axes_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Horizons, as many as fit a page's width: the first, and others up to the 15 of the paper's sequences.
SHOWN = (1, 5, 10, 15)


def reliability(path: str | Path, before: Mapping[str, Any], after: Mapping[str, Any] | None) -> None:
    """Draw the share of the truth within regions against the share that they should hold, by horizon.

    The shares of the intervals of x and y alone are those of the forecasts in use, calibrated if possible.

    Args:
        path: the file to write; its suffix chooses the format.
        before: an assessment, as a mapping, of the model's own forecasts.
        after: an assessment of calibrated forecasts; None without a calibration.
    """
    horizons = [h for h in SHOWN if h <= len(before["coverage"]) and before["coverage"][h - 1]]
    columns = max(1, len(horizons))
    figure = blank_figure(2.6 * columns, 3.0)
    for index, horizon in enumerate(horizons):
        axes = figure.add_subplot(1, columns, index + 1)
        plot_coverage(before, after, horizon=horizon, ax=axes)
        if index and (named := axes.get_legend()):
            axes.set_ylabel("")
            named.remove()
    if not horizons:
        figure.text(0.5, 0.5, "nothing was predicted", ha="center", fontsize=LETTERS, family=FONT_FAMILY)
    save(figure, path)


def plot_coverage(
    assessment: Mapping[str, Any],
    calibrated: Mapping[str, Any] | None = None,
    *,
    horizon: int = 1,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the share of the truth within regions against the share that they should hold, so many frames ahead.

    The shares of the intervals of x and y alone are those of the forecasts in use, calibrated if possible.

    Args:
        assessment: of the model's own forecasts, as a mapping: ``vtssi_pyro.calibrate(...).before``.
        calibrated: that of calibrated forecasts, ``.after``; None: none.
        horizon: number of frames ahead.
        ax: axes to draw on; None: those of a new figure.
    """
    axes = axes_of(ax)
    axes.plot([0, 100], [0, 100], color=FAINT_INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    for found, colour, name in ((assessment, PREDICTION, "as drawn"), (calibrated, INFERENCE, "calibrated")):
        if found is not None and found["coverage"][horizon - 1]:
            levels, shares = np.array(found["levels"]), np.array(found["coverage"][horizon - 1])
            line(axes, 100 * levels, 100 * shares, colour, name)
    final = assessment if calibrated is None else calibrated
    for axis, dots in (("x", (0, (4, 2))), ("y", (0, (1, 1.5)))):
        shares = 100 * np.array(final[f"coverage_{axis}"][horizon - 1])
        axes.plot(
            100 * np.array(final["levels"]), shares, color=INK, linewidth=0.9, linestyle=dots, label=f"{axis} alone",
            zorder=4,
        )  # fmt: skip
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    axes.set_aspect("equal")
    ahead = f"{horizon} frame{'s' * (horizon > 1)} ahead"
    dress(axes, ahead, "% in the region or interval", "% of the truth in it")
    legend(axes)
    return axes
