"""One training step as a function of tensors: a step of SVI, and the weights' moving average.

The step neither reads a value from the device nor sends it one, so that it can be captured as a CUDA graph. Pyro's own
``train.elbo`` are the exception.
"""

from functools import partial
from typing import Any

import pyro
import torch
from torch import Tensor

from vtssi_pyro.inference.standalone import SomeTracker
from vtssi_pyro.model.bound import Terms
from vtssi_pyro.model.nn import bfloat16_convolutions, unregistered
from vtssi_pyro.model.tracker import ONE_AT_A_TIME
from vtssi_pyro.ops.compiled import compiled
from vtssi_pyro.train.batches import Lesson, PathBatch
from vtssi_pyro.train.elbo import make_elbo
from vtssi_pyro.train.group import ALONE, Group
from vtssi_pyro.train.objective import OBJECTIVES
from vtssi_pyro.train.recipe import Scheduled, Stage, TrainConfig
from vtssi_pyro.train.svi import StageOptim, StageSVI


class Step:
    """A stage's step; a call with a batch and the scheduled numbers updates the weights.

    Args:
        tracker: the tracker to train.
        averaged: the tracker that holds the moving average of the weights; ``tracker`` itself: no average.
        config: the numbers that all stages share.
        stage: the objective, and the blocks that are trained.
        group: the processes that share the batch.
    """

    def __init__(
        self,
        tracker: SomeTracker,
        averaged: SomeTracker,
        config: TrainConfig,
        stage: Stage,
        group: Group = ALONE,
    ) -> None:
        self.tracker, self.averaged, self.config, self.stage = tracker, averaged, config, stage
        parts = tracker.parts()
        parameters = [p for name in stage.blocks or ("",) for p in parts[name]]
        self.optim = StageOptim(
            parameters, config.beta1, config.clip, group, stage.optimizer, whole=not stage.blocks
        )
        self.objective = OBJECTIVES[stage.objective]
        self.svi: StageSVI | None = None
        if self.objective.program:
            program = self.objective.program(tracker, stage)
            elbo = make_elbo(config.elbo, config.particles, stage.analytic)
            self.svi = StageSVI(program.model, program.guide, self.optim, elbo)
        self.pairs = [list(averaged.parameters()), list(tracker.parameters())]

    def __call__(self, batch: Any, now: Scheduled) -> tuple[Terms, Tensor]:
        """Make the step.

        Returns:
            the objective's terms, nats per sequence of this process's share, and the gradient's norm before clipping,
            per frame if the loss is (reading D16).
        """
        config = self.config
        sequences, frames = _size(batch)
        per = sequences * (frames if config.per_frame else 1)
        extras = partial(self.objective.extras, self.tracker, batch, self.stage, now)
        self.optim.set_learning_rate(now.learning_rate)
        with (
            ONE_AT_A_TIME,
            pyro.validation_enabled(False),  # validation reads every value, which halts the device
            unregistered(),
            bfloat16_convolutions(config.bfloat16),
            compiled(config.compile),
        ):
            if self.svi:
                terms, norm = self.svi.step(batch, now.anneal, extras=extras, per=per)
            else:
                terms, norm = self.optim.ascend(extras(), per)
        if self.averaged is not self.tracker:
            self._average(now)
        return {name: value * (per / sequences) for name, value in terms.items()}, norm

    @torch.no_grad()
    def _average(self, now: Scheduled) -> None:
        averaged, current = self.pairs
        change = torch._foreach_sub(current, averaged)
        torch._foreach_mul_(change, 1 - now.decay)
        torch._foreach_add_(averaged, change)


def _size(batch: Tensor | PathBatch | Lesson) -> tuple[int, int]:
    """Sequences and frames of a batch."""
    sequences, frames = (batch if isinstance(batch, Tensor) else batch.position).shape[:2]
    return sequences, frames
