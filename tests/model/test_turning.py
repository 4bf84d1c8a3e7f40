"""Objects that turn: the chain of their angles, their reading off frames, and the search for such objects."""

import math
from dataclasses import replace
from functools import partial
from typing import Any

import pyro
import pytest
import torch
from pyro import poutine
from pyro.distributions import Normal
from pyro.infer import SVI, Trace_ELBO
from pyro.nn import PyroModule
from pyro.optim import Adam
from pyro.poutine.util import prune_subsample_sites
from small_model import small
from torch import Tensor

from vtssi_pyro.config import from_dict, override, to_dict
from vtssi_pyro.errors import UsageError
from vtssi_pyro.inference.filter import Stream, forecast, track
from vtssi_pyro.inference.hypotheses import Hypothesis, log_evidence
from vtssi_pyro.model.blocks.gated import GatedConfig
from vtssi_pyro.model.blocks.interaction import InteractingMOTConfig
from vtssi_pyro.model.blocks.mot import RandomWalkConfig
from vtssi_pyro.model.blocks.presence import PresenceConfig
from vtssi_pyro.model.blocks.residual_mot import ResidualMOT, ResidualMOTConfig
from vtssi_pyro.model.blocks.turning import FIRST, Turned, Turning, TurningConfig
from vtssi_pyro.model.blocks.turning_search import TurningFINDConfig
from vtssi_pyro.model.config import OUR_SYSTEM, ModelConfig, TestTime
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.program import stacked
from vtssi_pyro.model.sites import ANGLE, SPIN
from vtssi_pyro.model.tracker import Tracker, build
from vtssi_pyro.ops.gaussian import product
from vtssi_pyro.train.elbo import Elbo
from vtssi_pyro.train.objective import without_motion
from vtssi_pyro.train.recipe import Stage
from vtssi_pyro.types import Objects, Pose, State

F64 = torch.float64
M, SIDE, G = 3, 40, 21
RESIDUAL = ResidualMOTConfig(M=M, motion=3, units=8, heads=(8,), transition=(8, 8), inertia=True)
MOTIONS = {
    "walk": RandomWalkConfig(),
    "mot": replace(small().motion, M=M),
    "residual-mot": RESIDUAL,
    "interacting": InteractingMOTConfig(M=M, motion=3, units=8, heads=(8,), transition=(8, 8), messages=(8,)),
}
ROD, WEDGE, DISC = 0, 1, 2


def looks() -> Tensor:
    """Three looks (3, 1, G, G): the same after half a turn, at no other angle, and at every angle."""
    axis = torch.linspace(-1, 1, G, dtype=F64)
    x, y = axis, axis[:, None]
    long = torch.exp(-((x / 0.75) ** 4))
    rod, wedge = (long * torch.exp(-((y / width) ** 2)) for width in (0.2, 0.15 + 0.15 * (1 - x)))
    disc = torch.exp(-(((x**2 + y**2) / 0.3) ** 2))
    return torch.stack([rod, wedge, disc]).unsqueeze(1)


class Known(PyroModule):
    """A consensus that knows the objects, of which all are there."""

    K = 1

    def __init__(self, which: Tensor, config: Any) -> None:
        super().__init__()
        self.which, self.config = which, config  # (B, N) kinds

    def guide(self, attention: Any, frames: Tensor, plates: Any) -> tuple[Objects, None]:
        def sure(value: Tensor) -> Any:
            return Normal(value, 1e-3).to_event(1)

        with plates.sequences:
            count = pyro.sample("count", sure(torch.full((len(self.which), 1, 1), 4.0, dtype=F64)))
            with plates.objects:
                size = pyro.sample("size", sure(torch.full((*self.which.shape, 2), 0.4, dtype=F64)))
                description = pyro.sample("description", sure(_described(self.which)))
        return Objects(count.squeeze(-2), size, description), None


