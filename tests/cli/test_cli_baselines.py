"""Other people's models from the command line: the same doors, and what is told when they are not meant."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_run import call, refused, sets
from vtssi_pyro.cli import options

from vtssi_pyro import Run, Silent, fit, load, resume
from vtssi_pyro.baselines import DDPAE, SQAIR
from vtssi_pyro.data import FLAVOURS, read
from vtssi_pyro.data.scenes import scene
from vtssi_pyro.train.baseline_presets import BASELINES, recipe
from vtssi_pyro.train.checks import check
from vtssi_pyro.train.presets import PRESETS

pytestmark = pytest.mark.usefixtures("undrawn")

COMMON = {
    "data.length": 6, "data.sequences": 20, "data.validation_sequences": 6, "data.test_sequences": 8, "observe": 3,
    "calibration": 4, "train.log_every": 5, "train.evaluate_every": 5, "train.save_every": 4,
}  # fmt: skip
# By model: its class, a flavour of its data, the side of its frames, and keys that make it tiny.
MODELS: dict[str, tuple[type, str, int, dict[str, object]]] = {
    "ddpae": (DDPAE, "ddpae", 32, {
        "model.frame_size": 32, "model.inputs": 3, "model.features": 8, "model.content": 6, "model.hidden": 8,
        "model.filters": 2, "train.stages.frames.batch": 4, "train.stages.frames.steps": 4,
        "train.stages.sequences.batch": 4, "train.stages.sequences.steps": 6,
    }),
    "sqair": (SQAIR, "sqair-original", 40, {
        "model.frame_size": 40, "model.glimpse": 5, "model.what": 3, "model.units": 8, "train.particles": 2,
        "train.stages.frames.batch": 4, "train.stages.frames.steps": 4,
        "train.stages.sequences.batch": 4, "train.stages.sequences.steps": 4,
        "train.stages.prior.batch": 4, "train.stages.prior.steps": 2, "train.stages.prior.length": 4,
    }),
}  # fmt: skip
STAGES = ("frames", "sequences", "prior")  # of SQAIR's fast recipe
ON_ONE_CORE = ["--threads", "1", "--device", "cpu"]
every_model = pytest.mark.parametrize("model", MODELS)


def tiny(model: str, **changes: object) -> list[str]:
    """Options that make a fit of a model tiny."""
    return [*sets(**COMMON | MODELS[model][3] | changes), *ON_ONE_CORE]


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
@every_model
def test_it_goes_through_all_doors(model: str, tmp_path: Path) -> None:
    kind, flavour, side, _ = MODELS[model]
    run, data = tmp_path / "run", tmp_path / "data.npz"
    shown = call("fit", flavour, "--model", model, "--out", run, *tiny(model)).stdout
    assert "count accuracy" in shown
    loaded = load(run)
    assert isinstance(loaded, kind)
    assert not loaded.training
    assert json.loads((run / "config.json").read_text())["config"]["model"]["kind"] == model
    call("generate", flavour, "--out", data, "--frame-size", side, "--sequences", 5, "--length", 7)
    assert read(data).frame_size == (side, side)
    found = json.loads(call("evaluate", run, data, "--json").stdout)
    assert found["per_frame_count"] == loaded.per_frame
    assert found["count_frames"] == loaded.K
    assert len(found["prediction_error_by_frame"]) == 4
    call("track", run, data, "--out", tmp_path / "tracks")
    call("predict", run, data, "--observe", 3, "--horizon", 4, "--samples", 3, "--out", tmp_path / "ahead")
    assert (tmp_path / "ahead" / "futures.png").exists()
    told = call("info", run).stdout
    assert f"variant            {model}" in told
    assert "blocks" not in told
    again = call("fit", "--out", run, "--resume", "--model", model)
    assert "finished already" in again.stderr
    stages = {key: value for key, value in MODELS[model][3].items() if key.startswith("train.stages.")}
    more = call("fit", flavour, "--from", run, "--out", tmp_path / "more", *ON_ONE_CORE, *sets(
        data__length=6, data__sequences=8, data__validation_sequences=6, data__test_sequences=8, observe=3,
        calibration=0, train__evaluate_every=1, **stages,
    ))  # fmt: skip
    assert "ELBO" in more.stderr


class Killed(Silent):
    """Ends the training between two checkpoints."""

    def advance(self, step: int, stage: str) -> None:
        if step == 7:
            raise RuntimeError("killed")


@pytest.mark.slow
@every_model
def test_its_training_resumes_bit_for_bit(model: str, tmp_path: Path) -> None:
    changes = [part for part in tiny(model, calibration=0) if "=" in part]
    whole, part = tmp_path / "whole", tmp_path / "part"
    fit(MODELS[model][1], model, run=whole, changes=changes, device="cpu")
    with pytest.raises(RuntimeError, match="killed"):
        fit(MODELS[model][1], model, run=part, changes=changes, device="cpu", report=Killed())
    resume(part, device="cpu")
    ours, theirs = (Run(run).load() for run in (whole, part))
    torch.testing.assert_close(ours["tracker"], theirs["tracker"], rtol=0, atol=0)
    torch.testing.assert_close(ours["optimizer"], theirs["optimizer"], rtol=0, atol=0)
    records = [[r.get("elbo", r.get("terms")) for r in Run(run).records()] for run in (whole, part)]
    assert records[0] == records[1]


@pytest.mark.slow
def test_sqairs_background_begins_at_the_mean_of_what_it_learns_from(tmp_path: Path) -> None:
    """In frames that are all alike but for the first and the last, which are learned from and held out."""
    frames = torch.full((30, 3, 1, 32, 32), 0.25)
    frames[0], frames[-3:] = 0.5, 1.0
    changes = [
        part
        for part in tiny("sqair", **{f"train.stages.{stage}.steps": 1 for stage in STAGES})
        if "=" in part
    ]
    changes = [
        change for change in changes if not change.startswith("data.") and "frame_size" not in change
    ] + [*(f"train.stages.{stage}.learning_rate=0" for stage in STAGES), "observe=2"]
    fitted = fit(frames, "sqair", run=tmp_path / "run", changes=changes, device="cpu")
    expected = torch.full((1, 32, 32), 0.25 + 0.25 / 27)
    torch.testing.assert_close(fitted.tracker.picture.body.background.detach(), expected, atol=2e-3, rtol=0)


def test_what_is_refused(tmp_path: Path) -> None:
    for model in MODELS:
        assert f"--preset quick: is not of {model}, which has fast, published" in refused(
            2, "fit", "--model", model, "--preset", "quick"
        )
    assert "unknown preset 'published': expected one of quick" in refused(2, "fit", "--preset", "published")
    movie = tmp_path / "movie.npy"
    np.save(movie, scene("blobs", length=40, side=64, objects=1, size=12).frames)
    for model in MODELS:
        for chosen in (("--model", model), ("--from", f"pretrained:{model}")):
            assert f"{model} learns from sequences, not from one movie" in refused(2, "fit", movie, *chosen)
    assert "model.frame_size: ddpae needs a power of 2 of 32 or more, found 50" in refused(
        2, "fit", "linear", "--model", "ddpae", "--set", "model.frame_size=50"
    )
    assert "VIMCO compares particles: expected 2 or more, found 1" in refused(
        2, "fit", "sqair", "--model", "sqair", "--set", "train.particles=1"
    )
