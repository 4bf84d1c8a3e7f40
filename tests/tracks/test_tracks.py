"""Tracks cut and joined: every field goes along, on its own axes."""

import numpy as np
import pytest
import torch

from vtssi_pyro.tracks.summary import Findings, findings
from vtssi_pyro.tracks.tracks import Tracks, concatenated

B, T, N, S = 3, 5, 2, 4


def drawn() -> Tracks:
    shape = (B, T, N)
    pairs = (torch.rand(*shape, 2) for _ in range(3))
    position, box, scale = pairs
    visible, depth, angle = (torch.rand(shape) for _ in range(3))
    return Tracks(
        position, torch.rand(shape) > 0.3, box, scale, torch.rand(shape), torch.rand(S, *shape, 2), visible, depth,
        angle,
    )  # fmt: skip


def same(a: Tracks, b: Tracks) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("axis", [0, 1])
def test_what_is_cut_and_joined_is_as_before(axis: int) -> None:
    tracks = drawn()
    cuts = (slice(2), slice(2, None))
    parts = [tracks.part(cut) if axis == 0 else tracks.part(frames=cut) for cut in cuts]
    assert [p.present.shape[axis] for p in parts] == [2, tracks.present.shape[axis] - 2]
    assert same(concatenated(parts, axis), tracks)


def test_a_part_has_every_axis() -> None:
    part = drawn().part(slice(1, 2), slice(1, 4))
    assert part.position.shape == (1, 3, N, 2)
    assert part.samples is not None
    assert part.samples.shape == (S, 1, 3, N, 2)


def test_what_is_unknown_stays_unknown() -> None:
    bare = Tracks(*drawn()[:2])
    for tracks in (bare.part(slice(1)), concatenated([bare, bare]), bare.moved(lambda p: p, np.ones(2))):
        assert all(field is None for field in tracks[2:])


def test_tracks_begin_where_something_of_an_object_is_shown() -> None:
    """Later frames in which it is hidden stay, and frames whose confidence is not known are no guesses."""
    nan = float("nan")
    confidence = torch.tensor([[0.0, 0.1], [0.0, 0.0], [0.2, 0.5], [0.0, 0.0]])  # (T, N)
    tracks = drawn().part(slice(1), slice(4))._replace(confidence=confidence[None])
    begun = tracks.begun()
    guessed = torch.tensor([[True, False], [True, False], [False, False], [False, False]])
    torch.testing.assert_close(begun.present[0], tracks.present[0] & ~guessed)
    for name in ("position", "box", "scale", "confidence", "visible", "depth", "angle"):
        before, after = getattr(tracks, name)[0], getattr(begun, name)[0]
        assert after[guessed].isnan().all(), name
        assert torch.equal(after[~guessed], before[~guessed]), name
    unknown = tracks._replace(confidence=torch.full_like(tracks.confidence, nan))
    assert torch.equal(unknown.begun().present, tracks.present)


def test_points_move_and_lengths_grow() -> None:
    tracks = drawn()
    moved = tracks.moved(lambda points: 2 * points + np.float32([1, 3]), np.array([2.0, 2.0]))
    for name in ("position", "samples"):
        expected = 2 * getattr(tracks, name) + torch.tensor([1.0, 3.0])
        torch.testing.assert_close(getattr(moved, name), expected)
    for name in ("box", "scale"):
        torch.testing.assert_close(getattr(moved, name), 2 * getattr(tracks, name))
    for name in ("present", "confidence", "visible", "depth", "angle"):
        assert torch.equal(getattr(moved, name), getattr(tracks, name))


def test_findings_count_frames_that_show_an_object_between_its_first_and_its_last() -> None:
    """A gap counts as not seen, as does a frame with little confidence; frames before and after do not count."""
    present = torch.tensor([[1, 1, 0, 1, 1, 0]], dtype=torch.bool).T.reshape(1, 6, 1)
    confidence = torch.tensor([0.9, 0.2, torch.nan, 0.5, 0.8, torch.nan]).reshape(1, 6, 1)
    position = torch.where(present[..., None], 3.0, torch.nan).expand(1, 6, 1, 2)
    two = Tracks(position, present, confidence=confidence)
    empty = Tracks(position * torch.nan, present & False, confidence=confidence * torch.nan)
    found = findings(concatenated([two, empty]))
    assert found == Findings(2, 6, 1, 0, 1, pytest.approx(3 / 5))
    assert found.line == "1 object in 2 sequences of 6 frames, 0 to 1 in each, seen in 60.0 % of their frames"
    assert findings(two).line == "1 object in 6 frames, seen in 60.0 % of their frames"
    assert findings(empty) == Findings(1, 6, 0, 0, 0, None)
    assert findings(empty).line == "0 objects in 6 frames"
