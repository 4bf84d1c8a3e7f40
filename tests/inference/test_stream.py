"""Frames as they come, and long movies by windows: the same reading as of all frames at once."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from vtssi_pyro.config import ModelConfig
from vtssi_pyro.errors import UsageError
from vtssi_pyro.inference import filter as predict
from vtssi_pyro.inference import windows as sampling
from vtssi_pyro.inference.filter import Reading, Stream, forecast, track
from vtssi_pyro.model.config import VARIANTS

BLOCKS = [
    (variant, finder) for variant in VARIANTS for finder in FINDERS if variant != "air" or finder == "learned"
]
TRACKERS = pytest.mark.parametrize(("variant", "finder"), BLOCKS)


def same(found: Reading, expected: Reading) -> None:
    for a, b in zip(found.tracks, expected.tracks, strict=True):
        torch.testing.assert_close(a, b, equal_nan=True)
    torch.testing.assert_close(found.frames, expected.frames)


def joined(parts: list[Reading]) -> Reading:
    return predict._joined(parts, 1)


@TRACKERS
def test_frame_by_frame_is_the_offline_reading(variant: str, finder: str, tiny, blobs) -> None:
    frames = blobs(2, 12)
    tracker = tiny(variant, finder)
    stream = Stream(tracker)
    answers = [stream.push(frames[:, t : t + 1]) for t in range(12)]
    assert [answer is None for answer in answers] == [t + 1 < stream.needed for t in range(12)]
    same(joined([answer for answer in answers if answer is not None]), track(tracker, frames))


def eager(config: ModelConfig) -> ModelConfig:
    """With everything that looks at frames twice at test time."""
    return replace(
        config,
        finder="template",
        template=replace(config.template, refinement=2, settled=4),
        rect=replace(config.rect, tries=3),
        mot=replace(config.mot, extents=True),
    )


def test_what_is_settled_on_the_first_frames_holds(tiny, blobs, config: ModelConfig) -> None:
    frames, tracker = blobs(2, 12), tiny(config=eager(config))
    stream = Stream(tracker)
    assert stream.needed == 4
    answers = [stream.push(frames[:, t : t + 1]) for t in range(12)]
    offline = track(tracker, frames, settle=stream.needed)
    same(joined([answer for answer in answers if answer is not None]), offline)
    stream = Stream(tracker)  # as many frames at once as there are change nothing
    first, rest = stream.push(frames[:, :9]), stream.push(frames[:, 9:])
    assert first is not None
    assert rest is not None
    same(joined([first, rest]), offline)
    assert not torch.equal(offline.frames, track(tracker, frames).frames)  # which may look at all frames


@TRACKERS
def test_windows_change_nothing(variant: str, finder: str, tiny, blobs, monkeypatch: Any) -> None:
    frames = blobs(2, 13)
    tracker = tiny(variant, finder)
    horizon = 4 if tracker.motion.predicts else 0
    whole = forecast(tracker, frames, horizon)
    monkeypatch.setattr(sampling, "WINDOW", 5)
    same(forecast(tracker, frames, horizon), whole)


@pytest.mark.parametrize("length", [5, 13])  # in one window, and in several
def test_draws_without_noise_are_the_modes(length: int, tiny, blobs, monkeypatch: Any) -> None:
    frames, tracker = blobs(2, length), tiny()
    monkeypatch.setattr(sampling, "WINDOW", 6)
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
        return sum(sizes(part) for part in value) if isinstance(value, tuple) else 0

    frames, stream = blobs(1, 30), Stream(tiny())
    stream.push(frames[:, :10])
    before = sizes(stream._carry)
    for t in range(10, 30):
        stream.push(frames[:, t : t + 1])
    assert sizes(stream._carry) <= before


def test_a_movie_shorter_than_the_consensus_is_read_at_its_end(tiny, blobs) -> None:
    frames, tracker = blobs(2, 2), tiny()
    stream = Stream(tracker)
    assert stream.push(frames) is None
    reading = stream.flush()
    assert reading is not None
    same(reading, track(tracker, frames))
    with pytest.raises(UsageError, match="ended after 2 frames, of 3"):
        stream.push(frames)


def test_nothing_waits_where_all_was_read(tiny, blobs) -> None:
    stream = Stream(tiny())
    assert stream.push(blobs(2, 5)) is not None
    assert stream.flush() is None


def test_the_first_window_holds_what_the_consensus_needs(tiny, blobs, monkeypatch: Any) -> None:
    frames, tracker = blobs(2, 7), tiny()
    whole = track(tracker, frames)
    monkeypatch.setattr(sampling, "WINDOW", 1)  # of the consensus's three frames
    same(track(tracker, frames), whole)


def test_the_future_does_not_change_the_past(tiny, blobs) -> None:
    frames, tracker = blobs(1, 9), tiny()
    other = frames.clone()
    other[:, 7:] = 0
    first, second = track(tracker, frames).tracks, track(tracker, other).tracks
    torch.testing.assert_close(first.position[:, :7], second.position[:, :7], equal_nan=True)
