"""The filter under the paper's own procedure is the guide at its modes, whatever the windows and the threads."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pyro
import pytest
import torch
from small_model import positions, rolled_out, small
from torch import Tensor

from vtssi_pyro import load, load_digits, moving_digits
from vtssi_pyro.errors import UsageError
from vtssi_pyro.evaluation.metrics import distances
from vtssi_pyro.inference.filter import Estimate, Filter, estimates, forecast, joined, track
from vtssi_pyro.inference.model_tracker import ModelTracker
from vtssi_pyro.model.blocks.air import AdditivePicture
from vtssi_pyro.model.config import PUBLISHED, TestTime
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.proposals import ORDERS
from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.ops import counting
from vtssi_pyro.ops.channels import channelled
from vtssi_pyro.ops.spatial import size_to_pixels, to_pixels
from vtssi_pyro.types import Latents

SIDE = 20
PLAIN = TestTime()
COUNTS = {"both": 4.0, "one": -0.5, "none": -4.0}


def parts(tracker: Tracker, frames: Tensor, lengths: list[int], test_time: TestTime = PLAIN) -> Estimate:
    """The estimate of a filter that reads a given number of frames at a time."""
    filter_ = Filter(tracker, test_time)
    belief, told = filter_.init(frames), []
    for window in frames.split(lengths, 1):
        belief, estimate = filter_.step(belief, window)
        told.append(estimate)
    return joined(told, 1)


def same(found: Estimate, expected: Estimate) -> None:
    for a, b in zip(found.tracks, expected.tracks, strict=True):
        torch.testing.assert_close(a, b, equal_nan=True)
    torch.testing.assert_close(found.frames, expected.frames)


def equal(found: Estimate, expected: Estimate) -> None:
    """Bit for bit."""
    for a, b in zip(found.tracks, expected.tracks, strict=True):
        assert (a is None) == (b is None)
        assert a is None or torch.equal(a.nan_to_num(-1.0), b.nan_to_num(-1.0))
    assert torch.equal(found.frames, expected.frames)


def guided(tracker: Tracker, frames: Tensor) -> Latents:
    with mode(), torch.no_grad():
        return tracker.guide(frames)


@pytest.mark.parametrize("count", COUNTS.values(), ids=COUNTS)
def test_the_plain_filter_is_the_guide_at_its_modes(
    variant: str, finder: str, count: float, tiny, frames: Tensor
) -> None:
    """Positions and scales of objects that are there, boxes, descriptions, rendered frames."""
    tracker = tiny(variant, finder, count=count)
    asked = PUBLISHED if finder == "learned" else PLAIN  # the paper's has no template search
    latents, told = guided(tracker, frames), track(tracker, frames, test_time=asked)
    B, T = frames.shape[:2]

    def by_sequence(value: Tensor) -> Tensor:
        """(B, T, N, ...) of (B, T, N, ...) or, of single frames, (B T, 1, N, ...)."""
        return value.reshape(B, T, *value.shape[2:])

    present = counting.present(latents.objects.count, 2).unsqueeze(-2)
    present = by_sequence(present.expand(positions(latents).shape[:-1]))
    assert torch.equal(told.tracks.present, present)
    place = by_sequence(to_pixels(positions(latents), (SIDE, SIDE)))
    there = present.unsqueeze(-1).expand_as(place)
    torch.testing.assert_close(told.tracks.position[there], place[there])
    assert told.tracks.position[~there].isnan().all()
    frames_seen = range(1, positions(latents).shape[1] + 1)
    scale = torch.stack([latents.densities[f"position_{t}"].stddev for t in frames_seen], 1)
    torch.testing.assert_close(told.tracks.scale, by_sequence(scale * SIDE / 2))
    window = size_to_pixels(latents.objects.size, (SIDE, SIDE)).unsqueeze(1)
    torch.testing.assert_close(told.tracks.box, by_sequence(window.expand_as(positions(latents))))
    pose = tracker.motion.pose(latents.objects, {"position": positions(latents)}, present_of(latents))
    shown = tracker.picture.draw(pose, latents.objects)
    torch.testing.assert_close(told.frames, shown.reshape(channelled(frames).shape))
    if variant != "air":
        torch.testing.assert_close(told.appearance, latents.objects.description)


def present_of(latents: Latents) -> Tensor:
    return counting.present(latents.objects.count, 2).double()


@pytest.mark.parametrize("order", ORDERS)
def test_windows_of_any_sizes_change_nothing(variant: str, finder: str, order: str, tiny, blobs) -> None:
    tracker, frames = tiny(variant, config=replace(small(finder), order=order)), blobs(2, 11)
    whole = parts(tracker, frames, [11])
    for lengths in ([3] + [1] * 8, [5, 2, 4], [3, 7, 1], [10, 1]):
        same(parts(tracker, frames, lengths), whole)


@pytest.mark.parametrize("name", ["find", "vtssi"])
def test_what_lies_ahead_does_not_depend_on_windows(name: str, tiny, blobs) -> None:
    tracker, frames = tiny(name), blobs(2, 9)
    filter_, told = Filter(tracker, PLAIN), []
    for lengths in ([9], [4, 3, 2], [3, 1, 1, 4]):
        belief = filter_.init(frames)
        for window in frames.split(lengths, 1):
            belief, _ = filter_.step(belief, window)
        if not tracker.motion.predicts:
            with pytest.raises(UsageError, match="no model of motion"):
                filter_.ahead(belief, 3)
            return
        told.append(filter_.ahead(belief, 3))
    for other in told[1:]:
        same(other, told[0])


def test_the_modes_ahead_are_those_of_the_guide_and_of_the_rollout(tiny, frames: Tensor) -> None:
    """Three ways to run the prior on: the filter's, the program's horizon, the motion's own roll-out."""
    tracker = tiny()
    state = torch.get_rng_state()
    told = forecast(tracker, frames, 4, test_time=PLAIN).tracks
    assert torch.equal(torch.get_rng_state(), state)  # what is drawn within is none of the caller's business
    with mode(), torch.no_grad():
        latents = tracker.guide(frames, horizon=4)
        rolled = rolled_out(tracker.motion, latents.chain.state, 4)["position"]
    torch.testing.assert_close(told.position, to_pixels(positions(latents), (SIDE, SIDE)))
    torch.testing.assert_close(told.position[:, 6:], to_pixels(rolled, (SIDE, SIDE)))
    for t in range(7, 11):
        scale = latents.densities[f"position_{t}"].stddev * SIDE / 2
        torch.testing.assert_close(told.scale[:, t - 1], scale)


