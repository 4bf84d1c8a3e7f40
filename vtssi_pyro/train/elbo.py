"""The evidence lower bounds that a stage can maximise: ours by term, VIMCO, and Pyro's own."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pyro.infer
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from pyro.infer import ELBO, Trace_ELBO
from pyro.poutine.util import prune_subsample_sites
from pyro.util import check_model_guide_match
from torch import Tensor
from torch.distributions import kl_divergence

from vtssi_pyro.baselines.sqair.vimco import VIMCO
from vtssi_pyro.model.bound import DifferentiableELBO, Program, Terms
from vtssi_pyro.model.sites import variable

PLATES = 2  # nested plates of the programs: sequences around objects, or around frames


class Elbo(DifferentiableELBO, Trace_ELBO):
    """``Trace_ELBO`` by term, without its synchronisation with the device at every site.

    The two have equal losses and gradients, because every latent site must be reparameterised here.

    Args:
        analytic: use the closed form of each site's KL, given the draws before it, where one exists, as
            ``TraceMeanField_ELBO`` does (reading D9).
        options: options of ``Trace_ELBO``, such as ``num_particles``.

    Example:
        >>> import torch
        >>> from pyro.infer import SVI
        >>> from pyro.optim import Adam
        >>> from vtssi_pyro import Elbo, build
        >>> tracker = build("air")
        >>> svi = SVI(tracker.model, tracker.guide, Adam({"lr": 1e-3}), Elbo())
        >>> svi.evaluate_loss(torch.zeros(1, 2, 50, 50)) < 0  # black frames are likely
        True
    """

    def __init__(self, analytic: bool = True, **options: Any) -> None:
        super().__init__(**options)
        self.analytic = analytic

    def terms(self, model: Program, guide: Program, *args: Any, **kwargs: Any) -> Terms:
        """Log p(x | z) as ``x`` and the negative KLs by the names of their variables; their sum is the ELBO."""
        terms: Terms = {}
        for modelled, guided in self._get_traces(model, guide, args, kwargs):
            for about, gain in self._gains(modelled, guided):
                terms[about] = terms[about] + gain if about in terms else gain
        return {name: value / self.num_particles for name, value in terms.items()}

    def _get_trace(
        self, model: Program, guide: Program, args: Any, kwargs: Any
    ) -> tuple[poutine.Trace, poutine.Trace]:
        """Both traces, without the log densities, which a KL in closed form does not need."""
        guided = poutine.trace(guide).get_trace(*args, **kwargs)
        modelled = poutine.trace(poutine.replay(model, trace=guided)).get_trace(*args, **kwargs)
        if pyro.infer.is_validation_enabled():
            check_model_guide_match(modelled, guided, self.max_plate_nesting)
        return prune_subsample_sites(modelled), prune_subsample_sites(guided)

    def _gains(self, modelled: poutine.Trace, guided: poutine.Trace) -> Iterator[tuple[str, Tensor]]:
        """The term of each site in the ELBO, with the name of its variable."""
        for name, site in modelled.nodes.items():
            if site["type"] != "sample":
                continue
            p, value = site["fn"], site["value"]
            if site["is_observed"]:
                gain = p.log_prob(value)
            else:
                assert name in guided.nodes, f"site {name} is missing in the guide"
                q = guided.nodes[name]["fn"]
                assert q.has_rsample, f"site {name} is not reparameterised"
                gain = self._gain(p, q, value)
            yield variable(site), scale_and_mask(gain, site["scale"], site["mask"]).sum()
        for name, site in guided.nodes.items():
            assert site["type"] != "sample" or name in modelled.nodes, f"site {name} is missing in the model"

    def _gain(self, p: Any, q: Any, value: Tensor) -> Tensor:
        if self.analytic:
            try:
                return -kl_divergence(q, p)
            except NotImplementedError:  # a swapped-in prior of another family
                pass
        return p.log_prob(value) - q.log_prob(value)


# Objectives of Pyro that are not bounds or need more than a name: the first has two losses, the second needs a kernel,
# the third has no value. The compiled ones use a deprecated part of torch.
_LEFT_OUT = ("ReweightedWakeSleep", "Trace_MMD", "TraceTailAdaptive_ELBO", "Jit")


def _pyros() -> Iterator[tuple[str, type[ELBO]]]:
    for name in sorted(pyro.infer.__all__):
        kind = getattr(pyro.infer, name)
        bound = isinstance(kind, type) and issubclass(kind, ELBO) and kind is not ELBO
        if bound and not name.startswith(_LEFT_OUT):
            yield name, kind


ELBOS: dict[str, Callable[..., ELBO]] = {
    "Elbo": Elbo,
    "VIMCO": VIMCO,
    "VIMCO-SQAIR": partial(VIMCO, signal="official"),
    **dict(_pyros()),
}
"""The values of ``train.elbo``, by name; each is a lower bound of the evidence, in expectation."""


def make_elbo(name: str, particles: int | None = None, analytic: bool = True) -> ELBO:
    """The ELBO of a name.

    Args:
        name: a key of ELBOS.
        particles: number of its draws; None: its own.
        analytic: whether the KL terms of :class:`Elbo` are in closed form; the others ignore it.

    Raises:
        UsageError: too few particles.
    """
    # without it, Pyro runs the program to guess the nesting: a resumed run would make these draws once more
    options: dict[str, Any] = {"max_plate_nesting": PLATES}
    if particles is not None:
        options["num_particles"] = particles
    kind = ELBOS[name]
    return kind(analytic=analytic, **options) if kind is Elbo else kind(**options)


def held_out_elbo(name: str, particles: int | None = None) -> DifferentiableELBO:
    """The ELBO of held-out sequences: the training's own, but :class:`Elbo` in place of those of Pyro."""
    own = make_elbo(name, particles)
    return own if isinstance(own, DifferentiableELBO) else Elbo()
