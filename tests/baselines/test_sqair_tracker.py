"""SQAIR as a tracker: tracks of the modes, columns that stay, and predictions by the prior alone."""

from itertools import pairwise

import pytest
import torch
from tiny_sqair import CONFIG, frames, tiny
from torch import Tensor

from vtssi_pyro.baselines.sqair import SQAIRTracker
from vtssi_pyro.baselines.sqair.sites import keep
from vtssi_pyro.baselines.sqair.state import Slots
from vtssi_pyro.baselines.sqair.tracker import columns
from vtssi_pyro.evaluation.judge import Counter, FrameCounter, MultiObjectTracker
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.tracks.tracks import Tracks

SIDE = CONFIG.frame_size


@pytest.fixture
def tracker() -> SQAIRTracker:
    """One that finds objects now and then."""
    sqair = tiny()
    with torch.no_grad():  # the modes are decided by the frame: stronger weights, no bias
        for layers in (sqair.inference.body.discovery, sqair.inference.body.propagation):
            layers.presence[-1].bias.fill_(0.1)
            layers.presence[0].weight.mul_(4)
        sqair.inference.body.discovery.image[0].weight.mul_(4)
    return SQAIRTracker(sqair)


def same(one: Tracks, other: Tracks) -> None:
    for name in ("position", "present", "box"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), equal_nan=True)


def test_it_is_a_tracker(tracker: SQAIRTracker) -> None:
    assert isinstance(tracker, MultiObjectTracker)
    assert isinstance(tracker, FrameCounter)
    assert isinstance(tracker, Counter)


def test_tracks_are_the_windows_of_the_guides_modes(tracker: SQAIRTracker) -> None:
    x = frames(sequences=8)
    tracks = tracker.track(x)
    assert tracks.position.shape == (8, 4, CONFIG.num_objects, 2)
    assert tracks.present.any()
    assert not tracks.present.all()
    assert torch.equal(tracks.position.isnan().any(-1), ~tracks.present)
    assert torch.equal(tracks.box.isnan().any(-1), ~tracks.present)
    with torch.no_grad(), mode():
        first = tracker.sqair.guide(x)[0]
    here = tracks.present[:, 0]
    assert torch.equal(here, first.presence > 0)
    # the official grids span the centres of the outermost pixels, which are at 0.5 and at the side less 0.5
    centre = 0.5 + (SIDE - 1) / 2 * (1 + torch.tanh(first.where[..., 2:]))
    torch.testing.assert_close(tracks.position[:, 0][here], centre[here])
    width = torch.sigmoid(first.where[..., :2]) * (SIDE - 1) * CONFIG.glimpse / (CONFIG.glimpse - 1)
    torch.testing.assert_close(tracks.box[:, 0][here], width[here])


def test_frames_are_tracked_as_they_come(tracker: SQAIRTracker) -> None:
    x = frames(sequences=8, length=5)
    same(tracker.track(x[:, :3]), tracker.track(x).part(frames=slice(3)))
    same(tracker.track(x.squeeze(2)), tracker.track(x))


def test_objects_are_dropped_unless_they_are_kept(tracker: SQAIRTracker) -> None:
    sqair, x, size = tracker.sqair, frames(sequences=6), CONFIG.num_objects
    with torch.no_grad():
        sqair.inference.body.propagation.presence[-1].bias.fill_(-99)
        for keeps in (True, False):
            with mode(), SQAIRTracker(sqair, keeps)._held():
                slots = sqair.guide(x)
            assert (slots[0].presence > 0).any()
            for before, now in pairwise(slots):
                stays = (now.origin < size) & (now.presence > 0)
                assert torch.equal(stays, before.presence > 0) if keeps else not stays.any()
    present = tracker.track(x).present
    assert not (present[:, :-1] & ~present[:, 1:]).any()


def test_predictions_are_the_priors_means(tracker: SQAIRTracker) -> None:
    x = frames(sequences=8)
    with torch.no_grad():  # a prior that expects new objects all the time, and none to stay
        tracker.sqair.prior.body.later.zero_()
        tracker.sqair.prior.body.count[-1] = 30
        tracker.sqair.prior.body.next.bias[0] = -30
    torch.manual_seed(0)
    forecast = tracker.forecast(x[:, :3], 2, 0)
    torch.manual_seed(1)
    same(forecast, tracker.forecast(x[:, :3], 2, 0))
    same(forecast.part(frames=slice(3)), tracker.track(x[:, :3]))
    assert torch.equal(forecast.present[:, 2:3].expand(-1, 3, -1), forecast.present[:, 2:])
    assert not forecast.present[:, 2].all()
    sequence = int((forecast.present[:, 2].all(-1)).nonzero()[0])  # one with two objects
    expected = rolled(tracker, x[sequence, :3], forecast.part([sequence]))
    torch.testing.assert_close(forecast.position[sequence, 3:], expected)


def rolled(tracker: SQAIRTracker, x: Tensor, tracks: Tracks) -> Tensor:
    """The positions of two predicted frames, object by object, from the guide's modes; columns are slots."""
    prior = tracker.sqair.prior.body
    with torch.no_grad(), mode(), keep():
        past = tracker.sqair.guide(x.unsqueeze(0))
        found = []
        for k in range(CONFIG.num_objects):
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


def test_samples_hold_the_observed_modes_and_draws_of_the_future(tracker: SQAIRTracker) -> None:
    forecast = tracker.forecast(frames(sequences=5), 3, 7)
    assert forecast.samples is not None
    assert forecast.samples.shape == (7, 5, 7, CONFIG.num_objects, 2)
    for path in forecast.samples:
        torch.testing.assert_close(path[:, :4], forecast.position[:, :4], equal_nan=True)
    assert (forecast.samples[:, :, 4:].std(0)[forecast.present[:, 4:]] > 0).all()


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


def test_a_long_roll_out_stays_in_the_frame(tracker: SQAIRTracker) -> None:
    forecast = tracker.forecast(frames(), 60, 0)
    known = forecast.position[forecast.present]
    assert ((known >= 0.5) & (known <= SIDE - 0.5)).all()
