"""Objects that act on each other: no order among them, no message from nobody, and one alone moves as before."""

from dataclasses import replace

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam
from pyro.poutine.util import prune_subsample_sites
from torch import Tensor

from vtssi_pyro.errors import UsageError
from vtssi_pyro.inference.filter import forecast
from vtssi_pyro.model.blocks.interaction import InteractingMOT, InteractingMOTConfig
from vtssi_pyro.model.blocks.residual_mot import ResidualMOT, ResidualMOTConfig
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.model.tracker import build
from vtssi_pyro.types import Paths, State

SMALL = {"M": 3, "motion": 3, "units": 8, "heads": (8,), "transition": (8, 8), "inertia": True}


def interacting(config: InteractingMOTConfig | None = None) -> InteractingMOT:
    """A motion whose messages matter from the start."""
    motion = InteractingMOT(config or InteractingMOTConfig(**SMALL, messages=(8,)), Sizes())
    with torch.no_grad():
        motion.message.get_submodule("body.loc")[-1].weight *= 100
    return motion.double()


def state(number: int, batch: tuple[int, ...] = (2,)) -> State:
    torch.manual_seed(0)
    return {
        "position": torch.rand(*batch, number, 2, dtype=torch.float64) - 0.5,
        "motion": torch.randn(*batch, number, 3, dtype=torch.float64),
        "steps": torch.ones(*batch, number, 1, dtype=torch.float64),
    }


def moments(motion: ResidualMOT, previous: State) -> list[Tensor]:
    with torch.no_grad():
        found = motion.transition(previous)
    return [value for q in found.values() for value in (q.mean, q.stddev)]


def test_the_order_of_objects_does_not_matter() -> None:
    motion, before, order = interacting(), state(4), torch.tensor([2, 0, 3, 1])
    swapped = {name: value[:, order] for name, value in before.items()}
    for found, expected in zip(moments(motion, swapped), moments(motion, before), strict=True):
        torch.testing.assert_close(found, expected[:, order])


def test_objects_act_on_each_other() -> None:
    motion, before = interacting(), state(3)
    moved = before | {"position": before["position"].clone()}
    moved["position"][:, 2] += 0.1
    found, expected = (motion.transition(each)["position"] for each in (moved, before))
    for value in ("mean", "stddev"):
        assert (getattr(found, value) - getattr(expected, value))[:, :2].abs().amax(-1).min() > 1e-6


def test_an_absent_object_changes_no_density() -> None:
    motion, before = interacting(), state(3)
    before["steps"][:, 2] = 0
    fewer = {name: value[:, :2] for name, value in before.items()}
    for found, expected in zip(moments(motion, before), moments(motion, fewer), strict=True):
        torch.testing.assert_close(found[:, :2], expected)


