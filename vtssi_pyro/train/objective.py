"""The objectives of stages: the ELBO of a program, and further named terms that are added to it."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import NamedTuple

import torch
from pyro import poutine
from pyro.distributions import Distribution, Independent, Normal
from torch import Tensor

from vtssi_pyro.model.blocks.find import NoFIND
from vtssi_pyro.model.blocks.mot import RandomWalk
from vtssi_pyro.model.blocks.rect import FirstFrame
from vtssi_pyro.model.bound import Terms
from vtssi_pyro.model.handlers import Proposal, fuse, mode
from vtssi_pyro.model.interfaces import predictive
from vtssi_pyro.model.program import Frame, Program, evolve, stacked
from vtssi_pyro.model.sites import POSITION, draw
from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.train.batches import (
    Batches,
    BatchSource,
    Lesson,
    PathBatch,
    frame_batches,
    lesson_batches,
    path_batches,
    program_of,
)
from vtssi_pyro.train.elbo import Elbo
from vtssi_pyro.train.paths import paths
from vtssi_pyro.train.recipe import Scheduled, Stage
from vtssi_pyro.types import Objects, Scalar

# Scale of the Laplace density that scores a roll-out, frame coordinates: half a step of the random walk's 0.1.
ROLLOUT_SCALE = 0.05
# Lengths below which distances are smoothed, frame coordinates: of predicted positions from true ones, a quarter of a
# pixel of 50; of samples, which may have to be close together, a fortieth.
CENTRE, SAMPLE = 0.01, 0.001


def without_motion(tracker: Tracker, stage: Stage) -> Program:
    """The program of :func:`program_of` with a random walk as its motion."""
    return replace(program_of(tracker, stage), motion=tracker.walk())


def air_alone(tracker: Tracker, stage: Stage) -> Program:
    """The program of AIR on single frames."""
    return tracker.program(
        scene=tracker.scene.single(),
        consensus=FirstFrame(),
        finder=NoFIND(),
        motion=RandomWalk(),
        per_frame=True,
    )


def no_extras(tracker: Tracker, x: Tensor, stage: Stage, now: Scheduled) -> Terms:
    """No further terms."""
    return {}


def extras(tracker: Tracker, x: Tensor, stage: Stage, now: Scheduled) -> Terms:
    """AIR's own ELBO on those frames of (B, T, C, H, W) that the consensus reads, and the roll-out, as weighted."""
    terms: Terms = {}
    if _given(now.air_weight):
        alone = air_alone(tracker, stage)
        own = Elbo(stage.analytic).terms(alone.model, alone.guide, x[:, : tracker.consensus.K], now.anneal)
        terms["air"] = now.air_weight * sum(own.values(), x.new_zeros(()))
    if _given(now.rollout_weight):
        # from modes, from which predictions start at test time, too
        with torch.no_grad(), poutine.block(), mode():
            found = PathBatch(*paths(tracker, program_of(tracker, stage), x), tracker.motion.M)
        later = rollout(tracker, found, stage, now)
        terms |= {name: now.rollout_weight * value for name, value in later.items()}
    return terms


def rollout(tracker: Tracker, batch: PathBatch, stage: Stage, now: Scheduled) -> Terms:
    """The roll-out after the observed frames, and the distance of its motions from inferred ones; no bound.

    It starts from the belief that test time has (:func:`belief`), at its mode. After more than M observed frames the
    transitions have taken part in it: they learn to continue what they have predicted themselves, too.

    The second term, latent overshooting, pulls predicted motions towards inferred ones, which the transitions can
    continue. Predictions then stay sensible far beyond the frames of training.
    """
    if batch.ahead:
        return everywhere(tracker, batch)
    motion, position = predictive(tracker.motion), batch.position
    last, start = position.shape[-3], _observed(batch)
    if not start:
        return {"rollout": position.new_zeros(())}
    counts = _counts(batch, start)
    place, moves = (site.name for site in motion.sites[:2])
    # overshooting compares with motions of all frames, of which the observed ones are the first
    seen = position if stage.overshooting else position[..., :start, :, :]
    inferred = motion.infer(batch.static, seen)[0]
    known = {name: q.mean for name, q in belief(tracker, batch, inferred, start, now).items()}
    known["steps"] = _steps(batch)
    with mode():
        times = range(1, last - start + 1)
        later = stacked(evolve(motion, times, known, known[place], frame=there(batch)))
    distance = _distance(later[place], position[..., start:, :, :], CENTRE)  # (..., B, T - start, N)
    terms = {"rollout": -(distance * counts).sum() / ROLLOUT_SCALE}
    if stage.overshooting:
        stray = (later[moves] - inferred.mean[..., start:, :, :].detach()).square().sum(-1)
        terms["overshooting"] = -stage.overshooting * (stray * counts).sum()
    return terms


