"""Objects that come and go, from the generated file to the metrics, by the commands alone."""

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_run import KEYS, ON_FILE, call, sets

from vtssi_pyro import Run
from vtssi_pyro.data import FLAVOURS, read
from vtssi_pyro.model.blocks.interaction import InteractingMOTConfig
from vtssi_pyro.model.blocks.layered import LayeredConfig
from vtssi_pyro.model.blocks.presence import PresenceConfig
from vtssi_pyro.model.blocks.turning import TurningConfig
from vtssi_pyro.tracks.export import write_tracks_csv

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]
# flavours with blocks and stages of their own
TINY = {
    "model.frame_size": 32, "model.glimpse": 9, "model.description": 4, "model.attention.encoder": [16, 8],
    "model.motion.motion": 3, "model.motion.units": 8, "model.motion.heads": [8], "model.motion.transition": [8, 8],
    "train.stages.objects.steps": 5, "train.stages.objects.batch": 3, "observe": 3,
}  # fmt: skip
COMING = {**TINY, "train.stages.visits.steps": 2, "train.stages.visits.batch": 2}
OWN = {
    "visitors": COMING,
    "sprites": COMING,
    "discs-behind": {
        **TINY, "train.stages.places.steps": 2, "train.stages.places.batch": 2, "train.stages.motion.steps": 2,
        "train.stages.motion.batch": 2, "train.stages.motion.cache": 4, "calibration": 0,
    },
    "balls": {
        **TINY, "train.stages.search.steps": 1, "train.stages.motion.steps": 2, "train.stages.motion.cache": 4,
        "train.stages.futures.steps": 1, "train.stages.futures.cache": 4, "calibration": 0,
    },
    # the stages of all objects that stay
    "rods": {
        key.replace("motion.", "motion.of.") if key.startswith("model.motion") else key: value
        for key, value in KEYS.items() if key not in ("model.consensus.units", "model.consensus.dense")
    },
}  # fmt: skip
LINES = ("count per frame", "objects found", "entrances found")


def test_tracks_of_visitors_are_judged_frame_by_frame(tmp_path: Path) -> None:
    data, table = tmp_path / "visitors.npz", tmp_path / "tracks.csv"
    said = call("generate", "visitors", "--out", data, "--sequences", 6, "--length", 12, "--seed", 3).stderr
    assert "0 to 3 objects at once" in said
    truth = read(data).truth
    assert truth is not None
    with np.load(data) as made:
        assert set(made) == {"frames", "positions", "boxes", "visible", "counts"}
    write_tracks_csv(table, truth)
    shown = call("evaluate", table, data).stdout
    assert "count accuracy     100.0 % of frames, each counted by itself" in shown
    assert all(f"{line:<18} 100.0 %" in shown for line in LINES)
    assert "angle error" not in shown
    late = truth._replace(present=truth.present & truth.present.roll(2, 1))
    late.present[:, :2] = truth.present[:, :2]
    write_tracks_csv(table, late)
    found = json.loads(call("evaluate", table, data, "--json").stdout)["events"]
    assert found["entrances"] > 3
    assert found["entrances_found"] < 0.5
    assert found["count_per_frame"] < 1
    call("generate", "linear", "--out", tmp_path / "linear.npz", "--sequences", 4)
    with np.load(tmp_path / "linear.npz") as made:
        assert set(made) == {"frames", "positions", "boxes", "counts"}
    steady = read(tmp_path / "linear.npz").truth
    assert steady is not None
    write_tracks_csv(table, steady)
    assert LINES[0] not in call("evaluate", table, tmp_path / "linear.npz").stdout


@pytest.mark.parametrize("flavour", ["visitors", "discs-behind", "rods", "sprites", "balls"])
def test_a_model_is_fitted_to_each(flavour: str, tmp_path: Path) -> None:
    sizes = {"data.sequences": 8, "data.validation_sequences": 4, "data.test_sequences": 4, "data.length": 8}
    tiny = [*sets(**OWN[flavour]), "--threads", "1", "--device", "cpu"] if flavour in OWN else ON_FILE
    shown = call("fit", flavour, *tiny, *sets(**sizes), "--out", tmp_path / "run").stdout
    assert ("count per frame" in shown) == (flavour != "balls")  # of which none comes or goes
    assert ("angle error" in shown) == (flavour == "rods")
    config = Run(tmp_path / "run").config
    assert isinstance(config.model.scene, PresenceConfig) == (flavour in ("visitors", "sprites"))
    assert isinstance(config.model.picture, LayeredConfig) == (flavour in ("discs-behind", "sprites"))
    assert isinstance(config.model.motion, TurningConfig) == (flavour == "rods")
    assert isinstance(config.model.motion, InteractingMOTConfig) == (flavour == "balls")
    kind = FLAVOURS[flavour]
    assert (config.model.channels, config.data.blend) == (kind.channels or 1, kind.blend)
    assert config.model.num_objects == (kind.objects or config.model.num_objects)
    if flavour == "visitors":  # its training goes on by the same stages, without a word about them
        steps = {
            "train.stages.objects.steps": 1, "train.stages.objects.batch": 3, "train.stages.visits.steps": 0,
            "observe": 3, "calibration": 0,
        }  # fmt: skip
        call("fit", flavour, "--from", tmp_path / "run", *sets(**steps, **sizes), "--out", tmp_path / "on")
        on = Run(tmp_path / "on").config
        assert on.model == config.model
        assert [stage.name for stage in on.train.stages] == [stage.name for stage in config.train.stages]
