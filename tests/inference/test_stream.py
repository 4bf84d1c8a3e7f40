"""Frames as they come, and long movies by windows: the same estimates as of all frames at once."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from small_model import FINDERS
from torch import Tensor

from vtssi_pyro.config.variants import PAPER
from vtssi_pyro.errors import UsageError
from vtssi_pyro.inference import filter as filtering
from vtssi_pyro.inference.filter import Estimate, Stream, forecast, joined, track
from vtssi_pyro.model.blocks.residual_mot import ResidualMOTConfig
from vtssi_pyro.model.config import ModelConfig, TestTime

BLOCKS = [
    (variant, finder)
    for variant in PAPER.names
    for finder in FINDERS
    if variant != "air" or finder == "learned"
]
TRACKERS = pytest.mark.parametrize(("variant", "finder"), BLOCKS)


def same(found: Estimate, expected: Estimate) -> None:
    for a, b in zip(found.tracks, expected.tracks, strict=True):
        torch.testing.assert_close(a, b, equal_nan=True)
    torch.testing.assert_close(found.frames, expected.frames)


@TRACKERS
def test_frames_as_they_come_are_told_as_offline(variant: str, finder: str, tiny, blobs) -> None:
    frames = blobs(2, 12)
    tracker = tiny(variant, finder)
    stream = Stream(tracker)
    answers = [stream.push(frames[:, t : t + 1]) for t in range(12)]
    assert [answer is None for answer in answers] == [t + 1 < stream.needed for t in range(12)]
    same(joined([answer for answer in answers if answer is not None], 1), track(tracker, frames))


def eager(config: ModelConfig) -> ModelConfig:
    """With everything that looks at frames twice at test time."""
    return replace(
        config,
        finder=FINDERS["template"],
        motion=ResidualMOTConfig(M=3, motion=3, units=8, heads=(8,), transition=(8, 8), extents=True),
        test_time=TestTime(hypotheses=3, refine=2, settled=4, tight=True),
    )


def test_what_is_settled_on_the_first_frames_holds(tiny, blobs, config: ModelConfig) -> None:
    frames, tracker = blobs(2, 12), tiny(config=eager(config))
    stream = Stream(tracker)
    assert stream.needed == 4
    answers = [stream.push(frames[:, t : t + 1]) for t in range(12)]
    offline = track(tracker, frames, settle=stream.needed)
    same(joined([answer for answer in answers if answer is not None], 1), offline)
    stream = Stream(tracker)  # as many frames at once as there are change nothing
    first, rest = stream.push(frames[:, :9]), stream.push(frames[:, 9:])
    assert first is not None
    assert rest is not None
    same(joined([first, rest], 1), offline)
    assert not torch.equal(offline.frames, track(tracker, frames).frames)  # which may look at all frames


@TRACKERS
def test_windows_change_nothing(variant: str, finder: str, tiny, blobs, monkeypatch: Any) -> None:
    frames = blobs(2, 13)
    tracker = tiny(variant, finder)
    horizon = 4 if tracker.motion.predicts else 0
    whole = forecast(tracker, frames, horizon)
    monkeypatch.setattr(filtering, "WINDOW", 5)
    same(forecast(tracker, frames, horizon), whole)


@pytest.mark.parametrize("length", [5, 13])  # in one window, and in several
def test_draws_without_noise_are_the_modes(length: int, tiny, blobs, monkeypatch: Any) -> None:
    frames, tracker = blobs(2, length), tiny()
    monkeypatch.setattr(filtering, "WINDOW", 6)
    told = forecast(tracker, frames, 3, num_samples=2, temperature=0.0).tracks
    assert told.samples is not None
    for sample in told.samples:
        there = told.present.unsqueeze(-1).expand_as(sample)
        torch.testing.assert_close(sample[there], told.position[there])


def test_draws_spread_as_the_model_says(tiny, blobs) -> None:
    """In frames that are seen as much as their own scale, a frame ahead by the transition's, too."""
    frames, tracker = blobs(2, 13), tiny()
    told = forecast(tracker, frames, 2, num_samples=4000).tracks
    mode_alone = forecast(tracker, frames, 2).tracks
    assert told.samples is not None
    there = told.present.unsqueeze(-1).expand_as(told.position)
    spread, scale = told.samples.std(0), mode_alone.scale
    seen = there.clone()
    seen[:, 13:] = False
    torch.testing.assert_close(spread[seen], scale[seen], rtol=0.06, atol=1e-3)
    torch.testing.assert_close(told.scale[seen], scale[seen])
    ahead = there.clone()
    ahead[:, :13] = False
    torch.testing.assert_close(told.scale[ahead], spread[ahead])
    assert (spread[ahead] > 0.94 * scale[ahead]).all()


def test_what_is_remembered_does_not_grow(tiny, blobs) -> None:
    def sizes(value: Any) -> int:
        if isinstance(value, Tensor):
            return value.untyped_storage().nbytes()
        if isinstance(value, dict):
            return sizes(tuple(value.values()))
        return sum(sizes(part) for part in value) if isinstance(value, tuple) else 0

    frames, stream = blobs(1, 30), Stream(tiny())
    stream.push(frames[:, :10])
    before = sizes(stream._belief)
    assert before > 0
    for t in range(10, 30):
        stream.push(frames[:, t : t + 1])
    assert sizes(stream._belief) <= before


def test_a_movie_shorter_than_the_consensus_is_read_at_its_end(tiny, blobs) -> None:
    frames, tracker = blobs(2, 2), tiny()
    stream = Stream(tracker)
    assert stream.push(frames) is None
    estimate = stream.flush()
    assert estimate is not None
    same(estimate, track(tracker, frames))
    with pytest.raises(UsageError, match="ended after 2 frames, of 3"):
        stream.push(frames)


def test_nothing_waits_where_all_was_read(tiny, blobs) -> None:
    stream = Stream(tiny())
    assert stream.push(blobs(2, 5)) is not None
    assert stream.flush() is None


def test_the_first_window_holds_what_the_consensus_needs(tiny, blobs, monkeypatch: Any) -> None:
    frames, tracker = blobs(2, 7), tiny()
    whole = track(tracker, frames)
    monkeypatch.setattr(filtering, "WINDOW", 1)  # of the consensus's three frames
    same(track(tracker, frames), whole)


def test_the_future_does_not_change_the_past(tiny, blobs) -> None:
    frames, tracker = blobs(1, 9), tiny()
    other = frames.clone()
    other[:, 7:] = 0
    first, second = track(tracker, frames).tracks, track(tracker, other).tracks
    torch.testing.assert_close(first.position[:, :7], second.position[:, :7], equal_nan=True)
