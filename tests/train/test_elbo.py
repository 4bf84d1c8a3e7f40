"""The objective: against Pyro's own, against closed-form KL terms, and against an exactly known evidence."""

import math
from typing import NamedTuple

import pyro
import pytest
import torch
from pyro import poutine
from pyro.distributions import Bernoulli, Distribution, Normal
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from pyro.infer.util import torch_item
from torch import Tensor
from torch.distributions import MultivariateNormal

from vtssi_pyro.baselines.sqair import VIMCO
from vtssi_pyro.model.blocks import FirstFrame, NoFIND, RandomWalk
from vtssi_pyro.model.handlers import Rule, fuse, propose
from vtssi_pyro.ops.gaussian import average, product
from vtssi_pyro.train.elbo import ELBOS, Elbo, held_out_elbo, make_elbo
from vtssi_pyro.train.objective import OBJECTIVES
from vtssi_pyro.train.recipe import Scheduled, Stage, TrainConfig
from vtssi_pyro.train.step import Step
from vtssi_pyro.types import Anneal

TRAINING = Anneal(count_shift=1.0, bell=0.3, fuse_low=0.1, fuse_high=0.9)


@pytest.mark.slow
def test_sampled_elbo_is_trace_elbo(variant: str, finder: str, tiny, frames: Tensor) -> None:
    """Loss and gradients of the same draws, to float64's last digits; the terms sum to minus the loss."""
    tracker = tiny(variant, finder, count=0.0).train()
    parameters = list(tracker.parameters())
    for anneal in (Anneal(), TRAINING, TRAINING._replace(step_weight=0.7)):
        torch.manual_seed(1)
        theirs = Trace_ELBO().differentiable_loss(tracker.model, tracker.guide, frames, anneal)
        torch.manual_seed(1)
        loss = Trace_ELBO().loss(tracker.model, tracker.guide, frames, anneal)
        torch.manual_seed(1)
        terms = Elbo(analytic=False).terms(tracker.model, tracker.guide, frames, anneal)
        ours = -sum(terms.values())
        assert ours.item() == pytest.approx(theirs.item(), rel=1e-12)
        assert ours.item() == pytest.approx(loss, rel=1e-12)
        assert set(terms) - {"motion"} == {"x", "count", "size", "description", "position"}
        gradients = [torch.autograd.grad(value, parameters) for value in (ours, theirs)]
        for first, second in zip(*gradients, strict=True):
            torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("vectorize", [False, True])
def test_particles_are_those_of_trace_elbo(vectorize: bool, tiny, frames: Tensor) -> None:
    """Three draws, one after the other or at once: loss, its value alone, and what is added to gradients."""
    options = {"num_particles": 3, "vectorize_particles": vectorize, "max_plate_nesting": 2}
    for ours, theirs in (
        (Elbo(analytic=False, **options), Trace_ELBO(**options)),
        (Elbo(**options), TraceMeanField_ELBO(**options)),
    ):
        gradients, losses, tracker = [], [], tiny(count=0.0)
        for elbo in (ours, theirs):
            for call in (elbo.loss, elbo.loss_and_grads, elbo.differentiable_loss):
                torch.manual_seed(1)
                losses.append(torch_item(call(tracker.model, tracker.guide, frames, TRAINING)))
            gradients.append([parameter.grad for parameter in tracker.parameters()])
            tracker.zero_grad()
        assert losses == pytest.approx([losses[0]] * 6, rel=1e-12)
        torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-9, atol=1e-9)


def test_terms_are_a_mean_over_particles(tiny, frames: Tensor) -> None:
    tracker = tiny(count=0.0)
    torch.manual_seed(1)
    mean = Elbo(num_particles=2).terms(tracker.model, tracker.guide, frames)
    torch.manual_seed(1)
    first, second = (Elbo().terms(tracker.model, tracker.guide, frames) for _ in range(2))
    torch.testing.assert_close(mean, {name: (first[name] + second[name]) / 2 for name in first})


