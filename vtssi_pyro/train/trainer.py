"""One training step after another: gradient, global-norm clip, one fused Adam, moving average of the weights.

The trainer differentiates the ELBO and steps a torch optimiser instead of going through ``pyro.infer.SVI``: Pyro's
optimisers clip per parameter, and its global parameter store would be shared by every tracker of a process. Any
tracker still trains under a plain ``SVI``.
"""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from vtssi_pyro.config import Config
from vtssi_pyro.config.recipe import Stage
from vtssi_pyro.errors import Diverged
from vtssi_pyro.tracker import Tracker
from vtssi_pyro.train.objective import OBJECTIVES, Batches, Positions


class Trainer:
    """Trains a tracker by its configuration's recipe; every schedule is a function of the step alone.

    Args:
        tracker: the module whose parameters move.
        config: recipe, seed and sizes.
        dataset: training sequences.
        device: where the tracker is.
    """

    def __init__(self, tracker: Tracker, config: Config, dataset: Any, device: torch.device) -> None:
        self.tracker, self.config, self.dataset, self.device = tracker, config, dataset, device
        self.step = 0
        self.averaged = AveragedModel(tracker, multi_avg_fn=_ramped(config.train.average))
        self.stage: Stage | None = None

    @property
    def trained(self) -> Tracker:
        """The tracker to use: with averaged weights where the recipe averages."""
        tracker: Tracker = self.averaged.module  # type: ignore[assignment]
        return tracker

    def advance(self) -> dict[str, Tensor]:
        """Make one step; returns the objective's terms, nats per sequence."""
        stage, step = self.config.train.locate(self.step)
        if stage is not self.stage:
            self._enter(stage)
        annealed = step / self.config.train.budget
        batch = self.batches(step)
        for group in self.optimizer.param_groups:
            group["lr"] = stage.learning_rate(annealed)
        terms = OBJECTIVES[stage.objective].terms(
            self.tracker, batch, stage.anneal(annealed), stage, annealed
        )
        share = stage.batch * (_length(batch) if self.config.train.per_frame else 1)
        terms = {name: value / share for name, value in terms.items()}
        objective = sum(terms.values(), torch.zeros((), device=self.device))
        gradients = torch.autograd.grad(-objective, self.parameters, allow_unused=True)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        norm = nn.utils.clip_grad_norm_(self.parameters, self.config.train.clip)
        if not torch.isfinite(norm):
            raise Diverged(
                f"step {self.step} (stage {stage.name}): the gradient is not finite "
                f"(objective {float(objective.detach()):.4g}); the last good checkpoint is kept; "
                "train again with a lower train.stages.NAME.learning_rate"
            )
        self.optimizer.step()
        self.averaged.update_parameters(self.tracker)
        self.step += 1
        return {name: value.detach() for name, value in terms.items()}

    def _enter(self, stage: Stage) -> None:
        """Set up a stage: its parameters, a fresh optimiser, its batches."""
        self.stage = stage
        blocks = [getattr(self.tracker, name) for name in stage.blocks] or [self.tracker]
        self.parameters = [p for block in blocks for p in block.parameters()]
        self.optimizer = torch.optim.Adam(self.parameters, betas=(self.config.train.beta1, 0.999), fused=True)
        make = OBJECTIVES[stage.objective].batches
        self.batches: Batches = make(
            self.tracker, self.dataset, stage, self.config.seed, self.config.train.budget, self.device
        )

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return {
            "step": self.step,
            "tracker": self.tracker.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict() if self.stage else None,
            "stage": self.stage.name if self.stage else None,
            "rng": {"cpu": torch.get_rng_state(), "cuda": cuda},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`, bit for bit on the same device."""
        self.step = state["step"]
        self.tracker.load_state_dict(state["tracker"])
        self.averaged.load_state_dict(state["averaged"])
        if self.step < self.config.train.steps:
            stage, within = self.config.train.locate(self.step)
            self._enter(stage)
            if within:
                self.optimizer.load_state_dict(deepcopy(state["optimizer"]))
        torch.set_rng_state(state["rng"]["cpu"].cpu())
        if torch.cuda.is_available() and state["rng"]["cuda"]:
            torch.cuda.set_rng_state_all([s.cpu() for s in state["rng"]["cuda"]])


def _length(batch: Tensor | Positions) -> int:
    """Frames of a batch's sequences."""
    return batch.position.shape[1] if isinstance(batch, Positions) else batch.shape[1]


def _ramped(limit: float) -> Any:
    """A moving average whose decay grows to ``limit``, so that short runs do not evaluate their initial weights."""

    @torch.no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], count: Tensor | int) -> None:
        decay = min(limit, (1 + float(count)) / (10 + float(count)))
        torch._foreach_lerp_(averaged, current, 1 - decay)

    return update
