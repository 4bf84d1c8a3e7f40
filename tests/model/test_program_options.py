"""RECT by hand, what a horizon renders, and the laws under every option of the model."""

from dataclasses import fields, replace

import pytest
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO
from small_model import FINDERS, positions, rolled_out
from torch import Tensor

from vtssi_pyro.errors import UsageError
from vtssi_pyro.model.blocks.count_rect import CountRECTConfig
from vtssi_pyro.model.blocks.mot import MOTConfig
from vtssi_pyro.model.blocks.residual_mot import ResidualMOTConfig
from vtssi_pyro.model.blocks.strided import StridedAIRConfig, StridedFINDConfig
from vtssi_pyro.model.config import ModelConfig
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.program import stacked
from vtssi_pyro.model.sites import POSITION, Moment
from vtssi_pyro.model.tracker import Tracker, build
from vtssi_pyro.types import Anneal, Detections, Objects, Site

LEARNED = Anneal(bell=0.3, fuse_low=0.01, fuse_high=0.99, step_weight=0.5)


def changing(**fields: object) -> ResidualMOTConfig:
    """A small motion that predicts changes; it sees no differences unless told to."""
    plain = {"differences": 0, "activation": "tanh", "extents": False}
    small = {"M": 3, "motion": 3, "units": 8, "heads": (8,), "transition": (8, 8)}
    return ResidualMOTConfig(**{**small, **plain, **fields})


def inert(config: ModelConfig, **fields: object) -> ModelConfig:
    """Velocities that are kept."""
    return replace(config, motion=changing(differences=2, inertia=True, **fields))


def like(kind: type, config: object) -> object:
    """A configuration of another kind with the same numbers."""
    return kind(**{f.name: getattr(config, f.name) for f in fields(config)})


def options(config: ModelConfig) -> dict[str, ModelConfig]:
    """One configuration for every choice that is not the default, and one that takes several."""
    attention, finder, motion = config.attention, config.finder, config.motion
    strided = replace(like(StridedAIRConfig, attention), dropout=0.0)
    counting = like(CountRECTConfig, config.consensus)
    return {
        "strides": replace(config, attention=strided, finder=like(StridedFINDConfig, finder)),
        "same padding": replace(
            config,
            attention=replace(attention, same_padding=True),
            finder=replace(finder, same_padding=True),
        ),
        "exponential scales": replace(config, scale_transform="exp"),
        "count gain": replace(config, consensus=counting),
        "velocities": replace(config, motion=changing(differences=1)),
        "accelerations": replace(config, motion=changing(differences=2)),
        "tight boxes": replace(config, motion=changing(extents=True)),
        "residual": replace(config, motion=changing()),
        "inertia": inert(config),
        "filters": inert(config, fading=(0.0, 0.9)),
        "one weight for all objects": replace(config, motion=replace(motion, weight_shared="objects")),
        "one weight for all sequences": replace(config, motion=replace(motion, weight_shared="sequences")),
        "means for proposals": replace(config, sample_intermediate=False),
        "frame by frame": replace(config, order="frame-by-frame"),
        "fast": replace(
            config, attention=strided, consensus=counting, finder=FINDERS["template"],
            motion=changing(differences=2, activation="silu"),
        ),
    }  # fmt: skip


