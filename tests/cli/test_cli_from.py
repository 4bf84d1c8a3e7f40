"""A training that starts from weights: they are the first ones, they stay in the run, and nobody contradicts them."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_run import ON_FILE, STAGES, blobs, call, on_file, refused, sets

from vtssi_pyro import load
from vtssi_pyro.artifacts import shipped as pretrained
from vtssi_pyro.artifacts.packing import pack
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.data import open_frames
from vtssi_pyro.model.blocks.presence import PresenceConfig
from vtssi_pyro.system import checkpoint
from vtssi_pyro.train.trainer import Trainer

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]

RECIPE = sets(train__stages=STAGES, train__save_every=4, train__log_every=5, train__evaluate_every=10)
FIND = ["--variant", "template-search", *on_file("template-search"), *RECIPE, *sets(train__stages=STAGES[:2])]
HERE = ["--threads", "1", "--device", "cpu"]


class Killed(BaseException):
    """An exception that no code catches."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and a run."""
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("from")
    call("fit", blobs(place / "data.npz"), *ON_FILE, "--out", place / "source", "--set", "train.budget=0.2")
    return place


@pytest.fixture(scope="module")
def whole(place: Path) -> Run:
    """The training that nothing stopped."""
    call("fit", place / "data.npz", "--from", place / "source", *RECIPE, *HERE, "--out", place / "whole")
    return Run(place / "whole")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def kill_at(step: int, patch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """End a training before a step; returns the weights of its first step, once it was made."""
    advance, first = Trainer.advance, []

    def advancing(self: Trainer) -> Any:
        if not first:
            first.append({name: tensor.clone() for name, tensor in self.tracker.state_dict().items()})
        if self.step == step:
            raise Killed
        return advance(self)

    patch.setattr(Trainer, "advance", advancing)
    return first


def test_the_model_is_taken_over(place: Path, whole: Run) -> None:
    before = Run(place / "source").config
    assert (whole.config.model, whole.config.observe) == (before.model, before.observe)
    assert whole.config.start == str(place / "source")
    assert whole.config.preset == "quick"
    assert same(checkpoint.load(whole.checkpoint("start"))["trained"], load(place / "source").state_dict())


@pytest.mark.parametrize("step", [0, 2, 6])
def test_it_resumes_without_its_source(step: int, place: Path, whole: Run, tmp_path: Path) -> None:
    """Before the first checkpoint, at step 4, and after."""
    shutil.copytree(place / "source", tmp_path / "source")
    run, source = Run(tmp_path / "run"), load(tmp_path / "source").state_dict()
    with pytest.MonkeyPatch.context() as patch:
        first = kill_at(step, patch)
        args = ("--from", tmp_path / "source", *RECIPE, *HERE, "--out", run.folder)
        call("fit", place / "data.npz", *args, code=1)
    assert same(first[0], source)
    shutil.rmtree(tmp_path / "source")
    call("fit", "--out", run.folder, "--resume", "--from", tmp_path / "source")
    ends = [checkpoint.load(r.checkpoint()) for r in (run, whole)]
    assert same(ends[0]["trained"], ends[1]["trained"])
    assert same(ends[0]["tracker"], ends[1]["tracker"])


def test_from_what_ships(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And priors are the configuration's."""
    words = {
        "description": "Blobs.",
        "data": "blobs",
        "licence": "none",
        "machine": "any",
        "commit": "0" * 40,
    }
    pack(
        Run(place / "source"), "blobs", open_frames(place / "data.npz"), folder=tmp_path / "weights", **words
    )
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "weights")
    chosen = sets(model__size_loc=[0.25, 0.2])
    with pytest.MonkeyPatch.context() as patch:
        first = kill_at(0, patch)
        args = ("--from", "blobs", *RECIPE, *HERE, *chosen, "--out", tmp_path / "run")
        call("fit", place / "data.npz", *args, code=1)
    run = Run(tmp_path / "run")
    assert run.config.start == "pretrained:blobs"
    shipped = load("blobs").state_dict()
    differing = {name for name, tensor in first[0].items() if not torch.equal(tensor, shipped[name])}
    assert differing == {"scene.size.loc"}
    assert torch.equal(first[0]["scene.size.loc"], torch.tensor([0.25, 0.2]))


def test_another_variant_starts_from_the_blocks_that_are_alike(place: Path, tmp_path: Path) -> None:
    """Its program has a random walk and looks at one frame: motion and consensus are of no use to it."""
    run = Run(tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch:
        first = kill_at(0, patch)
        args = ("--from", place / "source", *FIND, *HERE)
        told = call("fit", place / "data.npz", *args, "--out", run.folder, code=1)
    source = load(place / "source").state_dict()
    assert set(first[0]) < set(source)
    assert same(first[0], {name: source[name] for name in first[0]})
    assert "scene, attention, picture, finder; the other blocks start afresh" in told.output
    kept = checkpoint.load(run.checkpoint("start"))["trained"]
    assert same(kept, first[0])
    assert run.config.variant == "template-search"
    call("fit", "--out", run.folder, "--resume", "--from", place / "source", "--variant", "template-search")


def test_parts_of_other_sizes_start_afresh(place: Path, tmp_path: Path) -> None:
    """The rest of their block, an attention, is taken over."""
    source = load(place / "source").state_dict()
    args = ("--from", place / "source", *FIND, *HERE)
    with pytest.MonkeyPatch.context() as patch:
        first = kill_at(0, patch)
        smaller = sets(model__attention__counter_dense=[12, 8])
        told = call("fit", place / "data.npz", *args, *smaller, "--out", tmp_path / "run", code=1)
    assert "attention.encoder, picture, finder; the other blocks start afresh" in told.output
    assert set(checkpoint.load(Run(tmp_path / "run").checkpoint("start"))["trained"]) == {
        name
        for name in source
        if name.startswith(("scene.", "attention.", "picture.", "finder.")) and ".counter." not in name
    }
    assert first[0]["attention.counter.body.trunk.0.weight"].shape[0] == 12


def test_visitors_begin_with_looks_that_ship(tmp_path: Path) -> None:
    """Their blocks are the flavour's own: encoder and decoder are those of weights for objects that stay."""
    run, few = Run(tmp_path / "run"), {"data.sequences": 8, "data.validation_sequences": 4, "data.length": 8}
    with pytest.MonkeyPatch.context() as patch:
        kill_at(0, patch)
        args = ("--from", "pretrained:moving-mnist", *sets(**few), *HERE, "--out", run.folder)
        told = call("fit", "visitors", *args, code=1)
    assert "attention.encoder, picture.decoder; the other blocks start afresh" in told.output
    assert (run.config.model.num_objects, run.config.start) == (3, "pretrained:moving-mnist")
    assert isinstance(run.config.model.scene, PresenceConfig)
    shipped, kept = load("moving-mnist").state_dict(), checkpoint.load(run.checkpoint("start"))["trained"]
    assert {".".join(name.split(".")[:2]) for name in kept} == {"attention.encoder", "picture.decoder"}
    assert same(kept, {name: shipped[name] for name in kept})


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (
            sets(model__consensus__units=12, observe=4),
            "error: --set model.consensus.units=12: the weights of ",
        ),
        (["--objects", "3"], "would not fit (consensus.lstm.body.weight_ih_l0: "),
        (sets(start="elsewhere"), "start is chosen with --from"),
        (sets(model__attention__locator_units=-1), "locator_units: expected a whole number from 1"),
    ],
)
def test_what_contradicts_is_refused(args: list[str], words: str, place: Path, tmp_path: Path) -> None:
    common = ("--from", place / "source", *RECIPE, *HERE, "--out", tmp_path / "run")
    assert words in refused(2, "fit", place / "data.npz", *common, *args)
    assert not (tmp_path / "run").exists()


def test_no_such_source(place: Path, tmp_path: Path) -> None:
    common = (*RECIPE, *HERE, "--out", tmp_path / "run")
    assert "no such weights" in refused(4, "fit", place / "data.npz", "--from", "pretrained:nothing", *common)
    assert "not a run folder" in refused(4, "fit", place / "data.npz", "--from", tmp_path, *common)
    np.save(tmp_path / "large.npy", np.zeros((4, 6, 40, 40), np.uint8))
    line = refused(3, "fit", tmp_path / "large.npy", "--from", place / "source", *common)
    assert "40x40" in line
    assert not (tmp_path / "run").exists()


def test_resume_refuses_another_source(place: Path, whole: Run) -> None:
    line = refused(2, "fit", "--out", whole.folder, "--resume", "--from", "pretrained:other")
    assert "was made with another configuration than --from" in line


def test_the_start_must_be_there(whole: Run, tmp_path: Path) -> None:
    shutil.copytree(whole.folder, tmp_path / "run")
    run = Run(tmp_path / "run")
    run.summary.unlink()
    run.checkpoint("start").write_bytes(b"damaged")
    assert "start.pt" in call("fit", "--out", run.folder, "--resume", code=4).stderr
