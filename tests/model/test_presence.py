"""Objects that come and go: the laws of a scene whose frames have objects of their own."""

import math
from dataclasses import replace

import pytest
import torch
from pyro import poutine
from pyro.distributions import Independent, Normal
from pyro.infer import Predictive
from small_model import FINDERS, small
from torch import Tensor
from torch.distributions import kl_divergence

from vtssi_pyro.config.schedules import Constant
from vtssi_pyro.inference.filter import Filter, forecast, track
from vtssi_pyro.inference.identities import by_identity
from vtssi_pyro.model.ascent import ascended
from vtssi_pyro.model.blocks.air import AdditivePicture
from vtssi_pyro.model.blocks.gated import GatedConfig
from vtssi_pyro.model.blocks.mot import RandomWalkConfig
from vtssi_pyro.model.blocks.presence import (
    Binary,
    PresenceConfig,
    PresenceScene,
)
from vtssi_pyro.model.blocks.residual_mot import ResidualMOTConfig
from vtssi_pyro.model.blocks.wide import WideAIRConfig
from vtssi_pyro.model.config import ModelConfig, TestTime
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.program import stacked
from vtssi_pyro.model.review import Review, better, close, moving_alike
from vtssi_pyro.model.tracker import Tracker, build
from vtssi_pyro.model.view import View
from vtssi_pyro.ops import packing
from vtssi_pyro.tracks.tracks import Tracks, concatenated
from vtssi_pyro.train.elbo import Elbo
from vtssi_pyro.train.recipe import Scheduled, Stage, TrainConfig
from vtssi_pyro.train.step import Step
from vtssi_pyro.types import Anneal, Objects, Pose

M = 2
REACH = 1  # pixels of 20 within which a drawing may be wrong
SEARCHES = {**FINDERS, "gated": GatedConfig(kernel_side=5)}
MOTIONS = {
    "walk": RandomWalkConfig(),
    "mot": replace(small().motion, M=M),
    "residual-mot": ResidualMOTConfig(M=M, motion=3, units=8, heads=(8,), transition=(8, 8), inertia=True),
}


def scene(**changes: object) -> ModelConfig:
    """A small model of objects that come and go, often enough for a test."""
    whole = replace(
        small("template"), scene=PresenceConfig(enter=-0.5), finder=SEARCHES["gated"],
        motion=MOTIONS["residual-mot"], fusion="product", test_time=TestTime(tight=True),
    )  # fmt: skip
    return replace(whole, **changes)


def made(config: ModelConfig) -> Tracker:
    torch.manual_seed(1)
    return build(config).double().eval()


@pytest.fixture
def x() -> Tensor:
    torch.manual_seed(2)
    frames = torch.rand(3, 6, 1, 20, 20, dtype=torch.float64)
    frames[:, 2:4] = 0  # nobody is there
    return frames


def viewed(tracker: Tracker, frame: Tensor) -> View:
    """A view of frames (B, 1, C, H, W), of two known objects with plain looks in the middle."""
    looks = Normal(torch.zeros(len(frame), 2, tracker.config.description).double(), 0.5)
    way = Normal(torch.zeros(len(frame), 2, 2).double(), 0.1)
    return View(tracker.picture, tracker.motion, frame, None, looks, way, REACH)


def latents(trace: poutine.Trace) -> dict[str, dict]:
    return {
        name: site for name, site in trace.nodes.items()
        if site["type"] == "sample" and not site["is_observed"] and not poutine.util.site_is_subsample(site)
    }  # fmt: skip


def mask_of(site: dict) -> Tensor:
    """Which objects (B, N) a site counts of."""
    mask = torch.tensor(True) if site["mask"] is None else site["mask"]
    return mask.expand(site["fn"].batch_shape)


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize("finder", SEARCHES)
def test_model_and_guide_have_the_same_sites(finder: str, motion: str, x: Tensor) -> None:
    tracker = made(scene(finder=SEARCHES[finder], motion=MOTIONS[motion]))
    guided = poutine.trace(tracker.guide).get_trace(x)
    modelled = poutine.trace(poutine.replay(tracker.model, trace=guided)).get_trace(x)
    q, p = latents(guided), latents(modelled)
    assert q.keys() == p.keys()
    names = {"presence", "size", "description", "position"} | ({"motion"} if motion != "walk" else set())
    assert q.keys() == {f"{name}_{t}" for name in names for t in range(1, 7)}
    for name, site in q.items():
        assert torch.equal(site["value"], p[name]["value"])
        assert torch.equal(mask_of(site), mask_of(p[name])), name
    assert Elbo().terms(tracker.model, tracker.guide, x).keys() == {*names, "x"}


