"""A motion of a user's own: what it believes and what it sees, in two methods."""

from dataclasses import replace
from itertools import pairwise

import pyro
import pytest
import torch
from pyro import poutine
from pyro.distributions import Independent, Normal
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam
from small_model import positions, rolled_out
from torch import Tensor, nn

from vtssi_pyro.inference.filter import Stream, forecast, track
from vtssi_pyro.model.blocks import RandomWalk, StateSpace
from vtssi_pyro.model.config import ModelConfig
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.proposals import ORDERS
from vtssi_pyro.model.sites import POSITION, draw
from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.types import Paths, Pose, Site, State

M = 3


class Glide(StateSpace):
    """Constant velocity, which is the last difference of positions."""

    def __init__(self) -> None:
        super().__init__(M=M, dims=2)
        self.noise = nn.Parameter(torch.tensor([0.02, 0.03], dtype=torch.float64))

    def transition(self, previous: State) -> dict[str, Independent]:
        place = Normal(previous["position"] + previous["motion"], self.noise[0]).to_event(1)
        return {"position": place, "motion": Normal(previous["motion"], self.noise[1]).to_event(1)}

    def infer(self, static: Tensor, position: Tensor, memory=None) -> tuple[Independent, Tensor]:
        last = position[..., :1, :, :] if memory is None else memory
        velocity = torch.cat([last, position], -3).diff(dim=-3)
        return Normal(velocity, 0.01).to_event(1), position[..., -1:, :, :]


@pytest.fixture
def gliding(tiny) -> Tracker:
    tracker = tiny()
    tracker.motion = Glide()
    return tracker


def test_model_and_guide_follow_the_transition(gliding: Tracker, frames: Tensor) -> None:
    """A walk to M, motions from M on, each from the state before; predictions go straight on."""
    T, horizon = frames.shape[1], 2
    with mode():
        guided = poutine.trace(gliding.guide).get_trace(frames, horizon=horizon)
    model = poutine.trace(poutine.replay(gliding.model, trace=guided)).get_trace(frames, horizon=horizon)
    values = {name: guided.nodes[name]["value"] for name in guided.stochastic_nodes}
    moving = [name for name in values if name.startswith("motion_")]
    assert moving == [f"motion_{t}" for t in range(M, T + horizon + 1)]
    assert model.nodes[f"motion_{M}"]["fn"].stddev.eq(1).all()
    for s, t in pairwise(range(M, T + horizon + 1)):
        place, pace = (model.nodes[f"{name}_{t}"]["fn"] for name in ("position", "motion"))
        torch.testing.assert_close(place.mean, values[f"position_{s}"] + values[f"motion_{s}"])
        torch.testing.assert_close(pace.mean, values[f"motion_{s}"])
        assert place.stddev.eq(0.02).all()
        assert pace.stddev.eq(0.03).all()
        if t <= T:  # the fusion with what was found: half of each
            assert (
                guided.nodes[f"motion_{t}"]["fn"].stddev.sub(0.5 * (0.03**2 + 0.01**2) ** 0.5).abs().max()
                < 1e-9
            )
    assert torch.equal(values[f"motion_{T + 2}"], values[f"motion_{T}"])


def test_its_noise_is_learned_by_plain_svi(gliding: Tracker, frames: Tensor) -> None:
    """Its parameters and no other's, where the rest is frozen."""
    gliding.requires_grad_(False)
    gliding.motion.requires_grad_(True)
    before = {name: value.clone() for name, value in gliding.named_parameters()}
    SVI(gliding.model, gliding.guide, Adam({"lr": 1e-3}), Trace_ELBO()).step(frames)
    changed = [name for name, value in gliding.named_parameters() if not torch.equal(value, before[name])]
    assert changed == ["motion.noise"]


def test_it_forecasts(gliding: Tracker, frames: Tensor) -> None:
    samples = forecast(gliding, frames[:, :4], horizon=3, num_samples=2).tracks.samples
    assert samples is not None
    assert samples.shape == (2, *frames.shape[:1], 7, 2, 2)
    assert samples.isfinite().all()


def test_it_goes_on_where_it_stopped(gliding: Tracker, frames: Tensor) -> None:
    """Its memory of the frames so far reaches it with the next ones."""
    with mode(), torch.no_grad():
        whole = gliding.guide(frames)
        first = gliding.guide(frames[:, :4])
        rest = gliding.guide(frames[:, 4:], chain=first.chain)
    torch.testing.assert_close(torch.cat([positions(first), positions(rest)], 1), positions(whole))
    pyro.clear_param_store()
    assert track(gliding, frames).tracks.position.shape == (*frames.shape[:2], 2, 2)