def _described(which: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(which, 4).to(F64)


def drawn_as(description: Tensor) -> Tensor:
    """A decoder that knows the looks."""
    return looks()[description[..., :3].argmax(-1)]


def model(motion: str = "residual-mot", **changes: Any) -> ModelConfig:
    whole = replace(
        small("template"), frame_size=SIDE, glimpse=G, motion=TurningConfig(of=MOTIONS[motion]),
        finder=TurningFINDConfig(), order="frame-by-frame", fusion="product", test_time=TestTime(tight=True),
    )  # fmt: skip
    return replace(whole, **changes)


def knowing(which: list[list[int]], config: ModelConfig | None = None) -> Tracker:
    """A tracker that knows what the objects of each sequence look like."""
    torch.manual_seed(1)
    tracker = build(replace(config or model(), num_objects=len(which[0]))).double().eval()
    tracker.consensus = Known(torch.tensor(which), tracker.consensus.config)
    tracker.picture.decode = drawn_as
    return tracker


def shown(
    which: list[list[int]], position: Tensor, angle: Tensor, hidden: Tensor | None = None, noise: float = 0.02
) -> Tensor:
    """Frames (B, T, H, W) of objects at positions (B, T, N, 2), turned by angles (B, T, N)."""
    kinds = torch.tensor(which)
    presence = torch.ones_like(angle) if hidden is None else 1 - hidden.to(angle)
    objects = Objects(None, torch.full((*kinds.shape, 2), 0.4, dtype=F64), _described(kinds))
    pose = Pose(position, objects.size, presence, angle=angle, appearance=looks()[kinds].unsqueeze(1))
    picture = knowing(which).picture
    drawn = picture.draw(pose, objects).squeeze(-3)
    return (drawn + noise * torch.randn(drawn.shape, dtype=F64)).clamp(0, 1)


def scene(which: list[list[int]], speed: list[list[float]], length: int = 12) -> tuple[Tensor, Tensor]:
    """Positions (B, T, N, 2) on straight paths, and angles (B, T, N) of constant speeds, radians a frame."""
    t = torch.arange(length, dtype=F64)[None, :, None]
    angle = 0.5 + torch.tensor(speed, dtype=F64)[:, None] * t
    side = torch.tensor([[-0.4, -0.3], [0.4, 0.3]], dtype=F64)[: len(which[0])]
    along = torch.tensor([[0.03, 0.0], [-0.02, 0.02]], dtype=F64)[: len(which[0])]
    return (side + along * t.unsqueeze(-1)).expand(len(which), -1, -1, -1), angle


def angles_of(tracker: Tracker, frames: Tensor) -> Tensor:
    """The guide's angles (B, T, N), at their modes."""
    with torch.no_grad(), mode():
        return stacked(tracker.guide(frames).states)["angle"].squeeze(-1)


WHICH = [[ROD, WEDGE], [WEDGE, ROD]]
SPEED = [[0.25, -0.3], [0.33, 0.2]]


def test_angles_are_read_off_frames_and_go_on_beyond_a_turn() -> None:
    """The truth but for turns after which the object looks the same, always the same number of them."""
    position, angle = scene(WHICH, SPEED, 24)
    frames = shown(WHICH, position, angle)
    found = angles_of(knowing(WHICH), frames) - angle
    same = 2 * math.pi / torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=F64)
    number = (found / same.unsqueeze(1)).round()
    assert torch.equal(number, number[:, :1].expand_as(number)), "nobody jumps"
    assert angle.abs().max() > 2 * math.pi
    assert (found - number * same.unsqueeze(1)).abs().max() < 0.05


def test_a_round_object_stays_as_it_is() -> None:
    """Nearly: noise may look like an edge, but no noise becomes an angular velocity."""
    position, angle = scene([[DISC]], [[0.0]], 24)
    found = angles_of(knowing([[DISC]]), shown([[DISC]], position, angle, noise=0.1))
    assert (found - found[:, :1]).abs().max() < 0.35


