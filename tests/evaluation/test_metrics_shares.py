"""Metrics of some of the sequences, of the first frames and of long predictions, on tracks made by hand."""

import json
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from vtssi_pyro.evaluation.metrics import evaluate
from vtssi_pyro.tracks.tracks import Tracks


def tracks(position: Tensor, present: Tensor | None = None) -> Tracks:
    present = torch.ones(position.shape[:-1], dtype=torch.bool) if present is None else present
    return Tracks(position.where(present[..., None], torch.full_like(position, torch.nan)), present)


def still(places: Sequence[Sequence[float]], length: int = 4) -> Tensor:
    """Two objects a sequence, on one row, that do not move: (B, length, 2, 2) from x of each, px."""
    x = torch.tensor(places, dtype=torch.float32)[:, None, :, None].expand(-1, length, -1, -1)
    return torch.cat([x, torch.full_like(x, 25.0)], -1)


def test_one_and_two_objects_are_told_apart() -> None:
    truth = still([[10, 40], [10, 40], [10, 40], [10, 40]])
    present = torch.ones(4, 4, 2, dtype=torch.bool)
    present[:2, :, 1] = False  # one object in two sequences
    found = truth.clone()
    found[0, ..., 0] += 1
    found[1, ..., 0] += 2
    found[2, :, 0, 0] += 3  # the other object of this sequence is hit
    seen = present.clone()
    seen[3, :, 1] = False  # and of this one, one is missed
    result = evaluate(tracks(truth, present), tracks(found, seen), tracks(found, seen), observe=2)
    none, one, two = (result.by_objects[number] for number in "012")
    assert (none.sequences, none.count_accuracy, none.inference_error) == (0, None, None)
    assert (one.sequences, one.count_accuracy, one.inference_error) == (2, 1.0, 1.5)
    assert (two.sequences, two.count_accuracy) == (2, 0.5)
    assert two.inference_error == pytest.approx(1.0)  # (3 + 0 + 0) / 3
    assert two.prediction_error == pytest.approx(1.0)
    assert one.inference_error_sem == pytest.approx(0.5)  # s / sqrt(2) of 1 and 2
    assert one.prediction_error_sem == pytest.approx(0.5)
    assert one.count_accuracy_sem == 0.0


def test_the_bins_of_distance_look_at_observed_frames_only() -> None:
    gaps = [[10.0, 10 + gap] for gap in (0, 4.9, 5, 12, 19.9, 20, 35)]
    truth = still(gaps)
    truth[:, 3, 1] = truth[:, 3, 0]  # in the end all meet
    truth[5, 1, 1, 0] = 13.0  # and one pair meets while observed
    present = torch.ones(7, 4, 2, dtype=torch.bool)
    present[6, :, 1] = False  # alone: in no bin
    seen = present.clone()
    seen[0, :, 1] = False  # where objects are closest, one is missed
    result = evaluate(tracks(truth, present), tracks(truth, seen), None, observe=2)
    bins = {name: (part.sequences, part.count_accuracy) for name, part in result.by_distance.items()}
    expected = {"0-5": (3, 2 / 3), "5-10": (1, 1.0), "10-15": (1, 1.0), "15-20": (1, 1.0), "20+": (0, None)}
    assert {name: (n, c and pytest.approx(c)) for name, (n, c) in expected.items()} == bins


def test_objects_that_are_never_there_together_are_in_no_bin() -> None:
    present = torch.ones(1, 4, 2, dtype=torch.bool)
    present[:, :2, 0], present[:, 2:, 1] = False, False
    result = evaluate(tracks(still([[10, 12]]), present), tracks(still([[10, 12]]), present), None, observe=4)
    assert sum(part.sequences for part in result.by_distance.values()) == 0


def test_the_count_of_the_first_frames_alone() -> None:
    truth = tracks(still([[10, 40], [10, 40]]))
    late = torch.ones(2, 4, 2, dtype=torch.bool)
    late[0, :2, 1] = False  # seen from the third frame on
    found = tracks(truth.position, late)
    result = evaluate(truth, found, None, observe=2)
    assert (result.count_accuracy, result.count_accuracy_observed) == (1.0, 0.5)
    assert result.count_accuracy_observed_sem == pytest.approx(0.5)  # of 0 and 1
    per_frame = evaluate(truth, found, None, observe=2, per_frame_count=True)
    assert (per_frame.count_accuracy, per_frame.count_accuracy_observed) == (0.75, 0.5)
    fewer = tracks(truth.position[:, :2, :1])
    assert evaluate(truth, found, None, observe=2, begun=fewer).count_accuracy_observed == 0.0
    assert evaluate(truth, truth, found, observe=2).count_accuracy_observed == 0.5  # what predicts, counts


def test_a_long_prediction_frame_by_frame() -> None:
    """An object that stands still, predicted to drift by one pixel a frame: out of the frame after 25."""
    horizon, observe = 100, 5
    truth = still([[25, 25]], observe + horizon)
    present = torch.zeros(1, observe + horizon, 2, dtype=torch.bool)
    present[..., 0] = True
    drift = (torch.arange(observe + horizon) - observe + 1).clamp(min=0)
    predicted = truth.clone()
    predicted[..., 0] += drift[None, :, None]
    result = evaluate(
        tracks(truth, present),
        tracks(truth, present),
        tracks(predicted, present),
        observe,
        frame_size=(60, 50),
    )
    assert result.prediction_error_by_frame == pytest.approx([float(h) for h in range(1, 101)])
    assert result.predictions_outside_by_frame == [0.0] * 25 + [1.0] * 75
    assert result.predictions_outside == 0.75
    assert result.prediction_error_median == pytest.approx(50.5)


def test_nothing_predicted_leaves_nothing_outside() -> None:
    truth = tracks(still([[10, 40]]))
    for result in (
        evaluate(truth, truth, None, 2, frame_size=(50, 50)),
        evaluate(truth, truth, truth, 2),
        evaluate(truth, truth, truth, 4, frame_size=(50, 50)),
    ):
        assert (result.predictions_outside, result.predictions_outside_by_frame) == (None, [])
        json.dumps(result.as_dict(), allow_nan=False)
