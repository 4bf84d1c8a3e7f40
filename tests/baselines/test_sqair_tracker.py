"""SQAIR as a tracker: tracks of the modes, columns that stay, and predictions by the prior alone."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from pyro import poutine
from tiny_sqair import CONFIG, frames, tiny
from torch import Tensor

from vtssi_pyro.baselines import SQAIR
from vtssi_pyro.baselines.sqair.sites import keep
from vtssi_pyro.baselines.sqair.state import Slots
from vtssi_pyro.baselines.sqair.tracks import columns
from vtssi_pyro.inference.filter import forecast, forecasts, track
from vtssi_pyro.inference.model_tracker import ModelTracker
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.tracks.tracks import Tracks

SIDE = CONFIG.frame_size


@pytest.fixture
def tracker() -> SQAIR:
    """One that finds objects now and then."""
    sqair = tiny()
    with torch.no_grad():  # the modes are decided by the frame: stronger weights, no bias
        for layers in (sqair.inference.body.discovery, sqair.inference.body.propagation):
            layers.presence[-1].bias.fill_(0.1)
            layers.presence[0].weight.mul_(4)
        sqair.inference.body.discovery.image[0].weight.mul_(4)
    return sqair


def same(one: Tracks, other: Tracks) -> None:
    for name in ("position", "present", "box"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), equal_nan=True)


def test_each_frame_has_a_count_of_its_own(tracker: SQAIR) -> None:
    judged = ModelTracker(tracker)
    assert judged.per_frame_count
    assert judged.count_frames(10) == 1


def test_tracks_are_the_windows_of_the_guides_modes(tracker: SQAIR) -> None:
    x = frames(sequences=8)
    tracks = track(tracker, x).tracks
    assert tracks.position.shape == (8, 4, CONFIG.slots, 2)
    assert tracks.present.any()
    assert not tracks.present.all()
    assert torch.equal(tracks.position.isnan().any(-1), ~tracks.present)
    assert torch.equal(tracks.box.isnan().any(-1), ~tracks.present)
    with torch.no_grad(), mode():
        first = tracker.guide(x)[0]
    here = tracks.present[:, 0]
    assert torch.equal(here, first.presence > 0)
    # the official grids span the centres of the outermost pixels, which are at 0.5 and at the side less 0.5
    centre = 0.5 + (SIDE - 1) / 2 * (1 + torch.tanh(first.where[..., 2:]))
    torch.testing.assert_close(tracks.position[:, 0][here], centre[here])
    width = torch.sigmoid(first.where[..., :2]) * (SIDE - 1) * CONFIG.glimpse / (CONFIG.glimpse - 1)
    torch.testing.assert_close(tracks.box[:, 0][here], width[here])


def test_frames_are_tracked_as_they_come(tracker: SQAIR) -> None:
    x = frames(sequences=8, length=5)
    whole = track(tracker, x).tracks
    same(track(tracker, x[:, :3]).tracks, whole.part(frames=slice(3)))
    same(track(tracker, x.squeeze(2)).tracks, whole)


def test_objects_are_dropped_unless_they_are_kept(tracker: SQAIR, monkeypatch: pytest.MonkeyPatch) -> None:
    x, size, seen = frames(sequences=6), CONFIG.slots, []
    monkeypatch.setattr(tracker, "remembered", lambda slots: seen.append(slots) or slots[-1])
    with torch.no_grad():
        tracker.inference.body.propagation.presence[-1].bias.fill_(-99)
    for keeps in (False, True):
        tracker.config = replace(CONFIG, keeps=keeps)
        present = track(tracker, x).tracks.present
        slots = seen.pop()
        assert (slots[0].presence > 0).any()
        for before, now in pairwise(slots):
            stays = (now.origin < size) & (now.presence > 0)
            assert torch.equal(stays, before.presence > 0) if keeps else not stays.any()
    assert not (present[:, :-1] & ~present[:, 1:]).any()


def test_predictions_are_the_priors_means(tracker: SQAIR) -> None:
    x = frames(sequences=8)
    with torch.no_grad():  # a prior that expects new objects all the time, and none to stay
        tracker.prior.body.later.zero_()
        tracker.prior.body.count[-1] = 30
        tracker.prior.body.next.bias[0] = -30
    ahead = forecast(tracker, x[:, :3], 2).tracks
    same(ahead, forecast(tracker, x[:, :3], 2, seed=1).tracks)
    same(ahead.part(frames=slice(3)), track(tracker, x[:, :3]).tracks)
    assert torch.equal(ahead.present[:, 2:3].expand(-1, 3, -1), ahead.present[:, 2:])
    assert not ahead.present[:, 2].all()
    sequence = int((ahead.present[:, 2].all(-1)).nonzero()[0])  # one with two objects
    torch.testing.assert_close(ahead.position[sequence, 3:], rolled(tracker, x[sequence, :3]))


def rolled(tracker: SQAIR, x: Tensor) -> Tensor:
    """The positions of two predicted frames, object by object, from the guide's modes; columns are slots."""
    prior = tracker.prior.body
    with torch.no_grad(), mode(), keep():
        past = tracker.guide(x.unsqueeze(0))
        found = []
        for k in range(CONFIG.slots):
            memory = prior.transition.start
            here = [slots for slots in past if slots.presence[0, k] > 0]
            for before in here[:-1]:
                memory = prior.transition(torch.cat([before.what[0, k], before.where[0, k]]), memory)
            what, where, path = here[-1].what[0, k], here[-1].where[0, k], []
            for _ in range(2):
                memory = prior.transition(torch.cat([what, where]), memory)
                where, what = prior.next(memory)[1 : 1 + 4 + CONFIG.what].split([4, CONFIG.what])
                path.append(0.5 + (SIDE - 1) / 2 * (1 + torch.tanh(where[2:])))
            found.append(torch.stack(path))
    return torch.stack(found, 1)


