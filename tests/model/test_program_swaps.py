"""Swapping priors and blocks, trackers beside one another, and what a tracker's state is."""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pyro
import pytest
import torch
from pyro import poutine
from pyro.distributions import Independent, Normal, StudentT
from pyro.infer import SVI, Trace_ELBO
from pyro.nn import PyroModule
from pyro.optim import Adam
from small_model import FINDERS, positions
from torch import Tensor

from vtssi_pyro.model.blocks import FirstFrame, RandomWalk
from vtssi_pyro.model.config import ModelConfig
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.kinds import SLOTS
from vtssi_pyro.model.priors import DiagNormal
from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.train.elbo import Elbo
from vtssi_pyro.types import Anneal, Objects, State

BOTH = pytest.mark.parametrize("after_a_run", [False, True])


def run(tracker: Tracker, frames: Tensor) -> float:
    """One plain step of SVI."""
    return SVI(tracker.model, tracker.guide, Adam({"lr": 1e-3}), Trace_ELBO()).step(frames)


def elbo(program, frames: Tensor, seed: int = 5, **options: bool) -> dict[str, float]:
    torch.manual_seed(seed)
    return {
        name: value.item()
        for name, value in Elbo(**options).terms(program.model, program.guide, frames).items()
    }


@BOTH
@pytest.mark.parametrize(
    ("name", "loc"), [("size", [0.2, 0.7]), ("description", [0.5] * 4), ("count", [1.0])]
)
def test_swapping_a_prior(name: str, loc: list[float], after_a_run: bool, tiny, frames: Tensor) -> None:
    """The model samples from the new prior; neither the guide nor another site changes."""
    tracker = tiny()
    if after_a_run:
        run(tracker, frames)
    with mode():
        before = poutine.trace(tracker.guide).get_trace(frames)
    setattr(tracker.scene, name, DiagNormal(loc, 0.05).double())
    model = poutine.trace(tracker.model).get_trace(frames)
    assert model.nodes[name]["fn"].stddev.eq(torch.tensor(0.05).double()).all()
    torch.testing.assert_close(model.nodes[name]["fn"].mean[0, 0], torch.tensor(loc).double())
    with mode():
        after = poutine.trace(tracker.guide).get_trace(frames)
    for site in before.stochastic_nodes:
        assert torch.equal(before.nodes[site]["value"], after.nodes[site]["value"])


def test_annealing_overrides_the_mean_of_the_count(tiny, frames: Tensor) -> None:
    trace = poutine.trace(tiny().model).get_trace(frames, Anneal(count_shift=0.75))
    assert trace.nodes["count"]["fn"].mean.eq(-2.25).all()


class StudentSize(PyroModule):
    """A prior of a user's own, of another family; no closed form relates it to a normal."""

    def forward(self) -> Independent:
        return StudentT(4.0, torch.full((2,), 0.3, dtype=torch.float64), 0.1).to_event(1)


def test_a_prior_of_another_family(tiny, frames: Tensor) -> None:
    """Plain SVI trains under it, and so does ``Elbo``: sampled at this site, in closed form at the others."""
    tracker = tiny()
    tracker.scene.size = StudentSize()
    assert all(math.isfinite(run(tracker, frames)) for _ in range(2))
    sampled = elbo(tracker, frames, analytic=False)
    closed = elbo(tracker, frames, analytic=True)
    assert sampled["size"] == pytest.approx(closed["size"])
    assert sampled["description"] != closed["description"]


class Constant(PyroModule):
    """A consensus of a user's own: everything is what it was told."""

    K = 1

    def guide(self, attention, frames: Tensor, plates) -> tuple:
        zeros = frames.new_zeros(frames.shape[0], 2)
        with plates.sequences:
            count = pyro.sample("count", Normal(zeros[:, :1, None] + 3, 0.1).to_event(1))
            with plates.objects:
                size = pyro.sample("size", Normal(zeros[..., None].expand(-1, 2, 2) + 0.25, 0.01).to_event(1))
                description = pyro.sample(
                    "description", Normal(zeros[..., None].expand(-1, 2, 4), 1.0).to_event(1)
                )
        return Objects(count.squeeze(-2), size, description), None


BLOCKS: dict[str, tuple[str, Callable[[ModelConfig], PyroModule]]] = {
    "a user's consensus": ("consensus", lambda c: Constant()),
    "FirstFrame": ("consensus", lambda c: FirstFrame()),
    "RECT of another K": ("consensus", lambda c: replace(c.consensus, K=2).build(c)),
    "TemplateFIND": ("finder", lambda c: FINDERS["template"].build(c)),
    "FIND": ("finder", lambda c: FINDERS["learned"].build(c)),
    "RandomWalk": ("motion", lambda c: RandomWalk(0.2)),
}


@BOTH
@pytest.mark.parametrize("name", BLOCKS)
def test_swapping_a_block(name: str, after_a_run: bool, tiny, config: ModelConfig, blobs) -> None:
    """The tracker with a new block computes what one does that was assembled with it in the first place."""
    frames = blobs(2, 4)  # one frame beyond M
    slot, make = BLOCKS[name]
    tracker, block = tiny(), make(config).double().eval()
    if after_a_run:
        run(tracker, frames)
    unused = tiny()
    unused.load_state_dict(tracker.state_dict())
    blocks = {s: getattr(unused, s) for s in SLOTS}
    fresh = Tracker(**(blocks | {slot: deepcopy(block)}), config=tracker.config).eval()
    setattr(tracker, slot, block)
    pyro.clear_param_store()
    found = elbo(tracker, frames)
    assert found == elbo(fresh, frames)
    assert found == elbo(tracker.program(), frames)
    assert run(tracker, frames) > 0  # and trains, without a warning about sites


