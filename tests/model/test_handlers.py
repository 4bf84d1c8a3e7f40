"""Laws of the handlers on a program of four sites, without anything of tracking."""

from collections.abc import Callable

import pyro
import pytest
import torch
from pyro import poutine
from pyro.distributions import Bernoulli, Normal
from pyro.infer import Predictive, Trace_ELBO
from torch import Tensor
from torch.distributions import kl_divergence

from vtssi_pyro.model.handlers import Weight, fuse, mode, propose, temper
from vtssi_pyro.ops.gaussian import average

X = torch.tensor([0.3, -0.2, 0.9], dtype=torch.float64)
ONE = torch.ones((), dtype=torch.float64)


def prior() -> Tensor:
    """a, then b given a, then c, which nothing proposes; in a plate of three."""
    with pyro.plate("three", 3):
        a = pyro.sample("a", Normal(torch.zeros(2, dtype=torch.float64), 1.0).to_event(1))
        b = pyro.sample("b", Normal(a, 0.5).to_event(1))
        pyro.sample("c", Normal(0.1 * ONE, 2.0))
    return b


def model(x: Tensor) -> None:
    b = prior()
    with pyro.plate("data", 3):
        pyro.sample("x", Normal(b.sum(-1), 0.3), obs=x)


def infer(x: Tensor) -> None:
    with pyro.plate("proposing", 3):
        a = pyro.sample("a", Normal(x.unsqueeze(-1).expand(3, 2) / 2, 0.4).to_event(1))
        pyro.sample("b", Normal(0.9 * a, 0.2).to_event(1))


def guide_with(weight: Weight) -> Callable[[Tensor], Tensor]:
    def guide(x: Tensor) -> Tensor:
        with propose() as proposals:
            infer(x)
        with fuse(proposals.sites, weight, average):
            return prior()

    return guide


def constant(w: float | None) -> Weight:
    return lambda msg: None if w is None else torch.full(msg["fn"].batch_shape, w, dtype=torch.float64)


def test_proposals_are_absent_from_traces() -> None:
    with propose() as proposals:
        trace = poutine.trace(infer).get_trace(X)
    assert [
        n for n, s in trace.nodes.items() if s["type"] == "sample" and not poutine.util.site_is_subsample(s)
    ] == []
    assert trace.log_prob_sum() == 0
    assert set(proposals.sites) >= {"a", "b"}
    torch.testing.assert_close(proposals.sites["b"].fn.mean, 0.9 * proposals.sites["a"].value)


def test_a_proposal_adds_nothing_to_the_loss() -> None:
    """Hats that no site of the model carries leave the loss of the very same draws as it was."""

    def bare(x: Tensor) -> None:
        prior()

    def with_hat(x: Tensor) -> None:
        prior()
        with propose(), pyro.plate("hats", 3):
            pyro.sample("hat", Normal(5 * ONE, 0.01))

    losses = []
    for guide in (bare, with_hat):
        torch.manual_seed(1)
        losses.append(Trace_ELBO().loss(model, guide, X))
    assert losses[0] == losses[1]


def test_without_a_weight_fuse_is_replay() -> None:
    """Value and density of the proposal, and sites without one keep their prior, as under ``replay``."""
    torch.manual_seed(2)
    recorded = poutine.trace(infer).get_trace(X)
    torch.manual_seed(2)
    fused = poutine.trace(guide_with(constant(None))).get_trace(X)
    replayed = poutine.trace(poutine.replay(prior, trace=recorded)).get_trace()
    for name in ("a", "b"):
        assert torch.equal(fused.nodes[name]["value"], replayed.nodes[name]["value"])
        assert kl_divergence(fused.nodes[name]["fn"], recorded.nodes[name]["fn"]).abs().max() == 0
    torch.testing.assert_close(fused.nodes["c"]["fn"].mean, torch.full((3,), 0.1, dtype=torch.float64))
    assert fused.nodes["c"]["fn"].stddev.eq(2).all()


@pytest.mark.parametrize("w", [0.0, 0.3, 1.0])
def test_weight_moves_from_proposal_to_prior(w: float) -> None:
    """0 gives the proposal's density, 1 the prior's given what was drawn before; draws are fresh."""
    with propose() as proposals:
        infer(X)
    with fuse(proposals.sites, constant(w), average):
        trace = poutine.trace(prior).get_trace()
    a, b = trace.nodes["a"], trace.nodes["b"]
    for site, prior_loc, prior_scale in ((a, 0.0, 1.0), (b, a["value"], 0.5)):
        hat = proposals.sites[site["name"]]
        torch.testing.assert_close(site["fn"].mean, w * prior_loc + (1 - w) * hat.fn.mean)
        variance = (w * prior_scale) ** 2 + ((1 - w) * hat.fn.stddev) ** 2
        torch.testing.assert_close(site["fn"].variance, variance)
        assert (site["value"] != hat.value).all()
    assert trace.nodes["c"]["fn"].stddev.eq(2).all()


def test_weight_may_differ_by_site_and_entry() -> None:
    w = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    with propose() as proposals:
        infer(X)
    with fuse(proposals.sites, lambda msg: w if msg["name"] == "b" else None, average):
        trace = poutine.trace(prior).get_trace()
    assert torch.equal(trace.nodes["a"]["value"], proposals.sites["a"].value)
    torch.testing.assert_close(trace.nodes["b"]["fn"].mean[0], proposals.sites["b"].fn.mean[0])
    torch.testing.assert_close(trace.nodes["b"]["fn"].mean[2], trace.nodes["a"]["value"][2])


