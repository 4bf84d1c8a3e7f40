"""Commands take weights that ship as they take the folder of a run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_run import FRAME, ON_FILE, blobs, call, refused

from vtssi_pyro import track
from vtssi_pyro.artifacts import shipped as pretrained
from vtssi_pyro.artifacts.packing import pack
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.data import open_frames
from vtssi_pyro.errors import UsageError

pytestmark = pytest.mark.slow

NAME = "pretrained:blobs"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a run, and weights made of it."""
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("pretrained")
    call("fit", blobs(place / "data.npz"), *ON_FILE, "--out", place / "run", "--set", "train.budget=0.2")
    words = {
        "description": "Blobs.",
        "data": "blobs",
        "licence": "none",
        "machine": "any",
        "commit": "0" * 40,
    }
    test = open_frames(place / "data.npz")
    pack(Run(place / "run"), "blobs", test, dtype=torch.float32, folder=place / "weights", **words)
    return place


@pytest.fixture(autouse=True)
def _shipped(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "FOLDER", place / "weights")


def test_track_predict_and_evaluate_do_as_with_the_run(place: Path) -> None:
    data, found = place / "data.npz", []
    for source in (place / "run", NAME):
        call("track", source, data, "--out", place / "out")
        made = ("--observe", 4, "--horizon", 3, "--samples", 2)
        call("predict", source, data, *made, "--out", place / "out")
        judged = json.loads(call("evaluate", source, data, "--json").stdout)
        assert judged["made"].pop("tracker") == str(source)
        found.append(
            [judged, *((place / "out" / f"{name}.csv").read_text() for name in ("tracks", "predictions"))]
        )
    assert found[0] == found[1]


def test_info_lists_and_tells(place: Path) -> None:
    assert json.loads(call("info", "--json").stdout)["pretrained"] == ["blobs"]
    assert "pretrained   blobs" in call("info").stdout.splitlines()
    card = json.loads((place / "weights" / "blobs.json").read_text())
    assert json.loads(call("info", NAME, "--json").stdout) == card
    text = call("info", NAME).stdout
    assert all(str(card[key]) in text for key in ("description", "licence", "sha256", "commit"))
    assert "on held-out sequences, in float32:" in text
    run = json.loads(call("info", place / "run", "--json").stdout)
    assert run["recipe"] == json.loads((place / "run" / "config.json").read_text())["config"]
    assert run["metrics"]["float32"] == json.loads((place / "run" / "summary.json").read_text())["metrics"]
    assert str(place / "run") in call("info", place / "run").stdout


def test_what_does_not_go(place: Path) -> None:
    data, out = place / "data.npz", place / "refused"
    assert f"did you mean {NAME}?" in refused(4, "track", "pretrained:blob", data, "--out", out)
    assert f"did you mean {NAME}?" in refused(4, "info", "pretrained:blob")
    with pytest.raises(UsageError, match="has no checkpoint best"):
        track(NAME, data, out=out, checkpoint="best")
    assert "have no run" in refused(2, "report", NAME)
    np.save(place / "small.npy", np.zeros((1, 5, FRAME + 1, FRAME + 1), np.uint8))
    assert f"{FRAME}x{FRAME}" in refused(3, "track", NAME, place / "small.npy", "--out", out)
    assert not out.exists()
