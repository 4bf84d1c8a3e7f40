"""The loop of training steps; all randomness and all schedules are functions of the step alone."""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from vtssi_pyro.data.dataset import Dataset
from vtssi_pyro.inference.standalone import SomeTracker
from vtssi_pyro.model.bound import DifferentiableELBO
from vtssi_pyro.model.nn import compacted
from vtssi_pyro.train.batches import Batches, BatchSource, mixed
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.elbo import make_elbo
from vtssi_pyro.train.graph import Captured
from vtssi_pyro.train.group import ALONE, Group
from vtssi_pyro.train.objective import OBJECTIVES
from vtssi_pyro.train.recipe import Stage
from vtssi_pyro.train.step import Step
from vtssi_pyro.train.stopping import EarlyStop


class Trainer:
    """Trains a tracker by its configuration's recipe.

    Args:
        tracker: the tracker to train.
        config: recipe, seed and sizes.
        dataset: training sequences.
        device: the tracker's device.
        group: the processes that train together.
        held_out: held-out sequences, by which stages with patience may end early; None: they do not.
    """

    def __init__(
        self,
        tracker: SomeTracker,
        config: Config,
        dataset: Dataset,
        device: torch.device,
        group: Group = ALONE,
        held_out: Dataset | None = None,
    ) -> None:
        self.tracker, self.config, self.dataset, self.device = tracker, config, dataset, device
        self.group, self.held_out = group, held_out
        # the exchange of gradients is not captured, since NCCL would not notice a process that hangs; nor are Pyro's
        # own ELBOs, which fetch values
        graphs = config.train.capture and isinstance(make_elbo(config.train.elbo), DifferentiableELBO)
        self.capture = graphs and device.type == "cuda" and group.size == 1
        self.step = 0
        self.left_out = 0  # steps that count as made after the last one, since its stage ended early
        # the tracker to evaluate and keep: with averaged weights if the recipe averages
        self.trained: SomeTracker = compacted(deepcopy(tracker)) if config.train.average else tracker
        self.stage: Stage | None = None
        self.early: EarlyStop | None = None

    def advance(self) -> dict[str, Tensor]:
        """Make one step; returns the objective's terms, nats per sequence.

        After the last step of a stage that ends early, the steps that it has left count as made.
        """
        stage, within = self.config.train.locate(self.step)
        if stage is not self.stage:
            self._enter(stage)
        # one seed per step and process: no random state need be stored, and processes draw different noise
        torch.manual_seed(mixed(self.config.seed, stage.name, within, "noise", self.group.rank))
        now = self.config.train.scheduled(stage, within, self.step)
        terms, _ = self.make(self.batches(within), now)
        ends = self.early is not None and self.early.ends(within + 1)
        self.left_out = self.config.train.steps_of(stage) - (within + 1) if ends else 0
        self.step += 1 + self.left_out
        return terms

    def is_finite(self) -> bool:
        """Whether all weights are finite.

        A gradient that is not finite makes weights that stay not finite. Occasional checks therefore suffice, and a GPU
        need not wait at every step.
        """
        return all(bool(parameter.isfinite().all()) for parameter in self.tracker.parameters())

    def _enter(self, stage: Stage) -> None:
        """Set up a stage: its parameters, a new optimiser, its batches; the other blocks are in evaluation mode."""
        self.stage = stage
        learning(self.tracker, stage)
        self.optimize = Step(self.tracker, self.trained, self.config.train, stage, self.group)
        self.make = Captured(self.optimize) if self.capture else self.optimize
        train = self.config.train
        source = BatchSource(
            self.tracker, self.dataset, stage, self.config.seed, train.budget, self.device, self.group
        )
        self.batches: Batches = OBJECTIVES[stage.objective].batches(source)
        self.early = None
        if stage.patience and self.held_out is not None:
            self.early = EarlyStop(self.trained, source._replace(dataset=self.held_out), train)

    def state(self) -> dict[str, Any]:
        """The whole state on which the next step depends."""
        return {
            "step": self.step,
            "tracker": self.tracker.state_dict(),
            "trained": self.trained.state_dict(),
            "optimizer": self.optimize.optim.get_state() if self.stage else None,
            "early": self.early.state() if self.early else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`, bit for bit on the same device; an optimiser without a state starts afresh."""
        self.step = state["step"]
        self.tracker.load_state_dict(state["tracker"])
        self.trained.load_state_dict(state["trained"])
        if self.step < self.config.train.steps:
            stage, within = self.config.train.locate(self.step)
            self._enter(stage)
            if within and state["optimizer"] is not None:
                self.optimize.optim.set_state(state["optimizer"])
            if self.early and within and state.get("early"):
                self.early.restore(state["early"])


def learning(tracker: SomeTracker, stage: Stage) -> None:
    """Set the blocks that a stage trains to training mode, and the others to evaluation mode."""
    trained = {name.partition(".")[0] for name in stage.blocks}
    for name, block in tracker.named_children():
        block.train(not stage.blocks or name in trained)
