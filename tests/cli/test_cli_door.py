"""The command line does what the library does in as many lines."""

import gc
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_run import KEYS, ON_FILE, blobs, call

from vtssi_pyro import FirstFrame, Fitted, Run, Silent, calibrate, fit, load, resume, track
from vtssi_pyro.config import override
from vtssi_pyro.data import open_frames
from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.train.presets import PRESETS
from vtssi_pyro.train.training import Interrupted

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]

CHANGES = [text for text in ON_FILE if "=" in text]


class Heard(Silent):
    """Keeps the validation records, and may want to end the training."""

    def __init__(self, stop: int | None = None) -> None:
        self.records: list[dict[str, Any]] = []
        self.ended = False
        self._stop = stop

    def advance(self, step: int, stage: str) -> None:
        if step == self._stop:
            os.kill(os.getpid(), signal.SIGINT)

    def record(self, record: dict[str, Any]) -> None:
        self.records.append(record)

    def end(self) -> None:
        self.ended = True


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and a run of the command line."""
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("door")
    call("fit", blobs(place / "data.npz", sequences=30), *ON_FILE, "--out", place / "run")
    return place


@pytest.fixture(scope="module")
def fitted(place: Path) -> Fitted:
    """The same by one call, in a folder that nobody named."""
    torch.set_num_threads(1)
    return fit(place / "data.npz", changes=CHANGES, device="cpu")


def weights(fitted: Fitted | Run) -> dict[str, torch.Tensor]:
    return (fitted.tracker() if isinstance(fitted, Run) else fitted.tracker).state_dict()


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_fit_is_a_fit(place: Path, fitted: Fitted) -> None:
    run = Run(place / "run")
    assert equal(weights(fitted), weights(run))
    assert fitted.run.config == run.config
    assert fitted.metrics == run.read_summary()["metrics"]
    assert fitted.calibration == run.calibration
    assert not fitted.tracker.training
    kept = {path.name for path in (place / "run").rglob("*") if path.is_file()}
    assert {path.name for path in fitted.run.folder.rglob("*") if path.is_file()} == kept


def test_what_is_in_memory_is_learned_from_alike(place: Path, fitted: Fitted, tmp_path: Path) -> None:
    """Frames and positions of a file; then frames alone, which have no metrics."""
    data = open_frames(place / "data.npz")
    again = fit(data, changes=CHANGES, device="cpu", run=tmp_path / "run")
    assert equal(weights(again), weights(fitted))
    assert again.metrics == fitted.metrics
    with np.load(place / "data.npz") as file:
        bare = fit(torch.from_numpy(file["frames"]), changes=CHANGES, device="cpu")
    assert equal(weights(bare), weights(fitted))
    assert bare.metrics == {}


def test_sequences_to_judge_by_may_be_given(place: Path) -> None:
    data = open_frames(place / "data.npz")
    found = fit(data, held_out=data, changes=CHANGES, device="cpu")
    assert found.metrics["sequences"] == len(data) == found.run.config.data.sequences


def test_a_configuration_is_a_recipe(place: Path, fitted: Fitted) -> None:
    config = override(PRESETS["quick"]("ours"), CHANGES)
    assert equal(weights(fit(place / "data.npz", config, device="cpu")), weights(fitted))
    assert KEYS["observe"] == config.observe


def test_it_goes_on_where_it_was_stopped(place: Path, fitted: Fitted, tmp_path: Path) -> None:
    """Of frames in memory, if these are given again; a folder that nobody named is kept for that."""
    heard = Heard(stop=7)
    with np.load(place / "data.npz") as file:
        frames = file["frames"]
    with pytest.raises(Interrupted, match="--out ") as caught:
        fit(frames, changes=CHANGES, device="cpu", report=heard)
    assert heard.ended
    folder = Path(str(caught.value).rpartition("--out ")[2].removesuffix(" --resume"))
    try:
        done = resume(folder, frames, device="cpu", report=(heard := Heard()))
        assert equal(weights(done), weights(fitted))
        assert heard.records[-1]["kind"] == "validation"
        assert equal(weights(resume(done.run)), weights(fitted)), "finished already"
    finally:
        shutil.rmtree(folder)


def test_other_frames_in_memory_are_refused(place: Path, tmp_path: Path) -> None:
    """Those of the same shape, too; a copy is the same."""
    with np.load(place / "data.npz") as file:
        frames = file["frames"]
    with pytest.raises(Interrupted):
        fit(frames, changes=CHANGES, device="cpu", run=tmp_path / "run", report=Heard(stop=2))
    for other in (frames[::-1].copy(), frames.clip(0, 200), 255 - frames):
        with pytest.raises(DataError, match="these frames are not those that the run began with"):
            resume(tmp_path / "run", other, device="cpu")
    with pytest.raises(Interrupted):
        resume(tmp_path / "run", torch.from_numpy(frames.copy()), device="cpu", report=Heard(stop=4))


def test_a_temporary_run_goes_with_the_last_who_has_it(place: Path) -> None:
    found = fit(place / "data.npz", changes=[*CHANGES, "train.budget=0.1"], device="cpu")
    run, folder = found.run, found.run.folder
    del found
    gc.collect()
    assert load(folder)
    del run
    gc.collect()
    assert not folder.exists()


def test_a_fitted_tracker_tracks_and_starts_another(place: Path, fitted: Fitted, tmp_path: Path) -> None:
    call("track", place / "run", place / "data.npz", "--out", tmp_path / "cli")
    track(fitted, place / "data.npz", out=tmp_path / "door")
    for name in ("tracks.csv", "overlay.gif"):
        assert (tmp_path / "cli" / name).read_bytes() == (tmp_path / "door" / name).read_bytes()
    one, other = (json.loads((tmp_path / name / "tracks.json").read_text()) for name in ("cli", "door"))
    assert one.pop("made")["weights"] == other.pop("made")["weights"]  # of runs in different folders
    assert one == other
    more = fit(place / "data.npz", fitted, changes=[text for text in CHANGES if text.startswith("train.")])
    assert more.run.config.start == fitted.run.name


def test_a_tracker_is_calibrated_on_what_is_given(place: Path, fitted: Fitted) -> None:
    data, samples = open_frames(place / "data.npz"), 10
    found = calibrate(fitted.tracker, data, observe=3, samples=samples)
    assert (found.before, found.after) == (None, None)
    assert found.calibration is not None
    assert (found.calibration.observed, found.calibration.samples) == (3, samples)
    judged = calibrate(fitted.tracker, data, test=data, observe=3, samples=samples)
    assert judged.calibration == found.calibration
    assert judged.after is not None
    with pytest.raises(UsageError, match="give sequences"):
        calibrate(fitted.tracker)
    assert fitted.run.calibration == fitted.calibration, "a tracker alone leaves nothing in a run"


def test_what_fit_cannot_build_again_is_refused(fitted: Fitted, place: Path) -> None:
    swapped = load(fitted.run.folder)
    swapped.consensus = FirstFrame()
    with pytest.raises(UsageError, match="SVI"):
        fit(place / "data.npz", swapped)
    with pytest.raises(UsageError, match="unknown preset"):
        fit(preset="quik")