def test_a_hidden_object_turns_on() -> None:
    position, angle = scene([[WEDGE]], [[0.3]], 16)
    hidden = torch.zeros(1, 16, 1, dtype=torch.bool)
    hidden[:, 9:12] = True
    frames, tracker = shown([[WEDGE]], position, angle, hidden), knowing([[WEDGE]])
    off = (angles_of(tracker, frames) - angle + math.pi).remainder(2 * math.pi) - math.pi
    assert off.abs().max() < 0.05
    with torch.no_grad(), mode():
        densities = tracker.guide(frames).densities
    for t in range(1, 17):  # nothing is read: the prediction stands for the reading, too
        alone = densities[ANGLE.at(t)].stddev.item() == pytest.approx(0.101 / math.sqrt(2), abs=1e-6)
        assert alone == hidden[0, t - 1].item(), t


def test_forecasts_turn_on() -> None:
    position, angle = scene(WHICH, SPEED, 18)
    frames, tracker = shown(WHICH, position, angle), knowing(WHICH)
    told = forecast(tracker, frames[:, :12], 6, num_samples=3).tracks
    assert told.angle is not None
    pace = told.angle[:, 12:].diff(dim=1)
    torch.testing.assert_close(
        pace, torch.tensor(SPEED, dtype=F64)[:, None].expand_as(pace), rtol=0, atol=0.03
    )
    torch.testing.assert_close(
        told.angle[:, 12] - told.angle[:, 11], torch.tensor(SPEED, dtype=F64), rtol=0, atol=0.05
    )


def test_the_search_finds_whoever_is_turned() -> None:
    """To a tenth of a pixel from the second frame on, which no search with upright templates does."""
    position, angle = scene(WHICH, SPEED, 16)
    frames, gated = shown(WHICH, position, angle), model(finder=GatedConfig())
    off = []
    for config in (model(), gated):
        with torch.no_grad(), mode():
            found = stacked(knowing(WHICH, config).guide(frames).states)["position"]
        off.append(((found - position) * SIDE / 2).norm(dim=-1))
    assert off[0].max() < 1
    assert off[0][:, 1:].max() < 0.1
    assert off[1].max() > 2


def test_two_alike_keep_their_identities() -> None:
    """By the places where they are expected: each is found near the same rod in all frames."""
    which = [[ROD, ROD]]
    position, angle = scene(which, [[-0.2, 0.3]], 16)
    with torch.no_grad(), mode():
        found = stacked(knowing(which).guide(shown(which, position, angle)).states)["position"]
    off = [((some - position) * SIDE / 2).norm(dim=-1).max() for some in (found, found.flip(-2))]
    assert min(off) < 0.1


def test_tracks_tell_the_axis_and_the_turned_box() -> None:
    which, quarter = [[WEDGE]], math.pi / 2
    position, angle = scene(which, [[0.2]], 10)
    told = track(knowing(which), shown(which, position, angle)).tracks
    assert told.angle is not None
    assert told.box is not None
    off = (told.angle - angle).remainder(math.pi)
    assert torch.minimum(off, math.pi - off).max() < 0.05
    upright = track(knowing(which), shown(which, position, 0 * angle)).tracks
    lying = track(knowing(which), shown(which, position, 0 * angle + quarter)).tracks
    torch.testing.assert_close(upright.box, lying.box.flip(-1), rtol=0, atol=0.6)
    assert (upright.box[..., 0] > 1.5 * upright.box[..., 1]).all()


@pytest.mark.parametrize("cut", [1, 4, 7])
def test_a_stream_is_told_as_offline(cut: int) -> None:
    position, angle = scene(WHICH, SPEED, 10)
    frames, tracker = shown(WHICH, position, angle), knowing(WHICH)
    whole, stream = track(tracker, frames), Stream(tracker)
    parts = [stream.push(some) for some in frames.split(cut, 1)]
    told = [part.tracks for part in (*parts, stream.flush()) if part is not None]
    for name in ("position", "angle"):
        found = torch.cat([getattr(part, name) for part in told], 1)
        torch.testing.assert_close(found, getattr(whole.tracks, name), rtol=0, atol=1e-9)


