"""Corrections by hand change the named track in the named frames and nothing else, in every field."""

from collections.abc import Callable

import pytest
import torch

from vtssi_pyro.errors import UsageError
from vtssi_pyro.tracks import editing
from vtssi_pyro.tracks.tracks import Tracks

B, T, N, S = 2, 8, 3, 2


def tracks() -> Tracks:
    """Of sequence 1, slot 0 is in frames 0 to 3, slot 1 in 4 to 7, slot 2 always; every value is another."""
    present = torch.ones(B, T, N, dtype=torch.bool)
    present[1, 4:, 0] = present[1, :4, 1] = False

    def values(*shape: int) -> torch.Tensor:
        count = torch.arange(torch.Size(shape).numel()).double().reshape(shape)
        there = present if len(shape) == 3 else present[..., None]
        return count.where(there, torch.nan)

    samples = torch.stack([values(B, T, N, 2) + 1000 * draw for draw in range(S)])
    pair, single = (B, T, N, 2), (B, T, N)
    return Tracks(
        values(*pair), present, values(*pair) + 0.1, values(*pair) + 0.2, values(*single), samples,
        values(*single) + 0.3, values(*single) + 0.4, values(*single) + 0.5,
    )  # fmt: skip


def fields(tracks: Tracks) -> dict[str, torch.Tensor]:
    """Every field with the axes (B, T, N, ...)."""
    return {
        name: field.movedim(0, -1) if name == "samples" else field
        for name, field in tracks._asdict().items()
        if field is not None
    }


def assert_slot(found: Tracks, slot: int, expected: list[int], sequence: int = 1) -> None:
    """The frames of a slot hold what these slots of the original held; -1: nothing."""
    for name, field in fields(tracks()).items():
        empty = (
            torch.zeros_like(field[0, 0, 0])
            if name == "present"
            else torch.full_like(field[0, 0, 0], torch.nan)
        )
        own = torch.stack([empty if n < 0 else field[sequence, t, n] for t, n in enumerate(expected)])
        assert torch.equal(own.nan_to_num(-1.0), fields(found)[name][sequence, :, slot].nan_to_num(-1.0)), (
            name
        )


def test_delete() -> None:
    found = editing.delete(tracks(), 1, 2)
    assert_slot(found, 2, [-1] * T)
    assert_slot(found, 0, [0] * T)
    assert_slot(editing.delete(tracks(), 1, 2, slice(3, 5)), 2, [2, 2, 2, -1, -1, 2, 2, 2])


def test_split_takes_a_new_slot_or_one_that_is_empty() -> None:
    found = editing.split(tracks(), 1, 2, 5)
    assert found.present.shape[2] == N + 1
    assert_slot(found, 2, [2] * 5 + [-1] * 3)
    assert_slot(found, 3, [-1] * 5 + [2] * 3)
    reused = editing.split(editing.delete(tracks(), 1, 0), 1, 2, 5)
    assert reused.present.shape[2] == N
    assert_slot(reused, 0, [-1] * 5 + [2] * 3)


def test_join() -> None:
    found = editing.join(tracks(), 1, 1, 0)
    assert_slot(found, 1, [0] * 4 + [1] * 4)
    assert_slot(found, 0, [-1] * T)
    assert_slot(found, 2, [2] * T)


def test_swap() -> None:
    found = editing.swap(tracks(), 1, 0, 2, 2)
    assert_slot(found, 0, [0, 0, 2, 2, 2, 2, 2, 2])
    assert_slot(found, 2, [2, 2, 0, 0, 0, 0, 0, 0])
    assert_slot(found, 1, [1] * T)


@pytest.mark.parametrize(
    "edit",
    [
        lambda t: editing.delete(t, 1, 2), lambda t: editing.split(t, 1, 2, 5), lambda t: editing.join(t, 1, 1, 0),
        lambda t: editing.swap(t, 1, 0, 2, 2),
    ],
    ids=str.split("delete split join swap"),
)  # fmt: skip
def test_other_sequences_and_the_given_tracks_stay(edit: Callable[[Tracks], Tracks]) -> None:
    given = tracks()
    found = edit(given)
    for slot in range(N):
        assert_slot(found, slot, [slot] * T, sequence=0)
        assert_slot(given, slot, [slot] * T)


def test_a_correction_is_undone_by_its_inverse() -> None:
    twice = editing.swap(editing.swap(tracks(), 1, 0, 2, 2), 1, 0, 2, 2)
    back = editing.join(editing.split(tracks(), 1, 2, 5), 1, 2, 3)
    for slot in range(N):
        assert_slot(twice, slot, [slot] * T)
        assert_slot(back, slot, [slot] * T)


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (lambda t: editing.delete(t, 1, 3), "there is no track 3"),
        (lambda t: editing.delete(t, 1, -1), "there is no track -1"),
        (lambda t: editing.delete(t, 2, 0), "sequence 2: there are 2"),
        (lambda t: editing.delete(t, 1, 0, slice(4, 8)), "in frames 0 to 3"),
        (lambda t: editing.split(t, 1, 0, 0), "in frames 0 to 3"),
        (lambda t: editing.split(t, 1, 0, 4), "in frames 0 to 3"),
        (lambda t: editing.join(t, 1, 0, 0), "choose two"),
        (lambda t: editing.join(t, 1, 0, 2), "both in frame 0"),
        (lambda t: editing.swap(t, 1, 1, 1), "choose two"),
        (lambda t: editing.swap(editing.delete(t, 1, 2, slice(3, 8)), 1, 0, 2, 4), "have ended before"),
    ],
)
def test_what_makes_no_sense_is_refused(edit: Callable[[Tracks], Tracks], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        edit(tracks())
