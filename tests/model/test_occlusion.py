"""Objects that hide each other: the laws of a picture that composes by depth."""

import math
from dataclasses import replace

import pytest
import torch
from pyro import poutine
from pyro.distributions import Normal
from pyro.infer import Trace_ELBO
from small_model import FINDERS, small
from torch import Tensor

from vtssi_pyro.inference.confidence import explained_share
from vtssi_pyro.inference.filter import Stream, forecast, joined, track
from vtssi_pyro.model.blocks.gated import GatedConfig
from vtssi_pyro.model.blocks.interaction import InteractingMOTConfig
from vtssi_pyro.model.blocks.layered import LayeredConfig, LayeredPicture
from vtssi_pyro.model.blocks.mot import RandomWalkConfig
from vtssi_pyro.model.blocks.presence import PresenceConfig
from vtssi_pyro.model.blocks.residual_mot import ResidualMOTConfig
from vtssi_pyro.model.config import ModelConfig, TestTime
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.model.tracker import Tracker, build
from vtssi_pyro.ops.occlusion import compared
from vtssi_pyro.train.elbo import Elbo
from vtssi_pyro.types import Objects, Pose

F64 = torch.float64
B, T, N, G, SIDE = 2, 4, 3, 9, 20
RESIDUAL = {"M": 2, "motion": 3, "units": 8, "heads": (8,), "transition": (8, 8)}
GATED = {"finder": GatedConfig(kernel_side=5), "order": "frame-by-frame"}
TIGHT = TestTime(hypotheses=2, refine=1, settled=3, tight=True)
COMBINATIONS = {
    "the paper's": {},
    "template": {"finder": FINDERS["template"], "motion": RandomWalkConfig(), "test_time": TIGHT},
    "following": {"finder": FINDERS["following"], "test_time": TIGHT},
    "gated": {**GATED, "motion": ResidualMOTConfig(**RESIDUAL, inertia=True), "test_time": TestTime(hypotheses=2)},
    "interacting": {**GATED, "motion": InteractingMOTConfig(**RESIDUAL, messages=(8,)), "test_time": TestTime()},
    "presence": {**GATED, "scene": PresenceConfig(enter=-0.5), "test_time": TestTime(tight=True)},
}  # fmt: skip
EVERY = pytest.mark.parametrize("combination", COMBINATIONS)


def layered(combination: str, **changes: object) -> ModelConfig:
    picture = LayeredConfig(decoder=(8, 16), front=True)
    return replace(small(num_objects=N), picture=picture, **COMBINATIONS[combination], **changes)


def made(config: ModelConfig, count: float = 4.0) -> Tracker:
    """A tracker that sees this count, of which 4 are all objects and -2 is about one of three."""
    torch.manual_seed(1)
    tracker = build(config).double().eval()
    with torch.no_grad():
        tracker.attention.counter.get_submodule("body.loc")[-1].bias.fill_(count)
    return tracker


def picture(front: bool = False, softness: float = 1e-3) -> LayeredPicture:
    torch.manual_seed(0)
    sizes = Sizes(num_objects=N, frame_size=SIDE, glimpse=G, description=4)
    return LayeredConfig(decoder=(8, 16), front=front, softness=softness).build(sizes).double()


def some(position: Tensor | None = None, depth: Tensor | None = None) -> tuple[Objects, Pose]:
    """Objects at random, which overlap."""
    torch.manual_seed(3)
    objects = Objects(
        torch.full((B, 1), 5.0, dtype=F64), torch.full((B, N, 2), 0.3, dtype=F64), torch.randn(B, N, 4, dtype=F64)
    )  # fmt: skip
    if position is None:
        position = 0.3 * torch.randn(B, T, N, 2, dtype=F64)
    if depth is None:
        depth = torch.randn(B, T, N, dtype=F64)
    whole = torch.ones(B, 1, N, dtype=F64)
    steps = torch.ones(B, N, dtype=F64)
    return objects._replace(steps=steps, present=steps > 0), Pose(position, objects.size, whole, depth)