def test_an_absent_object_changes_no_angle() -> None:
    """Nor a place: whatever an empty slot holds."""
    position, angle = scene([[WEDGE]], [[0.3]])
    frames = shown([[WEDGE]], position, angle)
    found = []
    for other in (ROD, WEDGE):
        tracker = knowing([[WEDGE, other]])
        with torch.no_grad(), mode():
            known = tracker.consensus.guide
            tracker.consensus.guide = partial(_alone, known)
            states = stacked(tracker.guide(frames).states[1:])
        found.append(torch.cat([states["position"], states["angle"], states["spin"]], -1)[:, :, 0])
    torch.testing.assert_close(*found, rtol=0, atol=0)


def _alone(guide: Any, *args: Any) -> tuple[Objects, None]:
    """A consensus' objects, of which the first alone is there."""
    with poutine.condition(data={"count": torch.full((1, 1, 1), -4.0, dtype=F64)}):
        return guide(*args)


def latents(trace: poutine.Trace) -> set[str]:
    return set(prune_subsample_sites(trace).stochastic_nodes)


@pytest.mark.parametrize("order", ["frame-by-frame", "proposals-first"])
@pytest.mark.parametrize("motion", MOTIONS)
def test_model_and_guide_have_the_same_sites(motion: str, order: str, blobs: Any) -> None:
    """With any motion, in either order, and in forecasts."""
    finder = TurningFINDConfig() if order == "frame-by-frame" else small("template").finder
    torch.manual_seed(1)
    tracker = build(model(motion, order=order, finder=finder)).double()
    frames, horizon = blobs(length=5, side=SIDE), 0 if motion == "walk" else 2
    guided = poutine.trace(tracker.guide).get_trace(frames, horizon=horizon)
    replayed = poutine.trace(poutine.replay(tracker.model, trace=guided))
    modelled = replayed.get_trace(frames, horizon=horizon)
    last = 5 + horizon
    angles = {site.at(t) for site in (ANGLE, SPIN) for t in range(1 + (site is SPIN), last + 1)}
    assert latents(guided) == latents(modelled) >= angles
    assert SPIN.at(1) not in latents(guided)
    assert modelled.log_prob_sum().isfinite()


def test_angles_are_fused_where_positions_are() -> None:
    """Up to frame M they are as read; beyond, readings and predictions are multiplied."""
    frames = shown(WHICH, *scene(WHICH, SPEED, 8))
    with torch.no_grad(), mode():
        densities = knowing(WHICH).guide(frames).densities
    scales = torch.stack([densities[ANGLE.at(t)].stddev.squeeze(-1) for t in range(1, 9)])
    assert scales[:M].min() > 0.051, "the least scale of a reading"
    together = (0.051**-2 + 0.101**-2) ** -0.5  # of that and of the chain's wobble
    assert scales[M:].min() > together
    assert scales[M:].max() < 0.051
    for t in range(M + 1, 9):
        assert (densities[SPIN.at(t)].stddev < 0.051).all(), "below the chain's drift"


def test_what_is_expected_of_angles_is_a_kalman_filters() -> None:
    """After the product of prediction and reading; the reading of a velocity is the difference of two angles."""
    motion = TurningConfig(of=RESIDUAL).build(small()).double()
    before = Turned(None, *(torch.tensor([[value]], dtype=F64) for value in (2.0, 0.3, 5.0)))
    read, error = torch.tensor([[2.5]], dtype=F64), torch.tensor([[0.2]], dtype=F64)
    with torch.no_grad():
        after = motion._filtered(before, read, error, motion._expected(before))
    half = torch.full((1, 1), 0.5, dtype=F64)
    for found, prediction, reading in (
        (after.angle, Normal(2.3, 0.101), Normal(2.5, 0.2)),
        (after.spin, Normal(0.3, 0.051), Normal(0.5, math.sqrt(2) * 0.2)),
    ):
        expected = product(
            *(q.expand((1, 1, 1)).to_event(1) for q in (prediction, reading)), half.to(found)
        ).mean
        torch.testing.assert_close(found, expected.squeeze(-1).to(found), rtol=0, atol=1e-6)
    assert after.age == 6


