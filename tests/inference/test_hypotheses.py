"""The evidence of all frames settles the objects, and hypotheses without alternatives are not tried again."""

from dataclasses import replace

import pytest
import torch
from pyro import poutine
from pyro.distributions import Normal
from small_model import small
from torch import Tensor

from vtssi_pyro.inference import hypotheses
from vtssi_pyro.inference.hypotheses import Hypothesis, Settled, log_evidence, select_hypothesis
from vtssi_pyro.model.config import ModelConfig
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.tracker import evaluating
from vtssi_pyro.ops.channels import channelled
from vtssi_pyro.ops.spatial import paste
from vtssi_pyro.types import Appearance, Detections


def supposing(numbers: list[float], num_objects: int = 2, description: int = 4) -> Hypothesis:
    """A hypothesis about sequences with these numbers of objects, everything else random."""
    B = len(numbers)
    count = (
        (torch.tensor(numbers, dtype=torch.float64) / num_objects).clamp(0.01, 0.99).logit()[:, None, None]
    )

    def normal(loc: Tensor) -> Normal:
        return Normal(loc, torch.full_like(loc, 0.1)).to_event(1)

    size = 0.3 + 0.1 * torch.rand(B, num_objects, 2, dtype=torch.float64)
    looks = torch.randn(B, num_objects, description, dtype=torch.float64)
    return Hypothesis(normal(count), normal(size), normal(looks))


def test_a_hypothesis_knows_its_numbers_and_takes_rows_of_another() -> None:
    first, second = supposing([2, 1, 0]), supposing([1, 1, 2])
    assert first.number.tolist() == [2, 1, 0]
    chosen = torch.tensor([False, True, True])
    mixed = first.put(chosen, second[chosen])
    assert mixed.number.tolist() == [2, 1, 2]
    assert torch.equal(mixed.size.mode[1:], second.size.mode[1:])
    assert torch.equal(mixed.description.mode[0], first.description.mode[0])
    assert first.number.tolist() == [2, 1, 0]  # itself unchanged


def test_the_hypothesis_with_the_most_evidence_is_kept(tiny, blobs, config: ModelConfig) -> None:
    tracker, frames = tiny(config=config), channelled(blobs(3, 8))
    program = tracker.program()
    with evaluating(tracker), mode():
        settled = select_hypothesis(tracker, program, frames, 3)
        _, most = log_evidence(tracker, program, frames, settled.hypothesis)
        for start in (0, 2, 5):
            tried, _ = hypotheses._read(program, frames[:, start : start + 3])
            assert (most >= log_evidence(tracker, program, frames, tried)[1] - 1e-6).all()


def test_where_nothing_is_seen_there_is_nothing_to_choose(tiny, blobs, config, monkeypatch) -> None:
    tracker, frames = tiny(config=config, count=-9.0), channelled(blobs(2, 8))
    monkeypatch.setattr(hypotheses, "log_evidence", None)
    with evaluating(tracker), mode():
        settled = select_hypothesis(tracker, tracker.program(), frames, 3)
        assert settled.hypothesis.number.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("total", "number", "parts"),
    [
        (20, 4, [(0, 5), (5, 10), (10, 15), (15, 20)]),
        (9, 2, [(0, 5), (4, 9)]),
        (5, 4, [(0, 5), (0, 1), (2, 3), (4, 5)]),  # windows of five would be the same
        (7, 4, [(0, 5), (0, 1), (3, 4), (6, 7)]),  # or mostly
        (2, 4, [(0, 5), (0, 1), (1, 2)]),
        (5, 1, [(0, 5)]),
    ],
)
def test_consensuses_are_of_different_frames(total: int, number: int, parts: list[tuple[int, int]]) -> None:
    assert hypotheses._parts(total, 5, number) == [slice(*part) for part in parts]


def test_one_more_is_counted_where_there_is_room(tiny, config: ModelConfig) -> None:
    tracker, before = tiny(config=config), supposing([2, 1, 0], description=config.description)
    after, room = hypotheses._with_one_more(tracker, before)
    assert after.number.tolist() == [2, 2, 1]
    assert room.tolist() == [False, True, True]
    assert torch.equal(after.description.mode, before.description.mode)


