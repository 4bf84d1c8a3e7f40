"""Commands that no machine could finish are refused before they begin, and long ones say how far they are."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from small_model import small
from tiny_run import ON_DIGITS, ON_FILE, blobs, call, refused, sets
from vtssi_pyro.cli import progress

from vtssi_pyro.artifacts import costs
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.data import ArrayDataset, load_digits, moving_digits, store
from vtssi_pyro.errors import OutOfResources
from vtssi_pyro.inference import filter as inference
from vtssi_pyro.model.tracker import Tracker, build
from vtssi_pyro.system import memory
from vtssi_pyro.train.config import Config, DataConfig
from vtssi_pyro.train.recipe import Stage, TrainConfig


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never trained."""
    config = Config("vtssi", "test", 7, 3, DataConfig(source="/none.npz"), small("template"))
    run = Run.create(tmp_path_factory.mktemp("bounds") / "run", config)
    run.save({"trained": build(config.model).state_dict()})
    return run.folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "three.npy"
    np.save(path, np.random.default_rng(0).integers(0, 255, (3, 5, 20, 20), np.uint8))
    return path


def test_forecasts_beyond_the_memory_are_refused(run: Path, data: Path, tmp_path: Path) -> None:
    start, out = time.monotonic(), tmp_path / "out"
    many = "--horizon", 100_000, "--samples", 100_000
    line = refused(6, "predict", run, data, "--observe", 3, *many, "--out", out)
    assert "would take about" in line
    assert "are free: ask for less with --horizon or --samples" in line
    assert time.monotonic() - start < 20
    assert not any(out.iterdir())


def test_what_fits_into_the_memory_is_not_refused(
    run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The estimate is of the order of the memory: all that a small forecast holds is less than 100 MB."""
    monkeypatch.setattr(memory, "free_memory", lambda: 10**8)
    call("predict", run, data, "--observe", 3, "--samples", 5, "--horizon", 4, "--out", tmp_path / "out")
    monkeypatch.setattr(memory, "free_memory", lambda: 10**3)
    refused(6, "predict", run, data, "--observe", 3, "--samples", 5, "--horizon", 4, "--out", tmp_path / "o")


def test_the_time_of_a_long_forecast_is_told(
    run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("predict", run, data, "--observe", 3, "--samples", 50, "--horizon", 4, "--out", tmp_path / "out")
    assert "minutes" not in call(*asked).output
    monkeypatch.setattr(costs, "SOON", 0)
    monkeypatch.setattr(costs, "TOLD", -1.0)
    assert "sampling takes about 0 minutes" in call(*asked).output


def test_generate_refuses_what_does_not_fit(tmp_path: Path) -> None:
    out = tmp_path / "large.npz"
    line = refused(6, "generate", "linear", "--out", out, "--sequences", 10**8, "--length", 10**5)
    assert "are free: draw fewer or shorter ones" in line
    assert not any(tmp_path.iterdir())


def test_a_training_step_beyond_the_memory_is_refused(tmp_path: Path) -> None:
    """Also one of a later stage, of paths alone: before a run folder is made."""
    path, out = blobs(tmp_path / "blobs.npz"), tmp_path / "run"
    for stage in ("objects", "motion"):
        line = refused(
            6, "fit", path, *ON_FILE, "--set", f"train.stages.{stage}.batch=100000000", "--out", out
        )
        assert f"lower train.stages.{stage}.batch" in line
        assert not out.exists()
    line = refused(6, "fit", *ON_DIGITS, *sets(data__sequences=10**8), "--out", out)
    assert "sequences" in line
    assert not out.exists()


def test_long_sequences_are_written_in_parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The file is the same, whatever the size of the parts: some sequences, or some frames of one."""
    digits = moving_digits("linear", load_digits("embedded", "test"), sequences=3, length=7)
    files = []
    for name, pixels in (("whole", 2**22), ("one", 7 * 2500), ("frames", 3 * 2500), ("least", 1)):
        monkeypatch.setattr(store, "PIXELS", pixels)
        store.write(tmp_path / name, digits)
        files.append((tmp_path / name).read_bytes())
    assert files.count(files[0]) == len(files)


def test_samples_are_drawn_in_parts(tiny: Callable[..., Tracker], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part is a draw of its own from the same density, and observed frames do not depend on their size."""
    tracker = tiny(finder="template")
    x = torch.rand(2, 5, 20, 20, dtype=torch.float64)
    whole = inference.forecast(tracker, x, 4, 2000).tracks
    monkeypatch.setattr(inference, "SAMPLED", 300 * 4)
    parts = inference.forecast(tracker, x, 4, 2000).tracks
    assert whole.samples is not None
    assert parts.samples is not None
    assert torch.equal(whole.samples[:300, :, :5], parts.samples[:300, :, :5])
    assert not torch.equal(parts.samples[:300, :, 5:], parts.samples[300:600, :, 5:])
    error = whole.samples.std(0) * (2 / 2000) ** 0.5
    assert ((whole.samples.mean(0) - parts.samples.mean(0)).abs() < 5 * error + 1e-9).all()


def test_futures_for_a_calibration_beyond_the_memory_are_refused(
    tiny: Callable[..., Tracker], monkeypatch: pytest.MonkeyPatch
) -> None:
    from vtssi_pyro.evaluation.futures import futures

    frames = np.random.default_rng(0).integers(0, 255, (3, 6, 20, 20), np.uint8)
    with pytest.raises(OutOfResources, match="10,000,000,000 futures of each of 3 sequences"):
        futures(tiny(finder="template"), ArrayDataset("frames", frames), 3, 10**10)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of progress reports, in its only entry."""
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    return clock


def test_long_work_says_every_minute_how_far_it_is(clock: list[float]) -> None:
    """Where there is no bar, as in a log file; what was read last is still being worked on."""
    lines = list[str]()
    frames = np.zeros((10, 2, 4, 4), np.uint8)
    with progress.watched(ArrayDataset("frames", frames), "reading", 2, lines.append) as data:
        for _ in range(20):
            data.frames(slice(0, 1))
            clock[0] += 25
    assert lines[0] == "reading: 3 of 20 sequences, 07:05 left"
    assert len(lines) == 6


def test_the_time_that_is_expected_is_told_as_it_runs_down(clock: list[float]) -> None:
    """By lines during a training and after it, and never less than what the present work takes at its own pace."""
    lines = list[str]()
    report = progress.Lines(lines.append)
    report.begin(Config("vtssi", "test", train=TrainConfig((Stage("objects", 20),))), 0)
    report.advance(10, "objects")
    record = {
        "kind": "train",
        "stage": "objects",
        "step": 10,
        "length": 1,
        "bound": True,
        "objective": 1.0,
        "terms": {},
    }
    report.record(record)
    report.expects(90)
    clock[0] += 30
    report.record(record)
    report.expects(200)
    clock[0] += 20
    with report.watched(ArrayDataset("frames", np.zeros((10, 2, 4, 4), np.uint8)), "calibrating") as data:
        for _ in range(4):
            data.frames(slice(0, 1))
            clock[0] += 61
    assert [line.rpartition(", ")[2].rpartition("; ")[2] for line in lines] == [
        "? left",
        "01:00 left",
        "03:00 left",
        "09:09 left",
        "08:08 left",
        "07:07 left",
    ]
    report.expects(0)
    told = len(lines)
    with report.watched(ArrayDataset("frames", np.zeros((10, 2, 4, 4), np.uint8)), "judging"):
        assert len(lines) == told, "the next work is another one"
