"""A calibration from forecasts that are too wide by a factor, with and without labels."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vtssi_pyro.data import ArrayDataset
from vtssi_pyro.errors import UsageError
from vtssi_pyro.evaluation import futures as module
from vtssi_pyro.evaluation.assessment import assess
from vtssi_pyro.evaluation.futures import calibrate_tracker, futures, futures_at
from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.tracks.tracks import Tracks

pytestmark = pytest.mark.slow

SEQUENCES, LENGTH, OBSERVED = 150, 6, 3


@pytest.fixture
def data() -> ArrayDataset:
    return ArrayDataset("data", torch.zeros(SEQUENCES, LENGTH, 8, 8, dtype=torch.uint8).numpy())


@pytest.fixture
def truth() -> Tracks:
    torch.manual_seed(0)
    spread = torch.tensor([1e-3, 1e-3, 1e-3, 1.0, 2.0, 4.0])[:, None, None]
    position = torch.tensor([[10.0, 10.0], [90.0, 90.0]]) + spread * torch.randn(SEQUENCES, LENGTH, 2, 2)
    return Tracks(position, torch.ones(SEQUENCES, LENGTH, 2, dtype=torch.bool))


@pytest.fixture
def ten_times_too_wide(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Forecasts that are right but for their spread; the temperatures that were asked for."""
    asked = []

    def forecast(temperature, dataset, samples, seed) -> Tracks:
        asked.append(temperature)
        generator = torch.Generator().manual_seed(seed)
        spread = torch.tensor([1e-3, 1e-3, 1e-3, 10.0, 20.0, 40.0])[:, None, None]
        start = torch.tensor([[10.0, 10.0], [90.0, 90.0]]).expand(len(dataset), LENGTH, 2, 2)
        drawn = start + temperature * spread * torch.randn(samples, *start.shape, generator=generator)
        return Tracks(start, torch.ones(start.shape[:-1], dtype=torch.bool), samples=drawn)

    def forecasts(temperatures, tracker, dataset, observed, samples, seed=0) -> list[Tracks]:
        return [forecast(temperature, dataset, samples, seed) for temperature in temperatures]

    monkeypatch.setattr(module, "futures_at", forecasts)
    return asked


@pytest.mark.parametrize("labelled", [True, False])
def test_the_temperature_is_that_of_the_truth(
    data: ArrayDataset, truth: Tracks, ten_times_too_wide: list[float], tiny: Callable[[], Tracker],
    monkeypatch: pytest.MonkeyPatch, labelled: bool,
) -> None:  # fmt: skip
    if not labelled:  # then what is found in the end stands for it
        sure = truth._replace(scale=torch.full_like(truth.position, 1e-3))
        monkeypatch.setattr(module, "tracked", lambda tracker, dataset: sure)
    found = calibrate_tracker(tiny(), data, OBSERVED, 40, truth=truth if labelled else None)
    assert found.temperature == 0.1
    assert ten_times_too_wide == list(module.TEMPERATURES)  # all from one inference
    drawn = module.futures(None, data, OBSERVED, 40, found.temperature, seed=7)
    for row in assess(truth, found(drawn, OBSERVED), OBSERVED).coverage:
        assert row[9] == pytest.approx(0.5, abs=0.08)
        assert row[17] == pytest.approx(0.9, abs=0.07)


def test_what_is_found_is_as_far_off_as_it_says(
    data: ArrayDataset, truth: Tracks, ten_times_too_wide: list[float], tiny: Callable[[], Tracker],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A tracker's own tracks share their errors with its forecasts: standard deviations make up for them."""
    unsure = truth._replace(scale=torch.full_like(truth.position, 3.0))
    monkeypatch.setattr(module, "tracked", lambda tracker, dataset: unsure)
    found = calibrate_tracker(tiny(), data, OBSERVED, 40)
    drawn = found(module.futures(None, data, OBSERVED, 40, found.temperature, seed=7), OBSERVED)
    spread = (1 + 3.0**2) ** 0.5  # of the truth, given what was found a frame ahead
    assert drawn.samples[:, :, OBSERVED].std(0).mean() == pytest.approx(spread, rel=0.15)


def test_too_few_objects_are_refused_before_anything_is_drawn(
    data: ArrayDataset, truth: Tracks, ten_times_too_wide: list[float], tiny: Callable[[], Tracker]
) -> None:
    with pytest.raises(UsageError, match="10 objects"):
        calibrate_tracker(tiny(), data, OBSERVED, truth=truth._replace(present=truth.present & False))
    assert ten_times_too_wide == []


def test_futures_are_forecasts_at_a_temperature(tiny: Callable[[], Tracker], frames: Tensor) -> None:
    tracker = tiny().float()
    some = ArrayDataset("data", (255 * frames).byte().numpy())
    wide, narrow = futures_at((1.0, 0.01), tracker, some, OBSERVED, 6)
    assert torch.equal(narrow.samples, futures(tracker, some, OBSERVED, 6, 0.01).samples)
    again = futures(tracker, some, OBSERVED, 6)
    assert wide.samples.shape == (6, len(some), some.length, *wide.position.shape[2:])
    assert torch.equal(wide.samples, again.samples)
    spread = [tracks.samples.std(0)[:, OBSERVED:].mean() for tracks in (narrow, wide)]
    assert spread[0] < 0.3 * spread[1]