def test_an_absent_object_changes_no_other_density(x: Tensor) -> None:
    """Whatever the masked sites hold, the log density of all others is the same."""
    tracker = made(scene())
    guided = poutine.trace(tracker.guide).get_trace(x)  # all slots are empty in some frame
    disturbed = guided.copy()
    for name, site in latents(guided).items():
        if not name.startswith("presence"):
            off = ~mask_of(site).unsqueeze(-1)
            disturbed.nodes[name] = {**site, "value": site["value"] + 0.3 * off}
    assert any(
        not torch.equal(site["value"], disturbed.nodes[name]["value"])
        for name, site in latents(guided).items()
    )
    before, after = (
        poutine.trace(poutine.replay(tracker.model, trace=trace)).get_trace(x)
        for trace in (guided, disturbed)
    )
    for trace in (before, after):
        trace.compute_log_prob()
    for name, site in before.nodes.items():
        if site["type"] == "sample":
            assert torch.equal(site["log_prob"], after.nodes[name]["log_prob"]), name


class Lamp(AdditivePicture):
    """An object lights up the whole frame, wherever it is."""

    def draw(self, pose: Pose, objects: Objects) -> Tensor:
        return self.compose(self.layers(pose, objects), pose)

    def layers(self, pose: Pose, objects: Objects) -> Tensor:
        light = pose.presence.expand(pose.position.shape[:-1])[..., None, None, None]
        return light.expand(*light.shape[:-3], self.channels, self.frame_size, self.frame_size)


@pytest.mark.parametrize("light", [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.1, 0.2)])
def test_the_elbo_is_below_the_exact_evidence(light: tuple[float, float]) -> None:
    """Two frames, and one object that may be absent: the integral over both presences, on a grid."""
    tracker = made(scene(num_objects=1, motion=RandomWalkConfig()))
    tracker.picture = Lamp(tracker.picture.config, tracker.config).double()
    with torch.no_grad():
        tracker.scene.border.fill_(1e3)  # nowhere does an object leave
    noise, enter, stay = 0.3, tracker.scene.config.enter, tracker.scene.config.stay
    x = torch.tensor(light, dtype=torch.float64).view(1, 2, 1, 1, 1).expand(1, 2, 1, 20, 20)
    grid = torch.linspace(-8, 9, 1701, dtype=torch.float64)  # what is seen is as sharp as 0.015

    def seen(value: float) -> Tensor:
        """log p(x_t | a_t) on the grid."""
        error = (value - grid.clamp(0, 1)).square() / (2 * noise**2)
        return 400 * (-error - math.log(noise) - math.log(2 * math.pi) / 2)

    def prior(loc: Tensor) -> Tensor:
        return -0.5 * (grid - loc).square() - math.log(2 * math.pi) / 2 + math.log(float(grid[1] - grid[0]))

    first = prior(torch.tensor(enter)) + seen(light[0])  # (a_1,)
    then = prior(torch.where(grid > 0, stay, enter).unsqueeze(-1)) + seen(light[1])  # (a_1, a_2)
    evidence = (first.unsqueeze(-1) + then).flatten().logsumexp(0)
    elbo = Elbo(num_particles=30, vectorize_particles=True, max_plate_nesting=2)
    with torch.no_grad():
        bound = sum(elbo.terms(tracker.model, tracker.guide, x).values())
        print(bound, evidence)
    assert bound < evidence
    for scale in (0.05, 0.2):  # whatever the guide's scale
        with torch.no_grad():
            tracker.scene.log_scale.fill_(math.log(scale))
            assert sum(elbo.terms(tracker.model, tracker.guide, x).values()) < evidence


