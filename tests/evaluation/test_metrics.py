"""Matching against brute force, errors against closed forms."""

import json
from itertools import permutations

import pytest
import torch
from torch import Tensor

from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.evaluation.metrics import Evaluation, evaluate
from vtssi_pyro.tracks.matching import assign, in_order
from vtssi_pyro.tracks.tracks import Tracks

NAN = float("nan")


def tracks(position: Tensor, present: Tensor | None = None) -> Tracks:
    """Tracks whose absent objects have NaN positions, as everywhere else."""
    present = torch.ones(position.shape[:-1], dtype=torch.bool) if present is None else present
    return Tracks(position.where(present[..., None], torch.full_like(position, NAN)), present)


def random_tracks(B: int, T: int, N: int, presence: float = 1.0) -> Tracks:
    return tracks(50 * torch.rand(B, T, N, 2), torch.rand(B, T, N) < presence)


def shifted(truth: Tracks, x: float, y: float) -> Tracks:
    return truth._replace(position=truth.position + torch.tensor([x, y]))


def brute_force(truth: Tracks, found: Tracks, prefix: int) -> list[list[int]]:
    """The matching rule in plain loops: most pairs first, then least cost."""
    out = []
    B, T, N = truth.present.shape
    M = found.present.shape[-1]
    for b in range(B):
        distance = {
            (t, i, j): (truth.position[b, t, i].double() - found.position[b, t, j].double()).norm().item()
            for t in range(min(prefix, T))
            for i in range(N)
            for j in range(M)
            if truth.present[b, t, i] and found.present[b, t, j]
        }
        largest = max(distance.values(), default=0.0)
        best = None
        for order in permutations(list(range(M)) + [-1] * N, N):
            pairs = [
                (i, j) if any((t, i, j) in distance for t in range(prefix)) else (i, -1)
                for i, j in enumerate(order)
            ]
            cost = 0.0
            for i, j in pairs:
                for t in range(min(prefix, T)) if j >= 0 else ():
                    lonely = bool(truth.present[b, t, i]) != bool(found.present[b, t, j])
                    cost += distance.get((t, i, j), largest if lonely else 0.0)
            key = (-sum(j >= 0 for _, j in pairs), cost)
            if best is None or key < best[0]:
                best = (key, [j for _, j in pairs])
        assert best is not None
        out.append(best[1])
    return out