class Coin(NamedTuple):
    """Sites that ``Elbo`` cannot score: their draws have no gradient, or only one program makes them."""

    sites: str  # of model and guide
    q: Distribution

    def model(self) -> None:
        for name in self.sites.partition(" ")[0]:
            pyro.sample(name, Normal(0.0, 1.0))

    def guide(self) -> None:
        for name in self.sites.partition(" ")[2]:
            pyro.sample(name, self.q, infer={"is_auxiliary": name == "b"})


@pytest.mark.parametrize(
    ("sites", "q", "reason"),
    [
        ("a a", Bernoulli(0.5), "site a is not reparameterised"),
        ("a ", Normal(0.0, 1.0), "site a is missing in the guide"),
        ("a ab", Normal(0.0, 1.0), "site b is missing in the model"),
    ],
)
def test_what_would_be_scored_wrongly_is_refused(sites: str, q: Distribution, reason: str) -> None:
    coin = Coin(sites, q)
    with pyro.validation_enabled(False), pytest.raises(AssertionError, match=reason):
        Elbo().loss(coin.model, coin.guide)


def test_analytic_elbo_is_mean_field_elbo(variant: str, finder: str, tiny, frames: Tensor) -> None:
    """The closed forms are those of ``TraceMeanField_ELBO`` on the same draws."""
    tracker = tiny(variant, finder, count=0.0)
    torch.manual_seed(1)
    theirs = TraceMeanField_ELBO().loss(tracker.model, tracker.guide, frames, TRAINING)
    torch.manual_seed(1)
    terms = Elbo().terms(tracker.model, tracker.guide, frames, TRAINING)
    assert -sum(terms.values()).item() == pytest.approx(theirs, rel=1e-12)
    assert all(value < 0 for name, value in terms.items() if name != "x")  # negative KLs


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["find", "vtssi"])
def test_analytic_and_sampled_agree_in_expectation(variant: str, tiny, blobs) -> None:
    """Per term, over 60 draws of 16 copies: means within 4.5 sigma (fails once in 10,000), less variance."""
    tracker, frames = tiny(variant), blobs(1, 4).expand(16, -1, -1, -1)
    draws: dict[bool, dict[str, Tensor]] = {}
    with torch.no_grad():
        for analytic in (True, False):
            runs = [Elbo(analytic).terms(tracker.model, tracker.guide, frames, TRAINING) for _ in range(60)]
            draws[analytic] = {name: torch.stack([terms[name] for terms in runs]) for name in runs[0]}
    closed, sampled = draws[True], draws[False]
    for name in set(closed) - {"x"}:
        error = ((closed[name].var() + sampled[name].var()) / 60).sqrt()
        assert (closed[name].mean() - sampled[name].mean()).abs() < 4.5 * error, name
    for name in ("size", "description", "position"):
        assert closed[name].var() < 0.8 * sampled[name].var(), name


def test_whole_steps_cost_the_same_weighted_or_not(tiny, frames: Tensor) -> None:
    """With step values of 0 and 1 only (N sigmoid(c) whole) step_weight changes nothing; with 0.4 it does."""
    tracker = tiny()
    for share, same in ((1.0, True), (0.5, True), (0.7, False)):
        count = torch.logit(torch.tensor(share, dtype=torch.float64)).clamp(max=40.0).expand(2, 1, 1)
        terms = []
        for step_weight in (0.0, 1.0):
            torch.manual_seed(1)
            model = poutine.condition(tracker.model, data={"count": count})
            trace = poutine.trace(model).get_trace(frames, Anneal(step_weight=step_weight))
            trace.compute_log_prob()
            terms.append({n: s["log_prob_sum"] for n, s in trace.nodes.items() if s["type"] == "sample"})
        assert terms[0]["x"] == terms[1]["x"]
        assert terms[0]["count"] == terms[1]["count"]
        for name in ("size", "description", "position_2", "motion_5"):
            assert (terms[0][name] == terms[1][name]) == same, (share, name)


