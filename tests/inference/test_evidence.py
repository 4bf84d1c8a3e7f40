"""The evidence that chooses among hypotheses is an ELBO of a program, at the modes."""

from dataclasses import replace

import pytest
import torch
from pyro import poutine
from pyro.distributions import Independent, Normal
from small_model import small
from torch import Tensor
from torch.distributions import kl_divergence

from vtssi_pyro.inference.hypotheses import Hypothesis, Settled, log_evidence
from vtssi_pyro.model.blocks import RandomWalk
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.program import Program
from vtssi_pyro.model.sites import POSITION, draw
from vtssi_pyro.model.tracker import Tracker, evaluating
from vtssi_pyro.ops.channels import channelled
from vtssi_pyro.train.elbo import Elbo
from vtssi_pyro.types import Objects, Pose, State

F64 = torch.float64
WHOLE = {"both": 30.0, "one of two": 0.0}  # counts at which the step values are whole
FINDERS = pytest.mark.parametrize("finder", ["learned", "template"])


def supposing(count: float, sequences: int = 2) -> Hypothesis:
    def normal(loc: Tensor, scale: float) -> Independent:
        return Normal(loc, torch.full_like(loc, scale)).to_event(1)

    return Hypothesis(
        normal(torch.full((sequences, 1, 1), count, dtype=F64), 0.4),
        normal(0.3 + 0.1 * torch.rand(sequences, 2, 2, dtype=F64), 0.05),
        normal(torch.randn(sequences, 2, 4, dtype=F64), 0.3),
    )


def part(hypothesis: Hypothesis, i: int) -> Hypothesis:
    return hypothesis[torch.tensor([j == i for j in (0, 1)])]


def bound(program: Program, frames: Tensor) -> Tensor:
    """The ELBO of a program at the modes, of all sequences together."""
    with mode():
        terms = Elbo(analytic=True).terms(program.model, program.guide, frames)
    return sum(terms.values())


def searched(tracker: Tracker, frames: Tensor, objects: Objects) -> list[Independent]:
    """q of the position in every frame, each at the mode of the one before."""
    objects = tracker.scene.counted(objects)
    sight, q = tracker.finder.look(tracker.picture, frames, objects), list[Independent]()
    for t in range(frames.shape[1]):
        previous = q[-1].mode if q else torch.zeros_like(objects.size)
        q.append(tracker.finder.step(sight, t, {"position": previous}))
    return q


@FINDERS
@pytest.mark.parametrize("count", WHOLE.values(), ids=WHOLE)
def test_the_evidence_is_an_elbo(finder: str, count: float, tiny, blobs) -> None:
    """Of the program with the hypothesis for its consensus, and a random walk for its motion."""
    tracker, frames, known = tiny("vtssi", finder), channelled(blobs(2, 5)), supposing(count)
    with evaluating(tracker):
        _, evidence = log_evidence(tracker, tracker.program(), frames, known)
        expected = bound(tracker.program(consensus=Settled(known), motion=tracker.walk()), frames)
        each = [
            log_evidence(tracker, tracker.program(), frames[i : i + 1], part(known, i))[1] for i in (0, 1)
        ]
    assert evidence.shape == (2,)
    torch.testing.assert_close(evidence.sum(), expected, rtol=1e-9, atol=1e-6)
    torch.testing.assert_close(torch.cat(each), evidence)  # sequences know nothing of each other


@FINDERS
def test_it_is_that_of_colours_too(finder: str, tiny, blobs) -> None:
    tracker = tiny(config=replace(small(finder), channels=3))
    shades = torch.tensor([1.0, 0.4, 0.7], dtype=F64).view(3, 1, 1)
    frames, known = channelled(blobs(2, 4)) * shades, supposing(30.0)
    with evaluating(tracker):
        _, evidence = log_evidence(tracker, tracker.program(), frames, known)
        expected = bound(tracker.program(consensus=Settled(known), motion=tracker.walk()), frames)
    torch.testing.assert_close(evidence.sum(), expected, rtol=1e-9, atol=1e-6)


class Coming(RandomWalk):
    """A random walk of objects that are away in some frames: there they cost nothing, and come back from anywhere."""

    def __init__(self, scale: float, there: Tensor, run: int) -> None:
        super().__init__(scale)
        self.there, self.run = there, run  # (T, N); frames that follow each other

    def model(self, t: int, previous: State | None, like: Tensor, warmup: int) -> State:
        density = anew = self.walk(None, like).base_dist
        if previous is not None and (t - 1) % self.run:
            on, here = self.walk(previous["position"], like).base_dist, self.there[t - 2].unsqueeze(-1)
            density = Normal(on.loc.where(here, anew.loc), on.scale.where(here, anew.scale))
        with poutine.mask(mask=self.there[t - 1]):
            return {"position": draw(POSITION, t, density.to_event(1))}

    def pose(self, objects: Objects, states: State, presence: Tensor) -> Pose:
        return Pose(states["position"], objects.size, presence.unsqueeze(-2) * self.there)


@FINDERS
@pytest.mark.parametrize("run", [7, 3])
def test_objects_that_are_away_cost_nothing_and_come_back_from_anywhere(
    finder: str, run: int, tiny, blobs, monkeypatch
) -> None:
    """The evidence is the ELBO of a program that says so; the first frame of a run is as after an absence."""
    tracker, frames, known = tiny("vtssi", finder), channelled(blobs(2, 7)), supposing(30.0)
    there = torch.ones(7, 2, dtype=torch.bool)
    there[[0, 3, 4, 6], [1, 0, 0, 1]] = False
    program = tracker.program(consensus=Settled(known), motion=Coming(tracker.walk().scale, there, run))
    monkeypatch.setattr(type(tracker.finder), "visible", lambda self, *args: there.expand(2, 7, 2).to(F64))
    with evaluating(tracker):
        _, evidence = log_evidence(tracker, tracker.program(), frames, known, run)
        torch.testing.assert_close(evidence.sum(), bound(program, frames), rtol=1e-9, atol=1e-6)


@FINDERS
def test_a_frame_from_elsewhere_costs_as_a_first_one(finder: str, tiny, blobs) -> None:
    """By the closed forms: the walk's price of each boundary, for that of a place in the frame."""
    tracker, frames, known = tiny("vtssi", finder), channelled(blobs(2, 6)), supposing(30.0)
    walk = tracker.walk()
    with evaluating(tracker):
        joined, apart = (log_evidence(tracker, tracker.program(), frames, known, run)[1] for run in (None, 2))
        q = searched(tracker, frames, known.objects)
        saved = torch.zeros(2, dtype=F64)
        for t in (2, 4):
            on = kl_divergence(q[t], walk.walk(q[t - 1].mode, known.objects.size))
            anew = kl_divergence(q[t], Normal(0.0, 1.0).expand(q[t].mode.shape).to_event(1))
            saved += (on - anew).sum(-1)
    torch.testing.assert_close(apart - joined, saved)


def test_an_absent_object_costs_nothing(tiny, blobs) -> None:
    """Whatever is supposed of it."""
    tracker, frames, known = tiny(), channelled(blobs(2, 5)), supposing(0.0)
    with evaluating(tracker):
        before = log_evidence(tracker, tracker.program(), frames, known)[1]
        known.size.base_dist.loc[:, 1] += 1
        known.description.base_dist.loc[:, 1] -= 2
        assert torch.equal(log_evidence(tracker, tracker.program(), frames, known)[1], before)