def test_who_is_new_is_turned_by_nobody_knows_how() -> None:
    motion = TurningConfig(of=RESIDUAL).build(small()).double()
    one, new = torch.ones(1, 2, dtype=F64), torch.tensor([[True, False]])
    kept = motion.forget(Turned(None, 3 * one, 0.2 * one, 5 * one), new, torch.zeros(1, 2, 2, dtype=F64))
    mean, scale = (value.detach() for value in motion._expected(kept))
    assert scale[0, 0] == pytest.approx(FIRST)
    assert (mean[0, 1], scale[0, 1]) == (pytest.approx(3.2), pytest.approx(0.101))
    assert motion.forget(None, new, torch.zeros(1, 2, 2, dtype=F64)) is None


def test_evidence_knows_that_objects_turn() -> None:
    """Frames of a turning object speak for its own look, at whatever angle it was described."""
    frames = shown([[WEDGE]], *scene([[WEDGE]], [[0.3]])).unsqueeze(2)
    tracker, told = knowing([[WEDGE]]), {}
    for kind in (ROD, WEDGE, DISC):
        count = torch.full((1, 1, 1), 4.0, dtype=F64)
        size, look = torch.full((1, 1, 2), 0.4, dtype=F64), _described(torch.tensor([[kind]]))
        known = Hypothesis(*(Normal(value, 0.01).to_event(1) for value in (count, size, look)))
        with torch.no_grad():
            told[kind] = log_evidence(tracker, tracker.program(), frames, known)[1].item()
    assert told[WEDGE] > told[ROD] > told[DISC]


def test_the_chain_is_what_it_says() -> None:
    """p(a_1) p(a_2 | a_1) p(v_2) prod_t p(a_t | a_{t-1} + v_{t-1}) p(v_t | v_{t-1}), by hand."""
    config = TurningConfig(of=RandomWalkConfig(), speed=0.3, wobble=0.1, drift=0.05)
    motion = config.build(small()).double()
    like, previous = torch.zeros(2, 3, 2, dtype=F64), None
    with poutine.trace() as trace, pyro.plate("sequences", 2, dim=-2), pyro.plate("objects", 3, dim=-1):
        states: list[State] = []
        for t in range(1, 5):
            previous = motion.model(t, previous, like, warmup=1)
            states.append(previous)
    a, v = (
        [None if name not in state else state[name] for state in states] for name in (ANGLE.name, SPIN.name)
    )
    speed, wobble, drift = 0.301, 0.101, 0.051  # each above the least scale
    expected = Normal(0.0, FIRST).log_prob(a[0]) + Normal(a[0], speed).log_prob(a[1])
    expected = expected + Normal(0.0, speed).log_prob(v[1])
    for t in (2, 3):
        expected = expected + Normal(a[t - 1] + v[t - 1], wobble).log_prob(a[t])
        expected = expected + Normal(v[t - 1], drift).log_prob(v[t])
    told = [
        site["fn"].log_prob(site["value"]) for name, site in trace.trace.nodes.items()
        if name.startswith(("angle", "spin"))
    ]  # fmt: skip
    torch.testing.assert_close(sum(told), expected.squeeze(-1), rtol=0, atol=1e-5)


def test_positions_move_as_without_angles() -> None:
    """What is known of places and their training is the motion's own."""
    torch.manual_seed(0)
    turning = TurningConfig(of=RESIDUAL).build(small()).double()
    alone = ResidualMOT(RESIDUAL, small()).double()
    alone.load_state_dict(turning.of.state_dict())
    state = {"position": torch.rand(2, 2, 2, dtype=F64), "motion": torch.randn(2, 2, 3, dtype=F64)}
    angles = {name: torch.randn(2, 2, 1, dtype=F64) for name in (ANGLE.name, SPIN.name)}
    found, expected = turning.transition(state | angles), alone.transition(state)
    for name, density in expected.items():
        for moment in ("mean", "stddev"):
            assert torch.equal(getattr(found[name], moment), getattr(density, moment))
    assert set(found) == {"position", "motion", "angle", "spin"}
    assert [site.name for site in turning.sites] == ["position", "motion", "angle", "spin"]
    assert (turning.M, turning.predicts, turning.scale) == (alone.M, True, alone.scale)
    assert {*turning.scales()} == {*turning.of.scales(), *turning.angles.parameters()}


