"""What is maximised: the ELBO of a program, and terms that are added to it under their own names."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from pyro import poutine
from pyro.distributions import Distribution
from pyro.distributions.util import scale_and_mask
from torch import Tensor
from torch.distributions import kl_divergence

from vtssi_pyro.blocks import FirstFrame, NoFIND, RandomWalk
from vtssi_pyro.config.recipe import Stage
from vtssi_pyro.handlers import mode
from vtssi_pyro.ops import counting
from vtssi_pyro.tracker import Program, Tracker, evaluating, fold
from vtssi_pyro.types import Anneal, Objects

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


class Positions(NamedTuple):
    """What a stage for motion alone trains on: the modes of what the other blocks infer."""

    objects: Objects  # size (B, N, 2), description (B, N, D), count (B, 1)
    position: Tensor  # (B, T, N, 2)


Batches = Callable[[int], Any]


def frame_batches(
    tracker: Tracker, dataset: Any, stage: Stage, seed: int, budget: float, device: Any
) -> Batches:
    """Random sequences by step: the order is a pure function of (seed, stage, step), so a resumed run repeats it."""

    def batch(step: int) -> Tensor:
        generator = torch.Generator().manual_seed(_mix(seed, stage.name, step))
        index = torch.randint(len(dataset), (stage.batch,), generator=generator)
        length = min(round(stage.length(step / budget)), dataset.length)
        spare = dataset.length - length if stage.random_start else 0
        start = int(torch.randint(spare + 1, (), generator=generator))
        return dataset.frames(index, length=length, start=start).to(device)

    return batch


def position_batches(
    tracker: Tracker, dataset: Any, stage: Stage, seed: int, budget: float, device: Any
) -> Batches:
    """Positions that the other blocks, which this stage leaves alone, infer once for a sample of sequences."""
    generator = torch.Generator().manual_seed(_mix(seed, stage.name, -1))
    chosen = torch.randperm(len(dataset), generator=generator)[: stage.cache]
    walk = without_motion(tracker)
    parts = []
    with evaluating(tracker), mode():
        for index in chosen.split(64):
            parts.append(walk.guide(dataset.frames(index).to(device)))
    objects = Objects(*(torch.cat(parts_) for parts_ in zip(*(part.objects for part in parts), strict=True)))
    position = torch.cat([part.position for part in parts])

    def batch(step: int) -> Positions:
        generator = torch.Generator().manual_seed(_mix(seed, stage.name, step))
        index = torch.randint(len(position), (stage.batch,), generator=generator).to(position.device)
        return Positions(Objects(*(v[index] for v in objects)), position[index])

    return batch


def _mix(seed: int, name: str, step: int) -> int:
    """One 63-bit seed of three values, the same in every process."""
    state = 1469598103934665603
    for byte in f"{seed}/{name}/{step}".encode():
        state = ((state ^ byte) * 1099511628211) % 2**64
    return state % 2**63


def full(tracker: Tracker, frames: Tensor, anneal: Anneal, stage: Stage, step: float) -> Terms:
    """The ELBO of the tracker; AIR's own and the roll-out beside it where they have a weight."""
    terms = Elbo(stage.analytic)(tracker.model, tracker.guide, frames, anneal)
    return terms | _extras(tracker, frames, anneal, stage, step)


def without_motion(tracker: Tracker) -> Program:
    """The tracker's program with a random walk, of the tracker's own scale, in place of its motion."""
    return tracker.program(motion=RandomWalk(tracker.motion.scale))


def walk(tracker: Tracker, frames: Tensor, anneal: Anneal, stage: Stage, step: float) -> Terms:
    """The ELBO of the tracker without MOT."""
    program = without_motion(tracker)
    terms = Elbo(stage.analytic)(program.model, program.guide, frames, anneal)
    return terms | _extras(tracker, frames, anneal, stage, step)


def frames(tracker: Tracker, frames: Tensor, anneal: Anneal, stage: Stage, step: float) -> Terms:
    """The ELBO of AIR on every frame by itself."""
    program = tracker.program(consensus=FirstFrame(), find=NoFIND(), motion=RandomWalk())
    return Elbo(stage.analytic)(program.model, program.guide, fold(frames), anneal)


def rollout(tracker: Tracker, batch: Positions, anneal: Anneal, stage: Stage, step: float) -> Terms:
    """How well MOT predicts the inferred positions many steps ahead; no bound."""
    return {"rollout": _rollout(tracker, batch.objects, batch.position)}


def _extras(tracker: Tracker, x: Tensor, anneal: Anneal, stage: Stage, step: float) -> Terms:
    terms: Terms = {}
    if weight := stage.air_weight(step):
        own = frames(tracker, x[:, : tracker.consensus.K], anneal, stage, step)
        terms["air"] = weight * sum(own.values(), torch.zeros(()))
    if weight := stage.rollout_weight(step):
        # from modes, as predictions start at test time
        with torch.no_grad(), poutine.block(), mode():
            found = without_motion(tracker).guide(x)
        terms["rollout"] = weight * _rollout(tracker, found.objects, found.position)
    return terms


def _rollout(tracker: Tracker, objects: Objects, position: Tensor) -> Tensor:
    motion, last = tracker.motion, position.shape[-3]
    if last < 2:
        return position.new_zeros(())
    start = min(motion.M, last - 1)
    number = counting.expected_number(objects.count, position.shape[-2])
    here = counting.active(number, position.shape[-2]).unsqueeze(-2)  # (..., B, 1, N)
    error = motion.rollout(objects, position, start) - position[..., start:, :, :]
    distance = (error.square().sum(-1) + 1e-4).sqrt()  # (..., B, T - start, N)
    return -(distance * here).sum() / ROLLOUT_SCALE


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
