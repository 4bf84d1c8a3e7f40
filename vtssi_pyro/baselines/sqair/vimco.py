"""The importance-weighted bound and its gradient through discrete variables, as an ELBO of Pyro.

References: Burda et al. 2016 (IWAE), Mnih and Rezende 2016 (VIMCO), Kosiorek et al. 2018 (SQAIR).
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from pyro import poutine
from pyro.infer.enum import get_importance_trace
from pyro.infer.util import get_dependent_plate_dims, torch_sum
from torch import Tensor

from vtssi_pyro.errors import UsageError
from vtssi_pyro.model.bound import DifferentiableELBO, Program, Terms


class Weights(NamedTuple):
    """The particles of a bound, with what their gradient needs."""

    log_weight: Tensor  # (K, ...) log p(x, z_k) - log q(z_k | x), nats
    log_discrete: Tensor  # (K, ...) log q of the sites that are not reparameterised, nats


def bound_of(log_weight: Tensor) -> Tensor:
    """The importance-weighted bound (...) of log weights (K, ...), nats."""
    return torch.logsumexp(log_weight, 0) - math.log(len(log_weight))


def official_signal(log_weight: Tensor) -> Tensor:
    """The signal of SQAIR's official program: log w_k - b_k, averaged over the particles, from (K, ...) to (K, ...).

    With it the discrete variables follow the gradient of the average ELBO of single particles, since b_k does not
    depend on particle k, and all others follow that of the importance-weighted bound.
    """
    return (log_weight - left_out(log_weight)) / len(log_weight)


def textbook_signal(log_weight: Tensor) -> Tensor:
    """The signal of VIMCO: the bound minus b_k, from (K, ...) to (K, ...); the gradient is that of the bound."""
    return bound_of(log_weight) - left_out(log_weight)


def left_out(log_weight: Tensor) -> Tensor:
    """The baselines b_k (K, ...): the bound with log w_k replaced by the mean of the other particles'."""
    count = len(log_weight)
    others = (log_weight.sum(0) - log_weight) / (count - 1)
    own = torch.eye(count, dtype=torch.bool, device=log_weight.device)
    own = own.view(count, count, *[1] * (log_weight.dim() - 1))
    replaced = torch.where(own, others, log_weight)  # (k, K, ...)
    return torch.logsumexp(replaced, 1) - math.log(count)


SIGNALS: dict[str, Callable[[Tensor], Tensor]] = {"official": official_signal, "textbook": textbook_signal}


class VIMCO(DifferentiableELBO):
    """The importance-weighted bound over K particles; discrete sites have the gradient of VIMCO.

    Particles are drawn together, in a plate to the left of the program's own. Every member of the plates that all sites
    share, such as a sequence, has weights and a bound of its own; the loss is minus the sum of these bounds.

    Args:
        num_particles: K, 2 or more.
        signal: the learning signal of the discrete sites, a key of :data:`SIGNALS`.
        max_plate_nesting: nested plates of the program.

    Raises:
        UsageError: fewer than 2 particles, or an unknown signal.
    """

    def __init__(self, num_particles: int = 5, signal: str = "textbook", max_plate_nesting: int = 2) -> None:
        if num_particles < 2:
            raise UsageError(f"VIMCO compares particles: expected 2 or more, found {num_particles}")
        if signal not in SIGNALS:
            raise UsageError(f"vimco: expected {' or '.join(SIGNALS)}, found {signal!r}")
        super().__init__(num_particles, max_plate_nesting, vectorize_particles=True)
        self.signal = SIGNALS[signal]

    def weights(self, model: Program, guide: Program, *args: Any, **kwargs: Any) -> Weights:
        """Draw K particles; each field is (K, ...), with the plates that all sites share."""
        return self.weigh(*self.traces(model, guide, *args, **kwargs))

    def traces(
        self, model: Program, guide: Program, *args: Any, **kwargs: Any
    ) -> tuple[poutine.Trace, poutine.Trace]:
        """Draw K particles together: the traces of model and guide, with log densities."""
        (traces,) = self._get_traces(model, guide, args, kwargs)
        return traces

    def weigh(self, modelled: poutine.Trace, guided: poutine.Trace) -> Weights:
        """The weights of the particles of :meth:`traces`."""
        summed = get_dependent_plate_dims(modelled.nodes.values())
        log_p = [torch_sum(site["log_prob"], summed) for site in modelled.nodes.values() if _is_sample(site)]
        log_q, discrete = [], []
        for site in filter(_is_sample, guided.nodes.values()):
            log_q.append(torch_sum(site["log_prob"], summed))
            if not site["fn"].has_rsample:
                discrete.append(log_q[-1])
        log_weight = sum(log_p) - sum(log_q)
        return Weights(log_weight, sum(discrete, torch.zeros_like(log_weight)))

    def bound(self, model: Program, guide: Program, *args: Any, **kwargs: Any) -> Tensor:
        """The bound of each sequence, with all shared plates' axes, nats; without a gradient."""
        with torch.no_grad():
            return bound_of(self.weights(model, guide, *args, **kwargs).log_weight)

    def terms(self, model: Program, guide: Program, *args: Any, **kwargs: Any) -> Terms:
        """The bound, summed over the sequences, as ``elbo``; its gradient is the estimate by the learning signal."""
        log_weight, log_discrete = self.weights(model, guide, *args, **kwargs)
        score = (self.signal(log_weight.detach()) * log_discrete).sum()
        return {"elbo": bound_of(log_weight).sum() + (score - score.detach())}

    def _get_trace(
        self, model: Program, guide: Program, args: Any, kwargs: Any
    ) -> tuple[poutine.Trace, poutine.Trace]:
        return get_importance_trace("flat", self.max_plate_nesting, model, guide, args, kwargs)


def _is_sample(site: dict[str, Any]) -> bool:
    return site["type"] == "sample"
