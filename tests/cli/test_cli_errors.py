"""Whatever goes wrong ends in one line that helps, and in the exit code of the table."""

import errno
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_run import ON_FILE, blobs, call, on_file, process, refused
from vtssi_pyro.cli import failures

from vtssi_pyro import load
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.data import flavours
from vtssi_pyro.model.tracker import build
from vtssi_pyro.train import training

pytestmark = pytest.mark.usefixtures("undrawn")


class Raise:
    """A training that ends at once."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        raise self.error


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("errors") / "run"
    call("fit", blobs(folder.with_name("blobs.npz")), *ON_FILE, "--out", folder, "--set", "train.budget=0.2")
    return Run(folder)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that was stopped before its first step, with a checkpoint of untrained weights."""
    folder = tmp_path_factory.mktemp("errors") / "begun"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "train", Raise(KeyboardInterrupt()))
        call("fit", blobs(folder.with_name("blobs.npz")), *ON_FILE, "--out", folder, code=130)
    run = Run(folder)
    run.save({"trained": build(run.config.model).state_dict()})
    return run


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--set", "model.num_object=3"], "did you mean model.num_objects?"),
        (["--set", "train.stages.futures.bacth=3"], "did you mean train.stages.futures.batch?"),
        (["--set", "observe"], "error: --set observe: expected KEY=VALUE"),
        (["--set", "observe=many"], "observe: expected a whole number from 1 to 100,000, found 'many'"),
        (["--set", "variant=air"], "error: --set variant=air: variant is chosen with --variant"),
        (["--set", "data.source=elliptic"], "data.source is chosen with DATA"),
        (["lineer"], "did you mean linear?"),
        (["--device", "cuda:77"], "error: --device cuda:77: this torch cannot use it"),
        (["--objects", "9", "--set", "model.frame_size=32"], "larger frame"),
        (["--resume"], "--out RUN"),
        (["data.npy", "--digits", "mnist"], "leave it out"),
    ],
)
def test_options_that_make_no_sense(args: list[str], words: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(flavours, "MAX_REDRAWS", 10)  # of objects that do not fit into a frame, all are made
    assert words in refused(2, "fit", "--preset", "standard", "--set", "data.sequences=20", *args)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("train.save_every=0", "train.save_every: expected a whole number from 1"),
        ("model.test_time.hypotheses=0", "model.test_time.hypotheses: expected a whole number from 1"),
        ("model.test_time.settled=0", "model.test_time.settled: expected a whole number from 1"),
        ("train.stages.motion.batch=0", "train.stages.motion.batch"),
        ("train.stages.motion.objective=fool", "train.stages.motion.objective: expected full, walk"),
        ('train.stages.motion.blocks=["finder", "motoin"]', "'motoin'"),
        ("model.finder=nearest", "nearest"),
        ("model.attention.counter_filters=[[4,30],[4,30]]", "do not make a model"),
    ],
)
def test_what_cannot_be_trained_is_refused_at_once(key: str, words: str, tmp_path: Path) -> None:
    data, out = blobs(tmp_path / "blobs.npz"), tmp_path / "run"
    assert words in refused(2, "fit", data, *ON_FILE, "--set", key, "--out", out)
    assert not out.exists()


def test_what_does_not_fit_together(tmp_path: Path) -> None:
    data = blobs(tmp_path / "blobs.npz")
    line = refused(3, "fit", data, *ON_FILE, "--set", "model.frame_size=40", "--out", tmp_path / "run")
    assert "32x32" in line
    assert "40x40" in line
    line = refused(
        2, "fit", data, *on_file("template-search"), "--variant", "template-search", "--out", tmp_path / "run"
    )
    assert "train.stages.motion: variant template-search has nothing to train in motion" in line


@pytest.mark.parametrize(
    ("shape", "words"),
    [((4, 5, 40, 48), "40x48.*square"), ((4, 5, 31, 31), "31x31.*32x32"),
     ((5, 40, 40), "every pixel is 0.*nothing to see"),
     ((4, 1, 40, 40), "too few")],
)  # fmt: skip
def test_frames_that_cannot_be_learned_from(shape: tuple[int, ...], words: str, tmp_path: Path) -> None:
    np.save(tmp_path / "frames.npy", np.zeros(shape, np.uint8))
    line = refused(3, "fit", tmp_path / "frames.npy", "--out", tmp_path / "run")
    assert all(word in line for word in words.split(".*"))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_run_is_not_replaced(run: Run, tmp_path: Path) -> None:
    before = {
        path: path.read_bytes() for path in run.folder.rglob("*.*") if path.is_file() and path.name != ".lock"
    }
    data = run.config.data.source
    assert "holds a run already" in call("fit", data, *ON_FILE, "--out", run.folder, code=2).stderr
    assert all(path.read_bytes() == content for path, content in before.items())
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused(2, "fit", data, *ON_FILE, "--out", tmp_path / "file")


def test_where_no_run_can_be_is_refused_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "train", Raise(AssertionError("this has taken minutes")))
    data, file = blobs(tmp_path / "blobs.npz"), tmp_path / "file"
    file.write_text("mine")
    places = [file, file / "run", *([Path("/proc/run")] if Path("/proc/self").exists() else [])]
    for place in places:  # the last is in a folder in which nobody may write, root neither
        assert "cannot be written" in refused(2, "fit", data, *ON_FILE, "--out", place)
    assert file.read_text() == "mine"


