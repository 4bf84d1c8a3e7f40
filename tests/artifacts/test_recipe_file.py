"""A recipe in a file: its keys are those of --set, and count more than the preset and less than options."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vtssi_pyro import PRESETS, Hints, Silent
from vtssi_pyro.api import configuration, fit
from vtssi_pyro.artifacts.planning import gathered, planned
from vtssi_pyro.artifacts.recipe_file import read_recipe
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.config import to_dict
from vtssi_pyro.config.schedules import Constant
from vtssi_pyro.errors import CheckpointError, DataError, UsageError
from vtssi_pyro.train.group import ALONE

TEXT = """
preset = "standard"
seed = 3
observe = 4

[data]
source = "elliptic"

[model]
num_objects = 3
motion.M = 4

[train.stages.motion]
steps = 77
learning_rate = {kind = "Constant", value = 0.01}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(TEXT)
    return path


def test_its_keys_count_more_than_the_preset_and_less_than_options(file: Path) -> None:
    found = configuration(config=file, changes=["observe=2"])
    usual = PRESETS["standard"]("ours")
    assert (found.preset, found.seed, found.observe) == ("standard", 3, 2)
    assert (found.model.num_objects, found.model.motion.M) == (3, 4)
    stage = next(stage for stage in found.train.stages if stage.name == "motion")
    assert (stage.steps, stage.learning_rate) == (77, Constant(0.01))
    before = next(stage for stage in usual.train.stages if stage.name == "motion")
    assert replace(stage, steps=before.steps, learning_rate=before.learning_rate) == before
    assert configuration(config=file, preset="quick").preset == "quick"
    said = read_recipe(file)
    assert said.arguments == {"preset": "standard", "data": "elliptic"}
    known = gathered(["seed=9"], said.changes, objects=2)
    frames = torch.rand(12, 8, 50, 50)
    plan = planned(frames, None, "quick", Hints(), 2, known, None, torch.device("cpu"), ALONE, Silent())
    assert (plan.config.seed, plan.config.observe, plan.config.model.num_objects) == (9, 4, 2)


def test_a_runs_configuration_is_taken_as_a_whole(tmp_path: Path) -> None:
    config = replace(PRESETS["quick"]("air"), seed=5, start="elsewhere")
    run = Run.create(tmp_path / "run", replace(config, data=replace(config.data, movie=True, source="m.tif")))
    path = run.folder / "config.json"
    found = configuration(config=path, changes=["observe=2"])
    assert (found.seed, found.observe, found.variant, found.start) == (5, 2, "air", None)
    assert found.model == config.model
    assert not found.data.movie
    for name in ("tracker", "preset"):
        with pytest.raises(UsageError, match=f"{name}: .* is the configuration of a run"):
            configuration(config=path, **{name: "air" if name == "tracker" else "quick"})
    plain = json.loads(path.read_text())
    del plain["config"]["model"]
    path.write_text(json.dumps(plain))
    with pytest.raises(CheckpointError, match=r"config.json: damaged: it lacks model"):
        configuration(config=path)


@pytest.mark.parametrize(
    ("text", "message", "error"),
    [
        ("model.num_objets = 2", "unknown configuration key model.num_objets; did you mean", UsageError),
        ("observe = 0", "observe: expected a whole number from 1", UsageError),
        ("observe = nan", "observe: no key has values such as nan", UsageError),
        ("seed = 2024-01-01", "seed: no key has values such as 2024-01-01", UsageError),
        ("preset = 3", "preset: expected a text", UsageError),
        ('start = "runs/a"', "config start=.*: start is chosen with start", UsageError),
        ("a = [", "no TOML", DataError),
        ("data.length = 5", "config data.length=5: number and length of the sequences", UsageError),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str, error: type[Exception], tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    frames = torch.rand(12, 8, 32, 32)
    with pytest.raises(error, match=message):
        fit(frames, config=path)
    with pytest.raises(DataError, match=r"cannot read .*none\.toml"):
        read_recipe(tmp_path / "none.toml")


def test_each_key_can_stand_in_a_file(tmp_path: Path) -> None:
    """As it is in a run's config.json; what JSON writes of numbers, words and lists, TOML reads."""
    config = configuration(preset="quick")
    plain = to_dict(config)["train"]
    said = {key: value for key, value in plain.items() if key != "stages" and value is not None}
    lines = [f"train.{key} = {json.dumps(value)}" for key, value in said.items()]
    assert len(lines) > 5
    path = tmp_path / "all.toml"
    path.write_text("\n".join(lines))
    assert configuration(preset="quick", config=path) == config
