"""What a stage maximises: the ELBO of a program, and terms that are added to it under their own names."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from pyro import poutine
from torch import Tensor

from vtssi_pyro.model.blocks.find import NoFIND
from vtssi_pyro.model.blocks.mot import RandomWalk
from vtssi_pyro.model.blocks.rect import FirstFrame
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.interfaces import predictive
from vtssi_pyro.model.program import Program, Tracker, ahead, stacked
from vtssi_pyro.train.batches import Batches, Positions, frame_batches, position_batches, positions
from vtssi_pyro.train.elbo import Elbo, Terms
from vtssi_pyro.train.recipe import Scheduled, Stage
from vtssi_pyro.types import Scalar

ROLLOUT_SCALE = 0.05  # of the Laplace density that scores a roll-out, frame coordinates


def program_of(tracker: Tracker, stage: Stage) -> Program:
    """The tracker's program, with refined positions and looks where the stage trains neither."""
    return tracker.refined() if stage.refined else tracker.program()


def without_motion(tracker: Tracker, stage: Stage) -> Program:
    """The same with a random walk."""
    return replace(program_of(tracker, stage), motion=tracker.walk())


def air_alone(tracker: Tracker, stage: Stage) -> Program:
    """AIR on every frame by itself."""
    return tracker.program(consensus=FirstFrame(), finder=NoFIND(), motion=RandomWalk(), per_frame=True)


def no_extras(tracker: Tracker, x: Tensor, stage: Stage, now: Scheduled) -> Terms:
    """Nothing is added to the ELBO."""
    return {}


def extras(tracker: Tracker, x: Tensor, stage: Stage, now: Scheduled) -> Terms:
    """AIR's own ELBO on the frames (B, T, C, H, W) that the consensus reads, and the roll-out, as far as weighted."""
    terms: Terms = {}
    if _given(now.air_weight):
        alone = air_alone(tracker, stage)
        own = Elbo(stage.analytic).terms(alone.model, alone.guide, x[:, : tracker.consensus.K], now.anneal)
        terms["air"] = now.air_weight * sum(own.values(), x.new_zeros(()))
    if _given(now.rollout_weight):
        # from modes, as predictions start at test time
        with torch.no_grad(), poutine.block(), mode():
            found = positions(tracker, program_of(tracker, stage), x)
        later = rollout(tracker, found, stage, now)
        terms |= {name: now.rollout_weight * value for name, value in later.items()}
    return terms


def rollout(tracker: Tracker, batch: Positions, stage: Stage, now: Scheduled) -> Terms:
    """The roll-out from frame M, and how far its motions stray from those inferred of the frames it predicts; no bound.

    The second term, latent overshooting, has predicted motions look like inferred ones, which the transitions know how
    to go on from: that keeps predictions sensible far beyond the frames of training.
    """
    motion, position = predictive(tracker.motion), batch.position
    last = position.shape[-3]
    if last < 2:
        return {"rollout": position.new_zeros(())}
    start = min(motion.M, last - 1)
    begun = batch.seen[..., :start, :].all(-2, keepdim=True)  # what nobody sees moves nowhere
    counts = batch.present.unsqueeze(-2) & begun & batch.seen[..., start:, :]  # (B, T - start, N)
    seen = position if stage.overshooting else position[..., :start, :, :]
    inferred = motion.infer(batch.static, seen)[0].mean
    known = {"position": position[..., start - 1, :, :], "motion": inferred[..., start - 1, :, :]}
    with mode():
        later = stacked(ahead(motion, known, last - start))
    error = later["position"] - position[..., start:, :, :]
    distance = (error.square().sum(-1) + 1e-4).sqrt()  # (..., B, T - start, N)
    terms = {"rollout": -(distance * counts).sum() / ROLLOUT_SCALE}
    if stage.overshooting:
        stray = (later["motion"] - inferred[..., start:, :, :].detach()).square().sum(-1)
        terms["overshooting"] = -stage.overshooting * (stray * counts).sum()
    return terms


def _given(weight: Scalar) -> bool:
    """Whether a term has a weight: a tensor always has, since to look at it would halt the device."""
    return isinstance(weight, Tensor) or weight != 0


class Objective(NamedTuple):
    """Where batches come from, and what is maximised: the ELBO of a program, and extras."""

    batches: Callable[..., Batches]
    program: Callable[[Tracker, Stage], Program] | None  # has a model and a guide; without one it is no bound
    extras: Callable[..., Terms]  # of the tracker, a batch, the stage and what is scheduled


OBJECTIVES: dict[str, Objective] = {
    "full": Objective(frame_batches, program_of, extras),
    "walk": Objective(frame_batches, without_motion, extras),
    "frames": Objective(frame_batches, air_alone, no_extras),
    "rollout": Objective(position_batches, None, rollout),
}