def test_everything_is_trained() -> None:
    """By Pyro's own SVI under the names of the whole, and by the search's stage, which has a random walk."""
    tracker, frames = knowing(WHICH), shown(WHICH, *scene(WHICH, SPEED, 5))
    scales = tracker.motion.angles.body.log
    walking = without_motion(tracker, Stage("search", 1, "walk"))
    assert isinstance(walking.motion, Turning)
    assert not walking.motion.predicts
    (gradient,) = torch.autograd.grad(
        Elbo().differentiable_loss(walking.model, walking.guide, frames), scales
    )
    assert (gradient[:4].abs() > 0).all()
    before = scales.detach().clone()
    svi = SVI(tracker.model, tracker.guide, Adam({"lr": 1e-2}), Trace_ELBO(max_plate_nesting=2))
    svi.step(frames)
    assert (scales != before)[:4].all()
    assert sum("angles.body" in name for name in pyro.get_param_store()) == 1, "one set, whoever shares it"


def test_particles_are_as_many_frames(blobs: Any) -> None:
    torch.manual_seed(1)
    tracker, frames = build(model()).double(), blobs(length=4, side=SIDE)
    elbo = Trace_ELBO(num_particles=3, vectorize_particles=True, max_plate_nesting=2)
    assert math.isfinite(elbo.loss(tracker.model, tracker.guide, frames))


def test_objects_may_turn_that_come_and_go() -> None:
    """Each object's chain begins where it enters; sites of the others count nothing."""
    torch.manual_seed(1)
    tracker = build(model(scene=PresenceConfig(enter=-0.5))).double().eval()
    x = torch.rand(3, 6, 1, SIDE, SIDE, dtype=F64)
    x[:, 2:4] = 0  # nobody is there
    guided = poutine.trace(tracker.guide).get_trace(x)
    modelled = poutine.trace(poutine.replay(tracker.model, trace=guided)).get_trace(x)
    assert latents(guided) == latents(modelled) >= {ANGLE.at(t) for t in range(1, 7)}
    assert modelled.log_prob_sum().isfinite()
    assert guided.log_prob_sum().isfinite()
    states = guided.nodes["_RETURN"]["value"].states
    for t in range(1, 7):
        age = states[t - 1]["age"].squeeze(-1)
        for site, least in ((ANGLE, 0), (SPIN, 1)):
            mask = modelled.nodes[site.at(t)]["mask"].expand_as(age)
            assert torch.equal(mask, age >= least), (site, t)
    new = [(s["age"] == 0).any().item() for s in states[1:]]
    assert any(new), "the law needs somebody who enters"


def test_it_is_chosen_by_name_around_any_motion() -> None:
    base = OUR_SYSTEM.model
    turning = override(base, ["motion=turning"])
    assert turning.motion == TurningConfig()
    inner = override(
        base, ['motion={"kind": "turning", "of": {"kind": "interacting", "M": 4}}', "motion.of.units=9"]
    )
    assert inner.motion == TurningConfig(of=InteractingMOTConfig(M=4, units=9))
    assert from_dict(to_dict(inner), ModelConfig) == inner
    assert build(inner).motion.M == 4
    with pytest.raises(UsageError, match="speed"):
        override(base, ["motion=turning", "motion.speed=-1"])
    fast = TurningConfig(of=ResidualMOTConfig(), speed=0.7).suited(0.05)
    assert fast == TurningConfig(of=replace(ResidualMOTConfig().suited(0.05), edges=False), speed=0.7)
