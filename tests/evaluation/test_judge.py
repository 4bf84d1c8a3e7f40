"""Anything that tracks is judged: an oracle is perfect in any order, and who cannot predict has no such error."""

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from small_model import K
from torch import Tensor

import vtssi_pyro
from vtssi_pyro.data import ArrayDataset
from vtssi_pyro.errors import DataError
from vtssi_pyro.evaluation import judge as judging
from vtssi_pyro.evaluation.judge import MultiObjectTracker, compare, find, judge
from vtssi_pyro.inference.filter import forecast, track
from vtssi_pyro.inference.model_tracker import ModelTracker
from vtssi_pyro.model.config import TestTime
from vtssi_pyro.tracks.tracks import Tracks

S, T, N, SIDE, OBSERVE = 70, 7, 3, 24, 3  # more sequences than are judged at a time


def blobs(objects: int) -> ArrayDataset:
    """A bright dot for every object; the first pixel tells the number of the sequence."""
    position = SIDE * (0.2 + 0.6 * torch.rand(S, T, objects, 2))
    missing = torch.rand(S, 1, objects, 1) > 0.7
    missing[:, :, 0] = False
    position = position.masked_fill(missing, torch.nan)
    axis = torch.arange(SIDE) + 0.5
    x, y = ((-((axis - position[..., i, None]) ** 2) / 2).exp().nan_to_num(0.0) for i in (0, 1))
    frames = 255 * (y[..., :, None] * x[..., None, :]).sum(2).clamp(0, 1)
    frames[..., 0, 0] = torch.arange(S)[:, None]
    return ArrayDataset("dots", frames.byte().numpy(), position.numpy())


@dataclass
class Oracle:
    """Tells what the truth is of sequences that it knows by their first pixel; slots in another order if asked."""

    truth: Tracks
    permuted: bool = False
    per_frame_count: bool = False

    def track(self, frames: Tensor) -> Tracks:
        index = (255 * frames[:, 0, 0, 0, 0]).round().long()
        position, present = self.truth.position[index], self.truth.present[index]
        if self.permuted:
            order = torch.rand(len(index), N).argsort(-1)[:, None].expand(-1, T, -1)
            present = present.gather(2, order)
            position = position.gather(2, order[..., None].expand(-1, -1, -1, 2))
        return Tracks(position, present).part(frames=slice(frames.shape[1]))

    def forecast(self, frames: Tensor, horizon: int, samples: int) -> Tracks | None:
        length = frames.shape[1] + horizon
        return self.track(frames[:, :1].expand(-1, length, -1, -1, -1))


class CentreOfMass:
    """One object, where the light is; it has no idea of what comes next."""

    def track(self, frames: Tensor) -> Tracks:
        frames = frames[:, :, 0].clone()
        frames[..., 0, 0] = 0
        axis = torch.arange(SIDE) + 0.5
        light = frames.sum((-2, -1))
        x, y = (frames.sum(-2) * axis).sum(-1) / light, (frames.sum(-1) * axis).sum(-1) / light
        position = torch.stack([x, y], -1).unsqueeze(2)
        return Tracks(position, torch.ones(position.shape[:-1], dtype=torch.bool))

    def forecast(self, frames: Tensor, horizon: int, samples: int) -> Tracks | None:
        return None


@pytest.mark.parametrize("permuted", [False, True])
@pytest.mark.parametrize("per_frame", [False, True])
def test_an_oracle_is_perfect(permuted: bool, per_frame: bool) -> None:
    data = blobs(N)
    assert data.truth is not None
    found = judge(Oracle(data.truth, permuted, per_frame), data, OBSERVE)
    assert (found.count_accuracy, found.count_accuracy_observed, found.sequences) == (1, 1, S)
    assert (found.inference_error, found.prediction_error) == (0, 0)
    assert found.prediction_error_by_frame == [0] * (T - OBSERVE)
    assert (found.identity_switches, found.predictions_outside) == (0, 0)


def test_a_foreign_tracker_is_judged() -> None:
    found = judge(CentreOfMass(), blobs(1), OBSERVE)
    assert found.count_accuracy == 1
    assert found.inference_error is not None
    assert 0 < found.inference_error < 0.3
    crowded = judge(CentreOfMass(), blobs(N), OBSERVE)
    assert crowded.count_accuracy is not None
    assert crowded.count_accuracy < 1


def test_who_cannot_predict_has_no_prediction_error() -> None:
    found = judge(CentreOfMass(), blobs(1), OBSERVE)
    assert found.prediction_error is None
    assert found.prediction_error_by_frame == found.predictions_outside_by_frame == []


class Watched(Oracle):
    """Writes down how many frames it is shown, and to what end; finds objects late."""

    def __init__(self, truth: Tracks) -> None:
        super().__init__(truth)
        self.shown: list[tuple[str, int, int]] = []

    def track(self, frames: Tensor) -> Tracks:
        self.shown.append(("track", len(frames), frames.shape[1]))
        tracks = super().track(frames)
        late = frames.shape[1] > OBSERVE
        return tracks if late else tracks._replace(present=tracks.present & False)

    def forecast(self, frames: Tensor, horizon: int, samples: int) -> Tracks | None:
        self.shown.append(("forecast", frames.shape[1], horizon))
        return None