def test_a_run_in_use(begun: Run) -> None:
    with begun.lock():
        assert "in use by another process" in call("fit", "--out", begun.folder, "--resume", code=2).stderr


@pytest.mark.slow
def test_resume_refuses_what_contradicts(run: Run) -> None:
    args = ("--preset", "paper", "--set", "seed=5", "--set", "observe=3", "--set", "observe=2")
    line = refused(2, "fit", "elliptic", "--out", run.folder, "--resume", *args)
    assert "DATA elliptic, --preset, --set seed=5, --set observe=2;" in line
    same = ("--set", "seed=0", "--variant", "ours", "--threads", "2", "--device", "cpu")
    assert (
        "finished already"
        in call("fit", run.config.data.source, "--out", run.folder, "--resume", *same).stderr
    )
    again = ("--set", "train.budget=0.2")
    assert "finished already" in call("fit", *ON_FILE, "--out", run.folder, "--resume", *again).stderr


@pytest.mark.slow
def test_numbered_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blobs(tmp_path / "my blobs.npz")
    for number in (1, 2):
        call("fit", "my blobs.npz", *ON_FILE, "--set", "train.budget=0.1")
        assert (tmp_path / "runs" / f"ours-my_blobs-000{number}" / "summary.json").exists()


class Hostile:
    """Pickles to a call that leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "text", "hostile", "gone"])
def test_damaged_checkpoints(damage: str, begun: Run, tmp_path: Path) -> None:
    path, good = begun.checkpoint(), begun.checkpoint().read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    contents: dict[str, bytes | bytearray] = {"truncated": good[:-99], "flipped": flipped, "empty": b"",
                "text": b"this is no checkpoint\n" * 50,
                "hostile": pickle.dumps(Hostile(tmp_path / "mark"))}  # fmt: skip
    np.save(tmp_path / "frames.npy", np.zeros((1, 5, 32, 32), np.uint8))
    track = ("track", begun.folder, tmp_path / "frames.npy", "--out", tmp_path / "out")
    path.unlink()
    if damage in contents:
        path.write_bytes(contents[damage])
    try:
        assert "last.pt" in refused(4, *track)
        if damage != "gone":  # a run without a checkpoint starts from the beginning
            assert "last.pt" in call("fit", "--out", begun.folder, "--resume", code=4).stderr
    finally:
        path.write_bytes(good)
    assert not (tmp_path / "mark").exists()
    assert not (tmp_path / "out").exists()
    if damage == "gone":  # once is enough
        call(*track)


@pytest.mark.slow
def test_divergence_is_5_and_keeps_a_checkpoint(tmp_path: Path) -> None:
    keys = ("--set", 'train.stages.joint.learning_rate={"kind":"Constant","value":1}',
            "--set", "train.stages.joint.steps=20", "--set", "model.scale_transform=exp")  # fmt: skip
    result = call("fit", blobs(tmp_path / "b.npz"), *ON_FILE, *keys, "--out", tmp_path / "run", code=5)
    assert "error: " in result.stderr
    assert "finite" in result.stderr
    assert all(p.isfinite().all() for p in load(tmp_path / "run").parameters())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "last.pt"), 6),
        (MemoryError(), 6),
        (torch.OutOfMemoryError("CUDA out of memory"), 6),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"), 6),
        (KeyboardInterrupt(), 130),
        (failures.Terminated(), 143),
        (ZeroDivisionError("division by zero"), 1),
    ],
)
def test_exit_codes(error: BaseException, code: int, begun: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "train", Raise(error))
    result = call("fit", "--out", begun.folder, "--resume", code=code)
    assert ("--debug" in result.stderr) == (code == 1)
    if code == 6 and not isinstance(error, OSError):
        assert "or a smaller batch (--set train.stages.NAME.batch=16)" in result.stderr
    debugged = failing("--debug", "fit", "--out", begun.folder, "--resume")
    assert "Traceback" in debugged
    assert "raise self.error" in debugged


def failing(*args: object) -> str:
    from click.testing import CliRunner
    from vtssi_pyro.cli.main import main

    return CliRunner().invoke(main, [str(arg) for arg in args]).stderr


@pytest.mark.slow
def test_a_closed_pipe_is_no_traceback(run: Run, tmp_path: Path) -> None:
    """``vtssi-pyro info | true``."""
    with process("info") as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == ""


@pytest.mark.slow
def test_no_control_codes_without_a_terminal(run: Run) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "vtssi_pyro.cli", "fit", "--out", str(run.folder), "--resume"],
        capture_output=True, check=True, env={**os.environ, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "20"},
    )  # fmt: skip
    assert not any(code in result.stdout + result.stderr for code in (b"\x1b", b"\r"))


def test_names_that_a_terminal_would_obey_are_spelled_out(tmp_path: Path) -> None:
    for name, spelled in (
        ("a\nb.npy", "a\\nb.npy"),
        ("\x1b[2J.npy", "\\x1b[2J.npy"),
        ("é 東.npy", "é 東.npy"),
    ):
        line = refused(3, "track", "pretrained:moving-mnist", tmp_path / name)
        assert str(tmp_path / spelled) in line


def test_digits_do_not_go_with_a_file(tmp_path: Path) -> None:
    np.save(tmp_path / "frames.npy", np.zeros((4, 5, 40, 40), np.uint8))
    line = refused(2, "fit", tmp_path / "frames.npy", *ON_FILE, "--digits", "embedded")
    assert "no flavour" in line