def test_a_half_object_costs_half(tiny, frames: Tensor) -> None:
    """At step values [1, 0.4] the second object's densities weigh 1 - w (1 - 0.4)."""
    tracker = tiny()
    count = torch.logit(torch.tensor(0.7, dtype=torch.float64)).expand(2, 1, 1)
    for w in (0.5, 1.0):
        model = poutine.condition(tracker.model, data={"count": count})
        trace = poutine.trace(model).get_trace(frames, Anneal(step_weight=w))
        trace.compute_log_prob()
        site = trace.nodes["size"]
        whole = site["fn"].log_prob(site["value"])
        expected = whole * torch.tensor([1.0, 1 - w * 0.6], dtype=torch.float64)
        torch.testing.assert_close(site["log_prob"], expected)


@pytest.mark.parametrize("variant", ["find", "rect-find", "find-mot", "vtssi"])
def test_airs_own_elbo_joins_with_its_weight(variant: str, tiny, frames: Tensor) -> None:
    """The term "air" is the ELBO of AIR alone on the frames that the consensus reads, times its weight."""
    tracker = tiny(variant)
    stage, now = Stage("joint", 1, analytic=True), Scheduled(TRAINING, air_weight=0.5)
    torch.manual_seed(1)
    terms, _ = Step(tracker, tracker, TrainConfig((stage,)), stage)(frames, now)  # with a learning rate of 0
    torch.manual_seed(1)
    Elbo().terms(tracker.model, tracker.guide, frames, TRAINING)  # the same draws are used up
    read = frames[:, : 3 if "rect" in variant or variant == "vtssi" else 1]
    alone = tracker.program(consensus=FirstFrame(), finder=NoFIND(), motion=RandomWalk())
    own = Elbo().terms(alone.model, alone.guide, read.reshape(-1, 1, 20, 20), TRAINING)
    torch.testing.assert_close(terms["air"], 0.5 * sum(own.values()).detach() / len(frames))
    assert OBJECTIVES["full"].extras(tracker, frames, stage, now)["air"].requires_grad


# An exact evidence: z_1 ~ N(0, 1), z_t ~ N(A z_{t-1}, S), x_t ~ N(z_t, R), built as trackers are.
A, S, R, LENGTH = 0.8, 0.5, 0.4, 4


class Chain(NamedTuple):
    """A prior, and proposals q(z_t | z^_{t-1}, x) = N(gain z^_{t-1} + read . x + shift, scale)."""

    gain: Tensor  # (T,)
    read: Tensor  # (T, T)
    shift: Tensor  # (T,)
    scale: Tensor  # (T,)
    weight: Tensor | None  # (T,); None: the proposals as they are
    rule: Rule = average

    def model(self, x: Tensor) -> None:
        with pyro.plate("copies", x.shape[0]):
            z = self.prior()
            for t in range(LENGTH):
                pyro.sample(f"x_{t}", Normal(z[t], R).to_event(1), obs=x[:, t : t + 1])

    def guide(self, x: Tensor) -> None:
        with propose() as proposals, pyro.plate("proposing", x.shape[0]):
            self.infer(x)
        with fuse(proposals.sites, self.prior_weight, self.rule), pyro.plate("copies", x.shape[0]):
            self.prior()

    def prior(self) -> list[Tensor]:
        z = [pyro.sample("z_0", Normal(torch.zeros(1, dtype=torch.float64), 1.0).to_event(1))]
        for t in range(1, LENGTH):
            z.append(pyro.sample(f"z_{t}", Normal(A * z[-1], S).to_event(1)))
        return z

    def infer(self, x: Tensor) -> None:
        z = torch.zeros_like(x[:, :1])
        for t in range(LENGTH):
            loc = self.gain[t] * z + (x @ self.read[t] + self.shift[t]).unsqueeze(-1)
            z = pyro.sample(f"z_{t}", Normal(loc, self.scale[t]).to_event(1))

    def prior_weight(self, msg) -> Tensor | None:
        if self.weight is None:
            return None
        return self.weight[int(msg["name"][-1])].expand(msg["fn"].batch_shape)


