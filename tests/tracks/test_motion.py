"""Mean squared displacements of motions whose law is known."""

import numpy as np
import pytest
import torch

from vtssi_pyro import Tracks
from vtssi_pyro.tracks.motion import mean_squared_displacement


def of(path: torch.Tensor, **fields: torch.Tensor) -> Tracks:
    return Tracks(path, path.isfinite().all(-1), **fields)


def test_diffusion_grows_with_the_lag_within_its_errors() -> None:
    """4 D t, D = 1/2 for steps of variance 1 along each axis; of 300 tracks nearly all lags are within 3 errors."""
    torch.manual_seed(0)
    found = mean_squared_displacement(of(torch.randn(100, 41, 3, 2).cumsum(1)), longest=10)
    assert (found.tracks == 300).all()
    away = np.abs(found.mean - 2 * found.lag) / found.error
    assert (away < 3).all()
    assert found.error[0] / found.mean[0] == pytest.approx(np.sqrt(1 / (300 * 40)), rel=0.1)


def test_one_tracks_error_is_of_displacements_that_do_not_overlap() -> None:
    """Over many repetitions of one track it is the spread of its means."""
    torch.manual_seed(0)
    found = [mean_squared_displacement(of(torch.randn(1, 200, 1, 2).cumsum(1)), 4) for _ in range(300)]
    spread = np.std([each.mean for each in found], 0)
    np.testing.assert_allclose(np.mean([each.error for each in found], 0), spread, rtol=0.25)


def test_straight_ways_and_gaps() -> None:
    """(v t)^2, whatever frames are missing; frames that hardly show an object do not count."""
    path = torch.arange(12.0).view(1, 12, 1, 1) * torch.tensor([3.0, 4.0])
    found = mean_squared_displacement(of(path), 5)
    np.testing.assert_allclose(found.mean, 25 * found.lag**2)
    np.testing.assert_allclose(found.error, 0, atol=1e-9)
    holed = path.clone()
    holed[0, [2, 3, 7]] = torch.nan
    np.testing.assert_allclose(mean_squared_displacement(of(holed), 5).mean, found.mean)
    wrong = path.clone()
    wrong[0, 5] = 1000.0
    sure = torch.ones(1, 12, 1)
    sure[0, 5], sure[0, 6] = 0.4, torch.nan
    np.testing.assert_allclose(mean_squared_displacement(of(wrong, confidence=sure), 5).mean, found.mean)
    assert mean_squared_displacement(of(wrong), 5).mean[0] > 1000
    assert len(mean_squared_displacement(of(path)).lag) == 3
    nothing = mean_squared_displacement(of(path * torch.nan), 2)
    assert np.isnan(nothing.mean).all()
    assert nothing.tracks.tolist() == [0, 0]
