"""The gradient of VIMCO against enumeration: two Bernoulli latents, and every outcome of all particles."""

from collections.abc import Callable, Iterator
from itertools import product

import pyro
import pytest
import torch
from pyro.distributions import Bernoulli, Normal
from pyro.infer import RenyiELBO
from torch import Tensor

from vtssi_pyro.baselines.sqair.vimco import SIGNALS, VIMCO, bound_of, left_out
from vtssi_pyro.errors import UsageError

K = 2
OUTCOMES = torch.tensor(list(product((0.0, 1.0), repeat=2)), dtype=torch.float64)  # (4, 2) of a and b
DATA = torch.tensor([0.7], dtype=torch.float64)  # one sequence


class Toy:
    """p(a) p(b | a) N(x | a + 2 b, 1), and q(a) q(b | a); ``drawn`` fixes the draws of a and b, (K, 2)."""

    def __init__(self) -> None:
        self.p = torch.tensor([0.3, -0.4, 0.9], dtype=torch.float64, requires_grad=True)
        self.q = torch.tensor([-0.2, 0.5, -0.7], dtype=torch.float64, requires_grad=True)
        self.drawn: Tensor | None = None

    def densities(self, logits: Tensor, a: Tensor | None) -> Bernoulli:
        return Bernoulli(logits=logits[0] if a is None else logits[1] + logits[2] * a)

    def model(self, x: Tensor) -> None:
        with pyro.plate("sequences", len(x), dim=-1):
            a = pyro.sample("a", self.densities(self.p, None))
            b = pyro.sample("b", self.densities(self.p, a))
            pyro.sample("x", Normal(a + 2 * b, 1.0), obs=x)

    def guide(self, x: Tensor) -> None:
        drawn = None if self.drawn is None else self.drawn.unsqueeze(-1)  # (K, 2, 1)
        with pyro.plate("sequences", len(x), dim=-1), _Given(drawn):
            a = pyro.sample("a", self.densities(self.q, None))
            pyro.sample("b", self.densities(self.q, a))

    def log_weight(self, z: Tensor) -> Tensor:
        """The log weight and log q of outcomes (..., 2)."""
        a, b = z.unbind(-1)
        log_q = self.densities(self.q, None).log_prob(a) + self.densities(self.q, a).log_prob(b)
        log_p = self.densities(self.p, None).log_prob(a) + self.densities(self.p, a).log_prob(b)
        return torch.stack([log_p + Normal(a + 2 * b, 1.0).log_prob(DATA) - log_q, log_q])


class _Given(pyro.poutine.messenger.Messenger):
    """Draws of a and b are the given ones, without being observed."""

    def __init__(self, drawn: Tensor | None) -> None:
        super().__init__()
        self.drawn = drawn

    def _pyro_sample(self, msg: dict) -> None:
        if self.drawn is not None and msg["name"] in ("a", "b"):
            msg["value"] = self.drawn[:, "ab".index(msg["name"])]


def gradient(toy: Toy, value: Tensor) -> Tensor:
    return torch.cat(torch.autograd.grad(value, [toy.p, toy.q]))


def particles() -> Iterator[Tensor]:
    for chosen in product(range(len(OUTCOMES)), repeat=K):
        yield OUTCOMES[list(chosen)]


def expected_gradient(toy: Toy, elbo: VIMCO) -> Tensor:
    """The estimator's mean: over every outcome of K particles, by its probability."""
    total = torch.zeros(6, dtype=torch.float64)
    for toy.drawn in particles():
        _, log_q = toy.log_weight(toy.drawn)
        loss = elbo.differentiable_loss(toy.model, toy.guide, DATA)
        total += log_q.sum().exp().detach() * -gradient(toy, loss)
    return total


def expectation(toy: Toy, of: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """E[of(log w, log q)] over all outcomes of K particles, with a gradient."""
    found = [toy.log_weight(z) for z in particles()]
    return sum(log_q.sum().exp() * of(log_w, log_q) for log_w, log_q in found)


def test_the_textbook_gradient_is_that_of_the_enumerated_bound() -> None:
    toy = Toy()
    exact = gradient(toy, expectation(toy, lambda log_w, _: bound_of(log_w)))
    found = expected_gradient(toy, VIMCO(K, "textbook", max_plate_nesting=1))
    torch.testing.assert_close(found, exact, rtol=1e-10, atol=1e-12)


def test_the_official_signal_follows_the_elbo_through_discrete_draws() -> None:
    """The score part is that of the average log weight, the rest the bound's own derivative at fixed draws."""
    toy = Toy()

    def part(log_w: Tensor, log_q: Tensor) -> Tensor:
        score = (log_w.detach() * log_q).mean()
        return bound_of(log_w) + score

    exact = torch.zeros(6, dtype=torch.float64)
    for z in particles():
        log_w, log_q = toy.log_weight(z)
        exact += log_q.sum().exp().detach() * gradient(toy, part(log_w, log_q))
    found = expected_gradient(toy, VIMCO(K, "official", max_plate_nesting=1))
    torch.testing.assert_close(found, exact, rtol=1e-10, atol=1e-12)
    textbook = expected_gradient(toy, VIMCO(K, "textbook", max_plate_nesting=1))
    assert not torch.allclose(found, textbook, rtol=1e-3)


def test_a_baseline_does_not_depend_on_its_own_particle() -> None:
    log_weight = torch.randn(4, 3, dtype=torch.float64)
    changed = log_weight.clone()
    changed[1] += 5
    moved = (left_out(changed) - left_out(log_weight)).abs() > 1e-9
    assert not moved[1].any()
    assert moved[[0, 2, 3]].all()
    by_hand = log_weight.clone()
    by_hand[2] = log_weight[[0, 1, 3]].mean(0)
    torch.testing.assert_close(left_out(log_weight)[2], bound_of(by_hand))


def test_the_bound_is_pyros_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same draws give the loss of Pyro's bound, which has no such gradient; each sequence has its own weights."""
    toy, x = Toy(), torch.tensor([0.7, -1.0, 2.5], dtype=torch.float64)
    torch.manual_seed(1)
    own = VIMCO(6, max_plate_nesting=1).loss(toy.model, toy.guide, x)
    torch.manual_seed(1)
    renyi = RenyiELBO(alpha=0, num_particles=6, max_plate_nesting=1, vectorize_particles=True)
    assert own == pytest.approx(renyi.loss(toy.model, toy.guide, x), rel=1e-12)
    assert VIMCO(6, max_plate_nesting=1).bound(toy.model, toy.guide, x).shape == (3,)


@pytest.mark.parametrize("signal", SIGNALS)
def test_the_surrogate_has_the_value_of_the_loss(signal: str) -> None:
    toy, x = Toy(), torch.tensor([0.7, -1.0], dtype=torch.float64)
    elbo = VIMCO(3, signal, max_plate_nesting=1)
    torch.manual_seed(2)
    loss = elbo.loss(toy.model, toy.guide, x)
    torch.manual_seed(2)
    assert elbo.loss_and_grads(toy.model, toy.guide, x) == pytest.approx(loss)
    assert toy.q.grad is not None


def test_wrong_options_are_refused() -> None:
    with pytest.raises(UsageError, match="2 or more"):
        VIMCO(1)
    with pytest.raises(UsageError, match="official or textbook"):
        VIMCO(2, "nvil")