def joint() -> tuple[Tensor, Tensor]:
    """Covariances of z (T, T) and of x (T, T)."""
    transition = torch.eye(LENGTH, dtype=torch.float64) - A * torch.eye(LENGTH, dtype=torch.float64).roll(
        1, 0
    )
    transition[0, -1] = 0
    noise = torch.diag(torch.tensor([1.0] + [S**2] * (LENGTH - 1), dtype=torch.float64))
    inverse = torch.linalg.inv(transition)
    z = inverse @ noise @ inverse.T
    return z, z + R**2 * torch.eye(LENGTH, dtype=torch.float64)


def log_evidence(x: Tensor) -> Tensor:
    return MultivariateNormal(torch.zeros(LENGTH, dtype=torch.float64), joint()[1]).log_prob(x)


def exact_proposals() -> Chain:
    """q(z_t | z_{t-1}, x) of the true posterior, by conditioning the joint normal of (z, x)."""
    z, _ = joint()
    both = torch.cat(
        [torch.cat([z, z], 1), torch.cat([z, z + R**2 * torch.eye(LENGTH, dtype=torch.float64)], 1)], 0
    )
    chain = Chain(
        *(torch.zeros(s, dtype=torch.float64) for s in ((LENGTH,), (LENGTH, LENGTH), (LENGTH,), (LENGTH,))),
        None,
    )
    for t in range(LENGTH):
        given = ([t - 1] if t else []) + list(range(LENGTH, 2 * LENGTH))
        coefficients = torch.linalg.solve(both[given][:, given], both[given, t])
        chain.gain[t] = coefficients[0] if t else 0.0
        chain.read[t] = coefficients[-LENGTH:]
        chain.scale[t] = (both[t, t] - coefficients @ both[given, t]).sqrt()
    return chain


def draws(chain: Chain, x: Tensor, copies: int) -> Tensor:
    """log p(x, z) - log q(z) of many independent runs on the same x, by site, as ``Elbo`` sums them."""
    many = x.expand(copies, LENGTH)
    torch.manual_seed(7)
    guided = poutine.trace(chain.guide).get_trace(many)
    modelled = poutine.trace(poutine.replay(chain.model, trace=guided)).get_trace(many)
    for trace in (guided, modelled):
        trace.compute_log_prob()
    scores = [
        sum(s["log_prob"] for n, s in t.nodes.items() if s["type"] == "sample" and n[:2] in ("z_", "x_"))
        for t in (modelled, guided)
    ]
    torch.manual_seed(7)
    total = sum(Elbo(analytic=False).terms(chain.model, chain.guide, many).values())
    torch.testing.assert_close(total, (scores[0] - scores[1]).sum())
    return scores[0] - scores[1]


def test_exact_proposals_attain_the_evidence() -> None:
    """Every single draw of the true posterior has log p(x, z) - log q(z) = log p(x)."""
    for x in 1.5 * torch.randn(5, LENGTH, dtype=torch.float64):
        found = draws(exact_proposals(), x, 20)
        torch.testing.assert_close(found, log_evidence(x).expand(20), rtol=0, atol=1e-9)


def test_bayes_rule_at_the_first_frame_attains_the_evidence() -> None:
    """``product`` at w = 1/2 of prior and likelihood is the posterior of a single frame."""
    chain = exact_proposals()
    eye = torch.eye(LENGTH, dtype=torch.float64)
    filtering = Chain(
        0 * chain.gain, eye, chain.shift, torch.full_like(chain.scale, R), 0.5 + 0 * chain.shift, product
    )
    with pyro.plate("copies", 1):
        x = torch.tensor([[0.9]], dtype=torch.float64)
        with propose() as proposals:
            filtering.infer(x.expand(1, LENGTH))
        with fuse(proposals.sites, filtering.prior_weight, product):
            q = poutine.trace(filtering.prior).get_trace().nodes["z_0"]
    z = q["value"]
    gain = Normal(0.0, 1.0).log_prob(z) + Normal(z, R).log_prob(x) - q["fn"].log_prob(z)
    torch.testing.assert_close(gain, Normal(0.0, math.sqrt(1 + R**2)).log_prob(x))