NAMES = (
    "strides", "same padding", "exponential scales", "count gain", "velocities", "accelerations", "tight boxes",
    "residual", "inertia", "filters", "one weight for all objects", "one weight for all sequences",
    "means for proposals", "frame by frame", "fast",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_option_keeps_the_laws(name: str, tiny, config: ModelConfig, blobs) -> None:
    """Every parameter learns, the future changes no past, particles vectorise."""
    tracker = tiny(config=options(config)[name])
    frames = blobs(3) * torch.rand(3, 6, 1, 1, dtype=torch.float64)
    vectorised = Trace_ELBO(num_particles=2, vectorize_particles=True, max_plate_nesting=2)
    loss = vectorised.differentiable_loss(tracker.model, tracker.guide, frames, LEARNED)
    loss = loss + Trace_ELBO().differentiable_loss(tracker.model, tracker.guide, frames, LEARNED)
    loss.backward()
    dead = {n for n, p in tracker.named_parameters() if p.grad is None or p.grad.abs().max() < 1e-9}
    free = [
        "consensus.logits.body",
        "finder.logits.body.net.4.bias",
    ]  # a softmax cancels biases; see test_programs
    if name == "means for proposals":
        free.append("attention.locator.position.body.scale")  # not read where a mean stands for a proposal
    assert all(n.startswith(tuple(free)) for n in dead), dead
    with mode(), torch.no_grad():
        before = positions(tracker.guide(frames))
        changed = frames.clone()
        changed[:, 4] = 1 - changed[:, 4]
        after = positions(tracker.guide(changed))
    assert torch.equal(after[..., :4, :, :], before[..., :4, :, :])
    assert not torch.equal(after[..., 4, :, :], before[..., 4, :, :])


def test_every_option_is_listed(config: ModelConfig) -> None:
    assert set(NAMES) == set(options(config))


@pytest.mark.parametrize("gain", [False, True])
def test_rect_is_algorithm_4(gain: bool, tiny, config: ModelConfig, frames: Tensor, monkeypatch) -> None:
    """One softmax over the K frames weighs count, sizes and descriptions alike."""
    consensus = like(CountRECTConfig, config.consensus) if gain else config.consensus
    tracker = tiny(config=replace(config, consensus=consensus))
    rect, seen = tracker.consensus, []
    original = rect._logits
    monkeypatch.setattr(rect, "_logits", lambda *args: seen.append((args, original(*args))) or seen[-1][1])
    with torch.no_grad():
        for parameter in rect.parameters():
            parameter.add_(torch.randn_like(parameter))
        trace = poutine.trace(tracker.guide).get_trace(frames)
    (((c, s, d), logits),) = seen
    w = logits.softmax(-1)
    assert w.shape == (2, 3)
    torch.testing.assert_close(w.sum(-1), torch.ones(2, dtype=torch.float64))
    assert w.std() > 0.02
    found = {
        "count": (c, w[:, :, None]),
        "size": (s, w[:, :, None, None]),
        "description": (d, w[:, :, None, None]),
    }
    for name, (told, weight) in found.items():
        consensus = trace.nodes[name]["fn"]
        loc, variance = (weight * told.loc).sum(1), (weight**2 * told.scale**2).sum(1)
        torch.testing.assert_close(consensus.mean.reshape(loc.shape), loc)
        torch.testing.assert_close(consensus.variance.reshape(loc.shape), variance)
    reads = [tracker.attention.infer_count(frames[:, k, None]).mean for k in range(3)]
    torch.testing.assert_close(c.loc, torch.stack(reads, 1))


@pytest.mark.parametrize("name", ["find", "vtssi"])
def test_a_horizon_renders_the_future_and_leaves_the_likelihood(name: str, tiny, frames: Tensor) -> None:
    """``x`` is scored on the observed frames whatever follows; ``x_future`` renders what does."""
    tracker = tiny(name)
    guided = poutine.trace(tracker.guide).get_trace(frames, horizon=3)
    traces = []
    for horizon in (0, 3):
        model = poutine.replay(tracker.model, trace=guided)
        traces.append(poutine.trace(model).get_trace(frames, horizon=horizon))
        traces[-1].compute_log_prob()
    short, long = traces
    assert torch.equal(short.nodes["x"]["log_prob"], long.nodes["x"]["log_prob"])
    latents = guided.nodes["_RETURN"]["value"]
    objects, presence = latents.objects, latents.objects.steps
    seen, ahead = (
        tracker.picture.render(objects, tracker.motion.pose(objects, stacked(states), presence))
        for states in (latents.states[:6], latents.states[6:])
    )
    torch.testing.assert_close(long.nodes["x_future"]["value"].squeeze(-5), ahead)
    torch.testing.assert_close(long.nodes["x"]["fn"].mean, seen)


def moving(tracker: Tracker) -> tuple[Tensor, Tensor]:
    """The static features of 2 x 2 objects, and their positions in 6 frames."""
    objects = Objects(*(torch.rand(2, 2, n, dtype=torch.float64) for n in (1, 2, 4)))
    position = torch.randn(2, 6, 2, 2, dtype=torch.float64)
    return tracker.motion.static(tracker.picture, objects, Detections(position)), position


@pytest.mark.parametrize("differences", [0, 1, 2])
def test_motion_is_inferred_causally(differences: int, tiny, config: ModelConfig) -> None:
    """q(m_t) sees positions up to t, the size and the description, and nothing else."""
    tracker = tiny(config=replace(config, motion=changing(differences=differences)))
    static, position = moving(tracker)
    before = tracker.motion.infer(static, position)[0].mean
    for t in range(6):
        changed = position.clone()
        changed[:, t] += 0.5
        after = tracker.motion.infer(static, changed)[0].mean
        assert torch.equal(after[:, :t], before[:, :t])
        assert (after[:, t:] != before[:, t:]).all()
    slot = position.clone()
    slot[:, :, 1] += 0.5
    assert torch.equal(tracker.motion.infer(static, slot)[0].mean[:, :, 0], before[:, :, 0])


@pytest.mark.parametrize("differences", [1, 2])
def test_motion_sees_differences_in_units_of_a_step(differences: int, tiny, config: ModelConfig) -> None:
    """Objects are taken to have been at rest before their first frame."""
    tracker = tiny(config=replace(config, motion=changing(differences=differences)))
    static, position = moving(tracker)
    seen = []
    tracker.motion.lstm.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    tracker.motion.infer(static, position)
    still = torch.cat([position[:, :1], position[:, :1], position], 1)
    expected = torch.stack([still.diff(n=n, dim=1)[:, -6:] / 0.2**n for n in range(differences + 1)], -2)
    torch.testing.assert_close(
        seen[0][..., static.shape[-1] :], expected.flatten(-2).transpose(-3, -2)
    )  # (B, N, T, 2 each)


def test_what_has_not_learned_to_turn_goes_straight_on(tiny, config: ModelConfig) -> None:
    motion = tiny(config=inert(config)).motion
    velocity = torch.tensor([[0.02, -0.01], [0.0, 0.03]], dtype=torch.float64)
    path = 0.1 + velocity * torch.arange(9).view(1, -1, 1, 1)  # (1, 9, 2, 2)
    static = torch.zeros(1, 2, motion.lstm.body.input_size - 6, dtype=torch.float64)
    m = motion.infer(static, path[:, :5])[0].mean[:, -1]
    start = {"position": path[:, 4], "motion": m}
    found = rolled_out(motion, start, 4)["position"]
    torch.testing.assert_close(found, path[:, 5:], atol=0.01, rtol=0)
    with torch.no_grad():  # and what has, does not
        motion.motion.body.loc[-1].bias[0] = -0.5
    assert (rolled_out(motion, start, 4)["position"] - path[:, 5:])[:, -1, :, 0].max() < -0.1


def test_walls_turn_back_what_is_inert(tiny, config: ModelConfig) -> None:
    """Untrained at the edges of the frame; gradients of what comes after a turn tell where the walls are."""
    motion = tiny(config=inert(config, fading=(0.0, 0.9), walls=True, step=0.1)).motion
    step = torch.tensor([0.15, -0.02], dtype=torch.float64)
    free = torch.tensor([0.3, -0.5], dtype=torch.float64) + torch.arange(12).unsqueeze(-1) * step
    path = (1 - (1 - free).abs()).view(1, 12, 1, 2)  # folded at 1
    static = torch.zeros(1, 1, motion.lstm.body.input_size - 6, dtype=torch.float64)
    m = motion.infer(static, path[:, :4])[0].mean[:, -1]
    torch.testing.assert_close(m[..., :2], (step / 0.1).view(1, 1, 2), atol=0.05, rtol=0)
    start = {"position": path[:, 3], "motion": m}
    found = rolled_out(motion, start, 8)["position"]
    torch.testing.assert_close(found, path[:, 4:], atol=0.08, rtol=0)
    # the wall at high x, which alone is reached, draws the path inwards with it
    found[0, -1, 0, 0].backward()
    gradient = motion.inertia.walls.grad
    assert gradient[1, 0] > 0
    assert gradient.count_nonzero() == 1


def test_an_object_turns_where_its_own_edges_meet_a_wall(tiny, config: ModelConfig) -> None:
    """Untrained, two objects of different boxes, of which one is beside its place."""
    fields = {"fading": (0.0, 0.9), "walls": True, "edges": True, "extents": True, "motion": 6, "step": 0.1}
    motion = tiny(config=inert(config, **fields)).motion
    step = torch.tensor([0.13, -0.07], dtype=torch.float64)
    offset = torch.tensor([[0.0, 0.0], [0.05, -0.1]], dtype=torch.float64)  # of boxes from places
    # half of the boxes, frame coordinates
    extent = torch.tensor([[0.1, 0.2], [0.3, 0.15]], dtype=torch.float64)
    low, high = -1 + extent - offset, 1 - extent - offset
    free = (
        torch.tensor([[0.1, -0.3], [0.0, -0.2]], dtype=torch.float64) + torch.arange(12).view(-1, 1, 1) * step
    )
    # folded at the walls
    path = (high - (high - low - (free - low).abs()).abs()).unsqueeze(0)
    assert (path.diff(n=2, dim=1).abs() > 0.01).any(1).all()  # both turn in x and y
    features = motion.lstm.body.input_size - 6 - 4
    zeros = torch.zeros(1, 2, features, dtype=torch.float64)
    static = torch.cat([zeros, offset[None] / 0.1, extent[None] / 0.1], -1)
    m = motion.infer(static, path[:, :4])[0].mean[:, -1]
    found = rolled_out(motion, {"position": path[:, 3], "motion": m}, 8)["position"]
    torch.testing.assert_close(found, path[:, 4:], atol=0.08, rtol=0)
    # an infinitely small object would go on to the edge of the frame
    point = motion.infer(torch.zeros_like(static), path[:, :4])[0].mean[:, -1]
    farther = rolled_out(motion, {"position": path[:, 3], "motion": point}, 8)["position"]
    assert (farther - path[:, 4:]).abs().amax() > 0.2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"inertia": True, "differences": 2, "edges": True}, "edges: needs model.motion.walls"),
        ({"inertia": True}, "inertia: needs model.motion.differences"),
        ({"fading": (0.5,)}, "fading: needs model.motion.inertia"),
        ({"inertia": True, "differences": 2, "walls": True}, "walls: needs model.motion.fading"),
        ({"differences": 3}, "differences: expected a whole number from 0 to 2, found 3"),
        ({"activation": "relu"}, "activation: expected silu or tanh, found 'relu'"),
    ],
)
def test_motions_that_cannot_be_are_refused(fields: dict, message: str, config: ModelConfig) -> None:
    with pytest.raises(UsageError, match=message):
        build("vtssi", replace(config, motion=changing(**fields)))