@pytest.mark.parametrize("kind", MOTIONS)
def test_densities_by_age_are_those_of_a_sequence_that_begins_with_the_object(kind: str) -> None:
    """An object of age t - 1 moves as all objects do in frame t."""
    tracker = made(scene(motion=MOTIONS[kind]))
    motion, like = tracker.motion, torch.rand(3, 2, 2, dtype=torch.float64)
    state = None
    for t in range(1, 6):
        age = torch.full((3, 2), t - 1.0, dtype=torch.float64)
        old = poutine.trace(motion.model).get_trace(t, state, like, M)
        aged = poutine.trace(motion.model).get_trace(t, old_state(motion, state, like), like, 0, age)
        for name, site in latents(old).items():
            ours, theirs = aged.nodes[name]["fn"].base_dist, site["fn"].base_dist
            torch.testing.assert_close(ours.loc.expand_as(theirs.loc), theirs.loc)
            torch.testing.assert_close(ours.scale.expand_as(theirs.scale), theirs.scale)
        state = old.nodes["_RETURN"]["value"]


def old_state(motion, state, like: Tensor):
    """The state of a warm-up, with values at the sites that it does not have yet."""
    if state is None:
        return None
    missing = {s.name: like.new_zeros(*like.shape[:-1], s.dims) for s in motion.sites if s.name not in state}
    return state | missing


def test_slots_are_reused_and_identities_are_not(x: Tensor) -> None:
    tracker = made(scene())
    states = tracker.guide(x).states
    presence, identity, age = (
        torch.stack([state[name].squeeze(-1) for state in states], 1)
        for name in ("presence", "identity", "age")
    )
    on = presence > 0
    came = on & ~torch.nn.functional.pad(on, (0, 0, 1, 0))[:, :-1]
    assert torch.equal(came, age == 0)
    assert torch.equal(on, age >= 0)
    for b in range(3):
        assert identity[b][came[b]].tolist() == list(range(int(came[b].sum())))
    assert (identity.amax((1, 2)) >= 2).any(), "no slot was reused"
    held = on[:, 1:] & ~came[:, 1:]
    assert torch.equal(identity[:, 1:][held], identity[:, :-1][held])


def test_size_and_settled_looks_are_those_of_the_entrance(x: Tensor) -> None:
    tracker = made(scene(scene=PresenceConfig(enter=-0.5, settle=2)))
    together = stacked(tracker.guide(x).states)
    age = together["age"].squeeze(-1)
    for name, since in (("size", 1), ("description", 2)):
        stays = age[:, 1:] >= since
        assert stays.any()
        assert torch.equal(together[name][:, 1:][stays], together[name][:, :-1][stays]), name
    young = age[:, 1:] == 1
    assert not torch.equal(together["description"][:, 1:][young], together["description"][:, :-1][young])


def test_who_is_beyond_the_edge_leaves() -> None:
    tracker = made(scene(scene=PresenceConfig()))
    here = tracker.scene
    assert isinstance(here, PresenceScene)
    state = {
        "presence": torch.ones(4, 1).double(),
        "size": torch.full((4, 2), 0.4).double(),
        "description": torch.zeros(4, tracker.config.description).double(),
    }
    place = torch.tensor([[0.0, 0.0], [0.9, 0.0], [0.0, -1.2], [1.41, 0.0]]).double()
    loc = (
        here.outlook(state, tracker.picture, lambda: torch.distributions.Normal(place, 1.0))
        .flatten()
        .detach()
    )
    assert loc[0] == pytest.approx(2.5, abs=1e-3)
    assert (loc[:3] > 0).all()
    assert loc[3] < 0
    assert loc.diff().lt(0).all()


def test_a_narrow_object_leaves_before_a_wide_one_in_the_same_window() -> None:
    tracker = made(scene(scene=PresenceConfig()))
    here, looks = tracker.scene, torch.zeros(2, 1, 9, 9).double()
    assert isinstance(here, PresenceScene)
    looks[0, :, :, 3:6], looks[1] = 1, 1
    tracker.picture.decode = lambda description: looks  # type: ignore[method-assign, assignment]
    state = {
        "presence": torch.ones(2, 1).double(),
        "size": torch.full((2, 2), 0.4).double(),
        "description": torch.zeros(2, 1).double(),
    }

    def stays(place: float) -> list[bool]:
        at = torch.tensor([[place, 0.0]]).double().expand(2, 2)
        return (here.outlook(state, tracker.picture, lambda: Normal(at, 1.0)) > 0).flatten().tolist()

    assert [stays(place) for place in (1.0, 1.2, 1.5)] == [[True, True], [False, True], [False, False]]


