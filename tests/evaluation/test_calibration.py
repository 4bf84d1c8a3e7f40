"""Scores against closed forms, and regions that hold what they say after calibration."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from vtssi_pyro.errors import UsageError
from vtssi_pyro.evaluation.assessment import assess
from vtssi_pyro.evaluation.calibration import Calibration, calibrate
from vtssi_pyro.tracks.export import write_predictions_csv
from vtssi_pyro.tracks.tracks import Tracks

pytestmark = pytest.mark.slow

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
        for share in (found.coverage, found.coverage_x, found.coverage_y):
            assert share[horizon] == pytest.approx(found.levels, abs=0.05)


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
    for row in (*after.coverage_x, *after.coverage_y):  # which nothing was fitted to
        assert (row[9], row[17]) == pytest.approx((0.5, 0.9), abs=0.06 if shape == "normal" else 0.09)
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


def test_intervals_are_those_that_are_written(tmp_path: Path) -> None:
    """By hand, from the file: what calibrate says of x and y is what predictions.csv holds."""
    truth, tracks = forecasts(1.0, 40)
    tracks = swapped(tracks)._replace(position=truth.position)  # so that the slots are the objects
    tracks = tracks._replace(samples=tracks.samples.flip(-2))
    found = assess(truth, tracks, OBSERVED)
    write_predictions_csv(tmp_path / "a.csv", tracks, OBSERVED)
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for axis, shares in (("x", found.coverage_x), ("y", found.coverage_y)):
        for percent in (50, 90):
            for horizon in range(AHEAD):
                inside = [
                    float(row[f"{axis}_{percent}_low"])
                    <= float(row[axis])
                    <= float(row[f"{axis}_{percent}_high"])
                    for row in rows
                    if int(row["frame"]) == OBSERVED + horizon
                ]
                assert len(inside) == 80
                level = found.levels.index(percent / 100)
                assert shares[horizon][level] == pytest.approx(sum(inside) / 80, abs=0.02)


def test_samples_that_are_not_finite_are_passed_over() -> None:
    """The finite samples of a cloud give the same result; a cloud without any holds nothing."""
    truth, tracks = forecasts(2.0, 100)
    tracks = swapped(tracks)
    holed = tracks.samples.clone()
    holed[::10, ..., 0] = torch.nan
    holed[5::10] = torch.inf
    holed = tracks._replace(samples=holed)
    whole = tracks._replace(samples=tracks.samples[torch.arange(SAMPLES) % 5 > 0])
    assert assess(truth, holed, OBSERVED) == assess(truth, whole, OBSERVED)
    one, other = calibrate(truth, holed, OBSERVED), calibrate(truth, whole, OBSERVED)
    assert one.factors == other.factors
    mended, expected = one(holed, OBSERVED), one(whole, OBSERVED)
    kept = mended.samples[torch.arange(SAMPLES) % 5 > 0]
    torch.testing.assert_close(kept[:, :, OBSERVED:], expected.samples[:, :, OBSERVED:], atol=0.01, rtol=0)
    torch.testing.assert_close(mended.scale[:, OBSERVED:], expected.scale[:, OBSERVED:], atol=0.01, rtol=0)

    empty = tracks.samples.clone()
    empty[1:, :50] = torch.nan  # one sample tells no spread
    half = assess(truth, tracks._replace(samples=empty), OBSERVED)
    rest = Tracks(truth.position[50:], truth.present[50:])
    known = assess(rest, tracks._replace(position=tracks.position[50:], present=tracks.present[50:],
                                         samples=tracks.samples[:, 50:], scale=None), OBSERVED)  # fmt: skip
    assert half.objects == [200] * AHEAD
    assert (half.crps, half.nll) == (known.crps, known.nll)
    for axis in ("coverage", "coverage_x", "coverage_y"):
        for share, other in zip(getattr(half, axis), getattr(known, axis), strict=True):
            assert share == pytest.approx([value / 2 for value in other])
    nothing = assess(truth, tracks._replace(samples=torch.full_like(empty, torch.nan)), OBSERVED)
    assert nothing.crps == nothing.nll == [None] * AHEAD
    assert nothing.coverage == [[0.0] * len(nothing.levels)] * AHEAD


def lost(tracks: Tracks) -> dict[str, Any]:
    return {
        "present": torch.zeros_like(tracks.present),
        "position": torch.full_like(tracks.position, torch.nan),
    }


def test_what_cannot_be_told() -> None:
    truth, tracks = forecasts(1.0, 4)
    with pytest.raises(UsageError, match="needs 10 objects"):
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


def test_it_names_the_weights_that_it_is_of() -> None:
    calibration = Calibration((0.1, 0.9), ((1.0, 1.0),), 5, 50, "abc")
    assert Calibration.from_dict(json.loads(json.dumps(calibration.as_dict()))) == calibration
    assert calibration.is_of("abc")
    assert not calibration.is_of("abd")
    assert Calibration((0.1, 0.9), ((1.0, 1.0),), 5, 50).is_of("abc")  # nobody said


def test_it_fits_forecasts_like_those_it_was_fitted_on() -> None:
    calibration = Calibration((0.1, 0.9), ((1.0, 1.0),), 5, 50)
    assert calibration.fits(5, 50)
    assert calibration.fits(5, 25)
    assert calibration.fits(5, 100)
    assert calibration.fits(60, 50)
    assert not calibration.fits(4, 50)
    assert not calibration.fits(5, 10)
