"""One training step as a function of tensors: a step of SVI, and the weights' moving average.

The step neither reads a value from the device nor sends it one, so that it can be captured as a CUDA graph. Pyro's own
``train.elbo`` are the exception.
"""

from functools import partial
from typing import Any

import pyro
import torch
from torch import Tensor, nn

from vtssi_pyro.inference.standalone import SomeTracker
from vtssi_pyro.model.interfaces import predictive
from vtssi_pyro.model.nn import bfloat16_convolutions, unregistered
from vtssi_pyro.model.program import ONE_AT_A_TIME, Tracker
from vtssi_pyro.ops.compiled import compiled
from vtssi_pyro.train.batches import Lesson, PathBatch
from vtssi_pyro.train.elbo import Terms, make_elbo
from vtssi_pyro.train.group import ALONE, Group
from vtssi_pyro.train.objective import OBJECTIVES
from vtssi_pyro.train.recipe import SCALES, Scheduled, Stage, TrainConfig
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
        parameters = [p for name in stage.blocks or ("",) for p in parameters_of(tracker, name)]
        self.optim = StageOptim(parameters, config.beta1, config.clip, group, stage.optimizer)
        self.objective = OBJECTIVES[stage.objective]
        self.svi: StageSVI | None = None
        if self.objective.program:
            program = self.objective.program(tracker, stage)
            self.svi = StageSVI(program.model, program.guide, self.optim, make_elbo(config, stage))
        self.pairs = [list(averaged.parameters()), list(tracker.parameters())]

    def __call__(self, batch: Any, now: Scheduled) -> tuple[Terms, Tensor]:
        """Make the step.

        Returns:
            the objective's terms, nats per sequence of this process's share (or per frame, reading D16), and the
            gradient's norm before clipping.
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
                made = self.svi.step(batch, now.anneal, extras=extras, per=per)
            else:
                made = self.optim.ascend(extras(), per)
        if self.averaged is not self.tracker:
            self._average(now)
        return made

    @torch.no_grad()
    def _average(self, now: Scheduled) -> None:
        averaged, current = self.pairs
        change = torch._foreach_sub(current, averaged)
        torch._foreach_mul_(change, 1 - now.decay)
        torch._foreach_add_(averaged, change)


def parameters_of(tracker: SomeTracker, name: str) -> list[nn.Parameter]:
    """The parameters of a part of a tracker, by its name in a stage.

    Args:
        tracker: the tracker.
        name: a slot, or a dotted part of its block; ``motion.scales``: the parameters on which only the scales of
            motion's densities depend; the empty name: all parameters.

    Raises:
        AttributeError: the tracker has no such part.
    """
    if name == SCALES and isinstance(tracker, Tracker):
        return list(predictive(tracker.motion).scales())
    return list(tracker.get_submodule(name).parameters())


def _size(batch: Tensor | PathBatch | Lesson) -> tuple[int, int]:
    """Sequences and frames of a batch."""
    sequences, frames = (batch if isinstance(batch, Tensor) else batch.position).shape[:2]
    return sequences, frames