@pytest.mark.parametrize(
    ("N", "M"),
    [
        (1, 1),
        (2, 2),
        (2, 3),
        (3, 2),
        (4, 2),
        (1, 4),
        (2, 5),
        (0, 2),
        (2, 0),
        pytest.param(5, 2, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("presence", [1.0, 0.6])
def test_the_assignment_is_the_best_of_all_assignments(N: int, M: int, presence: float) -> None:
    truth, found = random_tracks(12, 4, N, presence), random_tracks(12, 4, M, presence)
    assert assign(truth, found, 3).tolist() == brute_force(truth, found, 3)


def test_both_solvers_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, found = random_tracks(50, 5, 3, 0.8), random_tracks(50, 5, 4, 0.8)
    enumerated = assign(truth, found, 5)
    monkeypatch.setattr("vtssi_pyro.tracks.matching.ENUMERATED_SLOTS", 0)
    assert torch.equal(assign(truth, found, 5), enumerated)


@pytest.mark.parametrize("N", [2, 3, 4])
def test_of_equal_assignments_it_is_the_first(N: int) -> None:
    """Objects in one place may have any slots: rounding of the sums of distances does not deal them."""
    together = tracks(50 * torch.rand(300, 3, 1, 2).expand(-1, -1, N, -1))
    apart = random_tracks(300, 3, N)
    for truth, found in ((together, apart), (apart, together)):
        assert torch.equal(assign(truth, found, 3), torch.arange(N).expand(300, N))


def test_slots_are_put_in_order() -> None:
    torch.manual_seed(0)
    position, order = 50 * torch.rand(2, 6, 3, 2), torch.tensor([[2, 0, 1], [0, 2, 1]])
    present = torch.ones(2, 6, 3, dtype=torch.bool)
    present[1, :, 2] = False
    reference = Tracks(position.where(present.unsqueeze(-1), torch.nan), present, box=position + 1)

    def mixed(values: torch.Tensor) -> torch.Tensor:
        return torch.stack([values[b][:, order[b]] for b in range(2)])

    other = Tracks(
        mixed(reference.position), mixed(present), mixed(position + 1), samples=mixed(position)[None]
    )
    back = in_order(other, reference, 3)
    for field in ("position", "present", "box"):
        torch.testing.assert_close(getattr(back, field), getattr(reference, field), equal_nan=True)
    torch.testing.assert_close(back.samples[0], position)


def test_the_assignment_sees_the_prefix_only() -> None:
    truth = random_tracks(8, 6, 3)
    found = truth._replace(position=truth.position.clone())
    found.position[:, 2:] = found.position[:, 2:].flip(2)
    assert torch.equal(assign(truth, found, 2), torch.arange(3).expand(8, 3))


def test_a_slot_that_is_seldom_there_does_not_look_near() -> None:
    truth = tracks(torch.zeros(1, 5, 1, 2))
    position = torch.tensor([1.0, 3.0, 0.5])[:, None].expand(1, 5, 3, 2).clone()
    present = torch.ones(1, 5, 3, dtype=torch.bool)
    present[:, 1:, 2] = False  # nearest of all, and gone after one frame
    assert assign(truth, tracks(position, present), 5).tolist() == [[0]]
    present[:, 3:, 0] = False  # most of the way on the object still beats all of the way beside it
    position[:, :, 1] = 30.0
    assert assign(truth, tracks(position, present), 5).tolist() == [[0]]


def test_slots_that_appear_after_the_prefix_stay_unmatched() -> None:
    truth, found = random_tracks(1, 6, 2), random_tracks(1, 6, 2)
    found.present[:, :3, 1] = False
    assert sorted(assign(truth, found, 3)[0].tolist()) == [-1, 0]
    assert assign(truth, found, 4).min() >= 0


def test_a_shift_costs_its_length() -> None:
    truth = random_tracks(7, 9, 3)
    truth.position[..., 0] += 100 * torch.arange(3)  # so far apart that no swap pays
    result = evaluate(truth, shifted(truth, 0.3, 0.4), shifted(truth, -5.0, 12.0), observe=4)
    assert result.inference_error == pytest.approx(0.5, abs=1e-5)
    assert result.inference_error_median == pytest.approx(0.5, abs=1e-5)
    assert result.inference_error_sem == pytest.approx(0.0, abs=1e-5)
    assert result.inference_error_by_frame == pytest.approx([0.5] * 9, abs=1e-5)
    assert (result.count_accuracy, result.counted_right, result.sequences) == (1.0, 7, 7)
    assert result.identity_switches == 0.0
    assert result.prediction_error == pytest.approx(13.0, abs=1e-4)
    assert result.prediction_error_by_frame == pytest.approx([13.0] * 5, abs=1e-4)


def test_only_frames_after_the_observed_ones_count_as_predicted() -> None:
    truth = random_tracks(3, 8, 2)
    predicted = truth._replace(position=truth.position.clone())
    predicted.position[:, 5:, :, 0] += torch.tensor([1.0, 2.0, 3.0])[:, None]
    result = evaluate(truth, truth, predicted, observe=5)
    assert result.prediction_error_by_frame == pytest.approx([1.0, 2.0, 3.0], abs=1e-5)
    assert result.prediction_error == pytest.approx(2.0, abs=1e-5)
    assert result.prediction_error_median == pytest.approx(2.0, abs=1e-5)
    assert result.inference_error == 0.0


def test_swapped_slots_cost_nothing_and_a_switch_costs_the_gap() -> None:
    gap = torch.tensor([30.0, 40.0])
    first = torch.rand(4, 10, 1, 2)
    truth = tracks(torch.cat([first, first + gap], 2))
    swapped = truth._replace(position=truth.position.flip(2))
    assert evaluate(truth, swapped, swapped, observe=3).inference_error == 0.0
    half = truth._replace(position=torch.cat([truth.position[:, :6], swapped.position[:, 6:]], 1))
    result = evaluate(truth, half, half, observe=3)
    assert result.inference_error == pytest.approx(50.0 * 4 / 10)
    assert result.prediction_error_by_frame == pytest.approx([0, 0, 0, 50, 50, 50, 50])
    assert result.identity_switches == 1.0


def test_errors_are_averaged_per_object_and_matched_pairs_only() -> None:
    position = torch.tensor([[10.0, 10.0], [40.0, 40.0]]).expand(2, 4, 2, 2).clone()
    present = torch.ones(2, 4, 2, dtype=torch.bool)
    present[1, :, 1] = False  # two objects in the first sequence, one in the second
    truth = tracks(position, present)
    found = position.clone()
    found[1, :, 0, 0] += 3.0
    result = evaluate(truth, tracks(found, torch.ones_like(present)), None, observe=2)
    assert result.inference_error == pytest.approx(1.0)  # (0 + 0 + 3) / 3, not (0 + 3) / 2
    assert result.inference_error_counted_right == 0.0  # the second sequence has a slot too many
    assert (result.count_accuracy, result.counted_right) == (0.5, 1)
    fewer = tracks(found[:, :, 1:], present[:, :, 1:])  # the far object only
    result = evaluate(truth, fewer, None, observe=2)
    assert result.inference_error == 0.0
    assert result.counted_right == 0


def test_standard_errors_treat_sequences_as_the_unit() -> None:
    truth = random_tracks(6, 5, 1)
    lengths = torch.arange(6.0)
    found = truth._replace(position=truth.position.clone())
    found.position[..., 0] += lengths[:, None, None]
    present = (lengths < 4)[:, None, None].expand(6, 5, 1)
    result = evaluate(truth, tracks(found.position, present), None, observe=2)
    usual = lengths[:4].std() / 4**0.5
    assert result.inference_error_sem == pytest.approx(usual.item(), rel=1e-4)
    right = torch.tensor([1.0, 1, 1, 1, 0, 0])
    assert result.count_accuracy_sem == pytest.approx((right.std() / 6**0.5).item())


def test_counts_per_sequence_and_per_frame() -> None:
    truth = tracks(torch.zeros(2, 4, 2, 2))
    present = torch.ones(2, 4, 2, dtype=torch.bool)
    present[0, 1, 1] = False
    found = tracks(torch.zeros(2, 4, 2, 2), present)
    per_sequence = evaluate(truth, found, None, 2)
    per_frame = evaluate(truth, found, None, 2, per_frame_count=True)
    assert (per_sequence.count_accuracy, per_sequence.counted_right) == (1.0, 2)
    assert (per_frame.count_accuracy, per_frame.counted_right) == (7 / 8, 1)


def test_true_objects_that_come_later_do_not_change_the_count() -> None:
    present = torch.ones(1, 4, 2, dtype=torch.bool)
    present[:, :2, 1] = False
    found = tracks(torch.zeros(1, 4, 1, 2))
    assert evaluate(tracks(torch.zeros(1, 4, 2, 2), present), found, None, 2).counted_right == 1


@pytest.mark.parametrize(("N", "M"), [(0, 0), (2, 0), (0, 2)])
def test_without_objects_errors_are_null(N: int, M: int) -> None:
    truth, found = random_tracks(3, 6, N), random_tracks(3, 6, M)
    result = evaluate(truth, found, found, observe=5)
    assert (result.inference_error, result.prediction_error, result.inference_error_sem) == (None, None, None)
    assert result.inference_error_by_frame == [None] * 6
    assert result.prediction_error_by_frame == [None]
    assert result.count_accuracy == float(N == M)


def test_absent_objects_leave_no_nan_behind() -> None:
    truth, found = random_tracks(5, 6, 3, 0.5), random_tracks(5, 6, 3, 0.5)
    numbers = evaluate(truth, found, found, observe=3).as_dict()
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers
    errors = {f"{kind}_error{by}" for kind in ("inference", "prediction") for by in ("", "_by_frame")}
    assert {"count_accuracy", "sequences", "counted_right", *errors} <= numbers.keys()
    assert list(numbers) == list(Evaluation.__dataclass_fields__)


def test_known_counts_with_unknown_positions_are_counted() -> None:
    truth = Tracks(torch.full((2, 3, 2, 2), NAN), torch.ones(2, 3, 2, dtype=torch.bool))
    result = evaluate(truth, random_tracks(2, 3, 2), None, observe=2)
    assert (result.count_accuracy, result.inference_error) == (1.0, None)


def test_a_tracker_cannot_hide_behind_nan() -> None:
    truth = random_tracks(2, 5, 2)
    found = truth._replace(position=truth.position.clone())
    found.position[1, 3, 0, 1] = NAN
    with pytest.raises(DataError, match="sequence 1, frame 3, object 0"):
        evaluate(truth, found, None, observe=2)


def test_misfits_are_refused() -> None:
    truth = random_tracks(2, 5, 2)
    with pytest.raises(DataError, match=r"expected \(sequences, frames\) \(2, 5\), found \(2, 4\)"):
        evaluate(truth, random_tracks(2, 4, 2), None, observe=2)
    with pytest.raises(UsageError, match="found 0"):
        evaluate(truth, truth, None, observe=0)


def test_all_frames_observed_leaves_nothing_to_predict() -> None:
    truth = random_tracks(2, 3, 2)
    result = evaluate(truth, truth, truth, observe=5)
    assert (result.inference_error, result.prediction_error) == (0.0, None)
    assert result.prediction_error_by_frame == []