def test_a_swapped_prior_of_motion_is_fused_too(tiny, frames: Tensor) -> None:
    """Another dynamics: only ``transition`` is written anew; model and guide both follow it."""
    tracker = tiny()

    def still(previous: State) -> dict[str, Independent]:
        scales = {"position": 0.02, "motion": 0.3}
        return {name: Normal(previous[name], scale).to_event(1) for name, scale in scales.items()}

    tracker.motion.transition = still
    guided = poutine.trace(tracker.guide).get_trace(frames, horizon=1)
    model = poutine.trace(poutine.replay(tracker.model, trace=guided)).get_trace(frames, horizon=1)
    assert torch.equal(model.nodes["position_5"]["fn"].mean, guided.nodes["position_4"]["value"])
    assert torch.equal(guided.nodes["position_7"]["fn"].mean, guided.nodes["position_6"]["value"])
    assert (guided.nodes["position_5"]["fn"].stddev > 0.01).all()  # half of 0.02, and the proposal's half


@pytest.mark.parametrize("finder", ["learned", "template"])
def test_a_program_with_other_blocks_is_a_tracker_with_them(finder: str, tiny, frames: Tensor) -> None:
    tracker = tiny("vtssi", finder)
    copy = deepcopy(tracker)
    copy.motion = RandomWalk()
    without = tracker.program(motion=RandomWalk())
    assert elbo(without, frames) == elbo(copy, frames)
    assert elbo(tracker, frames) != elbo(copy, frames)
    with mode():
        assert torch.equal(positions(without.guide(frames)), positions(copy.guide(frames)))


def test_two_trackers_do_not_disturb_each_other(variant: str, finder: str, tiny, blobs) -> None:
    """Two steps of gradient descent on ``Elbo``, alternating, give the weights of each running alone."""
    frames = blobs(2, 4)  # one frame beyond M

    def trackers() -> list[Tracker]:
        made = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            made.append(tiny(variant, finder))
            with torch.no_grad():  # parameters that start the same in every tracker too
                for parameter in made[-1].parameters():
                    parameter.add_(0.01 * seed)
        return made

    def step(tracker: Tracker, seed: int) -> float:
        torch.manual_seed(seed)
        loss = -sum(Elbo().terms(tracker.model, tracker.guide, frames).values())
        parameters = list(tracker.parameters())
        with torch.no_grad():
            for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                parameter.sub_(1e-6 * gradient)
        return loss.item()

    alone = []
    for tracker in trackers():
        pyro.clear_param_store()
        alone.append([step(tracker, s) for s in range(2)])
    first, second = trackers()
    beside = list(zip(*[(step(first, s), step(second, s)) for s in range(2)], strict=True))
    assert [list(losses) for losses in beside] == alone
    assert alone[0] != alone[1]
    assert alone[0][0] != alone[0][1]


def test_state_round_trips(variant: str, finder: str, tiny, blobs) -> None:
    """A fresh tracker of the same configuration that loads the state computes the same, trained too."""
    frames = blobs(2, 4)  # one frame beyond M
    first = tiny(variant, finder).train()
    run(first, frames)
    torch.manual_seed(9)
    second = tiny(variant, finder)
    first.eval()
    pyro.clear_param_store()
    assert elbo(first, frames) != elbo(second, frames)
    second.load_state_dict(deepcopy(first.state_dict()))
    pyro.clear_param_store()
    assert elbo(first, frames) == elbo(second, frames)
    names = [name for name, _ in first.named_parameters(remove_duplicate=False)]
    assert len(set(map(id, first.parameters()))) == len(names)  # no tensor under two names


def test_per_frame_is_one_frame_at_a_time(tiny, blobs) -> None:
    """AIR's tracker on (B, T) frames equals itself on each frame, in modes and in every density."""
    tracker, frames = tiny("air", count=0.0), blobs(2, 3)
    model_sites = ("count", "size", "description", "position_1", "x")
    with mode(), torch.no_grad():
        whole = poutine.trace(tracker.guide).get_trace(frames)
        scored = poutine.trace(poutine.replay(tracker.model, trace=whole)).get_trace(frames)
        scored.compute_log_prob()
        for b in range(2):
            for t in range(3):
                one = poutine.trace(tracker.guide).get_trace(frames[b : b + 1, t : t + 1])
                alone = poutine.trace(poutine.replay(tracker.model, trace=one)).get_trace(
                    frames[b : b + 1, t : t + 1]
                )
                alone.compute_log_prob()
                for name in model_sites:
                    found, expected = scored.nodes[name], alone.nodes[name]
                    torch.testing.assert_close(found["value"][3 * b + t], expected["value"][0])
                    torch.testing.assert_close(found["log_prob"][3 * b + t], expected["log_prob"][0])
    torch.manual_seed(5)
    program = tracker.program(per_frame=False)
    terms = Elbo().terms(program.model, program.guide, frames.reshape(6, 1, 20, 20))
    assert elbo(tracker, frames) == {name: value.item() for name, value in terms.items()}
