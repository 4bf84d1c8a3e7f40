"""Training as a list of stages (App. C); a stage is a few numbers, and schedules over its own steps."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

from vtssi_pyro.config.schedules import Constant, Schedule
from vtssi_pyro.model.kinds import FINDERS, Buildable
from vtssi_pyro.types import Anneal, Scalar


class Scheduled(NamedTuple):
    """The scheduled numbers of a step: floats, or 0-d tensors of the device."""

    anneal: Anneal = Anneal()
    air_weight: Scalar = 0.0  # of AIR's own ELBO on the first K frames
    rollout_weight: Scalar = 0.0  # of the multi-step prediction term
    learning_rate: Scalar = 0.0
    decay: Scalar = 0.0  # of the weights' moving average


@dataclass(frozen=True)
class Stage:
    """One stage of a training; schedules are functions of the stage's own step."""

    name: str
    steps: int
    objective: str = "full"  # a key of train.objective.OBJECTIVES
    # trained parts: slots of the tracker, dotted parts of their blocks, or model.interfaces.SCALES; an empty tuple: all
    blocks: tuple[str, ...] = ()
    batch: int = 64  # sequences; objects in a stage that trains motion alone
    learning_rate: Schedule = Constant(1e-4)
    length: Schedule = Constant(20)  # frames of a training sequence; with roll-outs the least number
    random_start: bool = False  # sequences are cut anywhere instead of at their first frame
    count_shift: Schedule = Constant(0.0)  # of the count's prior mean
    bell: Schedule = Constant(1.0)
    fuse_low: Schedule = Constant(0.01)
    fuse_high: Schedule = Constant(0.99)
    step_weight: Schedule = Constant(0.0)
    air_weight: Schedule = Constant(0.0)  # of AIR's own ELBO on the first K frames
    rollout_weight: Schedule = Constant(0.0)  # of the multi-step prediction term
    overshooting: float = 0.0  # weight of the squared distance between predicted and inferred motions, nats
    later: bool = False  # roll-outs begin after any frame from M on instead of after M
    samples: int = 4  # futures that an energy score compares, 2 or more
    analytic: bool = True  # KL terms in closed form instead of sampled (reading D9)
    # stands in for the tracker's own, which stays as it is or, in a stage that imitates, learns from it
    finder: Annotated[Buildable | None, FINDERS] = None
    refined: bool = (
        False  # positions and looks are settled on the frames, as at test time; they are not trained then
    )
    cache: int = 4096  # sequences whose objects a stage that trains motion alone keeps
    optimizer: str = "adam"  # a key of train.optimizers.OPTIMIZERS

    def anneal(self, step: float) -> Anneal:
        """The annealed numbers of the programs at a step of the stage."""
        return Anneal(
            count_shift=self.count_shift(step),
            bell=self.bell(step),
            fuse_low=self.fuse_low(step),
            fuse_high=self.fuse_high(step),
            step_weight=self.step_weight(step),
        )

    def is_bound(self, step: float) -> bool:
        """Whether the objective is an evidence lower bound at a step; otherwise it is not reported as an ELBO."""
        extras = (self.step_weight, self.air_weight, self.rollout_weight)
        return self.objective not in ("rollout", "futures", "imitation") and not any(
            weight(step) for weight in extras
        )


@dataclass(frozen=True)
class TrainConfig:
    """A recipe: its stages, and the numbers that they share."""

    stages: tuple[Stage, ...] = ()
    budget: float = 1.0  # one factor on every stage's steps and schedules
    elbo: str = "Elbo"  # or VIMCO, or one of Pyro's own, which are slower: a key of train.elbo.ELBOS
    particles: int | None = None  # draws of the ELBO; None: its default, 5 of VIMCO, 2 of RenyiELBO, else 1
    beta1: float = 0.5
    clip: float = 5.0  # global norm of the gradient of the loss per sequence (reading D3)
    per_frame: bool = False  # the loss per frame instead of per sequence (reading D16)
    bfloat16: bool = False  # the convolution stacks in bfloat16: faster where the hardware has it
    capture: bool = True  # on a GPU, steps as CUDA graphs
    compile: bool = False  # the renderer and the search with torch.compile: faster after half a minute
    average: float = 0.0  # limit of the decay of the weights' moving average; 0: none
    evaluate_every: int = 1000  # steps
    save_every: int = 500
    log_every: int = 50

    def locate(self, step: int) -> tuple[Stage, int]:
        """The stage of a step of the whole training, and the step within it."""
        for stage in self.stages:
            steps = self.steps_of(stage)
            if step < steps:
                return stage, step
            step -= steps
        raise IndexError("the training has no step left")

    def steps_of(self, stage: Stage) -> int:
        """Steps of a stage under the budget; a stage of 0 steps is left out."""
        return max(1, round(stage.steps * self.budget)) if stage.steps else 0

    def scheduled(self, stage: Stage, within: int, step: int) -> Scheduled:
        """The scheduled numbers at a ``step`` of the training, which is step ``within`` of its stage."""
        at = within / self.budget
        return Scheduled(
            stage.anneal(at),
            stage.air_weight(at),
            stage.rollout_weight(at),
            stage.learning_rate(at),
            # as tf.train.ExponentialMovingAverage warms up: short runs then do not evaluate their initial weights
            min(self.average, step / (step + 9)),
        )

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return sum(self.steps_of(stage) for stage in self.stages)