@pytest.mark.parametrize("which", ["first", "both"])
def test_looks_and_places_climb_the_joint_density_of_all_objects(x: Tensor, which: str) -> None:
    tracker = made(scene())
    view = viewed(tracker, x[:, 0:1])
    zeros = torch.zeros(len(x), 2, tracker.config.description).double()
    size = torch.full((len(x), 2, 2), 0.5).double()
    there = torch.ones(len(x), 2).double()
    objects = Objects(None, size, zeros, there, there > 0)
    place = torch.tensor([[-0.3, 0.0], [0.3, 0.0]]).double().expand(len(x), 2, 2)
    tried = torch.tensor([True, which == "both"]).expand(len(x), 2)
    with torch.no_grad():
        start = view.depicted(objects, place)
        found = ascended(view, start, tried, 20)
        before, after = (
            view.evidence(some.layers, there) + view.expected(some.objects.description, some.place).sum(-1)
            for some in (start, found)
        )
        drawn = view.depicted(found.objects, found.place).layers
    assert (after > before + 1).all()
    torch.testing.assert_close(found.layers, drawn)
    if which == "first":
        assert torch.equal(found.place[:, 1], place[:, 1])
        assert torch.equal(found.objects.description[:, 1], zeros[:, 1])


def test_objects_climb_outside_training_alone(x: Tensor) -> None:
    still, climbing = (made(scene(scene=PresenceConfig(enter=-0.5, climb=steps))) for steps in (0, 3))
    climbing.load_state_dict(still.state_dict())

    def looks(tracker: Tracker) -> Tensor:
        torch.manual_seed(0)  # of dropout
        with torch.no_grad(), mode():
            return stacked(tracker.guide(x).states)["description"]

    assert torch.equal(looks(climbing.train()), looks(still.train()))
    assert not torch.equal(looks(climbing.eval()), looks(still.eval()))


def test_a_binary_presence_learns_by_its_score_function(x: Tensor) -> None:
    tracker = made(scene())
    tracker.scene.law = Binary()
    with torch.no_grad(), mode():
        values = stacked(tracker.guide(x).states)["presence"]
    assert set(values.unique().tolist()) <= {0.0, 1.0}
    stage = Stage("visits", 3, batch=3, learning_rate=Constant(1e-3))
    before = {name: value.detach().clone() for name, value in tracker.named_parameters()}
    step = Step(tracker, tracker, TrainConfig((stage,), elbo="TraceGraph_ELBO"), stage)
    for _ in range(3):
        terms, norm = step(x, Scheduled(Anneal(), learning_rate=1e-3))
        assert all(value.isfinite() for value in (*terms.values(), norm))
    moved = {name for name, value in tracker.named_parameters() if not torch.equal(value, before[name])}
    assert any(name.startswith("picture") for name in moved)
    assert any(name.startswith("attention") for name in moved)


def test_particles_and_prior_draws_have_an_axis_of_their_own(x: Tensor) -> None:
    tracker = made(scene())
    elbo = Elbo(num_particles=3, vectorize_particles=True, max_plate_nesting=2)
    assert all(value.isfinite() for value in elbo.terms(tracker.model, tracker.guide, x).values())
    drawn = Predictive(tracker.model, num_samples=4, return_sites=("presence_6", "x"))(torch.zeros_like(x))
    assert drawn["presence_6"].shape == (4, 3, 2, 1)
    assert drawn["x"].shape == (4, *x.shape)


@pytest.mark.parametrize("cut", [1, 3, 5])
def test_windows_change_nothing(cut: int, x: Tensor) -> None:
    tracker = made(scene())
    filter_ = Filter(tracker)
    whole = track(tracker, x).tracks
    belief, first = filter_.step(filter_.init(x), x[:, :cut])
    _, second = filter_.step(belief, x[:, cut:])
    for a, b in zip(whole, concatenated([first.tracks, second.tracks], 1), strict=True):
        if a is not None:
            torch.testing.assert_close(a, b, equal_nan=True)
    assert whole.present.any(1).sum(-1).max() > 2, "more objects than slots"


def test_futures_tell_the_probability_that_an_object_is_there(x: Tensor) -> None:
    tracker = made(scene(scene=PresenceConfig(stay=0.5)))
    told = forecast(tracker, x, 4, num_samples=200).tracks
    assert told.samples.shape[:3] == (200, 3, 10)
    ahead, there = told.confidence[:, 6:], told.present[:, 5]
    assert ahead.transpose(1, 2)[there].isfinite().all()
    assert (ahead[:, 1:] <= ahead[:, :-1]).transpose(1, 2)[there].all(), "who has left does not come back"
    share = told.samples[:, :, 6:, :, 0].isfinite().double().mean(0)
    torch.testing.assert_close(share.transpose(1, 2)[there], ahead.transpose(1, 2)[there])