@pytest.mark.parametrize(
    "inertia",
    [
        {},
        {"inertia": True},
        {"inertia": True, "fading": (0.0, 0.9), "walls": True},
        {"inertia": True, "fading": (0.9,), "walls": True, "edges": True, "extents": True, "motion": 6},
    ],
    ids=len,
)
@pytest.mark.parametrize("cut", [1, 3, 5])
def test_motion_goes_on_where_it_stopped(cut: int, inertia: dict, tiny, config: ModelConfig) -> None:
    """In two parts as in one: the LSTM and what the differences and filters need are remembered."""
    tracker = tiny(config=replace(config, motion=changing(differences=2, **inertia)))
    static, position = moving(tracker)
    whole = tracker.motion.infer(static, position)[0].mean
    early, memory = tracker.motion.infer(static, position[:, :cut])
    late, _ = tracker.motion.infer(static, position[:, cut:], memory)
    torch.testing.assert_close(torch.cat([early.mean, late.mean], 1), whole)


@pytest.mark.parametrize("residual", [False, True])
def test_a_rollout_is_the_repeated_transition(residual: bool, tiny, config: ModelConfig) -> None:
    """Modes of the prior beyond a state (B.2.3)."""
    tracker = tiny(config=replace(config, motion=changing() if residual else config.motion))
    static, position = moving(tracker)
    motion = tracker.motion.infer(static, position)[0].mean
    start = {"position": position[:, 2].clamp(-1, 1), "motion": motion[:, 2]}
    found = rolled_out(tracker.motion, start, 3)
    assert found["position"].shape == (2, 3, 2, 2)
    assert found["motion"].shape == (2, 3, *motion.shape[2:])
    state = start
    for t in range(3):
        state = {name: q.mean for name, q in tracker.motion.transition(state).items()}
        for name, value in state.items():
            torch.testing.assert_close(found[name][:, t], value)
    if residual:  # with nothing to add, an object rests
        with torch.no_grad():
            for parameter in tracker.motion.position.body.loc.parameters():
                parameter.zero_()
        still = rolled_out(tracker.motion, start, 3)["position"]
        torch.testing.assert_close(still, start["position"].unsqueeze(1).expand_as(still))


