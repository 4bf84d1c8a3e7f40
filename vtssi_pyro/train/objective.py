"""What is maximised: the ELBO of a program, and terms that are added to it under their own names."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from pyro import poutine
from pyro.distributions import Distribution
from pyro.distributions.util import scale_and_mask
from torch import Tensor
from torch.distributions import kl_divergence

from vtssi_pyro.model.blocks import FirstFrame, NoFIND, RandomWalk
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.program import Tracker, fold
from vtssi_pyro.train.batches import Batches, Positions, frame_batches, position_batches, positions
from vtssi_pyro.train.recipe import Scheduled, Stage
from vtssi_pyro.types import Scalar, State

Terms = dict[str, Tensor]  # summed over the batch, nats
ROLLOUT_SCALE = 0.05  # of the Laplace density that scores a roll-out, frame coordinates


class Elbo:
    """The evidence lower bound of ``Trace_ELBO`` by term, without its device synchronisation per site.

    Valid because every latent site is reparameterised; with ``analytic`` the KL of each site given what was drawn
    before it is taken in closed form, as ``TraceMeanField_ELBO`` does.
    """

    def __init__(self, analytic: bool = True) -> None:
        self.analytic = analytic

    def __call__(self, model: Callable[..., Any], guide: Callable[..., Any], *args: Any) -> Terms:
        """Log p(x | z) under ``x`` and the negative KLs under their variables' names; their sum is the ELBO."""
        guided = poutine.trace(guide).get_trace(*args)
        modelled = poutine.trace(poutine.replay(model, trace=guided)).get_trace(*args)
        terms: Terms = {}
        for name, site in modelled.nodes.items():
            if site["type"] != "sample" or poutine.util.site_is_subsample(site):
                continue
            p, value = site["fn"], site["value"]
            if site["is_observed"]:
                gain = p.log_prob(value)
            else:
                q = guided.nodes[name]["fn"]
                assert q.has_rsample, f"site {name} is not reparameterised"
                gain = self._gain(p, q, value)
            gain = scale_and_mask(gain, site["scale"], site["mask"]).sum()
            variable = name.partition("_")[0]
            terms[variable] = terms[variable] + gain if variable in terms else gain
        return terms

    def _gain(self, p: Distribution, q: Distribution, value: Tensor) -> Tensor:
        if self.analytic:
            try:
                return -kl_divergence(q, p)
            except NotImplementedError:  # a swapped-in prior of another family
                pass
        return p.log_prob(value) - q.log_prob(value)


def full(tracker: Tracker, frames: Tensor, stage: Stage, now: Scheduled) -> Terms:
    """The ELBO of the tracker; AIR's own and the roll-out beside it where they have a weight."""
    terms = Elbo(stage.analytic)(tracker.model, tracker.guide, frames, now.anneal)
    return terms | _extras(tracker, frames, stage, now)


def walk(tracker: Tracker, frames: Tensor, stage: Stage, now: Scheduled) -> Terms:
    """The ELBO of the tracker without MOT."""
    program = tracker.without_motion()
    terms = Elbo(stage.analytic)(program.model, program.guide, frames, now.anneal)
    return terms | _extras(tracker, frames, stage, now)


def frames(tracker: Tracker, frames: Tensor, stage: Stage, now: Scheduled) -> Terms:
    """The ELBO of AIR on every frame by itself."""
    program = tracker.program(consensus=FirstFrame(), find=NoFIND(), motion=RandomWalk())
    return Elbo(stage.analytic)(program.model, program.guide, fold(frames), now.anneal)


def rollout(tracker: Tracker, batch: Positions, stage: Stage, now: Scheduled) -> Terms:
    """How well MOT predicts the inferred positions many steps ahead; no bound."""
    return _rollout(tracker, batch, stage.overshooting)


def _extras(tracker: Tracker, x: Tensor, stage: Stage, now: Scheduled) -> Terms:
    terms: Terms = {}
    if _given(now.air_weight):
        own = frames(tracker, x[:, : tracker.consensus.K], stage, now)
        terms["air"] = now.air_weight * sum(own.values(), x.new_zeros(()))
    if _given(now.rollout_weight):
        # from modes, as predictions start at test time
        with torch.no_grad(), poutine.block(), mode():
            found = positions(tracker, x)
        ahead = _rollout(tracker, found, stage.overshooting)
        terms |= {name: now.rollout_weight * value for name, value in ahead.items()}
    return terms


def _given(weight: Scalar) -> bool:
    """Whether a term has a weight: a tensor always has, since to look at it would halt the device."""
    return isinstance(weight, Tensor) or weight != 0


def _rollout(tracker: Tracker, batch: Positions, overshooting: float) -> Terms:
    """The roll-out from frame M, and how far its motions stray from those inferred of the frames it predicts.

    The second term, latent overshooting, has predicted motions look like inferred ones, which the transitions know how
    to go on from: that keeps predictions sensible far beyond the frames of training.
    """
    motion, position = tracker.motion, batch.position
    last = position.shape[-3]
    if last < 2:
        return {"rollout": position.new_zeros(())}
    start = min(motion.M, last - 1)
    begun = batch.seen[..., :start, :].all(-2, keepdim=True)  # what nobody sees moves nowhere
    here = batch.here.unsqueeze(-2) & begun & batch.seen[..., start:, :]  # (B, T - start, N)
    inferred = motion.infer(batch.static, position if overshooting else position[..., :start, :, :])[0].mean
    known = State(position[..., start - 1, :, :], inferred[..., start - 1, :, :])
    ahead = motion.rollout(known, last - start)
    error = ahead.position - position[..., start:, :, :]
    distance = (error.square().sum(-1) + 1e-4).sqrt()  # (..., B, T - start, N)
    terms = {"rollout": -(distance * here).sum() / ROLLOUT_SCALE}
    if overshooting:
        assert ahead.motion is not None
        stray = (ahead.motion - inferred[..., start:, :, :].detach()).square().sum(-1)
        terms["overshooting"] = -overshooting * (stray * here).sum()
    return terms


class Objective(NamedTuple):
    """Where batches come from, and the terms of one."""

    batches: Callable[..., Batches]
    terms: Callable[..., Terms]


OBJECTIVES: dict[str, Objective] = {
    "full": Objective(frame_batches, full),
    "walk": Objective(frame_batches, walk),
    "frames": Objective(frame_batches, frames),
    "rollout": Objective(position_batches, rollout),
}