def test_a_rollout_is_the_repeated_transition(gliding: Tracker) -> None:
    motion = torch.tensor([0.1, -0.2]).double().expand(1, 2, 2)
    start = {"position": torch.zeros(1, 2, 2).double(), "motion": motion}
    ahead = rolled_out(gliding.motion, start, 3)
    steps = torch.arange(1, 4).double().view(3, 1, 1)
    torch.testing.assert_close(ahead["position"], steps * motion.unsqueeze(-3))
    assert ahead["motion"].shape == (1, 3, 2, 2)


def test_unknown_sharing_of_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="weight_shared"):
        StateSpace(M=3, dims=2, weight_shared="all")


ANGLE = Site("angle", 1)


class Spinning(RandomWalk):
    """Objects that turn by about as much in every frame: a variable of one's own, and what the picture makes of it."""

    sites = (POSITION, ANGLE)

    def __init__(self) -> None:
        super().__init__()
        self.speed = nn.Parameter(torch.tensor(0.3, dtype=torch.float64))

    def model(self, t: int, previous: State | None, like: Tensor, warmup: int) -> State:
        state = super().model(t, previous, like, warmup)
        before = torch.zeros_like(like[..., :1]) if previous is None else previous["angle"]
        return {**state, "angle": draw(ANGLE, t, Normal(before, 1.0).to_event(1))}

    def guide(self, picture, objects, found, first: int, warmup: int, memory: int | None) -> int:
        seen = memory or 0
        for t in range(first, first + found.position.shape[-3]):
            seen += 1
            turned = (self.speed * seen).expand_as(objects.size[..., :1])
            draw(ANGLE, t, Normal(turned, 0.01).to_event(1))
        return seen

    def pose(self, objects, states: State, presence: Tensor) -> Pose:
        pose, angle = super().pose(objects, states, presence), states.get("angle")
        return pose if angle is None else pose._replace(angle=angle.squeeze(-1))


@pytest.mark.parametrize("order", ORDERS)
def test_a_variable_of_ones_own_reaches_the_picture(
    order: str, tiny, config: ModelConfig, frames: Tensor
) -> None:
    """Sampled, inferred, rendered, learned and filtered, without a line outside the motion."""
    tracker = tiny(config=replace(config, order=order))
    tracker.motion = Spinning()
    with mode():
        guided = poutine.trace(tracker.guide).get_trace(frames)
        model = poutine.trace(poutine.replay(tracker.model, trace=guided)).get_trace(frames)
    assert {ANGLE.at(t) for t in range(1, 7)} <= set(guided.stochastic_nodes)
    latents, angle = guided.nodes["_RETURN"]["value"], 0.3 * torch.arange(1, 7, dtype=torch.float64)
    objects = latents.objects
    presence = objects.steps.unsqueeze(-2)
    pose = Pose(positions(latents), objects.size, presence, angle=angle.view(1, 6, 1).expand(2, 6, 2))
    drawn = tracker.picture.draw(pose, objects)
    torch.testing.assert_close(model.nodes["x"]["fn"].mean, drawn)
    assert not torch.allclose(drawn, tracker.picture.draw(pose._replace(angle=None), objects))
    shown = track(tracker, frames).frames
    present = tracker.picture.draw(pose._replace(presence=presence.round()), objects)
    torch.testing.assert_close(shown, present.detach())
    stream = Stream(tracker)
    parts = [stream.push(frames[:, t : t + 1]) for t in range(6)]
    streamed = torch.cat([part.frames for part in parts if part is not None], 1)
    torch.testing.assert_close(streamed, shown)
    loss = Trace_ELBO().differentiable_loss(tracker.model, tracker.guide, frames)
    (gradient,) = torch.autograd.grad(loss, tracker.motion.speed)
    assert gradient.abs() > 1e-3


def test_its_examples_are_the_present_objects_each_by_itself(gliding: Tracker) -> None:
    """With the object's own features, positions and visibilities, in order; without any object, all slots."""
    generator = torch.Generator().manual_seed(0)
    present = torch.tensor([[True, False], [True, True], [False, False]])
    position = torch.rand(3, 4, 2, 2, generator=generator)
    static = torch.rand(3, 2, 5, generator=generator)
    scenes = Paths(present, static, position, position[..., 0] > 0.5, position / 10)
    for chosen in ([(0, 0), (1, 0), (1, 1)], [(b, n) for b in range(3) for n in range(2)]):
        alone = gliding.motion.examples(scenes)
        assert alone.present.shape == (len(chosen), 1)
        for example, (b, n) in enumerate(chosen):
            assert alone.present[example] == scenes.present[b, n]
            assert torch.equal(alone.static[example, 0], scenes.static[b, n])
            assert torch.equal(alone.position[example, :, 0], scenes.position[b, :, n])
            assert torch.equal(alone.visible[example, :, 0], scenes.visible[b, :, n])
            assert torch.equal(alone.scale[example, :, 0], scenes.scale[b, :, n])
        scenes = scenes._replace(present=torch.zeros_like(present))
