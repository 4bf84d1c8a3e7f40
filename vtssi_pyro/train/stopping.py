"""The early end of a stage whose objective on held-out sequences no longer grows."""

from typing import Any

import torch

from vtssi_pyro.inference.estimate import seeded
from vtssi_pyro.inference.standalone import SomeTracker
from vtssi_pyro.model.bound import Terms
from vtssi_pyro.model.tracker import evaluating
from vtssi_pyro.train.batches import BatchSource, mixed
from vtssi_pyro.train.elbo import held_out_elbo
from vtssi_pyro.train.group import ALONE
from vtssi_pyro.train.objective import OBJECTIVES
from vtssi_pyro.train.recipe import TrainConfig

BATCHES = 4  # of the stage's size: held-out frames of a movie are few, and a check costs as much as two steps
CHECKS = 4  # within the patience
# Nats per sequence: less evidence is "not worth more than a bare mention" (Kass and Raftery, 1995).
GAIN = 1.0


class EarlyStop:
    """Tells when a stage ends early: its objective has gained nothing for as many steps as the stage has patience.

    All checks are on the same batches, with the same noise and the scheduled numbers of the stage's end. They therefore
    compare weights alone, and a resumed training decides as an uninterrupted one does. Of processes that train together
    the first decides for all, since their objectives may differ in the last bits.

    Args:
        trained: the tracker that is kept, whose weights are judged.
        source: the stage's source of batches, with held-out sequences; its tracker's other blocks find what a stage of
            paths learns from, and its processes train together.
        config: the recipe.
    """

    def __init__(self, trained: SomeTracker, source: BatchSource, config: TrainConfig) -> None:
        self.trained, self.config, self.stage, self.seed = trained, config, source.stage, source.seed
        self.group = source.group
        self.every = max(1, self.stage.patience // CHECKS)
        batch = OBJECTIVES[self.stage.objective].batches(source._replace(group=ALONE))
        self.batches = [batch(step) for step in range(BATCHES)]
        self.best, self.since = -float("inf"), 0

    def ends(self, steps: int) -> bool:
        """Whether the stage ends after so many of its steps."""
        if steps % self.every:
            return False
        if (now := self.group.once(self.objective)) > self.best + GAIN:
            self.best, self.since = now, steps
        return steps - self.since >= self.stage.patience

    def objective(self) -> float:
        """The stage's objective of the held-out sequences, nats per sequence."""
        config, stage = self.config, self.stage
        last = config.steps_of(stage) - 1
        now, objective = config.scheduled(stage, last, last), OBJECTIVES[stage.objective]
        found, number = 0.0, 0
        with evaluating(self.trained), seeded(mixed(self.seed, stage.name, "held out")):
            for batch in self.batches:
                terms: Terms = {}
                if objective.program:
                    program = objective.program(self.trained, stage)
                    elbo = held_out_elbo(config.elbo, config.particles)
                    terms = elbo.terms(program.model, program.guide, batch, now.anneal)
                terms |= objective.extras(self.trained, batch, stage, now)
                found += float(sum(terms.values()))
                number += len(batch if isinstance(batch, torch.Tensor) else batch[0])
        return found / number

    def state(self) -> dict[str, Any]:
        """What later decisions depend on."""
        return {"best": self.best, "since": self.since}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a :meth:`state`."""
        self.best, self.since = state["best"], state["since"]
