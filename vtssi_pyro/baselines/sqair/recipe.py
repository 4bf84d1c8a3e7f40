"""How SQAIR is trained: the published recipe, and a fast one of ours."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pyro
import torch
from torch import Tensor

from vtssi_pyro.baselines.sqair.program import SQAIR
from vtssi_pyro.baselines.sqair.rmsprop import RMSProp
from vtssi_pyro.baselines.sqair.vimco import VIMCO
from vtssi_pyro.config.schedules import Drops, Schedule, Staircase
from vtssi_pyro.errors import UsageError
from vtssi_pyro.model.nn import unregistered

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "rmsprop": RMSProp,
    "adam": partial(torch.optim.Adam, fused=True),
}


@dataclass(frozen=True)
class SQAIRRecipe:
    """One training; schedules are functions of the step, from 0."""

    name: str
    steps: int
    learning_rate: Schedule
    length: Schedule  # frames of a training sequence
    optimizer: str = "rmsprop"  # or "adam"
    batch: int = 32  # sequences
    particles: int = 5
    vimco: str = "official"  # the learning signal of discrete variables, or "textbook"


# "2M iterations nominal": the budget's fifth at 1e-5, three tenths at a third of it, the rest at a ninth.
PUBLISHED = SQAIRRecipe(
    "published",
    2_000_000,
    learning_rate=Drops(1e-5, 1 / 3, (400_000, 1_000_000)),
    length=Staircase(3, 1, 100_000, 10),
)
# The published curriculum, twelve times and a half shorter, so that all steps take some 40 hours of one core. Adam
# takes steps of its rate, ten times RMSProp's here, whatever the gradient's size. Not shown yet to reach the published
# figures.
FAST = SQAIRRecipe(
    "fast",
    96_000,
    learning_rate=Drops(1e-4, 1 / 3, (48_000, 80_000)),
    length=Staircase(3, 1, 8_000, 10),
    optimizer="adam",
)
RECIPES = {recipe.name: recipe for recipe in (PUBLISHED, FAST)}


class Learner:
    """The steps of a training: the objective per frame, as published, and the optimiser, whose state can be kept.

    Args:
        sqair: the model to train.
        recipe: the recipe.

    Raises:
        UsageError: an unknown optimiser or learning signal.
    """

    def __init__(self, sqair: SQAIR, recipe: SQAIRRecipe) -> None:
        if recipe.optimizer not in OPTIMIZERS:
            raise UsageError(f"optimizer: expected {' or '.join(OPTIMIZERS)}, found {recipe.optimizer!r}")
        self.sqair, self.recipe = sqair, recipe
        self.elbo = VIMCO(recipe.particles, recipe.vimco)
        self.optimizer = OPTIMIZERS[recipe.optimizer](sqair.parameters(), lr=recipe.learning_rate(0))

    def step(self, frames: Tensor, step: int) -> float:
        """Train on a batch.

        Args:
            frames: (B, T, C, H, W), of which as many are used as the recipe has at this step.
            step: number of this step, from 0.

        Returns:
            the bound per frame, nats.
        """
        x = frames[:, : int(self.recipe.length(step))]
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate(step)
        self.optimizer.zero_grad()
        with pyro.validation_enabled(False), unregistered():
            loss = self.elbo.differentiable_loss(self.sqair.model, self.sqair.guide, x)
            loss = loss / (x.shape[0] * x.shape[1])
            loss.backward()
        self.optimizer.step()
        return -loss.item()