def test_what_is_begun_has_seen_the_first_frames_alone() -> None:
    data = blobs(N)
    assert data.truth is not None
    tracker = Watched(data.truth)
    found = judge(tracker, data, OBSERVE)
    for batch in (64, S - 64):
        expected = [("track", batch, T), ("forecast", OBSERVE, T - OBSERVE), ("track", batch, OBSERVE)]
        assert tracker.shown[:3] == expected
        del tracker.shown[:3]
    assert not tracker.shown
    assert (found.count_accuracy, found.count_accuracy_observed) == (1, 0)
    judge(tracker, data, T + 1, limit=2)  # nothing is left to predict
    assert tracker.shown == [("track", 2, T)]


def test_tracks_are_judged_as_the_tracker_that_made_them() -> None:
    data = blobs(N)
    assert data.truth is not None
    tracks = data.truth._replace(position=data.truth.position + torch.randn(S, T, N, 2))

    class Same(Oracle):
        def forecast(self, frames: Tensor, horizon: int, samples: int) -> Tracks | None:
            return None

    for limit in (None, 5):
        assert judge(tracks, data, OBSERVE, limit) == judge(Same(tracks), data, OBSERVE, limit)
    with pytest.raises(DataError, match="do not fit"):
        judge(tracks.part(frames=slice(T - 1)), data, OBSERVE)


@pytest.mark.parametrize("kind", ["vtssi", "find", "air"])
def test_the_models_tracker_is_one_of_them(kind: str, tiny, frames: Tensor) -> None:
    tracker = tiny(kind).float()
    frames = frames.float()
    judged = ModelTracker(tracker)
    assert isinstance(judged, MultiObjectTracker)
    assert judged.per_frame_count == (kind == "air")
    assert torch.equal(judged.track(frames).position, track(tracker, frames).tracks.position)
    later = judged.forecast(frames, 2, 3)
    if kind == "vtssi":
        assert later is not None
        assert later.samples is not None
        expected = forecast(tracker, frames, 2, 3).tracks.samples
        assert torch.equal(later.samples, expected)
    else:
        assert later is None
    position = torch.rand(*frames.shape[:2], 2, 2).numpy()
    data = ArrayDataset("dots", frames.numpy(), position)
    found = find(judged, data, OBSERVE)
    assert found.per_frame_count == judged.per_frame_count
    assert found.ahead.present.shape[1] == (data.length if kind == "vtssi" else OBSERVE)
    assert vtssi_pyro.judge(tracker, data, OBSERVE) == judge(judged, data, OBSERVE)
    assert compare(data, found, OBSERVE) == judge(judged, data, OBSERVE)


@pytest.mark.parametrize(("settle", "on"), [(None, T), (OBSERVE, OBSERVE), (1, OBSERVE), (5, 5), (99, T)])
def test_a_count_tells_the_frames_that_it_rests_on(settle: int | None, on: int, tiny, blobs) -> None:
    """Later frames change nothing of the objects: neither their number nor their looks; at least K are needed."""
    asked = TestTime(hypotheses=3)
    tracker = tiny("rect-find", "template").float()
    judged, frames = ModelTracker(tracker, asked, settle), blobs(4, T).float()
    assert judged.count_frames(T) == on
    found = track(tracker, frames, settle=settle, test_time=asked)
    assert torch.equal(judged.track(frames).position.nan_to_num(), found.tracks.position.nan_to_num())
    later = frames.clone()
    later[:, on:] = later[:, on:].flip(-1).roll(1, 0)
    other = track(tracker, later, settle=settle, test_time=asked)
    assert torch.equal(found.appearance, other.appearance)
    assert torch.equal(found.tracks.present[:, 0], other.tracks.present[:, 0])
    data = ArrayDataset("dots", frames.numpy(), torch.rand(4, T, 2, 2).numpy())
    evaluation = vtssi_pyro.judge(tracker, data, OBSERVE, settle=settle, test_time=asked)
    assert evaluation == judge(judged, data, OBSERVE)
    assert evaluation.count_frames == on
    if settle == OBSERVE:  # the count is that of the observed frames alone
        assert evaluation.count_accuracy == evaluation.count_accuracy_observed


@pytest.mark.parametrize(("kind", "on"), [("air", 1), ("find", 1), ("vtssi", K)])
def test_a_single_hypothesis_counts_on_its_own_frames(kind: str, on: int, tiny, blobs) -> None:
    tracker = tiny(kind).float()
    assert {ModelTracker(tracker, settle=settle).count_frames(T) for settle in (None, K, T)} == {on}
    data = ArrayDataset("dots", blobs(4, T).float().numpy(), torch.rand(4, T, 2, 2).numpy())
    found = judge(ModelTracker(tracker), data, OBSERVE)
    assert (found.count_frames, found.per_frame_count) == (on, kind == "air")


def test_who_does_not_tell_has_a_count_all_the_same() -> None:
    found = judge(CentreOfMass(), blobs(1), OBSERVE)
    assert (found.count_frames, found.count_accuracy) == (None, 1)


@pytest.mark.parametrize("name", ["judge", "metrics", "mot_metrics"])
def test_judges_do_not_know_how_tracks_are_made(name: str) -> None:
    tree = ast.parse((Path(judging.__file__).parent / f"{name}.py").read_text())
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not any(m.startswith(("pyro", "vtssi_pyro.inference", "vtssi_pyro.model.blocks")) for m in modules)
