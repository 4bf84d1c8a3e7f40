"""Runs and weights made before are read as they are: nobody's old run is lost."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from every_key import classes

from vtssi_pyro import api
from vtssi_pyro.artifacts.formats import FORMAT, upgraded_recipe, upgraded_weights
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.config import from_dict, to_dict
from vtssi_pyro.config.declared import declarations
from vtssi_pyro.config.variants import CUSTOM, OURS, PAPER, ablation_of
from vtssi_pyro.errors import CheckpointError
from vtssi_pyro.evaluation.calibration import Calibration
from vtssi_pyro.inference.filter import track
from vtssi_pyro.model.blocks.template import TemplateConfig
from vtssi_pyro.model.config import TestTime
from vtssi_pyro.model.tracker import build
from vtssi_pyro.system import checkpoint
from vtssi_pyro.system.atomic import write_json
from vtssi_pyro.system.checkpoint import digest
from vtssi_pyro.train.config import Config, DataConfig
from vtssi_pyro.train.presets import PRESETS
from vtssi_pyro.train.splits import open_file

# configurations, and names and shapes of weights, as the last version with format 1 wrote them; configurations alone
# of format 2
OLD: dict[str, Any] = json.loads(Path(__file__).with_name("format1.json").read_text())
OLD_NAMES: dict[str, Any] = json.loads(Path(__file__).with_name("format2.json").read_text())
KINDS = pytest.mark.parametrize("kind", OLD)


def name_of(kind: str) -> str:
    """The name that a variant of a preset has now."""
    preset, variant = kind.split("/")
    if preset == "changed" or kind == "movie/rect-find":  # blocks of both families; no RECT
        return CUSTOM
    return (PAPER if preset.startswith("paper") else OURS).name(ablation_of(variant))


@KINDS
def test_a_recipe_is_that_of_its_preset(kind: str) -> None:
    preset, _ = kind.split("/")
    config = from_dict(upgraded_recipe(OLD[kind]["config"], 1), Config)
    assert config.variant == name_of(kind)
    if preset == "movie":
        model = config.model
        assert (model.num_objects, model.frame_size, model.motion.inertia) == (3, 144, True)
        assert [type(getattr(model, slot)).__name__ for slot in ("attention", "picture", "consensus", "finder")] == [
            "SpotsConfig", "SolidConfig", "ClearestFrameConfig", "FollowingConfig"
        ]  # fmt: skip
        assert [stage.name for stage in config.train.stages if stage.refined] == ["motion", "joint"]
    else:
        assert same(config, as_before(PRESETS[preset](name_of(kind))), preset)


@pytest.mark.parametrize("kind", OLD_NAMES)
def test_a_variant_is_named_by_its_blocks(kind: str) -> None:
    """And nothing else of a configuration of format 2 changes."""
    old = OLD_NAMES[kind]
    new = upgraded_recipe(old, 2)
    assert new == {**old, "variant": name_of(kind)}
    assert upgraded_recipe(new, FORMAT) == new
    assert holds(to_dict(from_dict(new, Config)), new)
    preset, _ = kind.split("/")
    if preset in PRESETS:
        assert same(from_dict(new, Config), PRESETS[preset](name_of(kind)), preset)


def holds(now: Any, old: Any) -> bool:
    """Whether all that an old configuration says is in one of now, which may have further keys."""
    if isinstance(old, dict):
        return all(key in now and holds(now[key], value) for key, value in old.items())
    if isinstance(old, list):
        return len(now) == len(old) and all(map(holds, now, old))
    return bool(now == old)


def same(config: Config, now: Config, preset: str) -> bool:
    """Whether an old configuration is a preset's; the stages of our own recipes are those of their version."""
    now = with_former_data(now)
    if not preset.startswith("paper") or preset == "paper-fast":
        own = replace(now.train, stages=config.train.stages, evaluate_every=config.train.evaluate_every)
        now = replace(now, train=own)
    return config == now


def with_former_data(config: Config) -> Config:
    """A configuration with the data of its preset before there were those of the baselines; ``quick`` judged 1,000."""
    former = {
        "paper-ddpae": DataConfig(),
        "paper-sqair": DataConfig("linear-wide", length=10),
        "quick": DataConfig(),
    }
    return replace(config, data=former.get(config.preset, config.data))


def as_before(config: Config) -> Config:
    """A configuration as format 1 wrote it.

    The template's side now follows from the frame's; trackers of the paper's presets had centres of tight boxes.
    """
    config = with_former_data(config)
    model = config.model
    if config.preset.startswith("paper"):
        return replace(config, model=replace(model, test_time=TestTime(tight=True)))
    if not isinstance(model.finder, TemplateConfig):
        return config
    side = build(model).finder.kernel_side
    assert side == 15
    return replace(config, model=replace(model, finder=replace(model.finder, kernel_side=side)))


@KINDS
def test_weights_find_their_places(kind: str) -> None:
    config = from_dict(upgraded_recipe(OLD[kind]["config"], 1), Config)
    new = {name: list(value.shape) for name, value in build(config.model).state_dict().items()}
    assert upgraded_weights(OLD[kind]["weights"]) == new
    assert upgraded_weights(new) == new


def test_a_recipe_survives_its_file() -> None:
    for kind in OLD:
        config = from_dict(upgraded_recipe(OLD[kind]["config"], 1), Config)
        assert from_dict(json.loads(json.dumps(to_dict(config))), Config) == config


