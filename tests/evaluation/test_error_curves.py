"""Laws of error curves: the errors of tracks by frame."""

import pytest
import torch

from vtssi_pyro.evaluation.curves import ErrorCurve, Level
from vtssi_pyro.evaluation.metrics import evaluate
from vtssi_pyro.tracks.tracks import Tracks

B, T, N = 6, 9, 2


def truth(counts: torch.Tensor | None = None) -> Tracks:
    position = 50 * torch.rand(B, T, N, 2)
    counts = torch.full((B,), N) if counts is None else counts
    present = (torch.arange(N) < counts[:, None]).unsqueeze(1).expand(B, T, N)
    return Tracks(position.where(present.unsqueeze(-1), torch.nan), present)


def test_a_perfect_tracker_has_no_error() -> None:
    same = truth()
    curve = ErrorCurve.of(same, same, 3, [(1, T), (4, T)])
    assert curve.mean == curve.sem == [0.0] * T
    assert curve.matched == [1.0] * T
    assert curve.spans == {f"1-{T}": Level(0.0, 0.0), f"4-{T}": Level(0.0, 0.0)}


def test_a_constant_offset_is_the_error_of_every_frame() -> None:
    same = truth(torch.tensor([0, 1, 2, 2, 1, 2]))
    found = same._replace(position=same.position + torch.tensor([3.0, -4.0]))
    curve = ErrorCurve.of(same, found, 3, [(2, 5)])
    assert curve.mean == pytest.approx([5.0] * T, rel=1e-5)
    assert curve.sem == pytest.approx([0.0] * T, abs=1e-5)
    assert curve.spans["2-5"].mean == pytest.approx(5.0, rel=1e-5)


def test_a_drift_shows_in_its_frames_and_spans() -> None:
    same = truth()
    drift = torch.arange(T, dtype=torch.float32).view(1, T, 1, 1) * torch.tensor([1.0, 0.0])
    curve = ErrorCurve.of(same, same._replace(position=same.position + drift), 1, [(1, 3), (7, 9), (7, 10)])
    assert curve.mean == pytest.approx(list(range(T)), abs=1e-5)
    assert {span: round(level.mean, 4) for span, level in curve.spans.items()} == {"1-3": 1.0, "7-9": 7.0}


def test_the_matching_of_the_observed_frames_holds_for_all() -> None:
    same = truth()
    swapped = same.position.clone()
    swapped[:, 4:] = swapped[:, 4:].flip(2)
    curve = ErrorCurve.of(same, same._replace(position=swapped), 4)
    assert curve.mean[:4] == [0.0] * 4
    assert min(curve.mean[4:]) > 0
    backwards = ErrorCurve.of(same, same._replace(position=same.position.flip(2)), 4)
    assert backwards.mean == [0.0] * T


def test_objects_without_a_track_are_told() -> None:
    same = truth()
    present = same.present.clone()
    present[:2, :, 0] = False
    present[:, 6:] = False
    lost = same._replace(present=present, position=same.position.where(present.unsqueeze(-1), torch.nan))
    curve = ErrorCurve.of(same, lost, 3)
    assert curve.matched == pytest.approx([10 / 12] * 6 + [0.0] * 3)
    assert curve.mean == [0.0] * 6 + [None] * 3
    empty = ErrorCurve.of(truth(torch.zeros(B)), lost, 3)
    assert empty.matched == empty.mean == empty.sem == [None] * T


def test_it_agrees_with_the_evaluation() -> None:
    same = truth(torch.tensor([0, 1, 2, 2, 1, 2]))
    found = same._replace(position=same.position + torch.randn(B, T, N, 2))
    curve, whole = ErrorCurve.of(same, found, 3, [(1, T), (4, T)]), evaluate(same, found, found, 3)
    assert curve.mean == whole.inference_error_by_frame
    assert curve.mean[3:] == whole.prediction_error_by_frame
    assert curve.spans[f"1-{T}"] == Level(whole.inference_error, whole.inference_error_sem)
    assert curve.spans[f"4-{T}"] == Level(whole.prediction_error, whole.prediction_error_sem)
    one = torch.stack([(found.position - same.position).norm(dim=-1)[2:4, 0]])
    pair = ErrorCurve.of(same.part(slice(2, 4)), found.part(slice(2, 4)), T)
    assert pair.mean[0] == pytest.approx(one.mean().item(), rel=1e-5)
    sums = one[0].double().mean(-1)
    assert pair.sem[0] == pytest.approx(sums.std().item() / 2**0.5, rel=1e-4)
