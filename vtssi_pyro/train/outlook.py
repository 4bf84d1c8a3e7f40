"""The time that a training and the work after it still take, measured on small parts of what is to come."""

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from vtssi_pyro.data.clips import Clips
from vtssi_pyro.data.dataset import Dataset
from vtssi_pyro.inference.standalone import SomeTracker
from vtssi_pyro.train.batches import Batches, BatchSource, mixed
from vtssi_pyro.train.objective import OBJECTIVES
from vtssi_pyro.train.recipe import Stage, TrainConfig
from vtssi_pyro.train.step import Step
from vtssi_pyro.train.trainer import Trainer, learning

FEW = 2  # items of which some work is rehearsed at first
# Seconds of a part that is long enough to stand for the whole: what the first calls of a kind set up takes tenths.
ENOUGH = 0.5
# of parts that are too short: all of them together then take little longer than the last
GROWTH = 4
SOON = 2.0  # seconds of training before which nothing is rehearsed: many a short one is over by then


def clock() -> float:
    """Seconds, of which only differences count."""
    return time.monotonic()


def scaled(work: Callable[[int], object], whole: int, first: int = FEW) -> float:
    """Estimate the seconds that some work takes on ``whole`` items, by doing it on a few of them.

    It is done on more and more, until that takes long enough: items that are read together take less time each.

    Args:
        work: does the work on a number of items.
        whole: the number of all items.
        first: the number of items to begin with.
    """
    number = min(first, whole)
    while number:
        begun = clock()
        work(number)
        took = clock() - begun
        if took >= ENOUGH or number == whole:
            return took * whole / number
        number = min(GROWTH * number, whole)
    return 0.0


class Rehearsed(NamedTuple):
    """Seconds that a stage takes."""

    prepare: float  # before its first step
    pace: float  # of a step, for each frame of its sequences


class Rehearsal(NamedTuple):
    """Seconds that the parts of a training take, and those of the work that follows it."""

    stages: dict[str, Rehearsed]
    validation: float  # each
    after: float


class Outlook:
    """Tells how long all work takes that remains.

    At the first record after some seconds of training, a few steps of every stage are rehearsed with a copy of the
    tracker, and so is a small part of the preparation of each, of a validation, and of the work after the training.
    Each stage is timed as soon as it runs, and validations once there has been one. Stages that may end early count as
    whole, and steps that a GPU will replay as a graph as if it did not.

    Args:
        trainer: the trainer, whose tracker is left as it is.
        validate: validates a tracker on a number of held-out sequences.
        validated: the number of these sequences in a validation.
        after: estimates the seconds of the work that follows the training.
        heard: whether anybody is told; otherwise nothing is rehearsed.
    """

    def __init__(
        self,
        trainer: Trainer,
        validate: Callable[[int], object],
        validated: int,
        after: Callable[[SomeTracker], float],
        heard: bool = True,
    ) -> None:
        self.trainer, self.validate, self.validated, self.after = trainer, validate, validated, after
        self.heard = heard
        self.known: Rehearsal | None = None
        self.begun = self.since = clock()
        self.step = trainer.step  # at the end of the last record, which was at the time ``since``
        self.timed: Stage | None = None  # the stage whose steps since then are all its own

    def remaining(self, record: dict[str, Any]) -> float | None:
        """Take note of a record; returns the seconds that all remaining work takes, None if it is too soon to tell."""
        took, step = clock() - self.since, self.trainer.step
        if self.known is None:
            self.known = self.trainer.group.once(self._rehearse)
        elif record["kind"] == "validation":
            self.known = self.known._replace(validation=took)
        elif (stage := self.timed) is not None and stage is self.trainer.stage:
            # half of the former pace, since one interval alone is as uneven as the machine is busy
            stages, last = self.known.stages, self.known.stages[stage.name]
            pace = took / self._frames(stage, self.step, step)
            stages[stage.name] = last._replace(pace=(last.pace + pace) / 2)
        if record["kind"] == "train":  # a stage's first interval has its preparation in it
            self.timed = self.trainer.stage
        self.since, self.step = clock(), step
        if self.known is None:
            return None
        return self.left(step, validations(self._train, step if record["kind"] == "validation" else step - 1))

    def left(self, step: int, validated: int) -> float:
        """Seconds that all work takes after a step and so many validations."""
        assert self.known is not None
        train, begin = self._train, 0
        seconds = self.known.after
        seconds += self.known.validation * (validations(train, train.steps) - validated)
        for stage in train.stages:
            end = begin + train.steps_of(stage)
            if step < end:
                known, first = self.known.stages[stage.name], max(step, begin)
                seconds += known.pace * self._frames(stage, first, end)
                seconds += known.prepare if first == begin else 0.0
            begin = end
        return seconds

    @property
    def _train(self) -> TrainConfig:
        return self.trainer.config.train

    def _frames(self, stage: Stage, first: int, last: int) -> float:
        """Frames of a sequence of each step of a stage, summed over the steps ``first`` to ``last`` of the training."""
        train = self._train
        begin = sum(train.steps_of(other) for other in train.stages[: train.stages.index(stage)])
        return (last - first) * self._length(stage, (first + last) / 2 - begin)  # lengths grow about evenly

    def _length(self, stage: Stage, within: float) -> float:
        return max(1.0, min(stage.length(within / self._train.budget), self.trainer.dataset.length))

    def _rehearse(self) -> Rehearsal | None:
        """Measure a part of all that may remain, in this process alone; None: it is too soon, or for nobody."""
        if not self.heard or clock() - self.begun < SOON:
            return None
        train, stages, end = self._train, dict[str, Rehearsed](), 0
        for stage in train.stages:
            end += train.steps_of(stage)
            if self.trainer.step < end and stage.steps:
                stages[stage.name] = self._rehearsed(stage)
        # first, since a validation is shorter, and its estimate better if what it calls has been set up
        after = self.after(self.trainer.trained)
        return Rehearsal(stages, scaled(self.validate, self.validated), after)

    def _rehearsed(self, stage: Stage) -> Rehearsed:
        """Measure the preparation of a stage on a few of its sequences, and a step in its middle."""
        trainer, train = self.trainer, self._train
        tracker, device = deepcopy(trainer.tracker), trainer.device
        learning(tracker, stage)
        shared = replace(stage, batch=stage.batch // trainer.group.size)
        objective, batches = OBJECTIVES[stage.objective], list[Batches]()

        def prepare(sequences: int) -> None:
            some = replace(shared, cache=sequences)
            source = BatchSource(tracker, trainer.dataset, some, trainer.config.seed, train.budget, device)
            batches.append(objective.batches(source))

        prepared = scaled(prepare, sequences_read(trainer.dataset, stage), first=1)
        within = train.steps_of(stage) // 2
        now, make = train.scheduled(stage, within, within), Step(tracker, tracker, train, shared)
        for number in range(2):
            torch.manual_seed(mixed(trainer.config.seed, stage.name, number))
            begun = clock()
            make(batches[-1](within), now)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            took = clock() - begun
            if took >= ENOUGH:
                break  # what the first step sets up is little beside it
        return Rehearsed(prepared, took / self._length(stage, within))


def sequences_read(dataset: Dataset, stage: Stage) -> int:
    """Number of sequences that the preparation of a stage reads at most; a movie is read once, whatever its clips."""
    number = min(len(dataset), stage.cache)
    return min(number, -(-len(dataset.movie) // dataset.length)) if isinstance(dataset, Clips) else number


def validations(train: TrainConfig, step: int) -> int:
    """Number of validations up to a step."""
    every = train.evaluate_every
    return step // every + (step == train.steps and step % every > 0)
