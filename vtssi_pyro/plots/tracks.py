"""Plots of tracks, a call each: on axes that are given, or on those of a new figure; the axes are returned.

Lengths and times are in the given units, else in pixels and frames. Places are in the image plane, with the frame's
corner at (0, 0); a frame is drawn beneath them accordingly.
"""

from typing import TYPE_CHECKING

import numpy as np

from vtssi_pyro.errors import UsageError
from vtssi_pyro.plots.curves import dress, legend
from vtssi_pyro.plots.style import FAINT_INK, IDENTITIES, INFERENCE, Frames, to_shown
from vtssi_pyro.tracks.columns import HIDDEN, displacement, spelled_unit
from vtssi_pyro.tracks.motion import mean_squared_displacement
from vtssi_pyro.tracks.tracks import Tracks, as_array
from vtssi_pyro.tracks.units import NO_UNITS, Units

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BAND = 1.96  # standard errors to either side that hold 95 % of a normal density


def axes_of(ax: "Axes | None") -> "Axes":
    """The given axes, or those of a new figure of pyplot."""
    if ax is not None:
        return ax
    from matplotlib import pyplot  # here alone: it chooses a backend for the whole process

    return pyplot.subplots(layout="constrained")[1]


def identity_colour(n: int) -> tuple[float, ...]:
    """The colour of an object, the same in all pictures."""
    return tuple(part / 255 for part in IDENTITIES[n % len(IDENTITIES)])


def in_lengths(tracks: Tracks, units: Units) -> Tracks:
    """Tracks whose pixels are lengths."""
    side = units.pixel_size or 1.0
    return tracks.moved(lambda points: points * side, np.array([side, side]))


def of_sequence(tracks: Tracks, sequence: int) -> Tracks:
    """The tracks (1, T, N, 2) of one of several sequences.

    Raises:
        UsageError: there is none of that number.
    """
    number = len(tracks.present)
    if not 0 <= sequence < number:
        raise UsageError(f"sequence {sequence}: there are {number}, which count from 0; choose one")
    return tracks.part([sequence])


def on_frame(ax: "Axes", frame: Frames | None, units: Units, name: str) -> None:
    """Draw a frame, (C, H, W) or (H, W), faintly beneath, and set the axes like an image's: y down, squares square."""
    ax.set_aspect("equal")
    unit = spelled_unit(units.name(1, 0))
    dress(ax, name, f"x, {unit}", f"y, {unit}")
    if frame is not None:
        shown = to_shown(frame if frame.ndim > 2 else frame[None])
        height, width = (side * (units.pixel_size or 1.0) for side in shown.shape[:2])
        ax.imshow(shown, cmap="gray_r", extent=(0, width, height, 0), vmin=0, alpha=0.35)
        ax.set_xlim(0, width)
        ax.set_ylim(height, 0)
    elif not ax.yaxis_inverted():
        ax.invert_yaxis()


