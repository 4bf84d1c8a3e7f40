"""Other people's models from the command line: the same doors, and what is told when they are not meant."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_run import call, refused, sets
from vtssi_pyro.cli import options

from vtssi_pyro import Run
from vtssi_pyro.baselines import DDPAE
from vtssi_pyro.data import FLAVOURS, read
from vtssi_pyro.data.scenes import scene
from vtssi_pyro.train.baseline_presets import BASELINES, recipe
from vtssi_pyro.train.presets import PRESETS
from vtssi_pyro.train.training import check

TINY = [
    *sets(
        model__frame_size=32, model__inputs=3, model__features=8, model__content=6, model__hidden=8,
        model__filters=2, train__stages__fast__batch=4, train__stages__fast__steps=10, data__length=6,
        data__sequences=20, data__validation_sequences=6, data__test_sequences=8, observe=3, calibration=4,
        train__log_every=5, train__evaluate_every=5, train__save_every=4,
    ),
    "--threads", "1", "--device", "cpu",
]  # fmt: skip


def test_names_are_the_librarys() -> None:
    assert options.BASELINES == {model: tuple(presets) for model, presets in BASELINES.items()}
    assert not {name for presets in BASELINES.values() for name in presets} & set(PRESETS)


@pytest.mark.parametrize(("model", "preset"), [(m, p) for m, own in BASELINES.items() for p in own])
def test_every_recipe_can_be_trained(model: str, preset: str) -> None:
    """On the model's own data, whose flavour has the sizes of the model."""
    config = recipe(model, preset)
    assert (config.variant, config.preset) == (model, preset)
    flavour = FLAVOURS[config.data.source]
    assert (config.model.frame_size, config.model.num_objects) == (flavour.frame_size, flavour.objects)
    assert (config.data.blend, config.data.length) == (flavour.blend, flavour.length)
    check(config)


@pytest.mark.slow
def test_files_may_name_them_wherever_they_are_read() -> None:
    """In a process that has imported nothing but configurations."""
    code = (
        "from vtssi_pyro.config import from_dict\n"
        "from vtssi_pyro.train.config import Config\n"
        f"for name in {tuple(BASELINES)}: from_dict({{'model': name}}, Config)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_ddpaes_published_training() -> None:
    train = recipe("ddpae", "published").train
    (stage,) = train.stages
    assert (stage.steps, stage.batch, train.beta1, stage.analytic, train.average) == (
        200_000,
        64,
        0.5,
        False,
        0.0,
    )
    assert [stage.learning_rate(step) for step in (0, 99_999, 100_000, 199_999)] == pytest.approx(
        [1e-3, 1e-3, 1e-4, 1e-4]
    )
    assert stage.length(0) == stage.length(200_000) == 20


@pytest.mark.slow
def test_ddpae_goes_through_all_doors(tmp_path: Path) -> None:
    run, data = tmp_path / "run", tmp_path / "data.npz"
    shown = call("fit", "ddpae", "--model", "ddpae", "--out", run, *TINY).stdout
    assert "prediction error" in shown
    assert isinstance(Run(run).tracker(), DDPAE)
    assert json.loads((run / "config.json").read_text())["config"]["model"]["kind"] == "ddpae"
    call("generate", "ddpae", "--out", data, "--frame-size", 32, "--sequences", 5, "--length", 7)
    assert read(data).frame_size == (32, 32)
    found = json.loads(call("evaluate", run, data, "--json").stdout)
    assert found["count_accuracy"] == 1
    call("track", run, data, "--out", tmp_path / "tracks")
    call("predict", run, data, "--observe", 3, "--horizon", 4, "--samples", 3, "--out", tmp_path / "ahead")
    assert (tmp_path / "ahead" / "futures.png").exists()
    again = call("fit", "--out", run, "--resume", "--model", "ddpae")
    assert "finished already" in again.stderr
    more = call("fit", "ddpae", "--from", run, "--out", tmp_path / "more", *TINY[-4:], *sets(
        train__stages__fast__batch=2, train__stages__fast__steps=2, data__length=6, data__sequences=8,
        data__validation_sequences=6, data__test_sequences=8, observe=3, calibration=0,
    ))  # fmt: skip
    assert "ELBO" in more.stderr


def test_what_is_refused(tmp_path: Path) -> None:
    assert "--preset quick: is not of ddpae, which has fast, published" in refused(
        2, "fit", "--model", "ddpae", "--preset", "quick"
    )
    assert "unknown preset 'published': expected one of quick" in refused(2, "fit", "--preset", "published")
    movie = tmp_path / "movie.npy"
    np.save(movie, scene("blobs", length=40, side=64, objects=1, size=12).frames)
    assert "ddpae learns from sequences, not from one movie" in refused(2, "fit", movie, "--model", "ddpae")
    assert "model.frame_size: ddpae needs a power of 2 of 32 or more, found 50" in refused(
        2, "fit", "linear", "--model", "ddpae", "--set", "model.frame_size=50"
    )
