"""One training step as a function of tensors: gradient, global-norm clip, one fused Adam, moving average.

It differentiates the ELBO and steps a torch optimiser instead of going through ``pyro.infer.SVI``: Pyro's optimisers
clip per parameter, and its global parameter store would be shared by every tracker of a process. Any tracker still
trains under a plain ``SVI``.

Nothing here asks the device for a value or sends it one, so that the step can be captured as a CUDA graph.
"""

from typing import Any

import pyro
import torch
from torch import Tensor, nn

from vtssi_pyro.model.nn import bfloat16_convolutions, unregistered
from vtssi_pyro.model.program import Tracker
from vtssi_pyro.ops.compiled import compiled
from vtssi_pyro.train.batches import Positions
from vtssi_pyro.train.group import ALONE, Group
from vtssi_pyro.train.objective import OBJECTIVES, Terms
from vtssi_pyro.train.recipe import Scheduled, Stage, TrainConfig


class Step:
    """A stage's step; called with a batch and what the schedules say, it moves the weights.

    Args:
        tracker: whose parameters move.
        averaged: the tracker that holds their moving average; ``tracker`` itself where there is none.
        config: what all stages share.
        stage: the objective, and the blocks that are trained.
        group: the processes that share the batch.
    """

    def __init__(
        self, tracker: Tracker, averaged: Tracker, config: TrainConfig, stage: Stage, group: Group = ALONE
    ) -> None:
        self.tracker, self.averaged, self.config, self.stage, self.group = (
            tracker, averaged, config, stage, group,
        )  # fmt: skip
        blocks = [tracker.get_submodule(name) for name in stage.blocks or ("",)]
        self.parameters = [p for block in blocks for p in block.parameters()]
        on_device = self.parameters[0].device.type == "cuda"
        self.optimizer = torch.optim.Adam(
            self.parameters, betas=(config.beta1, 0.999), fused=True, capturable=on_device
        )
        self.pairs = [list(averaged.parameters()), list(tracker.parameters())]

    def __call__(self, batch: Any, now: Scheduled) -> tuple[Terms, Tensor]:
        """Make the step.

        Returns:
            the objective's terms, nats per sequence of this process's share (or per frame, reading D16), and the
            gradient's norm before clipping.
        """
        config = self.config
        with (
            pyro.validation_enabled(False),  # it looks at every value, which halts a device
            unregistered(),
            bfloat16_convolutions(config.bfloat16),
            compiled(config.compile),
        ):
            terms = OBJECTIVES[self.stage.objective].terms(self.tracker, batch, self.stage, now)
        count = _sequences(batch) * (_length(batch) if config.per_frame else 1)
        terms = {name: value / count for name, value in terms.items()}
        loss = -torch.stack(list(terms.values())).sum()
        gradients = torch.autograd.grad(loss, self.parameters, allow_unused=True)
        self.group.average([gradient for gradient in gradients if gradient is not None])
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        norm = nn.utils.clip_grad_norm_(self.parameters, config.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = now.learning_rate
        self.optimizer.step()
        if self.averaged is not self.tracker:
            self._average(now)
        return {name: value.detach() for name, value in terms.items()}, norm

    @torch.no_grad()
    def _average(self, now: Scheduled) -> None:
        averaged, current = self.pairs
        change = torch._foreach_sub(current, averaged)
        torch._foreach_mul_(change, 1 - now.decay)
        torch._foreach_add_(averaged, change)


def _sequences(batch: Tensor | Positions) -> int:
    return len(batch.position if isinstance(batch, Positions) else batch)


def _length(batch: Tensor | Positions) -> int:
    return batch.position.shape[1] if isinstance(batch, Positions) else batch.shape[1]