def together(tracker, config: ModelConfig) -> tuple[Hypothesis, Detections, Tensor, Tensor]:
    """Two objects that cover each other: their hypothesis, places, layers (1, 8, 2, C, H, W) and frames."""
    two = supposing([2.0], description=config.description)
    path = torch.linspace(-0.3, 0.3, 8, dtype=torch.float64).view(1, 8, 1, 1).expand(1, 8, 2, 2)
    position = path * torch.tensor([[1.0, 0.2], [-0.5, 1.0]], dtype=torch.float64)
    appearance = tracker.picture.appearance(two.objects)
    pose = tracker.motion.pose(two.objects, {"position": position}, torch.ones(1, 2, dtype=torch.float64))
    pose = pose._replace(appearance=appearance.glimpses.unsqueeze(-5))
    layers = tracker.picture.layers(pose, two.objects) / 2  # two of them are no brighter than 1
    return two, Detections(position, appearance), layers, layers.sum(2)


def test_each_object_is_described_without_the_others(tiny, config: ModelConfig, monkeypatch) -> None:
    """By its own layer alone, of the first K frames, where the picture is the sum of the layers."""
    tracker = tiny(config=config)
    with evaluating(tracker), mode():
        two, found, layers, frames = together(tracker, config)
        found = found._replace(appearance=found.appearance._replace(glimpses=found.appearance.glimpses / 2))
        asked, describe = [], tracker.attention.describe
        monkeypatch.setattr(
            tracker.attention, "describe", lambda *args: asked.append(args) or describe(*args)
        )
        after = hypotheses._described_apart(tracker, frames, two, found)
    ((left, where, size),) = asked
    K = tracker.consensus.K
    torch.testing.assert_close(left, layers[:, :K])
    assert torch.equal(where, found.position[:, :K])
    mean = describe(layers[:, :K], where, size).mean.mean(1)
    torch.testing.assert_close(after.description.mode, mean)


def test_an_object_that_was_not_counted_is_found_by_its_evidence(tiny) -> None:
    """The consensus counts one of two objects: both explain the frames, if they are there."""
    config = small("template")
    config = replace(config, picture=replace(config.picture, noise=0.05))
    tracker = tiny(config=config)
    with evaluating(tracker), mode():
        two, _, layers, _ = together(tracker, config)
        one = replace(two, count=supposing([1.0]).count)
        for number in (1, 2):
            frames = 2 * layers[:, :, :number].sum(2)
            best = hypotheses._best(tracker, tracker.program(), frames, [one], None)
            assert best.number.tolist() == [number]


@pytest.mark.parametrize("num_objects", [2, 3])
def test_two_objects_as_one_are_one_fewer(num_objects: int, tiny, blobs, config: ModelConfig) -> None:
    config = replace(config, num_objects=num_objects)
    tracker, frames = tiny(config=config), channelled(blobs(3, 8))
    before = supposing([num_objects, num_objects - 1, 1], num_objects, config.description)
    with evaluating(tracker), mode():
        found, _ = log_evidence(tracker, tracker.program(), frames, before)
        after = hypotheses._merged(tracker, frames, before, found)
    assert after.number.tolist() == [num_objects - 1, max(num_objects - 2, 1), 1]
    assert torch.equal(after.size.mode[2], before.size.mode[2])  # alone, so as it was


def test_the_two_that_never_part_are_found() -> None:
    """Of three objects, the second and the third move together, and a fourth slot is empty."""
    walk = torch.randn(1, 9, 4, 2, dtype=torch.float64).cumsum(1)
    walk[:, :, 2] = walk[:, :, 1] + torch.tensor([0.5, -0.25], dtype=torch.float64)
    walk[:, :, 3] = walk[:, :, 0]
    here = torch.tensor([[True, True, True, False]])
    first, second, between = hypotheses._steadiest(walk, here)
    assert (first.tolist(), second.tolist()) == ([1], [2])
    torch.testing.assert_close(between, torch.tensor([[0.5, -0.25]], dtype=torch.float64))


