"""A training is planned for the model at hand, and by the library alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_model import small
from torch import Tensor

from vtssi_pyro import Config, Hints, Run, Silent, fit, info, load, resume, track
from vtssi_pyro.api import training
from vtssi_pyro.artifacts.planning import Change, Changes, Plan, check_same, planned
from vtssi_pyro.artifacts.shipped import Pretrained
from vtssi_pyro.config.variants import ablation_of
from vtssi_pyro.errors import UsageError
from vtssi_pyro.model.config import VARIANTS, ModelConfig
from vtssi_pyro.model.tracker import build
from vtssi_pyro.speed import workload
from vtssi_pyro.train.group import ALONE
from vtssi_pyro.train.presets import PRESETS

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]

SIDE = 32  # px: the smallest frames that may be learned from
CPU = torch.device("cpu")


@pytest.fixture
def learned(blobs: Callable[..., Tensor]) -> Tensor:
    return blobs(num_sequences=12, length=7, side=SIDE).float()


def plan(data: Any, tracker: Any = None, preset: str = "quick") -> Plan:
    return planned(data, tracker, preset, Hints(), None, [], None, CPU, ALONE, Silent())


@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_the_recipe_is_of_the_variant_whose_null_objects_a_model_has(
    variant: str, preset: str, learned: Tensor
) -> None:
    model = VARIANTS[variant](replace(small(), frame_size=SIDE))
    own = PRESETS[preset].system.family.name(ablation_of(variant))
    expected = [stage.name for stage in PRESETS[preset](own).train.stages]
    for tracker in (model, build(model)):
        config = plan(learned, tracker, preset).config
        assert (config.variant, config.model) == (variant, model)
        assert [stage.name for stage in config.train.stages] == expected


def test_every_variant_is_fitted_from_its_model(variant: str, learned: Tensor, tmp_path: Path) -> None:
    model = VARIANTS[variant](replace(small(), frame_size=SIDE))
    stages = PRESETS["quick"].for_model(model).train.stages
    changes = [f"train.stages.{stage.name}.{key}" for stage in stages for key in ("steps=1", "batch=2")]
    fitted = fit(learned, model, changes=[*changes, "calibration=0"], run=tmp_path / "run", device="cpu")
    assert fitted.run.config.variant == variant
    assert fitted.tracker.config == model


@pytest.mark.parametrize("level", [0.0, 0.5, None])
def test_frames_that_show_nothing_are_told_of(level: float | None, learned: Tensor) -> None:
    """Before a training on them; one frame that shows something is enough, be it the last of a sequence."""
    even = torch.zeros_like(learned) + (torch.rand(len(learned), 7, 1, 1) if level is None else level)
    heard = Heard()
    model = VARIANTS["air"](replace(small(), frame_size=SIDE))
    given = (even, model, "quick", Hints(), None, [], None, CPU, ALONE, heard)
    planned(*given)
    (line,) = heard.warnings
    assert line.startswith("frames: shows nothing: all ")
    even[:, -1] = learned[:, -1]
    planned(*given)
    assert len(heard.warnings) == 1


class Heard(Silent):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


@pytest.mark.parametrize("kind", ["air", "find"])
def test_a_built_variant_is_planned_as_it_is(kind: str, blobs: Callable[..., Tensor]) -> None:
    frames = blobs(num_sequences=12, length=7, side=ModelConfig().frame_size).float()
    assert plan(frames, build(kind)).config.variant == kind


def test_a_preset_has_its_own_variant(blobs: Callable[..., Tensor]) -> None:
    frames = blobs(num_sequences=12, length=10, side=50).float()
    for preset, variant in (("paper-sqair", "find-mot"), ("paper", "vtssi"), ("quick", "ours")):
        assert plan(frames, preset=preset).config.variant == workload(preset=preset).variant == variant
    assert plan(frames, "vtssi", "paper-sqair").config.variant == "vtssi"
    with pytest.raises(UsageError, match="take preset paper-fast, or tracker ours"):
        plan(frames, "vtssi")


def test_other_blocks_have_another_name(blobs: Callable[..., Tensor]) -> None:
    frames = blobs(num_sequences=12, length=10, side=50).float()
    for preset, change, name in (
        ("paper", "model.finder=template", "custom"),
        ("paper", "model.num_objects=3", "vtssi"),
        ("quick", "model.motion=mot", "custom"),
        ("quick", "model.finder.rounds=0", "ours"),
    ):
        changed = planned(
            frames, None, preset, Hints(), None, [Change(change)], None, CPU, ALONE, Silent()
        ).config
        assert (changed.variant, changed.preset) == (name, preset)


def test_a_run_goes_on_with_its_number_of_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Run.create(tmp_path / "run", Config(), machine={"threads": 3})
    monkeypatch.setattr(training, "replanned", lambda run, *others: (run.config, object()))
    monkeypatch.setattr(training, "warn_of_changes", lambda *arguments: None)
    monkeypatch.setattr(training, "conduct", lambda *arguments, **named: torch.get_num_threads())
    assert resume(tmp_path / "run", device="cpu") == 3
    assert resume(tmp_path / "run", device="cpu", threads=2) == 2
    assert torch.get_num_threads() == 1


def test_the_newest_run_is_found(learned: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="there is no run in runs: name one first"):
        track(None, learned)
    model = VARIANTS["air"](replace(small(), frame_size=SIDE))
    changes = ["train.stages.objects.steps=1", "train.stages.objects.batch=2"]
    fitted = fit(learned, model, runs="runs", changes=changes, device="cpu")
    found, expected = (track(tracker, learned, device="cpu").tracks for tracker in (None, fitted))
    assert torch.equal(found.position.nan_to_num(), expected.position.nan_to_num())


@pytest.mark.parametrize("together", [True, False])
def test_what_made_a_run_is_the_same_again(together: bool, learned: Tensor, tmp_path: Path) -> None:
    """Of changes to a key the last one counts; a whole configuration may observe more than sequences are long."""
    whole = plan(learned, VARIANTS["air"](replace(small(), frame_size=SIDE))).config
    whole = replace(whole, observe=10) if together else whole
    filed, said = Change("train.log_every=7", "config"), Change("train.log_every=9")
    changes = [filed, said, Change("seed=4")] if together else [filed, said]

    def made(changes: Changes) -> Config:
        return planned(learned, whole, None, Hints(), None, changes, None, CPU, ALONE, Silent()).config

    run, config = Run(tmp_path), made(changes)
    assert (config.train.log_every, config.observe) == (9, 6 if together else whole.observe)
    for file in (whole, None):
        check_same(run, config, None, changes, file)
        with pytest.raises(UsageError) as refused:
            check_same(run, config, None, [*changes, Change("seed=5")], file)
        assert "seed=5" in str(refused.value)
        assert "log_every" not in str(refused.value)
    with pytest.raises(UsageError, match="config"):
        check_same(run, config, None, changes, replace(whole, train=replace(whole.train, save_every=3)))
    with pytest.raises(UsageError, match="config"):
        check_same(run, config, None, changes, replace(whole, observe=2))


def test_an_installation_and_weights_describe_themselves() -> None:
    assert {"versions", "cuda", "extras"} <= info().keys()
    assert "moving-mnist" in info()["pretrained"]
    assert info("moving-mnist") == Pretrained("moving-mnist").about()
    with pytest.raises(UsageError, match="without a run"):
        info(load("moving-mnist"))  # type: ignore[arg-type]