def test_an_object_alone_moves_by_its_own_changes() -> None:
    motion = interacting()
    alone = ResidualMOT(ResidualMOTConfig(**SMALL), Sizes()).double()
    alone.load_state_dict(motion.state_dict(), strict=False)
    before = state(1)
    for found, expected in zip(moments(motion, before), moments(alone, before), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_a_far_object_changes_no_density_and_a_near_one_does_smoothly() -> None:
    """Within reach the message of an object that comes nearer begins at nothing."""
    motion = interacting(InteractingMOTConfig(**SMALL, messages=(8,), reach=2.0))
    alone, before = moments(motion, state(1, (1,))), state(2, (1,))
    edge = 2.0 * motion.config.step

    def shifts(distance: float) -> float:
        """The change of all densities of the first object by one at a distance."""
        before["position"][:, 1] = before["position"][:, 0] + torch.tensor([0.6, 0.8]) * distance
        pairs = zip(moments(motion, before), alone, strict=True)
        return max(float((found[:, :1] - expected).abs().max()) for found, expected in pairs)

    before["motion"][:, 0] = state(1, (1,))["motion"][:, 0]
    before["position"][:, 0] = state(1, (1,))["position"][:, 0]
    rounding = 1e-12  # of matrix products of other shapes
    assert shifts(1.01 * edge) < rounding
    assert rounding < shifts(0.99 * edge) < 0.01 * shifts(0.5 * edge)


def test_without_reach_nobody_acts_on_anybody() -> None:
    motion, before = interacting(InteractingMOTConfig(**SMALL, messages=(8,), reach=0.0)), state(3)
    alone = ResidualMOT(ResidualMOTConfig(**SMALL), Sizes()).double()
    alone.load_state_dict(motion.state_dict(), strict=False)
    for found, expected in zip(moments(motion, before), moments(alone, before), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("mirrored", [False, True])
def test_messages_know_neither_place_nor_direction_nor_a_common_velocity(mirrored: bool) -> None:
    """A scene that is moved, moves on and is turned by a quarter has turned messages; a mirror has to be learned."""
    motion, before = interacting(), state(3)
    matrix = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    if mirrored:
        matrix = matrix @ torch.diag(torch.tensor([1.0, -1.0], dtype=torch.float64))

    def turned(vectors: Tensor) -> Tensor:
        """Vectors of two or more numbers, the first two of which are of the plane."""
        return torch.cat([vectors[..., :2] @ matrix.mT, vectors[..., 2:]], -1)

    def received(places: Tensor, motions: Tensor) -> tuple[Tensor, Tensor]:
        loc, variance = motion._messages(places, motions, before["steps"])
        return loc.sum(-2), variance.sum(-2)

    loc, variance = received(before["position"], before["motion"])
    drift = torch.tensor([0.7, -0.2, 0.0], dtype=torch.float64)
    found, spread = received(turned(before["position"]) + 0.3, turned(before["motion"]) + drift)
    expected = torch.cat([loc[..., :2] @ matrix.mT, turned(loc[..., 2:])], -1)
    swapped = variance[..., [1, 0, 3, 2, 4]]
    alike = [torch.allclose(a, b) for a, b in ((found, expected), (spread, swapped))]
    assert alike == [not mirrored] * 2


def colliding() -> InteractingMOT:
    """A motion of velocities alone, in which all objects within reach collide, in directions that are not learned."""
    motion = interacting(InteractingMOTConfig(**SMALL | {"motion": 2}, messages=(8,), elastic=True))
    with torch.no_grad():
        motion.message.get_submodule("body.loc")[-1].bias[-1] = 10
    return motion


def test_two_that_collide_keep_momentum_and_energy() -> None:
    motion, before = colliding(), state(2)
    before["motion"] = before["motion"][..., :2]
    after = motion.transition(before)["motion"].mean
    assert (after - before["motion"]).abs().amax((-2, -1)).min() > 0.1
    for kept in (lambda v: v.sum(-2), lambda v: v.square().sum((-2, -1))):
        torch.testing.assert_close(kept(after), kept(before["motion"]), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("odds", [0.0, 0.1, 1.0])
def test_half_a_collision_is_none_but_learns(odds: float) -> None:
    """Velocities are kept or exchanged, whatever the odds, which have a gradient either way."""
    motion, before = colliding(), state(2)
    before["motion"] = before["motion"][..., :2]
    final = motion.message.get_submodule("body.loc")[-1]
    with torch.no_grad():
        final.weight[-1], final.bias[-1] = 0, odds
    after = motion.transition(before)["motion"].mean
    assert torch.equal(after, before["motion"]) == (odds < 1)
    after[:, 0].sum().backward()
    assert final.bias.grad[-1] != 0


def test_elastic_objects_alone_keep_their_velocity() -> None:
    motion, before = colliding(), state(1)
    before["motion"] = before["motion"][..., :2]
    assert torch.equal(motion.transition(before)["motion"].mean, before["motion"])


def test_collisions_are_of_velocities_alone() -> None:
    with pytest.raises(UsageError, match="motion of 2"):
        InteractingMOTConfig(elastic=True).build(Sizes())


def test_messages_need_velocities() -> None:
    with pytest.raises(UsageError, match="inertia"):
        InteractingMOTConfig(inertia=False).build(Sizes())


def test_it_learns_from_whole_scenes() -> None:
    paths = Paths(*(torch.zeros(2, 3) for _ in Paths._fields))
    assert interacting().examples(paths) is paths


@pytest.fixture
def tracker(tiny):
    made = tiny()
    return build(replace(made.config, motion=InteractingMOTConfig(**SMALL, messages=(8,)))).to(torch.float64)


def test_model_and_guide_have_the_same_sites(tracker, frames: Tensor) -> None:
    guided = poutine.trace(tracker.guide).get_trace(frames, horizon=2)
    model = poutine.trace(poutine.replay(tracker.model, trace=guided)).get_trace(frames, horizon=2)
    drawn = [prune_subsample_sites(trace).stochastic_nodes for trace in (guided, model)]
    assert {*drawn[0]} == {*drawn[1]} >= {"motion_6", "motion_8"}
    assert model.log_prob_sum().isfinite()


def test_pyros_own_svi_trains_it(tracker, frames: Tensor) -> None:
    pyro.clear_param_store()
    before = [p.detach().clone() for p in tracker.motion.message.parameters()]
    svi = SVI(tracker.model, tracker.guide, Adam({"lr": 1e-3}), Trace_ELBO(max_plate_nesting=2))
    for _ in range(2):
        svi.step(frames)
    after = [*tracker.motion.message.parameters()]
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_forecasts_know_who_is_there(tracker, frames: Tensor) -> None:
    """An empty slot sends no messages: what it holds does not matter."""
    with torch.no_grad():
        tracker.motion.message.get_submodule("body.loc")[-1].weight *= 100
    found = forecast(tracker, frames, 3, num_samples=2)
    assert found.tracks.position[found.tracks.present].isfinite().all()
    assert found.tracks.samples is not None