def test_an_old_run_tracks_with_its_calibration(tmp_path: Path) -> None:
    """A folder as format 1 left it; the calibration names weights by a digest of their old names."""
    old = OLD["quick/vtssi"]
    torch.manual_seed(0)
    weights = {name: 0.1 * torch.randn(shape) for name, shape in old["weights"].items()}
    Path(tmp_path / "checkpoints").mkdir()
    write_json(tmp_path / "config.json", {"config": old["config"], "versions": {}, "machine": {}})
    checkpoint.save(tmp_path / "checkpoints" / "last.pt", {"trained": weights})
    calibration = Calibration((0.5, 0.9), ((1.0, 1.0),), 5, 20, digest(weights), 0.1)
    write_json(tmp_path / "calibration.json", calibration.as_dict())

    run = Run(tmp_path)
    tracker = run.tracker()
    assert same(run.config, as_before(PRESETS["quick"]("ours")), "quick")
    assert torch.equal(tracker.picture.decoder.body[-1].bias, weights["air.decoder.body.4.bias"])
    assert track(tracker, torch.rand(1, 6, 50, 50)).tracks.present.shape == (1, 6, 2)
    found = run.calibration
    assert found is not None
    assert found.is_of(digest(tracker.state_dict()))
    assert replace(found, weights=calibration.weights) == calibration


@pytest.mark.slow
def test_an_old_run_goes_through_every_command(tmp_path: Path) -> None:
    """A folder as format 1 left it before the last stage, with keys of its own, and no list of what it is made from."""
    old = json.loads(json.dumps(OLD["quick/vtssi"]))
    positions = 15 + 20 * np.random.default_rng(0).random((6, 1, 2, 2)) + np.linspace(0, 5, 20)[:, None, None]
    axis = np.arange(50) + 0.5
    x, y = (np.exp(-(((axis - positions[..., i, None]) / 4) ** 2)) for i in (0, 1))
    frames = (255 * np.einsum("stnh,stnw->sthw", y, x).clip(0, 1)).astype(np.uint8)
    data = tmp_path / "blobs.npz"
    np.savez(data, frames=frames, positions=positions.astype(np.float32))
    _, learned, kept = open_file(str(data))
    old["config"]["data"] |= {"source": str(data), "sequences": len(learned), "validation_sequences": len(kept),
                              "test_sequences": len(kept)}  # fmt: skip
    for stage in old["config"]["train"]["stages"]:
        stage |= {"steps": 1, "batch": 2}
    old["config"] |= {"calibration": 0}
    torch.manual_seed(0)
    weights = {name: 0.1 * torch.randn(shape) for name, shape in old["weights"].items()}
    run = Run(tmp_path / "run")
    for folder in (run.folder, run.figures, run.folder / "checkpoints"):
        folder.mkdir()
    write_json(run.folder / "config.json", {"config": old["config"], "versions": {}, "machine": {}})
    state = {"step": 3, "tracker": weights, "trained": weights, "optimizer": None, "best": -1e9, "seconds": 3.0,
             "sums": {}, "count": 0}  # fmt: skip
    run.save(state)
    run.append({"kind": "train", "step": 3, "stage": "motion", "length": 20, "seconds": 3.0, "bound": False,
                "objective": 1.0, "terms": {"motion": 1.0}})  # fmt: skip

    for _ in range(2):  # before it goes on, and after
        found = api.track(run.folder, data, out=tmp_path / "out", device="cpu")
        assert found.tracks.present.shape == (6, 20, 2)
        assert (tmp_path / "out" / "tracks.csv").read_text().startswith("sequence,frame,particle")
        assert 0 <= api.judge(run.folder, data, device="cpu").count_accuracy <= 1
        assert "Learning curves" in api.page(run)[-1].read_text()
        fitted = api.resume(run.folder, device="cpu")
    assert checkpoint.load(run.checkpoint())["step"] == 4
    assert [record["step"] for record in run.records()] == [3, 4, 4]
    assert run.read_summary()["steps"] == 4
    assert fitted.tracker.state_dict().keys() == build(run.config.model).state_dict().keys()


def test_a_block_that_is_no_more_is_named(tmp_path: Path) -> None:
    old = json.loads(json.dumps(OLD["paper/vtssi"]["config"]))
    old["model"]["mot"]["differences"] = 1
    with pytest.raises(CheckpointError, match="differences"):
        upgraded_recipe(old, 1)


def test_a_format_of_the_future_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {"format": FORMAT + 1, "config": {}})
    with pytest.raises(CheckpointError, match=f"format {FORMAT + 1}"):
        _ = Run(tmp_path).config


KEYS = Path(__file__).with_name("keys.json")


def test_a_new_key_has_a_format_of_its_own(request: pytest.FixtureRequest) -> None:
    """Files of the present format must be complete: without a new number, yesterday's would be refused.

    A dataclass that is new as a whole, such as the configuration of another block, is in no file of yesterday.
    """
    known = {kind.__qualname__: sorted(declarations(kind)) for kind in classes(Config, {})}
    now = {"format": FORMAT, "keys": known}
    kept = json.loads(KEYS.read_text()) if KEYS.exists() else {"format": 0, "keys": {}}
    readable = FORMAT > kept["format"] or kept["keys"].items() <= known.items()
    assert readable, "a dataclass of the configuration has other keys: raise FORMAT"
    if request.config.getoption("--regen-golden"):
        KEYS.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
        kept = now
    assert kept == now, "run this test with --regen-golden"