def test_halves_are_told_to_be_one_object(tiny, config: ModelConfig, monkeypatch) -> None:
    """Where two hypotheses explain frames alike, the one with fewer objects costs less and is kept."""
    tracker = tiny(config=config)
    one = supposing([1.0], description=config.description)
    position = torch.zeros(1, 8, 2, 2, dtype=torch.float64)
    position[:, :, 0, 0] = torch.linspace(-0.4, 0.4, 8, dtype=torch.float64)
    side = config.frame_size
    with evaluating(tracker), mode():
        glimpses = (
            tracker.picture.decode(one.description.mode) * torch.tensor([1.0, 0.0])[:, None, None, None]
        )
        frames = paste(glimpses, position, one.size.mode, (side, side))
        two = one.put(torch.tensor([True]), supposing([2.0], description=config.description))
        twice = Hypothesis(
            two.count,
            *(
                Normal(q.base_dist.loc[:, [0, 0]], q.base_dist.scale).to_event(1)
                for q in (one.size, one.description)
            ),
        )
        assert twice.number.tolist() == [2]
        best = hypotheses._best(tracker, tracker.program(), frames, [twice, one], run=8)
    assert best.number.tolist() == [1]


def test_where_frames_are_from_elsewhere_an_object_may_come_from_anywhere(
    tiny, blobs, config: ModelConfig
) -> None:
    tracker, frames = tiny(config=config), channelled(blobs(2, 8))
    program = tracker.program()
    there_and_away = torch.cat([frames, frames.flip(-1)], 1)
    with evaluating(tracker), mode():
        before, _ = hypotheses._read(program, frames[:, : tracker.consensus.K])
        jump, told = (
            log_evidence(tracker, program, there_and_away, before, run)[1] for run in (None, frames.shape[1])
        )
    assert not torch.equal(jump, told)
    assert torch.isfinite(told).all()


def test_a_settled_consensus_is_a_consensus(tiny, blobs, config: ModelConfig) -> None:
    """It takes RECT's place: the same sites, whatever the frames."""
    tracker, known = tiny(config=config), supposing([2, 1], description=config.description)
    program = tracker.program(consensus=Settled(known))
    for frames in (blobs(2, 6), blobs(2, 6)):
        with mode():
            objects = program.guide(frames).objects
        assert torch.equal(objects.size, known.size.mode)
    trace = poutine.trace(program.guide).get_trace(blobs(2, 6))
    model = poutine.trace(poutine.replay(program.model, trace)).get_trace(blobs(2, 6))
    assert torch.isfinite(model.log_prob_sum() - trace.log_prob_sum())


def test_two_as_one_are_described_where_both_are(tiny, blobs, config: ModelConfig, monkeypatch) -> None:
    """In the tight box of both, around the first one's path; the slots behind the second move up."""
    tracker, frames = tiny(config=replace(config, num_objects=3)), channelled(blobs(1, 8))
    before = supposing([3.0], 3, config.description)
    path = torch.linspace(-0.4, 0.2, 8, dtype=torch.float64).view(1, 8, 1, 1).expand(1, 8, 3, 2)
    position = path + torch.tensor([[0.0, 0.0], [0.3, -0.5], [0.0, 0.0]], dtype=torch.float64)
    position[:, :, 2] += torch.randn(8, 2, dtype=torch.float64)
    box = torch.tensor([[[0.2, 0.4], [0.1, 0.2], [0.3, 0.3]]], dtype=torch.float64)
    found = Detections(position, Appearance(torch.zeros(1, 3, 1, 9, 9), (torch.zeros_like(box), box)))
    asked, describe = [], tracker.attention.describe
    monkeypatch.setattr(tracker.attention, "describe", lambda *args: asked.append(args) or describe(*args))
    with evaluating(tracker):
        after = hypotheses._merged(tracker, frames, before, found)
    ((_, where, size),) = asked
    middle = path[:, :3, 0] + torch.tensor([0.1, -0.15], dtype=torch.float64)  # x from -0.2 to 0.4
    torch.testing.assert_close(where, middle)
    windows = before.size.mode
    wide = torch.maximum(
        (windows[:, 0] + windows[:, 1]) / 2, torch.tensor([[0.3, 0.55]], dtype=torch.float64)
    )
    torch.testing.assert_close(size.squeeze(-2), wide)
    torch.testing.assert_close(after.size.mode[:, 0], wide)
    assert torch.equal(after.size.mode[:, 1], windows[:, 2])
    assert torch.equal(after.description.mode[:, 1], before.description.mode[:, 2])