def everywhere(tracker: Tracker, batch: PathBatch) -> Terms:
    """Roll-outs of a few frames from each frame from M on, all at once; no bound.

    They begin at inferred positions and motions, not at the filter's belief, which would have to be computed frame by
    frame. A sudden change of a path, such as a collision, is thus predicted from each of the frames shortly before it;
    a single long roll-out meets it once, and can predict nothing after it. The term is the mean over all roll-outs, as
    large as that of one.
    """
    motion, position, ahead = predictive(tracker.motion), batch.position, batch.ahead
    first, last = min(motion.M, batch.observed), batch.observed  # 1-based, in which roll-outs begin
    inferred = motion.infer(batch.static, position[..., :last, :, :])[0]
    place, moves = (site.name for site in motion.sites[:2])
    starts = {place: position[..., first - 1 : last, :, :], moves: inferred.mean[..., first - 1 :, :, :]}
    known = {name: value.transpose(0, 1) for name, value in starts.items()}  # (starts, B, N, dims)
    known["steps"] = _steps(batch).expand(len(known[place]), -1, -1, -1)
    with mode():
        later = stacked(evolve(motion, range(1, ahead + 1), known, known[place], frame=there(batch)))

    def after(path: Tensor) -> Tensor:
        """What the roll-outs predict of a path (B, T, ...): (starts, B, ahead, ...)."""
        return path[:, first:].unfold(1, ahead, 1).movedim(-1, 2).transpose(0, 1)

    begun = batch.visible[:, first - 1 : last].transpose(0, 1).unsqueeze(2)
    counts = batch.present.unsqueeze(-2) & begun & after(batch.visible)
    distance = _distance(later[place], after(position), CENTRE)
    return {"rollout": -(distance * counts).sum() / len(distance) / ROLLOUT_SCALE}


def futures(tracker: Tracker, batch: PathBatch, stage: Stage, now: Scheduled) -> Terms:
    """The energy score of sampled futures after the batch's observed frames; no bound.

    They start from the belief that test time has: the filter has combined the proposals of the observed frames, at
    their modes. The score E|x - y| - E|x - x'| / 2 of samples x, x' and a path y is proper: on average it is least if
    samples are distributed as paths are. Scales then mean what they say, those of the guide and of transitions alike.
    A frame's score is divided by its horizon, about as which errors grow; else the far frames alone would count.

    Reference: Gneiting and Raftery, Strictly proper scoring rules, prediction, and estimation, 2007.
    """
    motion, position = predictive(tracker.motion), batch.position
    observed = _observed(batch)
    if not observed:
        return {"futures": position.new_zeros(())}
    inferred = motion.infer(batch.static, position[..., :observed, :, :])[0]
    believed = belief(tracker, batch, inferred, observed, now)
    drawn = {name: q.rsample((stage.samples,)) for name, q in believed.items()} | {"steps": _steps(batch)}
    place = motion.sites[0].name
    times = range(1, position.shape[-3] - observed + 1)
    later = stacked(evolve(motion, times, drawn, drawn[place], frame=there(batch)))
    score = energy_score(later[place], position[..., observed:, :, :])  # of (S, B, T - observed, N, 2)
    horizon = torch.arange(1, len(times) + 1, device=position.device).unsqueeze(-1)
    return {"futures": -(score / horizon * _counts(batch, observed)).sum() / ROLLOUT_SCALE}