def solid(pose: Pose) -> Pose:
    """The pose of opaque squares of different intensities."""
    intensity = torch.tensor([0.9, 0.6, 0.3], dtype=F64)[:, None, None, None].expand(N, 1, G, G)
    return pose._replace(
        appearance=torch.cat([intensity, torch.ones_like(intensity)], -3).expand(B, 1, N, 2, G, G)
    )


@pytest.fixture
def x() -> Tensor:
    torch.manual_seed(2)
    return torch.rand(B, 6, 1, SIDE, SIDE, dtype=F64)


def latents(trace: poutine.Trace) -> dict[str, dict]:
    return {
        name: site for name, site in trace.nodes.items()
        if site["type"] == "sample" and not site["is_observed"] and not poutine.util.site_is_subsample(site)
    }  # fmt: skip


@EVERY
def test_model_and_guide_have_the_same_sites(combination: str, x: Tensor) -> None:
    tracker = made(layered(combination))
    guided = poutine.trace(tracker.guide).get_trace(x)
    modelled = poutine.trace(poutine.replay(tracker.model, trace=guided)).get_trace(x)
    q, p = latents(guided), latents(modelled)
    assert q.keys() == p.keys()
    assert {f"depth_{t}" for t in range(1, 7)} <= q.keys()
    for name, site in q.items():
        assert torch.equal(site["value"], p[name]["value"])
    additive = made(replace(layered(combination), picture=small().picture))
    plain = latents(poutine.trace(additive.guide).get_trace(x))
    assert q.keys() - plain.keys() == {f"depth_{t}" for t in range(1, 7)}
    assert Elbo().terms(tracker.model, tracker.guide, x)["depth"] <= 0


@EVERY
def test_every_elbo_of_reparameterised_sites_trains_it(combination: str, x: Tensor) -> None:
    tracker = made(layered(combination))
    elbo = Trace_ELBO(num_particles=2, vectorize_particles=True, max_plate_nesting=2)
    elbo.differentiable_loss(tracker.model, tracker.guide, x).backward()
    for name, parameter in tracker.picture.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@EVERY
def test_an_absent_object_changes_no_other_density(combination: str, x: Tensor) -> None:
    """Whatever depths absent objects have, and however near they are, frame and other sites are the same."""
    tracker = made(layered(combination), count=-2.0)
    guided = poutine.trace(tracker.guide).get_trace(x)
    disturbed, off = guided.copy(), []
    for name, site in latents(guided).items():
        if name.startswith(("depth", "position", "description")):
            mask = site["mask"].expand(site["fn"].batch_shape)
            off.append(~mask.unsqueeze(-1))
            disturbed.nodes[name] = {**site, "value": site["value"] - 5.0 * off[-1]}
    assert any(mask.any() for mask in off)
    before, after = (
        poutine.trace(poutine.replay(tracker.model, trace=trace)).get_trace(x) for trace in (guided, disturbed)
    )  # fmt: skip
    for trace in (before, after):
        trace.compute_log_prob()
    assert any(name.startswith("depth") for name in latents(before))
    for name, site in before.nodes.items():
        if "log_prob" in site:
            torch.testing.assert_close(site["log_prob"], after.nodes[name]["log_prob"])


def test_layers_that_do_not_overlap_add_up() -> None:
    places = torch.tensor([[-0.6, -0.6], [0.6, -0.6], [0.0, 0.6]], dtype=F64).expand(B, T, N, 2)
    made_, (objects, pose) = picture(), some(places)
    layers = made_.layers(pose, objects)
    assert layers.shape == (B, T, N, 2, SIDE, SIDE)
    torch.testing.assert_close(made_.draw(pose, objects), layers[..., :1, :, :].sum(-4))
    torch.testing.assert_close(made_.shown(layers, pose), layers[..., :1, :, :])