@pytest.mark.parametrize("rule", [average, product])
@pytest.mark.parametrize("fused", [False, True])
def test_the_elbo_never_exceeds_the_evidence(rule: Rule, fused: bool) -> None:
    """Twenty random guides, 2,000 draws each: below the evidence by more than 4 sigma's worth of luck.

    The true gap is far above the error, so a sound bound fails less than once in 30,000 per guide.
    """
    exact = exact_proposals()
    for _ in range(20):
        noise = 0.3 * torch.rand(())
        chain = Chain(
            exact.gain + noise * torch.randn(LENGTH),
            exact.read + noise * torch.randn(LENGTH, LENGTH),
            exact.shift + noise * torch.randn(LENGTH),
            exact.scale * (noise * torch.randn(LENGTH)).exp(),
            torch.rand(LENGTH, dtype=torch.float64) if fused else None,
            rule,
        )
        x = torch.randn(LENGTH, dtype=torch.float64)
        found = draws(chain, x, 2000)
        assert found.mean() <= log_evidence(x) + 4 * found.std() / 2000**0.5


def test_every_elbo_of_a_recipe_bounds_the_evidence() -> None:
    """By name, with 8 particles, 2,000 copies, 4 sigma; an importance-weighted one lies well above the others."""
    exact, copies = exact_proposals(), 2000
    chain = exact._replace(shift=exact.shift + 0.1, scale=1.3 * exact.scale)
    x = torch.randn(LENGTH, dtype=torch.float64)
    spread = draws(chain, x, copies).std() / (8 * copies) ** 0.5
    found = {}
    for name in ELBOS:
        elbo = make_elbo(name, 8, analytic=False)
        with pyro.validation_enabled(False):  # one wonders that nothing is enumerated
            found[name] = -elbo.loss(chain.model, chain.guide, x.expand(copies, LENGTH)) / copies
        assert found[name] <= log_evidence(x) + 4 * spread, name
    gaps = {name: float(log_evidence(x)) - value for name, value in found.items()}
    weighted = max(gaps.pop(name) for name in ("RenyiELBO", "VIMCO", "VIMCO-SQAIR"))
    assert all(weighted < gap / 2 for gap in gaps.values())


def test_pyros_bounds_go_by_name() -> None:
    assert list(ELBOS) == [
        "Elbo",
        "VIMCO",
        "VIMCO-SQAIR",
        "RenyiELBO",
        "TraceEnum_ELBO",
        "TraceGraph_ELBO",
        "TraceMeanField_ELBO",
        "TraceTMC_ELBO",
        "Trace_ELBO",
    ]


def test_held_out_sequences_are_judged_by_a_recipes_own_bound() -> None:
    """With its particles; by ours in place of Pyro's, some of which have no value without gradients."""
    own = held_out_elbo("VIMCO", 7)
    assert isinstance(own, VIMCO)
    assert own.num_particles == 7
    for name in ("Elbo", "RenyiELBO"):
        ours = held_out_elbo(name)
        assert isinstance(ours, Elbo)
        assert ours.analytic


def test_scoring_the_proposals_too_would_be_noticed() -> None:
    """The toy can fail: a loss that forgets log q of one site exceeds the evidence."""
    chain, x = exact_proposals(), torch.randn(LENGTH, dtype=torch.float64)
    guided = poutine.trace(chain.guide).get_trace(x.expand(2000, LENGTH))
    guided.compute_log_prob()
    wrong = draws(chain, x, 2000) + guided.nodes["z_2"]["log_prob"]
    assert (wrong.mean() - log_evidence(x)).abs() > 4 * wrong.std() / 2000**0.5


@pytest.mark.slow
def test_a_guide_with_random_proposals_still_bounds_a_tracker(tiny, blobs) -> None:
    """Importance weights of a tracker: their log-mean is not below the mean of their logs (Jensen)."""
    tracker, frames = tiny("vtssi"), blobs(1, 4)
    with torch.no_grad():
        terms = [
            sum(Elbo(analytic=False).terms(tracker.model, tracker.guide, frames).values()) for _ in range(50)
        ]
    weights = torch.stack(terms)
    assert weights.logsumexp(0) - math.log(50) >= weights.mean()
