"""Packed weights come back as they were, and damaged ones are refused with the reason."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from small_model import SIDE, small

import vtssi_pyro
from vtssi_pyro import judge
from vtssi_pyro.artifacts import loading as trained
from vtssi_pyro.artifacts import packing
from vtssi_pyro.artifacts import shipped as pretrained
from vtssi_pyro.artifacts.packing import pack
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.artifacts.shipped import FORMAT, Card, Pretrained, available, card
from vtssi_pyro.config import from_dict
from vtssi_pyro.data import ArrayDataset
from vtssi_pyro.errors import CheckpointError, UsageError
from vtssi_pyro.evaluation.calibration import Calibration
from vtssi_pyro.model.tracker import build
from vtssi_pyro.system.checkpoint import digest
from vtssi_pyro.train.config import Config, DataConfig

pytestmark = pytest.mark.slow

WORDS = {
    "description": "For tests.",
    "data": "Noise.",
    "licence": "none",
    "machine": "any",
    "commit": "0" * 40,
}
CONFIG = Config("vtssi", "test", 7, 3, DataConfig(source="/home/someone/movies.npz"), small("template"))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create(tmp_path / "run", CONFIG)
    run.save({"trained": build(CONFIG.model).state_dict()})
    run.append({"step": 1, "seconds": 90.0})
    return run


@pytest.fixture(scope="module")
def test() -> ArrayDataset:
    """Held-out sequences with truth."""
    random = np.random.default_rng(0)
    frames = random.uniform(0, 1, (6, 6, SIDE, SIDE)).astype(np.float32)
    return ArrayDataset("noise", frames, random.uniform(4, 16, (6, 6, 2, 2)).astype(np.float32))


@pytest.fixture
def folder(run: Run, test: ArrayDataset, tmp_path: Path) -> Path:
    """A folder with weights named ``tiny`` and their card."""
    pack(run, "tiny", test, earlier=0.5, folder=tmp_path / "weights", **WORDS)
    return tmp_path / "weights"


def rewrite(folder: Path, **changes: object) -> None:
    path = folder / "tiny.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_parameters_come_back_rounded_and_priors_exactly(run: Run, folder: Path) -> None:
    before, after = run.tracker(), Pretrained("tiny", folder).tracker()
    assert not after.training
    buffers = {name for name, _ in before.named_buffers()}
    assert buffers
    for name, tensor in before.state_dict().items():
        expected = tensor if name in buffers else tensor.half().float()
        assert torch.equal(after.state_dict()[name], expected), name
        assert after.state_dict()[name].dtype == torch.float32


def test_the_card_tells_everything(run: Run, folder: Path, test: ArrayDataset) -> None:
    found = card("tiny", folder)
    assert available(folder) == ("tiny",)
    assert {key: getattr(found, key) for key in WORDS} == WORDS
    assert (found.name, found.seed, found.observe, found.minutes) == ("tiny", 7, 3, 2.0)
    config = Pretrained("tiny", folder).config
    assert config == from_dict(found.recipe, Config) == replace(CONFIG, data=DataConfig(source="movies.npz"))
    assert "someone" not in (folder / "tiny.json").read_text()
    assert found.metrics == {
        "float32": judge(run.tracker(), test, 3).as_dict(),
        "float16": judge(Pretrained("tiny", folder).tracker(), test, 3).as_dict(),
    }


def test_a_calibration_ships_with_the_weights_that_it_is_of(
    run: Run, test: ArrayDataset, tmp_path: Path
) -> None:
    """It names them as they come back, rounded; one of others does not ship."""
    mine = digest(run.tracker().state_dict())
    run.keep(Calibration((0.5, 0.9), ((0.5, 0.8),), 3, 50, mine))
    pack(run, "tiny", test, folder=tmp_path / "weights", **WORDS)
    shipped = Pretrained("tiny", tmp_path / "weights")
    assert shipped.calibration.weights == digest(shipped.tracker().state_dict()) != mine
    assert shipped.calibration.factors == ((0.5, 0.8),)
    run.keep(Calibration((0.5, 0.9), ((0.5, 0.8),), 3, 50, "another's"))
    with pytest.raises(UsageError, match="calibration is of other weights than checkpoint last"):
        pack(run, "other", test, folder=tmp_path / "weights", **WORDS)
    assert available(tmp_path / "weights") == ("tiny",)


def test_single_precision_on_request(run: Run, test: ArrayDataset, tmp_path: Path) -> None:
    found = pack(run, "tiny", test, dtype=torch.float32, folder=tmp_path / "exact", **WORDS)
    assert found.metrics.keys() == {"float32"}
    after = Pretrained("tiny", tmp_path / "exact").tracker().state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in run.tracker().state_dict().items())


def test_what_may_not_ship(
    run: Run, test: ArrayDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "refused"
    with pytest.raises(UsageError, match="lower case"):
        pack(run, "../Tiny", test, folder=target, **WORDS)
    with monkeypatch.context() as patch:
        patch.setattr(packing, "LARGEST", 1000)
        with pytest.raises(UsageError, match="MB at most"):
            pack(run, "tiny", test, folder=target, **WORDS)
    weights = run.tracker().state_dict()
    weights["attention.counter.body.loc.0.weight"].fill_(1e6)
    run.save({"trained": weights})
    with pytest.raises(UsageError, match=r"attention\.counter.*another precision"):
        pack(run, "tiny", test, folder=target, **WORDS)
    assert not target.exists()


@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty", "gone"])
def test_damaged_weights(damage: str, folder: Path) -> None:
    path = folder / "tiny.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    if damage != "gone":
        path.write_bytes({"flipped": data, "truncated": data[:-9], "empty": b""}[damage])
    with pytest.raises(CheckpointError, match=r"tiny\.safetensors: .*install vtssi-pyro anew"):
        Pretrained("tiny", folder).tracker()


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"{}", b'{"name": "tiny", "size": 3}'])
def test_damaged_cards(content: bytes, folder: Path) -> None:
    (folder / "tiny.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"tiny\.json: damaged"):
        card("tiny", folder)


def test_cards_that_disagree(folder: Path) -> None:
    good = (folder / "tiny.json").read_text()
    recipe = json.loads(good)["recipe"]
    other = recipe | {"model": recipe["model"] | {"consensus": recipe["model"]["consensus"] | {"units": 12}}}
    for changes, words in (
        ({"format": FORMAT + 1}, f"format {FORMAT + 1}, this version reads format {FORMAT}"),
        ({"name": "other"}, "is the card of other"),
        ({"minutes": "many"}, "damaged .minutes: expected a number"),
        ({"recipe": recipe | {"sed": 1}}, "damaged .unknown configuration key sed"),
        ({"recipe": {k: v for k, v in recipe.items() if k != "observe"}}, "damaged: it lacks observe"),
        ({"recipe": recipe | {"seed": float("nan")}}, "damaged: seed is no finite number"),
        ({"recipe": other}, "does not fit its card .*consensus"),
        ({"sha256": "0" * 64}, "SHA-256 differs"),
    ):
        rewrite(folder, **changes)
        with pytest.raises(CheckpointError, match=words):
            Pretrained("tiny", folder).tracker()
        (folder / "tiny.json").write_text(good)
    Pretrained("tiny", folder).tracker()


def test_weights_that_are_no_tensors(folder: Path) -> None:
    """Even with a hash that is right."""
    import hashlib

    (folder / "tiny.safetensors").write_bytes(b"no tensors")
    rewrite(folder, sha256=hashlib.sha256(b"no tensors").hexdigest())
    with pytest.raises(CheckpointError, match="does not fit its card"):
        Pretrained("tiny", folder).tracker()


def test_names(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder goes before a name, unless the name is given in full."""
    monkeypatch.setattr(pretrained, "FOLDER", folder)
    monkeypatch.chdir(tmp_path)
    for source in ("tiny", "pretrained:tiny"):
        found = trained.find(source)
        assert (found.name, found.config.seed) == ("pretrained:tiny", 7)
        assert torch.equal(
            *(next(load(source).parameters()) for load in (vtssi_pyro.load, load_pretrained_by))
        )
    assert trained.find("run").name == str(tmp_path / "run")
    for source in ("pretrained:tinny", "tinny"):
        with pytest.raises(CheckpointError, match="did you mean pretrained:tiny"):
            vtssi_pyro.load(source)
    with pytest.raises(CheckpointError, match="there is tiny"):
        vtssi_pyro.load("pretrained:../weights/tiny.json")
    with pytest.raises(CheckpointError, match="not a run folder"):
        vtssi_pyro.load("something-else")
    with pytest.raises(UsageError, match="no checkpoint best"):
        vtssi_pyro.load("tiny", "best")
    (tmp_path / "tiny").mkdir()
    with pytest.raises(CheckpointError, match="tiny: not a run folder"):
        vtssi_pyro.load("tiny")
    vtssi_pyro.load("pretrained:tiny")
    (folder / "tiny.json").unlink()
    with pytest.raises(CheckpointError, match="there is none"):
        vtssi_pyro.load("pretrained:tiny")


def load_pretrained_by(source: str) -> vtssi_pyro.Tracker:
    return Pretrained(source.removeprefix("pretrained:")).tracker()


def test_a_run_tells_the_same_of_itself(run: Run, folder: Path) -> None:
    assert {"name", "recipe", "observe", "minutes", "machine", "seed", "metrics"} <= run.about().keys()
    assert Pretrained("tiny", folder).about().keys() == Card.__dataclass_fields__.keys()


def test_files_hold_tensors_alone(folder: Path) -> None:
    """Half a byte count of the parameters, and nothing that runs."""
    weights = safetensors.torch.load_file(folder / "tiny.safetensors")
    tracker = build(CONFIG.model)
    assert weights.keys() == tracker.state_dict().keys()
    parameters = sum(p.numel() for p in tracker.parameters())
    assert sum(w.numel() for w in weights.values() if w.dtype == torch.float16) == parameters