def test_observed_sites_are_untouched() -> None:
    """A proposal of the name of an observed site changes neither its value nor its density."""
    with propose() as proposals, pyro.plate("p", 3):
        pyro.sample("x", Normal(7 * ONE, 0.1))
    trace = poutine.trace(fuse(proposals.sites, constant(0.0), average)(model)).get_trace(X)
    assert torch.equal(trace.nodes["x"]["value"], X)
    torch.testing.assert_close(trace.nodes["x"]["fn"].mean, trace.nodes["b"]["value"].sum(-1))
    assert torch.equal(poutine.trace(mode()(model)).get_trace(X).nodes["x"]["value"], X)


def test_the_rule_is_handed_in() -> None:
    seen = []

    def rule(p: Normal, q: Normal, w: Tensor) -> Normal:
        seen.append(w)
        return q

    with propose() as proposals:
        infer(X)
    with fuse(proposals.sites, constant(0.25), rule):
        trace = poutine.trace(prior).get_trace()
    assert [w[0].item() for w in seen] == [0.25, 0.25]
    assert torch.equal(trace.nodes["b"]["fn"].mean, proposals.sites["b"].fn.mean)


def test_mode_draws_modes() -> None:
    """Every latent at its mode given the modes before it, and no random number used."""
    state = torch.get_rng_state()
    with mode():
        trace = poutine.trace(guide_with(constant(None))).get_trace(X)
        fused = poutine.trace(guide_with(constant(0.5))).get_trace(X)
    assert torch.equal(torch.get_rng_state(), state)
    hat_a = X.unsqueeze(-1).expand(3, 2) / 2
    torch.testing.assert_close(trace.nodes["a"]["value"], hat_a)
    torch.testing.assert_close(trace.nodes["b"]["value"], 0.9 * hat_a)
    torch.testing.assert_close(trace.nodes["c"]["value"], torch.full((3,), 0.1, dtype=torch.float64))
    torch.testing.assert_close(fused.nodes["a"]["value"], 0.5 * hat_a)
    torch.testing.assert_close(fused.nodes["b"]["value"], 0.5 * (0.5 * hat_a) + 0.5 * 0.9 * hat_a)


def test_mode_leaves_subsampling_alone() -> None:
    def program() -> Tensor:
        with pyro.plate("many", 100, subsample_size=4) as index:
            pyro.sample("z", Normal(index.double(), 1.0))
        return index

    with mode():
        trace = poutine.trace(program).get_trace()
    index = trace.nodes["_RETURN"]["value"]
    assert index.shape == (4,)
    assert torch.equal(trace.nodes["z"]["value"], index.double())


@pytest.mark.slow
@pytest.mark.parametrize("w", [None, 0.4])
def test_under_an_outer_vectorising_plate(w: float | None) -> None:
    """Five particles at once: five different draws, and the loss that sequential particles estimate."""
    guide = guide_with(constant(w))
    with pyro.plate("particles", 5, dim=-2):
        trace = poutine.trace(guide).get_trace(X)
    assert trace.nodes["b"]["value"].shape == (5, 3, 2)
    assert trace.nodes["a"]["value"][:, 0, 0].unique().numel() == 5
    trace.compute_log_prob()
    assert trace.nodes["b"]["log_prob"].shape == (5, 3)
    if w is None:
        torch.testing.assert_close(trace.nodes["b"]["fn"].mean, 0.9 * trace.nodes["a"]["value"])
    single = torch.tensor([Trace_ELBO().loss(model, guide, X) for _ in range(400)])
    vectorised = Trace_ELBO(num_particles=4000, vectorize_particles=True, max_plate_nesting=1).loss(
        model, guide, X
    )
    error = single.std() * (1 / 400 + 1 / 4000) ** 0.5
    assert (single.mean() - vectorised).abs() < 4 * error  # fails once in 16,000


def test_predictive_draws_sites_without_proposals_from_the_prior() -> None:
    """2,000 posterior samples of c have its prior's moments within 4 sigma (fails once in 8,000)."""
    for parallel in (True, False):
        num = 2000 if parallel else 50
        drawn = Predictive(model, guide=guide_with(constant(None)), num_samples=num, parallel=parallel)(X)
        assert drawn["b"].shape[0] == num
        assert drawn["b"].shape[-2:] == (3, 2)
        c = drawn["c"].flatten()
        assert (c.mean() - 0.1).abs() < 4 * 2 / c.numel() ** 0.5
        assert (c.std() / 2 - 1).abs() < 4 / (2 * c.numel()) ** 0.5


def test_temper_draws_nearer_to_the_mean() -> None:
    """Of normal variables, whose distributions stay; what is observed and what is discrete is left alone."""

    def program() -> None:
        pyro.sample("wide", Normal(torch.full((4000,), 5.0), 2.0).to_event(1))
        pyro.sample("seen", Normal(0.0, 1.0), obs=torch.tensor(3.0))
        pyro.sample("count", Bernoulli(torch.full((50,), 0.5)).to_event(1))

    torch.manual_seed(0)
    plain = poutine.trace(program).get_trace().nodes
    torch.manual_seed(0)
    with temper(0.1):
        cold = poutine.trace(program).get_trace().nodes
    torch.testing.assert_close(cold["wide"]["value"] - 5, 0.1 * (plain["wide"]["value"] - 5))
    assert cold["wide"]["fn"].stddev.eq(2).all()
    assert cold["seen"]["value"] == 3
    assert torch.equal(cold["count"]["value"], plain["count"]["value"])


def test_temper_reaches_what_is_proposed() -> None:
    """A proposal that is kept as it was drawn is drawn nearer to its mean, too."""
    with temper(0.0), propose() as proposals:
        pyro.sample("z", Normal(1.0, 1.0))
    with fuse(proposals.sites, lambda msg: None, lambda p, q, w: p):
        assert pyro.sample("z", Normal(9.0, 1.0)) == 1