@pytest.mark.parametrize("asked", [PLAIN, TestTime(hypotheses=3, refine=2, tight=True)])
def test_a_belief_is_a_value(asked: TestTime, tiny, blobs) -> None:
    """The same frames lead to the same belief, and to go on from one leaves it as it was; draws change nothing."""
    tracker, frames = tiny("vtssi", "template").train(), blobs(2, 9)
    filter_, weights = Filter(tracker, asked), {n: v.clone() for n, v in tracker.state_dict().items()}
    first, again = filter_.init(frames), filter_.init(frames)
    for a, b in zip(
        first.consensus.hypothesis.objects[:3], again.consensus.hypothesis.objects[:3], strict=True
    ):
        assert torch.equal(a, b)
    belief, early = filter_.step(first, frames[:, :6])
    other, _ = filter_.step(belief, frames[:, 6:].flip(1))
    _, late = filter_.step(belief, frames[:, 6:])
    assert not torch.equal(other.chain.state["position"], belief.chain.state["position"])
    equal(joined([early, late], 1), parts(tracker, frames, [6, 3], asked))
    assert tracker.training
    assert all(torch.equal(value, weights[name]) for name, value in tracker.state_dict().items())
    assert not dict(pyro.get_param_store())


def test_estimates_of_a_long_movie_are_those_of_track(tiny, blobs, monkeypatch) -> None:
    monkeypatch.setattr("vtssi_pyro.inference.filter.WINDOW", 4)
    tracker, frames = tiny(), blobs(2, 11)
    told = list(estimates(tracker, frames))
    assert [part.frames.shape[1] for part in told] == [4, 4, 3]
    same(joined(told, 1), track(tracker, frames))


