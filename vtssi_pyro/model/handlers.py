"""Effect handlers of the guide, independent of tracking.

The guide is the generative prior, run under proposals::

    with propose() as proposals:            # hats: sampled, never scored
        infer(x)
    with fuse(proposals.sites, weight, rule):  # scored here, beside the prior
        return prior()

``pyro.poutine.replay`` reuses the traced *value* of a site; ``fuse`` combines the traced *distribution* with the
prior that the program itself has just computed. ``mode`` replaces draws by modes (App. D.2), ``temper`` draws nearer to
means.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from pyro.distributions import Distribution, Independent, Normal
from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import Message
from pyro.poutine.util import site_is_subsample
from torch import Tensor

from vtssi_pyro.ops.gaussian import Drawn, chosen


class Proposal(NamedTuple):
    """The density and the draw that were proposed at a site."""

    fn: Distribution
    value: Tensor


Weight = Callable[[Message], Tensor | None]
Rule = Callable[[Distribution, Distribution, Tensor], Distribution]


class propose(Messenger):
    """Record the sample statements inside and hide them from traces: proposals are drawn but never scored.

    ``_do_not_trace`` hides a site from traces alone. ``poutine.block`` would also hide it from outer plates, whose
    vectorised particles it needs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sites: dict[str, Proposal] = {}

    def _pyro_sample(self, msg: Message) -> None:
        msg["infer"] = {**(msg["infer"] or {}), "is_auxiliary": True, "_do_not_trace": True}

    def _pyro_post_sample(self, msg: Message) -> None:
        self.sites[msg["name"]] = Proposal(msg["fn"], msg["value"])


class record(Messenger):
    """Record the densities that are sampled from."""

    def __init__(self) -> None:
        super().__init__()
        self.densities: dict[str, Distribution] = {}  # by site name

    def _pyro_post_sample(self, msg: Message) -> None:
        self.densities[msg["name"]] = msg["fn"]


class fuse(record):
    """At each site with a proposal, sample from its combination with the prior of the program.

    Args:
        proposals: proposals by site name, as recorded by :class:`propose`.
        weight: the prior's weight w at a site, of the site's batch shape; None: the proposal alone, with the
            draw already made ("a single sample taken once", App. B).
        rule: (prior, proposal, w) -> distribution.
    """

    def __init__(self, proposals: Mapping[str, Proposal], weight: Weight, rule: Rule) -> None:
        super().__init__()
        self.proposals, self.weight, self.rule = proposals, weight, rule

    def _pyro_sample(self, msg: Message) -> None:
        proposal = self.proposals.get(msg["name"])
        if proposal is None or msg["is_observed"]:
            return
        weight = self.weight(msg)
        if weight is None:
            msg["fn"], msg["value"] = proposal
        else:
            fused = (msg["infer"] or {}).get("fused")  # of the objects; see draw
            fn = self.rule(msg["fn"], proposal.fn, weight)
            if fused is not None:
                q = chosen(fused, fn.base_dist, proposal.fn.base_dist)
                fn = Drawn(q.loc, q.scale, proposal.value, ~fused.unsqueeze(-1)).to_event(1)
            msg["fn"] = fn


class mode(Messenger):
    """Replace draws by the modes of their distributions: the paper's rule at test time.

    Args:
        only: tells by a site's message whether its draw is replaced; None: all are.

    Example:
        >>> import pyro
        >>> from pyro.distributions import Normal
        >>> from vtssi_pyro import mode
        >>> with mode():
        ...     pyro.sample("x", Normal(2.0, 1.0))
        tensor(2.)
    """

    def __init__(self, only: Callable[[Message], bool] | None = None) -> None:
        super().__init__()
        self.only = only

    def _pyro_sample(self, msg: Message) -> None:
        if msg["is_observed"] or msg["value"] is not None or site_is_subsample(msg):
            return
        if self.only is None or self.only(msg):
            msg["value"] = msg["fn"].mode


class temper(Messenger):
    """Draw normal variables with their scales times ``temperature``; the distributions in the trace stay unchanged.

    Scales that were learned on an ELBO alone are too wide for futures by about one factor.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def _pyro_post_sample(self, msg: Message) -> None:
        fn = msg["fn"].base_dist if isinstance(msg["fn"], Independent) else msg["fn"]
        if isinstance(fn, Normal) and not msg["is_observed"]:
            msg["value"] = fn.loc + self.temperature * (msg["value"] - fn.loc)