def test_an_object_does_not_go_where_rather_another_has_come(x: Tensor) -> None:
    """The way there is paid for as a departure and an entrance are: the less probable of both gives way."""
    tracker = made(scene())
    here, view = tracker.scene, viewed(tracker, x[:, :1])
    looks = torch.zeros(3, 2, tracker.config.description).double()
    size, present = torch.full((3, 2, 2), 0.3).double(), torch.tensor([True, False]).expand(3, 2)
    known = Objects(None, size, looks, present.double(), present)
    predicted = Normal(torch.zeros(3, 2, 2).double(), 0.05).to_event(1)
    stays = torch.full((3, 2, 1), here.config.stay).double()

    def found(way: float) -> Independent:
        return Normal(predicted.mean + way, 0.01).to_event(1)

    def went(way: float, expected: Tensor = stays) -> Tensor:
        """Whether objects (B, N) are where they are found, and not at the predicted place."""
        density = here._followed(view, tracker.attention, known, found(way), predicted, expected)
        there = (density.mean == found(way).mean).all(-1)
        assert density.mean[~there].equal(predicted.mean[~there])
        wanted = torch.where(there, 0.01, 0.05).to(density.stddev)
        torch.testing.assert_close(density.stddev, wanted.unsqueeze(-1).expand(3, 2, 2))
        return there

    assert went(0.05).all()
    assert went(0.9).equal(~present)  # nobody knows the place of an empty slot
    steps = [way / 100 for way in range(5, 90)]
    most = max(way for way in steps if went(way)[0, 0])
    leaves = torch.full_like(stays, here.config.enter)
    assert max(way for way in steps if went(way, leaves)[0, 0]) < most, "who leaves anyway goes less far"

    def price(way: float) -> Tensor:
        """What a departure and an entrance cost, nats: presences are N(2.5, 1) and N(-0.5, 1)."""
        described = tracker.attention.describe(view.frame, found(way).mean, size)
        place = kl_divergence(found(way), Normal(torch.zeros_like(size), 1.0).to_event(1))
        odds = math.log(0.99379 / 0.00621) - math.log(0.30854 / 0.69146)
        return (kl_divergence(described, here.description()) + place + odds)[0, 0]

    assert kl_divergence(found(most), predicted)[0, 0] < price(most)
    assert kl_divergence(found(most + 0.01), predicted)[0, 0] > price(most + 0.01)


def test_what_is_left_near_a_drawn_object_is_no_newcomer() -> None:
    """Of two leftovers that explain as much, one within a drawn object and one by itself, only the other enters."""
    tracker = made(scene())
    layers = torch.zeros(
        1, 1, 4, 1, 20, 20, dtype=torch.float64
    )  # two known objects, of which one is, two newcomers
    layers[:, :, 0, :, 2:8, 2:8] = 0.6
    layers[:, :, 2, :, 2:8, 2:8] = 0.3
    layers[:, :, 3, :, 12:18, 12:18] = 0.3
    drawn = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    frame = layers.sum(2)
    view = viewed(tracker, frame)
    none = view.evidence(layers, torch.tensor([[1.0, 0.0, 0.0, 0.0]], dtype=torch.float64))
    each = [
        view.evidence(layers, torch.eye(4, dtype=torch.float64)[[0, i]].sum(0, keepdim=True)) - none
        for i in (2, 3)
    ]
    torch.testing.assert_close(*each)
    cost = (each[0] / 2 + math.log(0.3)).expand(1, 2)
    near, apart = tracker.scene.search(tracker.attention).gains(view, layers, drawn, cost).flatten().tolist()
    assert near < 0 < apart


@pytest.mark.parametrize(("where", "enters"), [(2, False), (12, True)])
def test_what_a_newcomer_leaves_near_itself_is_no_second_one(where: int, enters: bool) -> None:
    tracker = made(scene())
    layers = torch.zeros(1, 1, 4, 1, 20, 20).double()  # no known object, two newcomers
    layers[:, :, 2, :, 2:8, 2:8] = 0.6
    layers[:, :, 3, :, where : where + 6, where : where + 6] = 0.3
    view = viewed(tracker, layers.sum(2))
    faint = view.evidence(layers, torch.ones(1, 4).double()) - view.evidence(
        layers, torch.tensor([[1.0, 1.0, 1.0, 0.0]]).double()
    )
    cost = (faint / 2 + math.log(0.3)).expand(1, 2)
    gain = tracker.scene.search(tracker.attention).gains(view, layers, torch.zeros(1, 2).double(), cost)
    assert (gain > 0).tolist() == [[True, enters]]