def plot_trajectories(
    tracks: Tracks,
    frame: Frames | None = None,
    *,
    sequence: int = 0,
    units: Units | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the paths of the objects of a sequence, each in its colour, with a dot at its last place.

    Args:
        tracks: (B, T, N, 2), px.
        frame: (C, H, W) or (H, W) beneath them, uint8 or in [0, 1]; None: none.
        sequence: the sequence.
        units: of the axes; None: pixels.
        ax: axes to draw on; None: those of a new figure.
    """
    tracks, units = of_sequence(tracks, sequence), units or NO_UNITS
    ax = axes_of(ax)
    on_frame(ax, frame, units, "Trajectories")
    path, present = _path(in_lengths(tracks, units))
    for n in range(path.shape[1]):
        if present[:, n].any():
            colour, last = identity_colour(n), present[:, n].nonzero()[0][-1]
            ax.plot(*path[:, n].T, color=colour, linewidth=1.6, label=f"{n}", solid_capstyle="round")
            ax.plot(*path[last, n], color=colour, marker="o", markersize=4)
    return ax


def plot_msd(
    tracks: Tracks, *, longest: int | None = None, units: Units | None = None, ax: "Axes | None" = None
) -> "Axes":
    """Draw the mean squared displacement by lag, on logarithmic scales, with a band that holds 95 %.

    See :func:`~vtssi_pyro.tracks.motion.mean_squared_displacement`. A line of slope 1 is of diffusion, one of slope 2
    of straight ways.

    Args:
        tracks: (B, T, N, 2), px, of all sequences.
        longest: largest lag, frames; None: a quarter of the frames.
        units: of the axes, at the frame rate; None: pixels and frames.
        ax: axes to draw on; None: those of a new figure.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax, units = axes_of(ax), (units or NO_UNITS).even
    found = mean_squared_displacement(tracks, longest)
    lag, factor = found.lag / (units.frame_rate or 1.0), units.factor(2, 0, found.lag)
    mean, error = found.mean * factor, np.nan_to_num(found.error * factor)
    # on a logarithmic scale a band that reaches 0 has no end
    low = np.maximum(mean - BAND * error, mean / 100)
    ax.fill_between(lag, low, mean + BAND * error, color=INFERENCE, alpha=0.25, linewidth=0)
    ax.plot(lag, mean, color=INFERENCE, linewidth=1.6, marker="o", markersize=3.5)
    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis in (ax.xaxis, ax.yaxis):  # numbers as people write them, and enough of them within a decade
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    dress(ax, "Mean squared displacement", f"lag, {_time(units)}", spelled_unit(units.name(2, 0)))
    return ax


def plot_speed(
    tracks: Tracks, *, sequence: int = 0, units: Units | None = None, ax: "Axes | None" = None
) -> "Axes":
    """Draw the speed of each object of a sequence, since the frame before.

    Args:
        tracks: (B, T, N, 2), px.
        sequence: the sequence.
        units: of the axes; None: pixels and frames.
        ax: axes to draw on; None: those of a new figure.
    """
    units = units or NO_UNITS
    speed = np.hypot(*np.moveaxis(displacement(of_sequence(tracks, sequence))[0], -1, 0))
    frame = np.arange(len(speed))
    factor = np.broadcast_to(units.factor(1, -1, frame), frame.shape)
    return _over_time(ax, speed * factor[:, None], units, "Speed", spelled_unit(units.name(1, -1)))


def plot_confidence(
    tracks: Tracks, *, sequence: int = 0, units: Units | None = None, ax: "Axes | None" = None
) -> "Axes":
    """Draw the confidence of each object of a sequence; below the line a frame hardly shows it.

    Args:
        tracks: (B, T, N, 2), with confidences; without any, nothing is drawn.
        sequence: the sequence.
        units: of the axis of time; None: frames.
        ax: axes to draw on; None: those of a new figure.
    """
    tracks = of_sequence(tracks, sequence)
    known, present = tracks.confidence, tracks.present[0].cpu().numpy()
    sure = np.full(present.shape, np.nan) if known is None else as_array(known[0])
    sure = np.where(present, sure, np.nan)
    ax = _over_time(ax, sure, units or NO_UNITS, "Confidence", "share explained")
    ax.axhline(HIDDEN, color=FAINT_INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    ax.set_ylim(0, 1.03)
    return ax


def _over_time(ax: "Axes | None", values: np.ndarray, units: Units, name: str, unit: str) -> "Axes":
    """Draw values (T, N) of each object over time."""
    ax = axes_of(ax)
    frame = np.arange(len(values))
    time = units.time(frame) if units.frame_rate is not None else frame
    drawn = [n for n in range(values.shape[1]) if np.isfinite(values[:, n]).any()]
    for n in drawn:
        ax.plot(time, values[:, n], color=identity_colour(n), linewidth=1.4, label=f"{n}")
    dress(ax, name, f"time, {_time(units)}" if units.frame_rate is not None else "frame, from 0", unit)
    ax.set_ylim(bottom=0)
    if 1 < len(drawn) <= len(IDENTITIES):  # more share colours
        legend(ax, beside=True)
    return ax


def _time(units: Units) -> str:
    return "s" if units.frame_rate is not None else "frames"


def _path(tracks: Tracks) -> tuple[np.ndarray, np.ndarray]:
    """Places (T, N, 2) of one sequence, NaN where an object is absent, and presence (T, N)."""
    present = tracks.present[0].cpu().numpy()
    position = as_array(tracks.position[0])
    return np.where(present[..., None], position, np.nan), present