def belief(
    tracker: Tracker, batch: PathBatch, inferred: Independent, observed: int, now: Scheduled
) -> dict[str, Distribution]:
    """The filter's densities of the motion's sites in the last observed frame, by name.

    Args:
        tracker: a tracker with a motion that predicts.
        batch: paths.
        inferred: the motion's proposals (..., B, T, N, dims) of the observed frames, or of more.
        observed: number of observed frames.
        now: the scheduled numbers.
    """
    motion = predictive(tracker.motion)
    warmup = min(motion.M, observed)
    seen = [path[..., :observed, :, :] for path in (batch.position, batch.scale)]
    moves = inferred.base_dist
    sites = {}
    for site, values in zip(motion.sites, (seen, (moves.loc, moves.scale)), strict=False):
        for t in range(1, observed + 1):
            q = Normal(*(value[..., t - 1, :, :] for value in values)).to_event(1)
            sites[site.at(t)] = Proposal(q, q.mean)
    with mode(), fuse(sites, motion.weight(now.anneal, warmup), tracker.rule) as final:
        evolve(motion, range(1, observed + 1), None, seen[0][..., 0, :, :], warmup, frame=there(batch))
    return {site.name: final.densities[site.at(observed)] for site in motion.sites}


def _distance(one: Tensor, other: Tensor, smoothing: float) -> Tensor:
    """Distance of points (..., E), smoothed below a length, so that it has a gradient at 0."""
    return ((one - other).square().sum(-1) + smoothing**2).sqrt()


def _steps(batch: PathBatch) -> Tensor:
    """The presence of each object of some paths, (..., B, N, 1), 0 or 1."""
    return batch.present.to(batch.position).unsqueeze(-1)


def there(batch: PathBatch) -> Frame:
    """The scene of some paths: the same objects in all frames."""
    return lambda *_, **__: nullcontext({"steps": _steps(batch)})


def _observed(batch: PathBatch) -> int:
    """The number of frames before a roll-out, which leave at least one to predict; 0 if there is but one frame."""
    return min(batch.observed, batch.position.shape[-3] - 1)


def _counts(batch: PathBatch, observed: int) -> Tensor:
    """Whether a predicted position counts, (B, T - observed, N): a hidden object has no inferred motion."""
    begun = batch.visible[..., :observed, :].all(-2, keepdim=True)
    return batch.present.unsqueeze(-2) & begun & batch.visible[..., observed:, :]


def energy_score(samples: Tensor, truth: Tensor) -> Tensor:
    """The energy score (...) of samples (S, ..., E) for a truth (..., E), without bias."""
    one, other = torch.triu_indices(len(samples), len(samples), 1, device=samples.device)
    apart = _distance(samples[one], samples[other], SAMPLE).mean(0)
    return _distance(samples, truth, SAMPLE).mean(0) - apart / 2


def imitate(tracker: Tracker, batch: Lesson, stage: Stage, now: Scheduled) -> Terms:
    """Log-density of the places that another finder has found, under the finder's own proposals; no bound.

    Each proposal is given a draw of the one before, as in the guide, so that the finder learns from its own errors.
    """
    finder = tracker.finder
    objects = tracker.scene.counted(Objects(batch.count, batch.size, batch.description))
    sight = finder.look(tracker.picture, batch.frames, objects)
    previous, total = batch.previous, batch.previous.new_zeros(())
    for t in range(batch.position.shape[-3]):
        q = finder.step(sight, t, {"position": previous})
        total = total + (q.log_prob(batch.position[:, t]) * batch.counts[:, t]).sum()
        previous = draw(POSITION, t + 1, q).detach()
    return {"imitation": total}


def _given(weight: Scalar) -> bool:
    """Whether a term has a weight; a tensor counts as one, since a look at its value would halt the device."""
    return isinstance(weight, Tensor) or weight != 0


class Objective(NamedTuple):
    """The source of batches, the program whose ELBO is maximised, and further terms."""

    batches: Callable[[BatchSource], Batches]
    program: Callable[[Tracker, Stage], Program] | None  # None: no ELBO, the further terms alone
    extras: Callable[..., Terms]  # called with the tracker, a batch, the stage and the scheduled numbers


WHOLE = "full"  # the ELBO of a tracker's whole program, of any kind
OBJECTIVES: dict[str, Objective] = {
    WHOLE: Objective(frame_batches, program_of, extras),
    "walk": Objective(frame_batches, without_motion, extras),
    "frames": Objective(frame_batches, air_alone, no_extras),
    "rollout": Objective(path_batches, None, rollout),
    "futures": Objective(path_batches, None, futures),
    "imitation": Objective(lesson_batches, None, imitate),
}
