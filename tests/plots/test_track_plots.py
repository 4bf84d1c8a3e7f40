"""Plots of tracks: what is drawn on the axes are the tracks' numbers, in their units."""

from collections.abc import Callable
from functools import partial
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vtssi_pyro import Tracks, Units
from vtssi_pyro.errors import UsageError
from vtssi_pyro.evaluation.assessment import assess
from vtssi_pyro.plots import (
    plot_confidence,
    plot_coverage,
    plot_futures,
    plot_msd,
    plot_speed,
    plot_trajectories,
)
from vtssi_pyro.tracks.columns import displacement
from vtssi_pyro.tracks.motion import mean_squared_displacement

UNITS, T = Units(0.5, "um", 4.0), 12


def drawn() -> Tracks:
    """Two objects in two sequences, of which one is absent for a while, and an empty slot."""
    torch.manual_seed(0)
    position = 20 + torch.randn(2, T, 2, 2).cumsum(1)
    position[1, 3:5, 1] = torch.nan
    present = position.isfinite().all(-1)
    samples = position + torch.randn(30, 2, T, 2, 2)
    return Tracks(position, present, confidence=torch.rand(2, T, 2), samples=samples).widened(3)


@pytest.fixture
def ax() -> Axes:
    return Figure().add_subplot()


def lines(ax: Axes) -> list[np.ndarray]:
    """Points (T, 2) of the curves that are named, in their order."""
    return [np.array(line.get_data()).T for line in ax.get_lines() if not line.get_label().startswith("_")]


def test_trajectories_lie_on_their_frame(ax: Axes) -> None:
    """The frame's corner is at the origin, so that a place in its first pixel's middle is half a pixel from it."""
    tracks, frame = drawn(), torch.rand(1, 30, 40)
    assert plot_trajectories(tracks, frame, sequence=1, units=UNITS, ax=ax) is ax
    for n, path in enumerate(lines(ax)):
        np.testing.assert_allclose(path, 0.5 * tracks.position[1, :, n].numpy(), rtol=1e-6)
    assert len(lines(ax)) == 2, "an empty slot has no path"
    assert ax.get_images()[0].get_extent() == [0, 20.0, 15.0, 0]
    assert (ax.get_xlim(), ax.get_ylim(), ax.get_xlabel()) == ((0, 20), (15, 0), "x, um")
    flat = plot_trajectories(tracks, frame[0], units=UNITS, ax=Figure().add_subplot())
    assert (flat.get_images()[0].get_array() == ax.get_images()[0].get_array()).all()
    bare = plot_trajectories(tracks, ax=Figure().add_subplot())
    assert bare.yaxis_inverted()
    assert plot_trajectories(tracks, ax=bare).yaxis_inverted()


def test_displacements_are_drawn_with_their_band(ax: Axes) -> None:
    tracks = drawn()
    plot_msd(tracks, longest=4, units=UNITS, ax=ax)
    found = mean_squared_displacement(tracks, 4)
    (curve,) = ax.get_lines()
    np.testing.assert_allclose(curve.get_xdata(), found.lag / 4)
    np.testing.assert_allclose(curve.get_ydata(), found.mean * 0.25)
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx(((found.mean + 1.96 * found.error) * 0.25).max())
    assert (ax.get_xscale(), ax.get_yscale(), ax.get_ylabel(), ax.get_xlabel()) == (
        "log",
        "log",
        "um^2",
        "lag, s",
    )


def test_speed_and_confidence_over_time(ax: Axes) -> None:
    tracks = drawn()
    plot_speed(tracks, sequence=1, units=UNITS, ax=ax)
    speed = np.linalg.norm(displacement(tracks)[1], axis=-1)
    for n, curve in enumerate(lines(ax)):
        np.testing.assert_allclose(curve[:, 0], np.arange(T) / 4)
        np.testing.assert_allclose(curve[:, 1], speed[:, n] * 0.5 * 4)
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("um/s", "time, s")
    other = plot_confidence(tracks, sequence=1, ax=Figure().add_subplot())
    for n, curve in enumerate(lines(other)):
        expected = tracks.confidence[1, :, n].masked_fill(~tracks.present[1, :, n], torch.nan)  # type: ignore[index]
        np.testing.assert_allclose(curve[:, 1], expected)
    assert other.get_xlabel() == "frame, from 0"
    assert lines(plot_confidence(tracks._replace(confidence=None), ax=Figure().add_subplot())) == []


@pytest.mark.parametrize("sequence", [-1, 2])
@pytest.mark.parametrize(
    "plot", [plot_trajectories, plot_speed, plot_confidence, partial(plot_futures, observed=8)]
)
def test_a_sequence_that_is_not_there_is_refused(plot: Callable[..., Axes], sequence: int) -> None:
    with pytest.raises(UsageError, match=f"sequence {sequence}: there are 2, which count from 0"):
        plot(drawn(), sequence=sequence)


@pytest.mark.parametrize("observed", [0, T + 1])
def test_futures_of_frames_that_are_not_there_are_refused(observed: int) -> None:
    with pytest.raises(UsageError, match=f"observed {observed}: expected 1 to {T}"):
        plot_futures(drawn(), observed)


@pytest.mark.parametrize("shape", [(0, 5, 2), (1, 0, 2), (1, 5, 0), (1, 1, 2)])
def test_nothing_has_no_displacements(shape: tuple[int, int, int]) -> None:
    tracks = Tracks(torch.zeros(*shape, 2), torch.ones(shape, dtype=torch.bool))
    assert not mean_squared_displacement(tracks).tracks.any()
    plot_msd(tracks, ax=Figure().add_subplot())


def test_futures_are_in_units_too(ax: Axes) -> None:
    plot_futures(drawn(), 8, torch.zeros(1, 30, 40), units=UNITS, ax=ax)
    past = [line for line in ax.get_lines() if len(line.get_xdata()) == 8]
    np.testing.assert_allclose(past[0].get_xdata(), 0.5 * drawn().position[0, :8, 0, 0].numpy(), rtol=1e-6)
    assert len(ax.patches) > 2, "regions"
    assert ax.get_xlim() == (0, 20)


def test_coverage_is_that_of_the_assessment(ax: Axes) -> None:
    torch.manual_seed(0)
    truth = torch.randn(40, 4, 1, 2)
    present = torch.ones(40, 4, 1, dtype=torch.bool)
    found = assess(
        Tracks(truth, present), Tracks(truth, present, samples=torch.randn(30, 40, 4, 1, 2)), 2
    ).as_dict()
    plot_coverage(found, horizon=2, ax=ax)
    curve = next(line for line in ax.get_lines() if line.get_label() == "as drawn")
    np.testing.assert_allclose(curve.get_ydata(), 100 * np.array(found["coverage"][1]))
    assert ax.get_title(loc="left") == "2 frames ahead"


@pytest.mark.parametrize("plot", [plot_trajectories, plot_msd, plot_speed, plot_confidence])
def test_without_axes_there_is_a_new_figure(plot: Callable[..., Axes]) -> None:
    with matplotlib.rc_context({"backend": "agg"}):
        from matplotlib import pyplot

        one, other = plot(drawn()), plot(drawn())
        assert one.figure is not other.figure
        shown: Any = pyplot.get_fignums()
        assert len(shown) == 2
        pyplot.close("all")