@pytest.mark.parametrize("residual", [False, True])
def test_predictions_stay_in_the_frame(residual: bool, tiny, config: ModelConfig) -> None:
    """Whatever the transitions say, means are bounded by the frame (B.2.3: tanh)."""
    tracker = tiny(config=replace(config, motion=changing() if residual else config.motion))
    with torch.no_grad():
        tracker.motion.position.body.loc[-1].bias.fill_(5.0)  # ever on, to the right and down
    _, position = moving(tracker)
    motion = torch.zeros(2, 2, tracker.motion.dims, dtype=torch.float64)
    path = rolled_out(tracker.motion, {"position": position[:, 0].clamp(-1, 1), "motion": motion}, 40)[
        "position"
    ]
    assert path.abs().max() <= 1
    assert path[:, -1].min() > 0.9


@pytest.mark.parametrize("kind", [MOTConfig(M=3, motion=3), changing()], ids=["mot", "residual-mot"])
@pytest.mark.parametrize(("shared", "draws"), [("none", 4), ("objects", 2), ("sequences", 1)])
def test_what_shares_a_weight(shared: str, draws: int, kind, tiny, config: ModelConfig) -> None:
    """Estimate D2: among 2 sequences of 2 objects there are 4, 2 or 1 different weights a step."""
    motion = tiny(config=replace(config, motion=replace(kind, weight_shared=shared))).motion
    weight = motion.weight(Anneal(fuse_low=0.1, fuse_high=0.9), 3)
    fn = torch.distributions.Normal(torch.zeros(2, 2, 2), 1.0)

    def drawn(site: Site, t: int) -> Tensor | None:
        return weight({"name": site.at(t), "fn": fn, "infer": {"moment": Moment(site, t)}})

    first, again, later = drawn(POSITION, 4), drawn(Site("motion", 3), 4), drawn(POSITION, 5)
    assert first.shape == (2, 2)
    assert first.unique().numel() == draws
    assert torch.equal(first, again)
    assert not torch.equal(first, later)
    assert drawn(POSITION, 3) is None
    assert weight({"name": "size", "fn": fn, "infer": None}) is None
    if shared == "objects":
        assert torch.equal(first[:, 0], first[:, 1])


