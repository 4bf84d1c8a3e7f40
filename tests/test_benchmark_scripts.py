"""The comparisons of benchmarks/ compare what they say."""

from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import torch
from small_model import small

from vtssi_pyro.config import Config, DataConfig, override
from vtssi_pyro.pretrained import card, load_pretrained
from vtssi_pyro.runs import Run
from vtssi_pyro.train import checkpoint
from vtssi_pyro.variants import build

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


@pytest.mark.parametrize("script", ["ship"], indirect=True)
def test_a_run_is_made_to_ship(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Judged on the digits that its training never sees."""
    data = DataConfig(sequences=2, validation_sequences=2, test_sequences=5, length=6)
    config = override(Config("find", data=data, model=small()), ["model.air.frame_size=32"])
    run = Run.create(tmp_path / "run", config)
    checkpoint.save(run.checkpoint(), {"trained": build("find", config.model).state_dict()})
    words = [part for key in ("description", "data", "licence", "machine") for part in (f"--{key}", "words")]
    script.main(
        [str(run.folder), "tiny", *words, "--commit", "abc", "--folder", str(tmp_path), "--threads", "1"]
    )
    found = card("tiny", tmp_path)
    assert (found.commit, found.metrics["float16"]["sequences"]) == ("abc", 5)
    assert "in float16:" in capsys.readouterr().out
    load_pretrained("tiny", folder=tmp_path)
