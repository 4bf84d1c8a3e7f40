"""Laws of the model and the guide of every variant: sites, shapes, gradients, and Algorithm 5 by hand."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pyro
import pytest
import torch
from pyro import poutine
from pyro.distributions import Distribution, Normal
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam
from small_model import positions, small
from torch import Tensor

import vtssi_pyro.model.proposals
from vtssi_pyro.model.handlers import mode, propose
from vtssi_pyro.model.proposals import ORDERS
from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.ops.gaussian import product
from vtssi_pyro.types import Anneal

GOLDEN = Path(__file__).parent / "golden"
M = 3
TRAINING = Anneal(count_shift=1.0, bell=0.3, fuse_low=0.01, fuse_high=0.99)

# a constant added to every logit of a softmax changes nothing: their gradients are zero by construction
INVARIANT = {"consensus.logits.body.4.bias", "finder.logits.body.net.4.bias"}


def latent(trace: poutine.Trace) -> dict[str, tuple]:
    return {
        name: tuple(site["value"].shape)
        for name, site in trace.nodes.items()
        if site["type"] == "sample" and not site["is_observed"] and not poutine.util.site_is_subsample(site)
    }


def test_guide_and_model_have_the_same_latent_sites(variant: str, finder: str, tiny, frames: Tensor) -> None:
    tracker = tiny(variant, finder)
    guide = poutine.trace(tracker.guide).get_trace(frames)
    model = poutine.trace(tracker.model).get_trace(frames)
    assert latent(guide) == latent(model)
    times = 1 if variant == "air" else 6
    expected = {"count", "size", "description"} | {f"position_{t}" for t in range(1, times + 1)}
    if variant in ("find-mot", "vtssi"):
        expected |= {f"motion_{t}" for t in range(M, times + 1)}
    assert set(latent(guide)) == expected
    for name in expected:  # and each is reached under the same plates, mask and scale
        first, second = guide.nodes[name], model.nodes[name]
        assert [f.name for f in first["cond_indep_stack"]] == [f.name for f in second["cond_indep_stack"]]
        assert (first["mask"] is None) == (second["mask"] is None) == (name == "count")
        assert first["fn"].batch_shape == second["fn"].batch_shape


def test_shapes_are_the_golden_ones(
    variant: str, finder: str, tiny, frames: Tensor, pytestconfig: pytest.Config
) -> None:
    tracker = tiny(variant, finder)
    text = ""
    for name in ("guide", "model"):
        trace = poutine.trace(getattr(tracker, name)).get_trace(frames[:, :4], horizon=0)
        trace.compute_log_prob()
        sites = trace.format_shapes().partition("Sample Sites:")[2].splitlines()
        text += "\n".join([name, *(" ".join(line.split()) for line in sites if line.strip())]) + "\n"
    path = GOLDEN / f"shapes-{variant}.txt"  # the same for both finders
    if pytestconfig.getoption("--regen-golden"):
        path.write_text(text)
    assert text == path.read_text(), f"{path} differs; after a change on purpose run pytest --regen-golden"


def test_every_parameter_gets_a_gradient(variant: str, finder: str, tiny, blobs) -> None:
    """Summed over three random steps in training mode with both objects active."""
    tracker = tiny(variant, finder).train()
    with (
        torch.no_grad()
    ):  # fresh, the K frames wake the same units of RECT and its softmax cancels their biases
        for parameter in tracker.consensus.parameters():
            parameter.mul_(5)
    parameters = dict(tracker.named_parameters())
    total = dict.fromkeys(parameters, 0.0)
    for _ in range(3):
        frames = blobs(4) * torch.rand(4, 6, 1, 1, dtype=torch.float64)  # frames that differ wake every unit
        loss = Trace_ELBO().differentiable_loss(tracker.model, tracker.guide, frames, TRAINING)
        gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        for name, gradient in zip(parameters, gradients, strict=True):
            assert gradient is not None, f"{name} is not part of the loss"
            total[name] += gradient.abs().max().item()
    dead = {name for name, value in total.items() if value < 1e-9}
    assert dead == INVARIANT & set(parameters)


def test_plain_svi_moves_every_parameter(variant: str, finder: str, tiny, frames: Tensor) -> None:
    tracker = tiny(variant, finder).train()
    before = {name: p.detach().clone() for name, p in tracker.named_parameters()}
    svi = SVI(tracker.model, tracker.guide, Adam({"lr": 1e-3}), Trace_ELBO())
    losses = [svi.step(frames, TRAINING) for _ in range(2)]
    assert all(math.isfinite(loss) for loss in losses)
    still = {name for name, p in tracker.named_parameters() if torch.equal(p, before[name])}
    assert still <= INVARIANT
    assert all(torch.isfinite(p).all() for p in tracker.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["find", "vtssi"])
def test_plain_svi_learns(objective: str, tiny, frames: Tensor) -> None:
    """Sixty steps on two sequences halve the excess of the loss over the noise's entropy."""
    tracker = tiny(objective).train()
    svi = SVI(tracker.model, tracker.guide, Adam({"lr": 5e-3, "betas": (0.5, 0.999)}), Trace_ELBO())
    losses = [svi.step(frames, TRAINING) for _ in range(60)]
    floor = frames.numel() * (math.log(0.3) + 0.5 * math.log(2 * math.pi))  # a perfect reconstruction, no KL
    assert sum(losses[-5:]) / 5 - floor < 0.5 * (losses[0] - floor)