def test_it_composes_as_over_does() -> None:
    """Porter and Duff's operator, from the farthest object to the nearest."""
    made_, (objects, pose) = picture(), some()
    layers = made_.layers(pose, objects)
    order = pose.depth.argsort(-1, descending=True)[..., None, None, None].expand(layers.shape)
    frame = torch.zeros(B, T, 1, SIDE, SIDE, dtype=F64)
    for layer in layers.gather(-4, order).unbind(-4):
        frame = layer[..., :1, :, :] + (1 - layer[..., 1:, :, :]) * frame
    torch.testing.assert_close(made_.draw(pose, objects), frame)
    assert not torch.allclose(frame, layers[..., :1, :, :].sum(-4))


def test_the_nearest_opaque_object_is_seen() -> None:
    centre = torch.zeros(B, T, N, 2, dtype=F64)
    for nearest in range(N):
        depth = torch.ones(B, T, N, dtype=F64)
        depth[..., nearest] = -1
        objects, pose = some(centre, depth)
        pose = solid(pose)
        middle = picture().draw(pose, objects)[..., SIDE // 2, SIDE // 2]
        torch.testing.assert_close(middle, pose.appearance[0, 0, nearest, 0, 0, 0].expand_as(middle))


def test_without_depths_each_order_counts_as_one_half() -> None:
    objects, pose = some(torch.zeros(B, T, N, 2, dtype=F64))
    both = []
    for depth in ([0.0, 1, 9], [1.0, 0, 9]):
        ordered = pose._replace(
            depth=torch.tensor(depth, dtype=F64).expand(B, T, N),
            presence=pose.presence * 0 + torch.tensor([1.0, 1, 0]),
        )
        both.append(picture().draw(ordered, objects))
    torch.testing.assert_close(picture().draw(ordered._replace(depth=None), objects), (both[0] + both[1]) / 2)


@pytest.mark.parametrize("front", [False, True])
def test_the_others_are_the_frame_without_an_object(front: bool) -> None:
    made_, (objects, pose) = picture(front), some()
    layers = made_.layers(pose, objects)
    for i in range(N):
        there = torch.ones(B, 1, N, dtype=F64)
        there[..., i] = 0
        expected = made_.draw(pose._replace(presence=there), objects)
        torch.testing.assert_close(made_.others(layers, pose)[..., i, :, :, :], expected)
    drawn = made_.compose(layers, pose).unsqueeze(-4)
    torch.testing.assert_close(made_.shown(layers, pose), drawn - made_.others(layers, pose))


def test_objects_may_be_in_any_slots() -> None:
    made_, (objects, pose), order = picture(), some(), torch.tensor([2, 0, 1])
    layers = made_.layers(pose, objects)
    swapped = pose._replace(depth=pose.depth[..., order])
    torch.testing.assert_close(made_.compose(layers[:, :, order], swapped), made_.compose(layers, pose))


def test_a_front_stands_before_all_objects() -> None:
    made_, (objects, pose) = picture(front=True), some(torch.zeros(B, T, N, 2, dtype=F64))
    with torch.no_grad():
        made_.front.pixels[1, :, : SIDE // 2] = 5.0  # opaque
        made_.front.pixels[0, :, : SIDE // 2] = -5.0  # and black
    drawn, alone = made_.draw(pose, objects), picture().draw(pose, objects)
    assert drawn[..., : SIDE // 2].abs().max() < 1e-6
    assert (drawn - alone)[..., SIDE // 2 :].abs().max() < 0.02
    assert made_.clear(made_.layers(pose, objects), pose)[..., : SIDE // 2].max() < 1e-6


def test_a_hidden_object_has_no_confidence() -> None:
    objects, pose = some(
        torch.zeros(B, T, N, 2, dtype=F64), torch.tensor([0.0, 1, 2], dtype=F64).expand(B, T, N)
    )
    made_, pose = picture(), solid(pose)
    frames = made_.draw(pose, objects)
    _, confidence = explained_share(frames, made_, pose, objects)
    torch.testing.assert_close(confidence, torch.tensor([1.0, 0, 0], dtype=F64).expand(B, T, N))


def test_the_proposed_depths_are_those_of_the_frames() -> None:
    """Frames are drawn in a known order: where objects overlap it is found, elsewhere the proposal is the prior."""
    made_ = picture(softness=0.05)
    depth = torch.tensor([[0.5, -0.5, 0.0], [-1.0, 0.0, 1.0]], dtype=F64).unsqueeze(1)
    places = torch.zeros(B, 1, N, 2, dtype=F64)
    places[..., 1, 0], places[..., 2, :] = 0.2, 0.9
    objects, pose = some(places, depth)
    pose = solid(pose)
    frames = made_.draw(pose, objects)
    found = made_.ordered(frames, made_.layers(pose, objects), pose._replace(depth=None)).depth
    assert ((found[..., 0] < found[..., 1]) == (depth[..., 0] < depth[..., 1])).all()
    assert (found[..., 0] - found[..., 1]).abs().min() > 1
    assert (found[..., 2] == 0).all()
    redrawn = made_.draw(pose._replace(depth=found), objects)
    torch.testing.assert_close(redrawn, frames)
    trace = poutine.trace(made_.guide).get_trace(frames, objects, pose._replace(depth=None), 3, None)
    q = trace.nodes["depth_3"]["fn"].base_dist
    torch.testing.assert_close(q.loc.squeeze(-1), found.squeeze(1))
    assert (q.scale[:, 2] == 1).all()
    assert (q.scale[:, :2] < 0.2).all()
    # an order that was believed before gives way to evidence, and stays without any
    before = {"depth": -depth.squeeze(1).unsqueeze(-1)}
    for overlap, agrees in ((True, True), (False, False)):
        apart = places.clone()
        apart[..., 1, 0] = 0.2 if overlap else 0.9
        apart[..., 2, :] = -0.9
        pose = pose._replace(position=apart, depth=depth)
        frames = made_.draw(pose, objects)
        state = before
        for _ in range(5):
            later = made_.ordered(frames, made_.layers(pose, objects), pose, state).depth
            state = {"depth": later.squeeze(1).unsqueeze(-1)}
        assert (((later[..., 0] < later[..., 1]) == (depth[..., 0] < depth[..., 1])).all()) == agrees


def test_a_new_object_has_a_depth_of_its_own() -> None:
    made_, before = picture(), {"depth": torch.full((B, N, 1), 3.0, dtype=F64)}
    age = torch.tensor([0.0, 1, -1]).expand(B, N)
    trace = poutine.trace(made_.model).get_trace(4, before, torch.zeros(B, N, 2, dtype=F64), age)
    q = trace.nodes["depth_4"]["fn"].base_dist
    torch.testing.assert_close(q.loc[0, :2, 0], torch.tensor([0.0, 3], dtype=F64))
    torch.testing.assert_close(q.scale[0, :2, 0], torch.tensor([1.0, made_.config.drift], dtype=F64))


@pytest.mark.parametrize("evidence", [0.0, 1.5, -4.0, 300.0])
@pytest.mark.parametrize("ahead", [-1.0, 0.0, 0.7])
def test_compared_depths_have_the_moments_of_the_two_orders(evidence: float, ahead: float) -> None:
    """The mean of the difference, by a sum over a fine grid."""
    prior = Normal(torch.tensor([[0.0], [ahead]], dtype=F64), torch.tensor([[0.6], [0.3]], dtype=F64))
    nats = torch.tensor([[0.0, evidence], [-evidence, 0.0]], dtype=F64)
    first, second = compared(prior, nats).squeeze(-1)
    scale = math.hypot(0.6, 0.3)
    grid = torch.linspace(ahead - 9 * scale, ahead + 9 * scale, 200_001, dtype=F64)
    log = Normal(ahead, scale).log_prob(grid) + evidence * (grid > 0)
    weight = (log - log.max()).exp()
    torch.testing.assert_close(second - first, (grid * weight).sum() / weight.sum(), rtol=1e-3, atol=1e-4)
    # the one that was surer moves less, by its share of the variance
    torch.testing.assert_close(first, -4 * (second - ahead))


@pytest.mark.parametrize("combination", ["gated", "presence", "following"])
def test_streams_and_windows_change_nothing(combination: str, x: Tensor) -> None:
    tracker = made(layered(combination))
    stream = Stream(tracker)
    whole = track(tracker, x, settle=stream.needed)
    parts = [stream.push(x[:, t : t + 1]) for t in range(x.shape[1])]
    tracks = joined([part for part in parts if part is not None], 1).tracks
    torch.testing.assert_close(tracks.position, whole.tracks.position, equal_nan=True)
    torch.testing.assert_close(tracks.confidence, whole.tracks.confidence, equal_nan=True)


def test_predictions_go_on_in_depth(x: Tensor) -> None:
    tracker = made(layered("gated"))
    told = forecast(tracker, x, 3, num_samples=4)
    assert told.frames.shape == (B, 9, 1, SIDE, SIDE)
    trace = poutine.trace(tracker.guide).get_trace(x, horizon=2)
    assert {"depth_7", "depth_8"} <= latents(trace).keys()


def test_a_finder_keeps_the_predicted_place_of_a_hidden_object() -> None:
    """One textured square covers two others that are as large."""
    tracker = made(replace(layered("gated"), picture=LayeredConfig(decoder=(8, 16), noise=0.05)))
    objects, pose = some(torch.zeros(B, 1, N, 2, dtype=F64))
    objects, pose = objects._replace(size=objects.size * 1.5), pose._replace(size=pose.size * 1.5)
    shown = torch.ones(B, N, 2, G, G, dtype=F64)
    shown[:, 0, 0, : G // 2], shown[:, 1, 0, :, : G // 2], shown[:, 2, 0, :, G // 2 :] = 0.3, 0.3, 0.3
    tracker.picture.planes = lambda description: shown  # type: ignore[method-assign]
    depth = torch.tensor([0.0, 2, 4], dtype=F64).expand(B, N).unsqueeze(-1)
    state = {"position": pose.position.squeeze(1), "depth": depth}
    frames = tracker.picture.draw(pose._replace(depth=depth.mT), objects)
    sight = tracker.finder.look(tracker.picture, frames, objects)
    like = torch.ones(B, N, 2, dtype=F64)
    predicted = Normal(0.01 * like, 0.02 * like).to_event(1)
    q = tracker.finder.step(sight, 0, state, lambda: predicted).base_dist
    assert (q.loc[:, 1:] - predicted.mean[:, 1:]).abs().max() < 0.02  # an edge of a pixel's share may show
    assert (q.loc[:, 0, 1].abs() < 0.005).all()  # stripes tell of y alone
    assert (q.scale[:, 1:] > 0.0199).all()


@pytest.mark.parametrize("contrast", [0.7, 0.0])
def test_a_finder_tells_objects_that_were_mistaken_for_each_other(contrast: float) -> None:
    """Of two where the other one is expected, a frame tells if they look different; else they stay as expected."""
    tracker = made(replace(layered("gated"), picture=LayeredConfig(decoder=(8, 16), noise=0.05)))
    place = torch.tensor([[-0.5, 0.1], [0.5, 0], [0, 0.5]], dtype=F64).expand(B, 1, N, 2)
    objects, pose = some(place)
    shown = torch.ones(B, N, 2, G, G, dtype=F64)
    shown[:, 0, 0, : G // 2], shown[:, 1, 0, :, : G // 2] = 1 - contrast, 1 - contrast
    tracker.picture.planes = lambda description: shown  # type: ignore[method-assign]
    depth = torch.tensor([0.0, 2, 4], dtype=F64).expand(B, N).unsqueeze(-1)
    frames = tracker.picture.draw(pose._replace(depth=depth.mT), objects)
    exchanged = place[:, 0, [1, 0, 2]]
    predicted = Normal(exchanged, torch.full_like(exchanged, 0.01)).to_event(1)
    sight = tracker.finder.look(tracker.picture, frames, objects)
    state = {"position": exchanged, "depth": depth}
    q = tracker.finder.step(sight, 0, state, lambda: predicted).base_dist
    expected = place[:, 0] if contrast else exchanged
    # half a pixel: halves tell of one axis alone
    torch.testing.assert_close(q.loc, expected, atol=0.05, rtol=0)