def test_bytes_and_channels_are_the_same_frames(variant: str, tiny, blobs) -> None:
    tracker, frames = tiny(variant).float(), (255 * blobs(2, 6)).round().to(torch.uint8)
    told = track(tracker, frames)
    equal(told, track(tracker, frames.float() / 255))
    equal(track(tracker, channelled(frames)), told)
    assert told.frames.shape == (2, 6, 1, SIDE, SIDE)


def test_threads_that_track_at_once_tell_the_same(variant: str, tiny, blobs) -> None:
    """Pyro's handlers are one stack for all threads; four trackers in four of them, again and again."""
    movies = [blobs(2, 8) for _ in range(4)]
    trackers = [tiny(variant) for _ in range(2)] * 2  # two threads share a tracker
    alone = [track(tracker, movie) for tracker, movie in zip(trackers, movies, strict=True)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for found, expected in zip(pool.map(track, trackers, movies), alone, strict=True):
                equal(found, expected)
    assert pyro.poutine.runtime._PYRO_STACK == []


def test_samples_of_one_thread_do_not_depend_on_the_others(tiny, blobs) -> None:
    """Seeded draws beside threads that track, filter frame by frame, and draw with other seeds."""
    tracker, frames = tiny("vtssi", "template"), blobs(2, 8)

    def draws(seed: int) -> Estimate:
        return forecast(tracker, frames, 4, num_samples=5, seed=seed)

    def streamed(_: int) -> Estimate:
        return parts(tracker, frames, [3] + [1] * 5, tracker.test_time)

    jobs = [(draws, 1), (streamed, 0), (draws, 2), (lambda _: track(tracker, frames), 0), (draws, 1)]
    alone = [job(seed) for job, seed in jobs]
    with ThreadPoolExecutor(5) as pool:
        for _ in range(3):
            waiting = [pool.submit(job, seed) for job, seed in jobs]
            for future, expected in zip(waiting, alone, strict=True):
                equal(future.result(), expected)
    assert not torch.equal(alone[0].tracks.samples, alone[2].tracks.samples)


def test_a_tight_box_has_an_error_of_its_own(tiny, frames: Tensor) -> None:
    """Beside that of the position it is read off: in every scale, and once in a future, which shifts as a whole."""
    tracker, T, told = tiny("vtssi", "template"), frames.shape[1], {}
    for temperature in (1.0, 0.5):
        for tight in (True, False):
            asked = TestTime(tight=tight)
            told[tight] = forecast(
                tracker, frames, 3, num_samples=4000, temperature=temperature, test_time=asked
            ).tracks
        shift = (told[True].samples - told[False].samples)[:, :, T:]
        torch.testing.assert_close(shift, shift[:, :, :1].expand_as(shift))
        expected = torch.full_like(shift[0], temperature * tracker.picture.box_error)
        torch.testing.assert_close(shift.std(0), expected, rtol=0.05, atol=0)
    variance = [told[tight].scale[:, :T].square() for tight in (True, False)]
    torch.testing.assert_close(variance[0] - variance[1], torch.full_like(variance[0], 1 / 24))


def test_frames_that_settle_looks_tell_boxes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights that ship, on digits of another source; the first five frames decide, as in the paper."""
    data = moving_digits("linear", load_digits("embedded", "test"), sequences=40, length=6, seed=5)
    tracker = ModelTracker(load("moving-mnist"), settle=5)

    def median() -> float:
        error = distances(data.truth, tracker.track(data.frames(slice(None))), 5, first=0)
        return float(error[~error.isnan()].median())

    assert (resolved := median()) < 0.15
    monkeypatch.setattr(
        AdditivePicture, "box_within", lambda self, _, glimpses, pose: self.box(glimpses, pose.size)
    )
    assert median() > 1.3 * resolved