def test_proposals_by_their_means(tiny, config: ModelConfig, frames: Tensor) -> None:
    """Estimate D5: with ``sample_intermediate`` off, only final variables are drawn."""
    tracker = tiny(config=replace(config, sample_intermediate=False))
    hats = []
    for _ in range(2):
        torch.manual_seed(5)
        trace = poutine.trace(tracker.guide).get_trace(frames)
        with mode(only=lambda msg: msg["name"].startswith("position")), torch.no_grad():
            hats.append(positions(tracker.guide(frames)))
    assert torch.equal(*hats)
    again = poutine.trace(tracker.guide).get_trace(frames)
    for name in ("count", "position_1", "position_5", "motion_4"):
        assert not torch.equal(trace.nodes[name]["value"], again.nodes[name]["value"])


def test_sampled_futures_stay_bounded(tiny, config: ModelConfig) -> None:
    """Noise and changes feed on themselves for a hundred frames, whatever the transitions have learned."""
    config = replace(config, motion=changing(differences=2, activation="silu"))
    motion = tiny(config=config).motion
    with torch.no_grad():
        for network in (motion.position, motion.motion):
            for parameter in network.parameters():
                parameter.mul_(4.0)  # a gain far above 1
    _, position = moving(tiny(config=config))
    rest = torch.zeros(2, 2, motion.dims, dtype=torch.float64)
    state = {"position": position[:, 0].clamp(-1, 1), "motion": rest}
    low, high = motion._reach()
    for _ in range(100):
        density = motion.transition(state)
        p, m = density["position"], density["motion"]
        assert (p.mean.abs() <= 1).all()
        assert ((low <= m.mean) & (m.mean <= high)).all()
        assert (p.stddev <= config.walk_scale).all()
        assert (m.stddev <= 1).all()
        state = {name: q.sample() for name, q in density.items()}
    place = torch.full((1, 1, 2), 0.999, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        motion.position.body.loc[-1].bias.fill_(5.0)
    ahead = motion.transition({"position": place, "motion": rest[:1, :1]})["position"]
    (gradient,) = torch.autograd.grad(ahead.mean.sum(), place)
    assert gradient.abs().min() > 0  # at the frame's edge, too
