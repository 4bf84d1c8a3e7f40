"""Whatever tracks is judged by the same two calls: objects, tracks, their files, runs' names, trackers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from vtssi_pyro import evaluate, judge, load, load_digits, moving_digits, track
from vtssi_pyro.data import MovingDigits, write
from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.evaluation import judge as judging
from vtssi_pyro.tracks.tracks import Tracks

NAME, OBSERVE = "moving-mnist", 5


class InTheMiddle:
    """One object that never leaves the middle, with nothing but the two methods."""

    def track(self, frames: Tensor) -> Tracks:
        shape = (*frames.shape[:2], 1)
        return Tracks(torch.full((*shape, 2), frames.shape[-1] / 2), torch.ones(shape, dtype=torch.bool))

    def forecast(self, frames: Tensor, horizon: int, samples: int) -> Tracks | None:
        return self.track(frames[:, :1].expand(-1, frames.shape[1] + horizon, -1, -1, -1))


@pytest.fixture(scope="module")
def data() -> MovingDigits:
    torch.set_num_threads(1)
    return moving_digits("linear", load_digits("embedded", "test"), sequences=8, seed=1, length=8)


def test_two_methods_are_enough(data: MovingDigits) -> None:
    found = evaluate(InTheMiddle(), data)
    assert found.observe == OBSERVE
    assert found.evaluation == judging.judge(InTheMiddle(), data, OBSERVE) == judge(InTheMiddle(), data)
    assert found.evaluation.as_dict() == found.metrics
    assert found.evaluation.prediction_error is not None
    assert evaluate(InTheMiddle(), data, limit=3).metrics["sequences"] == 3


def test_the_count_is_judged_by_frame_if_asked(data: MovingDigits) -> None:
    assert data.truth is not None
    late = data.truth._replace(present=data.truth.present.clone())
    late.present[:, 0] = False
    whole = judge(late, data).count_accuracy
    by_frame = judge(late, data, per_frame_count=True).count_accuracy
    assert whole == 1
    assert by_frame is not None
    assert by_frame < 1


@pytest.mark.slow
def test_tracks_are_judged_from_memory_and_from_files(data: MovingDigits, tmp_path: Path) -> None:
    write(tmp_path / "data.npz", data)
    tracks = track(NAME, data, out=tmp_path / "tracks").tracks
    expected = judge(tracks, data)
    for place in (tmp_path / "tracks" / "tracks.csv", str(tmp_path / "tracks" / "mot")):
        found = judge(place, tmp_path / "data.npz")
        assert found.count_accuracy == expected.count_accuracy
        assert found.inference_error == pytest.approx(expected.inference_error, abs=0.01)
        assert found.prediction_error is None


@pytest.mark.slow
def test_names_and_trackers_are_judged_alike(data: MovingDigits, tmp_path: Path) -> None:
    write(tmp_path / "data.npz", data)
    expected = evaluate(NAME, tmp_path / "data.npz").evaluation
    assert judge(NAME, str(tmp_path / "data.npz")) == judge(load(NAME), tmp_path / "data.npz") == expected
    assert judge(load(NAME), data).sequences == len(data)


def test_who_cannot_be_judged_is_told(data: MovingDigits, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a int is no tracker: expected"):
        evaluate(5, data)
    with pytest.raises(UsageError, match="leave it out"):
        evaluate(InTheMiddle(), data, device="cpu")
    with pytest.raises(UsageError, match=r"settle: .* decides by itself"):
        evaluate(InTheMiddle(), data, settle=5)
    pytest.importorskip("trackeval")
    with pytest.raises(DataError, match="mot needs boxes"):
        evaluate(InTheMiddle(), data, mot=True)
    np.savez(tmp_path / "blind.npz", frames=np.zeros((2, 6, 50, 50), np.uint8))
    with pytest.raises(DataError, match="no positions to judge by"):
        judge(InTheMiddle(), tmp_path / "blind.npz")


def test_boxes_are_judged_and_written(data: MovingDigits, tmp_path: Path) -> None:
    pytest.importorskip("trackeval")
    assert data.truth is not None
    found = evaluate(data.truth, data, mot=True, export=tmp_path / "export", limit=2)
    assert found.metrics["mot"]["hota"] == pytest.approx(1)
    assert "mot" not in found.evaluation.as_dict()
    assert (tmp_path / "export").is_dir()
