"""Habits of all commands: what they tell, and to whom; what they replace; the sample movie."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from tiny_run import blobs, call, refused
from vtssi_pyro.cli.main import main

from vtssi_pyro import build
from vtssi_pyro.artifacts.loading import InMemory, find
from vtssi_pyro.data import samples
from vtssi_pyro.errors import UsageError
from vtssi_pyro.train.config import Config
from vtssi_pyro.version import __version__

RUN = "pretrained:moving-mnist"
Args = tuple[object, ...]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("habits") / "digits.npz"
    call("generate", "linear", "--sequences", 3, "--length", 8, "--seed", 1, "--out", path)
    return path


@pytest.fixture
def drawing(tmp_path: Path) -> Args:
    """A command that takes little time, and tells of what it replaces."""
    (tmp_path / "t.csv").write_text("frame,particle,x,y,width,height\n0,a,5,5,4,4\n1,a,9,9,4,4\n")
    np.save(tmp_path / "movie.npy", np.zeros((2, 20, 20), np.uint8))
    return "overlay", tmp_path / "t.csv", tmp_path / "movie.npy", "--out", tmp_path


def found(text: str) -> dict[str, object]:
    (line,) = text.splitlines()
    return json.loads(line)


def test_track_tells_what_it_found(digits: Path, tmp_path: Path) -> None:
    done = call("track", RUN, digits, "--out", tmp_path, "--json")
    told = found(done.stdout)
    assert told["files"] == [
        str(tmp_path / name) for name in ("tracks.csv", "tracks.json", "mot", "overlay.gif")
    ]
    rows = [row.split(",") for row in (tmp_path / "tracks.csv").read_text().splitlines()[1:]]
    objects = {(row[0], row[2]) for row in rows}
    assert (told["objects"], told["sequences"], told["frames"]) == (len(objects), 3, 8)
    sure = np.array([float(row[9]) for row in rows])
    assert told["seen"] == pytest.approx((sure >= 0.5).mean())
    least, most = (f(sum(o[0] == str(b) for o in objects) for b in range(3)) for f in (min, max))
    assert (
        f": {len(objects)} objects in 3 sequences of 8 frames, {least} to {most} in each, seen in "
        in done.stderr
    )


def test_predictions_are_by_default_those_that_were_calibrated(digits: Path, tmp_path: Path) -> None:
    known = find(RUN).calibration
    assert known is not None
    args = ("predict", RUN, digits, "--out", tmp_path)
    said = call(*args, "--samples", 2).stderr
    assert (
        f"observing the first {known.observed} frames, predicting {len(known.factors)} more; {RUN} is" in said
    )
    rows = (tmp_path / "predictions.csv").read_text().splitlines()[1:]
    assert {int(row.split(",")[1]) for row in rows} == set(range(5, 20))
    told = call(*args, "--observe", "all", "--horizon", 2, "--samples", 0, "--json")
    assert (found(told.stdout)["frames"], found(told.stdout)["horizon"]) == (8, 2)
    assert "observing" not in told.stderr, "nothing was left to defaults"
    assert "is not a valid integer" in call(*args, "--observe", "most", code=2).stderr
    bare = InMemory(build("air"), Config(observe=4)).usual
    assert (bare.observe, bare.horizon) == (4, 15)
    assert "not calibrated" in bare.why


def test_results_in_a_folder_are_replaced_and_that_is_told(drawing: Args, tmp_path: Path) -> None:
    assert call(*drawing).stderr == ""
    told = f"{tmp_path}: has results of an earlier command, which these replace: overlay.gif\n"
    assert call(*drawing).stderr == told


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("d.npz", ("generate", "linear", "--sequences", 1, "--length", 2, "--out")),
        ("s.npz", ("sample", "--out")),
        ("t.xml", ("convert", "t.csv")),
        ("02_RES", ("convert", "t.csv", "--format", "ctc", "--size", "20x20")),
    ],
)
def test_what_bears_a_name_of_ones_own_is_replaced_when_told_to(
    name: str, command: Args, drawing: Args, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_text("mine")
    line = refused(2, *command, name)
    assert line.endswith(f" {name}: exists already; choose another name, or replace it with --force")
    assert Path(name).read_text() == "mine"
    if name == "02_RES":  # a file is in the way of a folder
        Path(name).unlink()
    assert found(call(*command, name, "--force", "--json").stdout)["files"] == [name]
    assert "exists already" in refused(2, *command, name)


def test_messages_are_quiet_usual_or_verbose(drawing: Args, tmp_path: Path) -> None:
    call(*drawing)
    usual, quiet, verbose = (call(*drawing, *how) for how in ((), ("--quiet",), ("-v",)))
    assert usual.stderr
    assert quiet.stderr == ""
    assert quiet.stdout == usual.stdout == verbose.stdout
    first, *_, last = lines = verbose.stderr.splitlines()
    assert f"vtssi-pyro {__version__}" in first
    assert last.endswith(f"wrote {tmp_path / 'overlay.gif'}")
    assert all(line.split()[1] == "s" and float(line.split()[0]) > 0 for line in lines)
    assert call(*drawing, "--verbose", "-q").stderr == "", "the last one counts"


def test_warnings_and_errors_are_never_quiet(tmp_path: Path) -> None:
    np.save(tmp_path / "black.npy", np.zeros((1, 6, 50, 50), np.uint8))
    said = call("track", RUN, tmp_path / "black.npy", "--quiet", "--out", tmp_path).stderr
    assert said.startswith(f"warning: {tmp_path / 'black.npy'}: no objects in any frame")
    assert "no file" in refused(3, "track", RUN, tmp_path / "none.npz", "--quiet")


@pytest.mark.parametrize("no_color", [None, "", "1"])
def test_colours_are_for_terminals(no_color: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color is not None:
        monkeypatch.setenv("NO_COLOR", no_color)
    for terminal in (True, False):
        said = CliRunner().invoke(main, ["plot"], color=terminal).stderr
        assert said.startswith("\x1b[31merror:\x1b[0m " if terminal and not no_color else "error: ")


def test_findings_of_an_inspection_are_json(tmp_path: Path) -> None:
    with np.load(blobs(tmp_path / "one.npz", 1, 30)) as held:
        np.savez(tmp_path / "movie.npz", frames=held["frames"][0])
    looked = found(call("inspect", tmp_path / "movie.npz", "--json", "--out", tmp_path / "looked").stdout)
    assert looked["size"] == [32, 32]
    assert len(looked["files"]) == 3
    kept = json.loads((tmp_path / "looked" / "inspection.json").read_text())
    assert {**kept, "movie": None, "files": None} == {**looked, "movie": None, "files": None}


@pytest.mark.slow
def test_the_sample_is_tracked_without_a_training_and_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the README says, with the package in place of the command."""
    made = subprocess.run(
        [sys.executable, "-m", "vtssi_pyro", "sample", "--json"], cwd=tmp_path, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert found(made.stdout) == {
        "frames": 80,
        "height": 112,
        "width": 144,
        "objects": 4,
        "files": ["beads.npz"],
    }
    assert "drawn, not recorded" in made.stderr
    monkeypatch.chdir(tmp_path)
    assert Path("beads.npz").read_bytes() == samples.located("beads").read_bytes()
    call("track", "untrained", "beads.npz")
    metrics = found(call("evaluate", "tracks/tracks.csv", "beads.npz", "--json").stdout)
    assert metrics["count_accuracy"] == 1.0
    assert metrics["inference_error"] < 0.2  # px; 0.12 when the movie was drawn
    with pytest.raises(UsageError, match="is no sample movie; there is beads"):
        samples.located("cells")


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands(shell: str) -> None:
    """By click's own mechanism; the page has a line for each."""
    text = (Path(__file__).parents[2] / "docs" / "start.md").read_text()
    assert f"_VTSSI_PYRO_COMPLETE={shell}_source vtssi-pyro" in text
    code = "from vtssi_pyro.cli.main import main; main(prog_name='vtssi-pyro')"
    made = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, "_VTSSI_PYRO_COMPLETE": f"{shell}_source"},
    )  # fmt: skip
    assert "_VTSSI_PYRO_COMPLETE" in made.stdout, made