def test_no_newcomer_gains_more_than_a_frame_leaves_unexplained() -> None:
    tracker = made(scene())
    torch.manual_seed(0)
    layers = torch.rand(50, 1, 4, 1, 20, 20).double()  # two known objects, two newcomers
    layers[:, :, 2:] *= torch.logspace(-3, 0, 50).double().view(-1, 1, 1, 1, 1, 1)
    drawn = torch.tensor([1.0, 0.0, 0.0, 0.0]).double().expand(50, 4)
    view = replace(viewed(tracker, torch.rand(50, 1, 1, 20, 20).double()), reach=0)
    most = view.unexplained(layers, drawn)
    for more in ([1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 1.0, 1.0]):
        gain = view.gain(layers, drawn, layers, torch.tensor(more).double().expand(50, 4))
        assert (gain < most).all()
    perfect = replace(view, frame=view.compose(layers, torch.ones(50, 4).double()))
    gain = perfect.gain(layers, drawn, layers, torch.ones(50, 4).double())
    torch.testing.assert_close(gain, perfect.unexplained(layers, drawn))


def test_nobody_is_looked_for_where_the_known_objects_explain_the_frame(x: Tensor) -> None:
    """Nor where no slot is empty; who is there is the same as if one had looked."""
    tracker, sought = made(scene()), []
    locate = tracker.attention.locate

    def counted(frames: Tensor) -> tuple[Independent, Independent]:
        sought.append(len(frames))
        return locate(frames)

    tracker.attention.locate = counted
    x[1] = 0  # in one of three sequences nobody ever comes, and in the others nobody is in frames 3 and 4
    with torch.no_grad(), mode():
        found = tracker.guide(x).states
    assert sought[0] == 2
    assert all(not (state["presence"][1] > 0).any() for state in found)
    sought.clear()
    with torch.no_grad(), mode():
        trace = poutine.trace(tracker.guide).get_trace(torch.zeros_like(x))
    assert not sought
    for name, prior in (("size_1", tracker.scene.size()), ("description_1", tracker.scene.description())):
        drawn = trace.nodes[name]["fn"]  # who comes by chance all the same
        for moment in ("mean", "stddev"):
            expected = getattr(prior, moment).expand(drawn.mean.shape)
            torch.testing.assert_close(getattr(drawn, moment), expected)


def test_work_on_all_objects_has_the_results_of_work_on_those_concerned(x: Tensor, monkeypatch) -> None:
    """As on a GPU, which does not wait for their number."""
    tracker, frames = made(scene(num_objects=3)), torch.cat([x, x.flip(-1), 0 * x])[:, :4]

    def told() -> list[dict[str, Tensor]]:
        torch.manual_seed(0)
        with torch.no_grad():
            states = tracker.guide(frames).states
        there = [(state["presence"] > 0) for state in states]
        kept = ("presence", "position", "description", "size")
        return [
            {name: torch.where(on, state[name], torch.zeros_like(state[name])) for name in kept}
            for on, state in zip(there, states, strict=True)
        ]

    packed = told()
    assert any(state["presence"].any() for state in packed)
    monkeypatch.setattr(packing, "waits", lambda mask: True)
    for few, every in zip(packed, told(), strict=True):
        for name, value in few.items():
            torch.testing.assert_close(every[name], value, rtol=0, atol=1e-9)