class Recorder:
    """Lets a test see the proposals and the weights that a run of a guide made for itself."""

    def __init__(self, tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
        self.proposals = propose()
        self.weights: dict[str, Tensor] = {}
        original = type(tracker.motion).weight

        def weight(motion, *args) -> Callable:
            inner = original(motion, *args)

            def spy(msg) -> Tensor | None:
                w = inner(msg)
                if w is not None:
                    self.weights[msg["name"]] = w
                return w

            return spy

        monkeypatch.setattr(type(tracker.motion), "weight", weight)
        monkeypatch.setattr(vtssi_pyro.model.proposals, "propose", lambda: self.proposals)


def algorithm_5(tracker: Tracker, hats, weights, draws, length: int) -> Iterator[tuple[str, Distribution]]:
    """q of the paper, written once more: proposals up to M, from there averages with the transitions."""
    for name in ("count", "size", "description", *(f"position_{t}" for t in range(1, M + 1)), f"motion_{M}"):
        yield name, hats[name].fn
    for t in range(M + 1, length + 1):
        previous = torch.cat([draws[f"position_{t - 1}"], draws[f"motion_{t - 1}"]], -1)
        for variable, network in (("position", tracker.motion.position), ("motion", tracker.motion.motion)):
            loc, scale = network.body(previous)  # the scale is behind its softplus already
            loc = loc.tanh() if variable == "position" else loc
            hat = hats[f"{variable}_{t}"].fn
            w = weights[f"{variable}_{t}"].unsqueeze(-1)
            mean = w * loc + (1 - w) * hat.mean
            variance = w**2 * scale**2 + (1 - w) ** 2 * hat.variance
            yield f"{variable}_{t}", Normal(mean, variance.sqrt()).to_event(1)


@pytest.mark.parametrize("variant", ["find-mot", "vtssi"])
@pytest.mark.parametrize("finder", ["learned", "template"])
@pytest.mark.parametrize("bounds", [(0.5, 0.5), (0.01, 0.99)])
@pytest.mark.parametrize("order", ORDERS)
def test_log_q_is_algorithm_5(
    variant: str, finder: str, bounds, order: str, tiny, frames: Tensor, monkeypatch
) -> None:
    """log q of a run of the guide, to 1e-9, against the loop above on the same proposals and weights."""
    tracker = tiny(variant, config=replace(small(finder), order=order))
    recorder = Recorder(tracker, monkeypatch)
    trace = poutine.trace(tracker.guide).get_trace(frames, Anneal(fuse_low=bounds[0], fuse_high=bounds[1]))
    draws = {name: trace.nodes[name]["value"] for name in latent(trace)}
    active = (2 * draws["count"].sigmoid() > torch.arange(2)).squeeze(-2)  # (B, N)
    expected, scored = torch.zeros((), dtype=torch.float64), set()
    for name, q in algorithm_5(tracker, recorder.proposals.sites, recorder.weights, draws, 6):
        log_q = q.log_prob(draws[name])
        expected += log_q.sum() if name == "count" else (log_q * active).sum()
        scored.add(name)
    assert scored == set(draws)
    assert abs((trace.log_prob_sum() - expected).item()) < 1e-9
    for name in (
        "size",
        "description",
        "position_1",
        "position_3",
        "motion_3",
    ):  # "a single sample taken once"
        assert torch.equal(draws[name], recorder.proposals.sites[name].value)
    for name in ("position_4", "motion_6"):
        assert not torch.equal(draws[name], recorder.proposals.sites[name].value)


def test_weights_are_uniform_one_per_sequence_object_and_step(tiny, blobs, monkeypatch) -> None:
    """Estimate D2; 2,880 draws: mean and variance of U(0.2, 0.8) within 4 sigma (fails once in 8,000)."""
    tracker = tiny()
    recorder = Recorder(tracker, monkeypatch)
    drawn = []
    for _ in range(3):
        tracker.guide(blobs(160, 6), Anneal(fuse_low=0.2, fuse_high=0.8))
        assert set(recorder.weights) == {f"{v}_{t}" for v in ("position", "motion") for t in (4, 5, 6)}
        for t in (4, 5, 6):
            assert torch.equal(recorder.weights[f"position_{t}"], recorder.weights[f"motion_{t}"])
            assert recorder.weights[f"position_{t}"].shape == (160, 2)
            drawn.append(recorder.weights[f"position_{t}"])
    w = torch.stack(drawn).flatten()
    assert w.unique().numel() == w.numel() == 2880
    assert w.min() >= 0.2
    assert w.max() <= 0.8
    assert (w.mean() - 0.5).abs() < 4 * 0.6 / (12 * 2880) ** 0.5
    assert (w.var() / (0.6**2 / 12) - 1).abs() < 4 * (0.8 / 2880) ** 0.5  # the uniform's kurtosis is 1.8


def test_the_tracker_hands_its_rule_to_the_guide(tiny, frames: Tensor, monkeypatch) -> None:
    tracker = tiny()
    tracker.rule = product
    recorder = Recorder(tracker, monkeypatch)
    trace = poutine.trace(tracker.guide).get_trace(frames)
    hat = recorder.proposals.sites["motion_4"].fn
    previous = {name: trace.nodes[f"{name}_3"]["value"] for name in ("position", "motion")}
    prediction = tracker.motion.transition(previous)["motion"]
    precision = 1 / hat.variance + 1 / prediction.variance
    torch.testing.assert_close(trace.nodes["motion_4"]["fn"].variance, 1 / precision)


def test_random_walk_prior_passes_no_gradient_but_the_transition_does(tiny) -> None:
    tracker = tiny()
    position = torch.randn(2, 2, 2, dtype=torch.float64, requires_grad=True)
    state = {"position": position, "motion": torch.randn(2, 2, 3, dtype=torch.float64)}
    walk = tracker.motion.walk(position, position)
    assert torch.equal(walk.mean, position)
    assert walk.stddev.eq(0.1).all()
    assert not walk.mean.requires_grad
    for q in tracker.motion.transition(state).values():
        assert torch.autograd.grad(q.mean.sum(), position, retain_graph=True)[0].abs().min() > 0


def test_prior_densities_are_those_of_the_docstring(tiny, frames: Tensor) -> None:
    """Table of ``Tracker.model``: every location and scale that is a number."""
    trace = poutine.trace(tiny().model).get_trace(frames)
    table = {
        "count": (-3.0, 1.0),
        "description": (0.0, 1.0),
        "position_1": (0.0, 1.0),
        "motion_3": (0.0, 1.0),
    }
    for name, (loc, scale) in table.items():
        fn = trace.nodes[name]["fn"]
        assert fn.mean.eq(loc).all(), name
        assert fn.stddev.eq(scale).all(), name
    size = trace.nodes["size"]["fn"]
    torch.testing.assert_close(size.mean[0, 0], torch.tensor([0.3, 0.4]).double())
    torch.testing.assert_close(size.stddev[0, 0], torch.tensor([0.1, 0.1]).double())
    for t in (2, 3):
        assert torch.equal(trace.nodes[f"position_{t}"]["fn"].mean, trace.nodes[f"position_{t - 1}"]["value"])
    x = trace.nodes["x"]["fn"]
    assert x.batch_shape == (2, 6)
    assert x.event_shape == (1, 20, 20)
    assert x.stddev.eq(0.3).all()


def test_modes_of_a_guide_are_reproducible(variant: str, finder: str, tiny, frames: Tensor) -> None:
    tracker = tiny(variant, finder)
    with mode(), torch.no_grad():
        first, second = tracker.guide(frames), tracker.guide(frames)
    assert torch.equal(positions(first), positions(second))
    assert torch.equal(first.objects.description, second.objects.description)


def test_nothing_is_left_in_the_effect_stack(tiny, frames: Tensor) -> None:
    tracker = tiny()
    with pytest.raises(RuntimeError):
        tracker.guide(frames.float())  # the networks are in double precision
    assert pyro.poutine.runtime._PYRO_STACK == []