def test_samples_hold_the_observed_modes_and_draws_of_the_future(tracker: SQAIR) -> None:
    ahead = forecast(tracker, frames(sequences=5), 3, 7).tracks
    assert ahead.samples is not None
    assert ahead.samples.shape == (7, 5, 7, CONFIG.slots, 2)
    for path in ahead.samples:
        torch.testing.assert_close(path[:, :4], ahead.position[:, :4], equal_nan=True)
    assert (ahead.samples[:, :, 4:].std(0)[ahead.present[:, 4:]] > 0).all()
    torch.testing.assert_close(
        ahead.scale[:, 4:][ahead.present[:, 4:]], ahead.samples.std(0)[:, 4:][ahead.present[:, 4:]]
    )
    (single,) = forecasts(tracker, frames(), 0, 1, (1.0,))  # no frame is predicted
    torch.testing.assert_close(single.tracks.samples[0], single.tracks.position, equal_nan=True)


def test_samples_are_as_wide_as_their_temperature(tracker: SQAIR) -> None:
    """From the same draws; at 0 they are the modes, and without samples scales are the prior's own."""
    x = frames(sequences=8)
    cold, cool, warm = (e.tracks for e in forecasts(tracker, x, 1, 400, (0.0, 0.01, 0.02), seed=3))
    here = cold.present[:, 4:]
    torch.testing.assert_close(cold.samples[0, :, 4:][here], cold.position[:, 4:][here])
    torch.testing.assert_close(warm.scale[:, 4:][here], 2 * cool.scale[:, 4:][here], rtol=0.01, atol=0)
    torch.testing.assert_close(
        cool.scale[:, 4:][here], 0.01 * forecast(tracker, x, 1).tracks.scale[:, 4:][here], rtol=0.15, atol=0
    )
    same(forecast(tracker, x, 1, 400, seed=3, temperature=0.01).tracks, cool)


def test_scales_are_those_of_the_guide_to_first_order(tracker: SQAIR) -> None:
    x = frames(sequences=8)
    found = track(tracker, x).tracks
    assert torch.equal(found.scale.isnan().any(-1), ~found.present)
    with torch.no_grad(), mode(), keep():
        trace = poutine.trace(tracker.guide).get_trace(x)
    slots = trace.nodes["_RETURN"]["value"]
    own, kinds = columns(slots), set()
    for t, slot in enumerate(slots, 1):
        for b, k in (slot.presence > 0).nonzero().tolist():
            origin = int(slot.origin[b, k])
            if new := origin >= CONFIG.slots:
                q = trace.nodes[f"disc_where_{t}_{origin - CONFIG.slots + 1}"]["fn"].stddev[b, 0]
            else:
                q = trace.nodes[f"prop_where_{t}"]["fn"].stddev[b, origin]
            kinds.add(new)
            centre = slot.where[b, k, 2:].clone().requires_grad_()
            (0.5 + (SIDE - 1) / 2 * (1 + torch.tanh(centre))).sum().backward()
            torch.testing.assert_close(found.scale[b, t - 1, own[b, t - 1, k]], q[2:] * centre.grad)
    assert kinds == {True, False}


def test_frames_and_looks_are_those_of_the_modes(tracker: SQAIR) -> None:
    x = frames(sequences=8)
    found = forecast(tracker, x, 2)
    with torch.no_grad(), mode(), keep():
        slots = tracker.guide(x)
        torch.testing.assert_close(found.frames[:, :4], tracker.render(slots))
    assert found.frames.shape == (8, 6, 1, SIDE, SIDE)
    for b, k in (slots[-1].presence > 0).nonzero().tolist():
        torch.testing.assert_close(found.appearance[b, columns(slots)[b, -1, k]], slots[-1].what[b, k])
    assert (found.appearance[~found.tracks.present[:, 3]] == 0).all()


def test_an_object_keeps_its_column_while_slots_move_up() -> None:
    def frame(presence: list[float], origin: list[int]) -> Slots:
        nothing = torch.zeros(1, 3, 1)
        return Slots(nothing, nothing, torch.tensor([presence]), nothing, torch.tensor([origin]))

    found = columns([
        frame([1, 1, 0], [3, 4, 5]),  # a and b appear
        frame([1, 0, 0], [1, 0, 2]),  # a leaves, b moves up
        frame([1, 1, 0], [0, 3, 1]),  # c appears
        frame([1, 1, 1], [0, 1, 3]),  # and d
    ])  # fmt: skip
    assert found[0, 0].tolist() == [0, 1, 2]
    assert found[0, 1, 0] == 1  # b
    assert found[0, 2, :2].tolist() == [1, 0]  # b, and c in the first free column
    assert found[0, 3].tolist() == [1, 0, 2]
    assert torch.equal(found.sort(-1).values, torch.arange(3).expand(1, 4, 3))


def test_a_long_roll_out_stays_in_the_frame(tracker: SQAIR) -> None:
    ahead = forecast(tracker, frames(), 60).tracks
    known = ahead.position[ahead.present]
    assert ((known >= 0.5) & (known <= SIDE - 0.5)).all()