def test_parts_of_one_object_are_near_and_move_alike() -> None:
    """The third object of a sequence is far, old, goes another way, which is known or not, or is where the first is."""
    size = torch.full((5, 3, 2), 0.4).double()
    known = Objects(None, size, torch.zeros(5, 3, 4).double(), present=torch.ones(5, 3).bool())
    place = torch.tensor([[0.0, 0.0], [0.5, 0.3], [0.1, 0.0]]).double().repeat(5, 1, 1)
    place[0, 2, 0], place[1, 2, 0] = -0.9, -0.3
    young = torch.tensor([[True, True, index not in (1, 4)] for index in range(5)])
    before = {"age": torch.ones(5, 3, 1), "position": place - 0.1, "size": size}
    before["age"][3, 2] = 0
    goes = place.clone()
    goes[2:4, 2, 0] += 0.1
    alike = moving_alike(before, lambda: Normal(goes, 1.0).to_event(1))
    near = close(known, place, young, alike)
    assert near[:, 2, 0].tolist() == [False, False, False, True, True]
    assert near[:, 0, 1].all()
    assert near.equal(near.mT)
    assert not near.diagonal(dim1=-2, dim2=-1).any()
    unknown = moving_alike(before | {"age": torch.zeros(5, 3, 1)}, None)
    assert close(known, place, young, unknown)[2, 2, 0]
    absent = known._replace(present=torch.tensor([True, True, False]).expand(5, 3))
    assert not close(absent, place, young, alike)[:, 2].any()


class Stamp(AdditivePicture):
    """An object is a bright square at its place, as bright as the first number of its description."""

    def layers(self, pose: Pose, objects: Objects) -> Tensor:
        axis = (torch.arange(self.frame_size).double() + 0.5) / self.frame_size * 2 - 1
        near = ((pose.position.unsqueeze(-1) - axis).abs() < 0.3).double()  # (..., T, N, 2, side)
        square = near[..., 1, :, None] * near[..., 0, None, :]
        return (objects.description[..., None, :, 0, None, None] * square).unsqueeze(-3)


def stamped(brightness: float) -> tuple[Tracker, Objects, Tensor]:
    """A tracker of stamps, and two of them, (1, 2), at the same place."""
    tracker = made(scene())
    tracker.picture = Stamp(tracker.picture.config, tracker.config).double()
    looks = torch.zeros(1, 2, tracker.config.description).double()
    looks[..., 0] = brightness
    known = Objects(
        None, torch.full((1, 2, 2), 0.4).double(), looks, torch.ones(1, 2).double(), torch.ones(1, 2).bool()
    )
    return tracker, known, torch.zeros(1, 2, 2).double()


def test_other_looks_and_places_have_to_be_worth_their_change() -> None:
    """The evidence that a change wins is weighed against the densities of looks and places, given the frame before."""
    tracker, known, place = stamped(0.4)
    place[0, 1, 0] = 0.7
    there, all_ = torch.ones(1, 2).double(), torch.ones(1, 2).bool()
    draws = viewed(tracker, torch.zeros(1, 1, 1, 20, 20).double())
    looks = known.description.clone()
    looks[0, 0, 0] = 0.7

    def changed(brightness: float, where: Tensor = place, drift: float = 0.5) -> list[bool]:
        shown = known._replace(description=known.description.clone())
        shown.description[0, 0, 0] = brightness
        frame = draws.compose(draws.depicted(shown, place).layers, there)
        change = Normal(known.description, torch.full_like(known.description, drift))
        view = replace(draws, frame=frame, looks=change, way=Normal(place, torch.full_like(place, 0.1)))
        depicted, kept = better(view, view.depicted(known, place), there, all_, looks, where)
        again = view.depicted(depicted.objects, depicted.place)
        assert depicted.layers.equal(again.layers), "they are drawn as they have become"
        return kept[0].tolist()

    assert changed(0.7) == [True, False]  # the other object's looks are as they were: they win nothing
    assert changed(0.4) == [False, False]
    assert changed(0.7, drift=0.01) == [False, False], (
        "so large a change is less likely than so large an error"
    )
    away = place.clone()
    away[0, 0, 1] = 0.02  # less than a pixel: the same square
    assert changed(0.7, away) == [True, False]
    away[0, 0, 1], away[0, 1, 1] = 0.0, 0.02
    assert changed(0.4, away) == [False, False], "no place is left for nothing"


