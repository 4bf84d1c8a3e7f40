"""Training as a list of stages (App. C); a stage is a few numbers, and schedules over its own steps."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from vtssi_pyro.config import Declared, OneOf, Range, Text
from vtssi_pyro.config.ranges import EVERY, FRAMES, NATS, SEQUENCES, SHARE, SMALL, STEP
from vtssi_pyro.config.schedules import Constant, Schedule
from vtssi_pyro.errors import UsageError
from vtssi_pyro.model.kinds import FINDERS, Buildable
from vtssi_pyro.types import Anneal, Scalar


class Scheduled(NamedTuple):
    """The scheduled numbers of a step: floats, or 0-d tensors of the device."""

    anneal: Anneal = Anneal()
    air_weight: Scalar = 0.0  # of AIR's own ELBO on the first K frames
    rollout_weight: Scalar = 0.0  # of the multi-step prediction term
    learning_rate: Scalar = 0.0
    decay: Scalar = 0.0  # of the weights' moving average


def _elbos() -> Iterable[str]:
    from vtssi_pyro.train.elbo import ELBOS  # which loads Pyro

    return ELBOS


# A name is a part of keys, in which dots separate parts.
NAME = Text("a name of letters, digits, - and _", r"[\w-]+")


@dataclass(frozen=True)
class Stage(Declared):
    """One stage of a training; schedules are functions of the stage's own step."""

    name: Annotated[str, NAME, "Name of the stage, by which its keys go."]
    steps: Annotated[int, STEP, "Training steps under a budget of 1; 0 leaves the stage out."]
    objective: Annotated[
        str,
        OneOf("full", "walk", "frames", "rollout", "futures", "imitation"),
        "The ELBO of the whole program, of that without motion, or of AIR on single frames; errors of roll-outs; the "
        "energy score of futures; or the imitation of another finder.",
    ] = "full"
    blocks: Annotated[
        tuple[str, ...],
        Text("the name of a part", r"[\w.-]+"),
        "Trained parts: slots of the tracker, dotted parts of their blocks, or motion.scales; an empty list: all.",
    ] = ()
    batch: Annotated[int, SEQUENCES, "Sequences of a step; objects in a stage that trains motion alone."] = 64
    # Adam makes steps of its rate: of 1, weights are lost in the first
    learning_rate: Annotated[Schedule, SHARE, "Learning rate."] = Constant(1e-4)
    length: Annotated[Schedule, FRAMES, "Frames of a training sequence; with roll-outs the least number."] = (
        Constant(20)
    )
    random_start: Annotated[bool, "Whether sequences are cut anywhere instead of at their first frame."] = (
        False
    )
    count_shift: Annotated[
        Schedule, Range(-20, 20), "Addition to the count's prior mean."  # as wide as that mean's own range
    ] = Constant(0.0)
    discovery_shift: Annotated[
        Schedule,
        Range(-1000, 0),  # an object of a frame is worth some hundred nats
        "Addition to the logits of SQAIR's count of discoveries after the first frame, per object, nats.",
    ] = Constant(0.0)
    bell: Annotated[Schedule, SHARE, "Flatness of the bell-curve mask; 1: no mask."] = Constant(1.0)
    fuse_low: Annotated[Schedule, SHARE, "Least fusion weight w; at most fuse_high."] = Constant(0.01)
    fuse_high: Annotated[Schedule, SHARE, "Largest fusion weight w."] = Constant(0.99)
    step_weight: Annotated[Schedule, SHARE, "Share of whole objects in place of fractions of them."] = (
        Constant(0.0)
    )
    air_weight: Annotated[Schedule, NATS, "Weight of AIR's own ELBO on the first K frames."] = Constant(0.0)
    rollout_weight: Annotated[Schedule, NATS, "Weight of the multi-step prediction term."] = Constant(0.0)
    overshooting: Annotated[
        float, NATS, "Weight of the squared distance between predicted and inferred motions, nats."
    ] = 0.0
    ahead: Annotated[
        Schedule,
        Range(0, FRAMES.high),
        "Predicted frames: roll-outs then begin at each of a sequence's frames from M on, futures so many before its "
        "end; 0: one roll-out, or future, to the end of the data.",
    ] = Constant(0)
    later: Annotated[bool, "Whether roll-outs begin after any frame from M on instead of after M."] = False
    # the score compares pairs of futures
    samples: Annotated[int, Range(2, 1000), "Futures that an energy score compares."] = 4
    analytic: Annotated[bool, "Whether KL terms are in closed form instead of sampled (reading D9)."] = True
    finder: Annotated[
        Buildable | None,
        FINDERS,
        "A finder that stands in for the tracker's own, which stays as it is or, in a stage that imitates, learns from "
        "it; null: none.",
    ] = None
    refined: Annotated[
        bool,
        "Whether positions and looks are settled on the frames, as at test time; they are not trained then.",
    ] = False
    cache: Annotated[int, SEQUENCES, "Sequences whose objects a stage that trains motion alone keeps."] = 4096
    optimizer: Annotated[str, OneOf("adam", "muon", "rmsprop"), "Optimiser."] = "adam"
    patience: Annotated[
        int,
        STEP,
        "Steps, whatever the budget, without a gain of a nat on held-out sequences after which the stage ends "
        "early; 0: it never does.",
    ] = 0

    def relate(self, where: str) -> None:
        """Refuse bounds of the fusion weight that cross during the stage."""
        for step in (0, self.steps):
            low, high = self.fuse_low(step), self.fuse_high(step)
            if low > high:
                raise UsageError(
                    f"{where}fuse_low: expected at most {where}fuse_high, "
                    f"which is {high:g} at step {step}, found {low:g}"
                )

    def anneal(self, step: float) -> Anneal:
        """The annealed numbers of the programs at a step of the stage."""
        return Anneal(
            count_shift=self.count_shift(step),
            discovery_shift=self.discovery_shift(step),
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
class TrainConfig(Declared):
    """A recipe: its stages, and the numbers that they share."""

    stages: Annotated[tuple[Stage, ...], "The stages, each of which has a name of its own."] = ()
    # a stage has a step at least; a thousand times the recipe's steps are years
    budget: Annotated[float, Range(SMALL, 1000), "One factor on every stage's steps and schedules."] = 1.0
    elbo: Annotated[str, OneOf(_elbos), "The bound: Elbo, VIMCO, or one of Pyro's own, which are slower."] = (
        "Elbo"
    )
    particles: Annotated[
        int | None, Range(1, 1000), "Draws of the ELBO; null: 5 of VIMCO, 2 of RenyiELBO, else 1."
    ] = None
    beta1: Annotated[float, Range(0, 1, "[)"), "Decay of Adam's mean of gradients."] = 0.5
    clip: Annotated[
        float,
        Range(0, 1e9, "(]"),
        "Largest global norm of the gradient of the loss per sequence (reading D3).",
    ] = 5.0
    per_frame: Annotated[bool, "Whether the loss is per frame instead of per sequence (reading D16)."] = False
    bfloat16: Annotated[
        bool, "Whether convolution stacks are in bfloat16: faster where the hardware has it."
    ] = False
    capture: Annotated[bool, "Whether steps on a GPU are CUDA graphs."] = True
    compile: Annotated[
        bool, "Whether the renderer and the search go through torch.compile: faster after half a minute."
    ] = False
    average: Annotated[
        float, Range(0, 1, "[)"), "Limit of the decay of the weights' moving average; 0: no average."
    ] = 0.0
    evaluate_every: Annotated[int, EVERY, "Steps from one evaluation of held-out sequences to the next."] = (
        1000
    )
    save_every: Annotated[int, EVERY, "Steps from one checkpoint to the next."] = 500
    log_every: Annotated[int, EVERY, "Steps from one record to the next."] = 50

    def relate(self, where: str) -> None:
        """Refuse two stages of one name, by which keys and checkpoints know them."""
        names = [stage.name for stage in self.stages]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(
                    f"{where}stages: expected a name of its own for each, found {name} more than once"
                )

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
