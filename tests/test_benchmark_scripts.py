"""The comparisons of benchmarks/ compare what they say."""

from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import torch

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def script(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(FOLDER)
    return import_module(request.param)


@pytest.mark.parametrize("script", ["step"], indirect=True)
def test_the_naive_organisation_has_the_same_elbo(script: ModuleType) -> None:
    found = script.compare(batch=2, length=6, repeats=1)
    objective = found["objective_per_sequence"]
    assert objective["naive"] == pytest.approx(objective["package"], rel=1e-4)
    assert found["over_package"] == pytest.approx(found["seconds"]["naive"] / found["seconds"]["package"])


@pytest.mark.parametrize("script", ["pyro_air"], indirect=True)
def test_air_learns(script: ModuleType) -> None:
    """Pasting undoes cutting, and a few steps explain a square better."""
    frames = torch.zeros(8, 50, 50)
    frames[:, 20:30, 28:36] = 1
    air, where = script.AIR(50), torch.tensor([[1.8, 0.25, 0.0]]).expand(8, 3)
    assert (air.paste(air.cut(frames, where), where) - frames).abs().mean() < 0.01
    step = script.stepper(frames)
    losses = [step() for _ in range(12)]
    assert sum(losses[-3:]) < sum(losses[:3])


@pytest.mark.parametrize("script", ["growth"], indirect=True)
def test_the_exponent_is_that_of_the_larger_half(script: ModuleType) -> None:
    assert script.exponent([1, 2, 4, 8], [9, 9, 16, 64]) == pytest.approx(2)
    assert script.exponent([1, 5, 20], [7, 5, 20]) == pytest.approx(1)