def test_a_second_track_of_one_object_goes_whatever_its_age() -> None:
    tracker, known, place = stamped(0.4)  # so faint that what it explains is not worth an object
    view, near = viewed(tracker, torch.zeros(1, 1, 1, 20, 20).double()), ~torch.eye(2).bool().expand(1, 2, 2)
    shown, review = view.depicted(known, place), Review(tracker.attention, tracker.scene.config.doubt)
    view = replace(view, frame=view.compose(shown.layers, torch.tensor([[1.0, 0.0]]).double()))
    kept = review.single(view, shown, near, torch.zeros(1, 2).bool()).objects
    assert kept.present[0].tolist() == [True, False], "the last one stays"

    tracker, known, place = stamped(2.0)
    draws = viewed(tracker, torch.zeros(1, 1, 1, 20, 20).double())
    old = torch.zeros(1, 2).bool()
    review = Review(tracker.attention, tracker.scene.config.doubt)
    one = draws.compose(draws.depicted(known, place).layers, torch.tensor([[1.0, 0.0]]).double())

    def left(frame: Tensor, where: Tensor = place) -> list[bool]:
        view = replace(draws, frame=frame)
        kept = review.single(view, view.depicted(known, where), near, old)
        assert kept.place.equal(where)
        assert kept.objects.description.equal(known.description), "looks that are settled stay"
        return kept.objects.present[0].tolist()

    assert left(one) == [True, False]
    apart = place.clone()
    apart[0, 1, 0] = 0.7
    both = draws.compose(draws.depicted(known, apart).layers, torch.ones(1, 2).double())
    assert left(both, apart) == [True, True]


def test_of_three_tracks_of_one_object_two_go_one_after_the_other() -> None:
    """In one sequence three objects are one, in another one two of them, and in a third one each is another one."""
    tracker, known, _ = stamped(2.0)
    known = known._replace(
        size=torch.full((3, 3, 2), 0.4).double(), present=torch.ones(3, 3).bool(),
        description=known.description[:, :1].repeat(3, 3, 1),
    )  # fmt: skip
    place = torch.zeros(3, 3, 2).double()
    place[1, 0, 0], place[2, :, 0] = 0.7, torch.tensor([-0.7, 0.0, 0.7])
    looks = Normal(torch.zeros(3, 3, tracker.config.description).double(), 0.5)
    frame = torch.zeros(3, 1, 1, 20, 20).double()
    view = View(tracker.picture, tracker.motion, frame, None, looks, Normal(place, 0.1), REACH)
    shown, young = view.depicted(known, place), torch.zeros(3, 3).bool()
    truth = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]).double()
    view = replace(view, frame=view.compose(shown.layers, truth))
    near = close(known, place, young, torch.ones(3, 3, 3).bool())
    kept = Review(tracker.attention, tracker.scene.config.doubt).single(view, shown, near, young)
    assert kept.objects.present.double().equal(truth)
    assert kept.layers.equal(shown.layers)


def test_the_motion_is_asked_once_a_frame(x: Tensor) -> None:
    tracker = made(scene())
    predict, asked = tracker.motion.predict, []

    def counted(t: int, *given: object) -> Independent:
        asked.append(t)
        return predict(t, *given)

    tracker.motion.predict = counted
    with torch.no_grad():
        tracker.guide(x)
    assert asked == list(range(2, 7)), "once for the proposals and the prior that is run under them"


def test_attention_reaches_beyond_the_edges(x: Tensor) -> None:
    small_air = small().attention
    wide = WideAIRConfig(**{name: getattr(small_air, name) for name in small_air.__dataclass_fields__})
    tracker = made(scene(attention=wide))
    _, q = tracker.attention.locate(x)
    with torch.no_grad():
        tracker.attention.locator.position.body.loc[-1].bias.fill_(9.0)
    _, far = tracker.attention.locate(x)
    assert q.mean.abs().max() < 1.5
    torch.testing.assert_close(far.mean, torch.full_like(far.mean, 1.5), atol=1e-3, rtol=0)


def test_tracks_by_identity() -> None:
    present = torch.tensor([[[True, False], [True, True], [False, True], [True, True]]])
    identity = torch.tensor([[[0, -1], [0, 1], [0, 1], [2, 1]]])
    position = torch.arange(16.0).view(1, 4, 2, 2)
    told = by_identity(Tracks(position, present), identity)
    assert told.present[0].tolist() == [
        [True, False, False], [True, True, False], [False, True, False], [False, True, True]
    ]  # fmt: skip
    assert torch.equal(told.position[0, 3, 2], position[0, 3, 0])
    assert told.position[~told.present].isnan().all()


def test_one_sequence_may_have_particles(x: Tensor) -> None:
    tracker = made(scene())
    elbo = Elbo(num_particles=3, vectorize_particles=True, max_plate_nesting=2)
    terms = elbo.terms(tracker.model, tracker.guide, x[:1, :3])
    assert all(value.isfinite() for value in terms.values())
