"""Scores against closed forms, and regions that hold what they say after calibration."""

import json
import math
from typing import Any

import pytest
import torch

from vtssi_pyro.calibration import Calibration, assess, calibrate
from vtssi_pyro.errors import UsageError
from vtssi_pyro.types import Tracks

OBSERVED, AHEAD, SAMPLES = 2, 4, 200


def forecasts(
    spread: float, sequences: int = 600, seed: int = 0, shape: str = "normal"
) -> tuple[Tracks, Tracks]:
    """Two objects far apart, each with samples whose spread is ``spread`` times that of the truth."""
    generator = torch.Generator().manual_seed(seed)
    T = OBSERVED + AHEAD
    start = torch.tensor([[10.0, 10.0], [60.0, 60.0]]).expand(sequences, T, 2, 2)
    growth = torch.arange(T).sub(OBSERVED - 1).clamp_min(0)[:, None, None] * torch.tensor([1.0, 0.4])

    def noise(*before: int) -> torch.Tensor:
        drawn = torch.randn(*before, sequences, T, 2, 2, generator=generator)
        return drawn if shape == "normal" else drawn.sign() * drawn.square()  # heavy tails

    truth = start + growth * noise()
    present = torch.ones(sequences, T, 2, dtype=torch.bool)
    samples = start + spread * growth * noise(SAMPLES)
    return Tracks(truth, present), Tracks(
        start, present, samples=samples.flip(-2), scale=torch.ones_like(start)
    )


def swapped(tracks: Tracks) -> Tracks:
    """Slots in the order of the samples."""
    return tracks._replace(position=tracks.position.flip(-2))


def test_scores_of_a_forecast_that_is_right() -> None:
    truth, tracks = forecasts(1.0)
    found = assess(truth, swapped(tracks), OBSERVED)
    assert found.objects == [1200] * AHEAD
    for horizon in range(AHEAD):
        sigma = torch.tensor([1.0, 0.4]) * (horizon + 1)
        assert found.crps[horizon] == pytest.approx(float(sigma.mean()) / math.sqrt(math.pi), rel=0.05)
        assert found.nll[horizon] == pytest.approx(
            1 + math.log(2 * math.pi) + float(sigma.log().sum()), abs=0.08
        )
        assert found.coverage[horizon] == pytest.approx(found.levels, abs=0.05)


@pytest.mark.parametrize("shape", ["normal", "heavy"])
@pytest.mark.parametrize("spread", [0.4, 2.5])
def test_calibrated_regions_hold_what_they_say(spread: float, shape: str) -> None:
    """Fitted on some sequences, it holds on others."""
    truth, tracks = forecasts(spread, shape=shape)
    before = assess(truth, swapped(tracks), OBSERVED)
    assert all(abs(row[9] - 0.5) > 0.15 for row in before.coverage)
    calibration = calibrate(truth, swapped(tracks), OBSERVED)
    truth, tracks = forecasts(spread, seed=1, shape=shape)
    mended = calibration(swapped(tracks), OBSERVED)
    after = assess(truth, mended, OBSERVED)
    for row in after.coverage:
        assert row == pytest.approx(after.levels, abs=0.06)
    assert all(a < b for a, b in zip(after.nll, before.nll, strict=True))
    if spread > 1:
        assert all(a < b for a, b in zip(after.crps, before.crps, strict=True))
    torch.testing.assert_close(mended.samples[:, :, :OBSERVED], swapped(tracks).samples[:, :, :OBSERVED])
    torch.testing.assert_close(mended.scale[:, OBSERVED:], mended.samples[:, :, OBSERVED:].std(0))


def test_a_calibration_is_kept_as_json() -> None:
    truth, tracks = forecasts(2.0, 50)
    calibration = calibrate(truth, swapped(tracks), OBSERVED)
    again = Calibration.from_dict(json.loads(json.dumps(calibration.as_dict())))
    assert again == calibration
    longer = tracks._replace(samples=torch.cat([tracks.samples, tracks.samples[:, :, -1:]], 2), scale=None)
    moved = again(longer, OBSERVED).samples
    torch.testing.assert_close(moved[:, :, -1], moved[:, :, -2])  # the last horizon's holds beyond


def test_factors_of_one_change_nothing() -> None:
    _, tracks = forecasts(1.0, 5)
    still = Calibration((0.1, 0.9), ((1.0, 1.0),), OBSERVED, 50)(tracks, OBSERVED)
    torch.testing.assert_close(still.samples, tracks.samples)


def lost(tracks: Tracks) -> dict[str, Any]:
    return {
        "present": torch.zeros_like(tracks.present),
        "position": torch.full_like(tracks.position, torch.nan),
    }


def test_what_cannot_be_told() -> None:
    truth, tracks = forecasts(1.0, 5)
    with pytest.raises(UsageError, match="needs 20 objects"):
        calibrate(truth, swapped(tracks), OBSERVED)
    with pytest.raises(UsageError, match="draw 2 futures"):
        assess(truth, tracks._replace(samples=None), OBSERVED)
    nothing = assess(truth, tracks._replace(**lost(tracks)), OBSERVED)
    assert nothing.objects == [0] * AHEAD
    assert nothing.coverage == nothing.crps == nothing.nll == [None] * AHEAD


@pytest.mark.parametrize("factors", [(), ((1.0,),), ((1.0, -1.0),), ((1.0, math.nan),)])
def test_what_is_no_calibration(factors: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        Calibration((0.1, 0.9), factors, 5, 50)


def test_it_fits_forecasts_like_those_it_was_fitted_on() -> None:
    calibration = Calibration((0.1, 0.9), ((1.0, 1.0),), 5, 50)
    assert calibration.fits(5, 50)
    assert calibration.fits(5, 100)
    assert not calibration.fits(6, 50)
    assert not calibration.fits(5, 10)
