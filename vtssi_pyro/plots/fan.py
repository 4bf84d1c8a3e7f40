"""Fans of sampled futures over the last observed frame."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from vtssi_pyro.errors import UsageError
from vtssi_pyro.evaluation.clouds import mahalanobis, moments
from vtssi_pyro.plots.curves import blank_figure, dress, save
from vtssi_pyro.plots.style import Frames
from vtssi_pyro.plots.tracks import axes_of, identity_colour, in_lengths, of_sequence, on_frame
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.tracks.units import NO_UNITS, Units

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN_FUTURES = 40  # futures of an object; the lines of more would merge into one area
REGIONS = 4  # horizons whose regions are drawn, evenly spaced, with the last; more regions overlap
LEVELS = ((0.9, 0.25), (0.5, 0.45))  # levels of the regions, as in predictions.csv, and their opacities


def futures(
    path: str | Path,
    frames: Frames,
    tracks: Tracks,
    observed: int,
    columns: int = 4,
    names: Sequence[str] | None = None,
) -> None:
    """Draw each observed path, its sampled futures, their mean, and regions of 50 % and 90 %.

    Args:
        path: the file to write; its suffix chooses the format.
        frames: (B, C, H, W), the last observed frames, uint8 or in [0, 1].
        tracks: (B, T, N, 2), px, with samples (S, B, T, N, 2); frames from ``observed`` on are predicted.
        observed: number of observed frames.
        columns: number of pictures side by side.
        names: names of the sequences; None: their numbers.
    """
    B, _, H, W = frames.shape
    across = min(columns, B)
    rows = -(-B // across)
    figure = blank_figure(3.1 * across, 3.1 * rows * H / W + 0.3 * rows)
    for b in range(B):
        axes = figure.add_subplot(rows, across, b + 1)
        plot_futures(tracks, observed, frames[b], sequence=b, ax=axes)
        dress(axes, names[b] if names else f"sequence {b + 1}", "", "")
        axes.grid(False)
        axes.set_xticks([])
        axes.set_yticks([])
    save(figure, path)


def plot_futures(
    tracks: Tracks,
    observed: int,
    frame: Frames | None = None,
    *,
    sequence: int = 0,
    units: Units | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the observed path of each object of a sequence, its sampled futures, their mean, and 50 % and 90 % regions.

    Args:
        tracks: (B, T, N, 2), px, with samples (S, B, T, N, 2); frames from ``observed`` on are predicted.
        observed: number of observed frames.
        frame: (C, H, W), the last observed one, uint8 or in [0, 1], beneath them; None: none.
        sequence: the sequence.
        units: of the axes; None: pixels.
        ax: axes to draw on; None: those of a new figure.
    """
    tracks, units = of_sequence(tracks, sequence), units or NO_UNITS
    length = tracks.present.shape[1]
    if not 1 <= observed <= length:
        raise UsageError(f"observed {observed}: expected 1 to {length}, the tracks' frames")
    ax = axes_of(ax)
    on_frame(ax, frame, units, "Futures")
    scaled = in_lengths(tracks, units)
    for n in range(tracks.present.shape[-1]):
        if bool(tracks.present[0, observed - 1, n]):
            _fan(ax, scaled, 0, n, observed, identity_colour(n))
    return ax


def _fan(axes: "Axes", tracks: Tracks, b: int, n: int, observed: int, colour: tuple[float, ...]) -> None:
    past = tracks.position[b, :observed, n].detach().cpu().numpy()
    axes.plot(*past.T, color=colour, linewidth=2.2, solid_capstyle="round", zorder=4)
    axes.plot(*past[-1], color=colour, marker="o", markersize=5, zorder=5)
    ahead = tracks.position[b, observed:, n].detach().cpu().numpy()
    if tracks.samples is not None and len(ahead):
        drawn = tracks.samples[:, b, observed:, n].detach().cpu().double()  # (S, horizon, 2)
        start = np.repeat(past[-1:][None], len(drawn), 0)
        for line in np.concatenate([start, drawn.numpy()], 1)[:SHOWN_FUTURES]:
            axes.plot(*line.T, color=colour, linewidth=0.5, alpha=0.35, zorder=2)
        ahead = drawn.nanmean(0).numpy()
        for t in np.unique(np.linspace(0, len(ahead) - 1, REGIONS + 1).round().astype(int))[1:]:
            known = drawn[drawn[:, t].isfinite().all(-1), t]
            if len(known) > 2:
                _regions(axes, known, colour)
    axes.plot(
        *np.concatenate([past[-1:], ahead]).T, color=colour, linewidth=1.4, linestyle=(0, (3, 2)), zorder=4
    )


def _regions(axes: "Axes", points: Tensor, colour: tuple[float, ...]) -> None:
    """Draw ellipses around points (S, 2) that hold the shares LEVELS of them."""
    from matplotlib.patches import Ellipse

    mean, covariance = moments(points)
    variance, axis = torch.linalg.eigh(covariance)  # the longer axis is the last
    away = mahalanobis(points, points)
    angle = float(torch.rad2deg(torch.atan2(axis[1, 1], axis[0, 1])))
    centre = float(mean[0]), float(mean[1])
    for level, opacity in LEVELS:
        minor, major = (2 * away.quantile(level) * variance.sqrt()).tolist()
        ellipse = Ellipse(
            centre, major, minor, angle=angle, color=colour, alpha=opacity, linewidth=0, zorder=3
        )
        axes.add_patch(ellipse)
