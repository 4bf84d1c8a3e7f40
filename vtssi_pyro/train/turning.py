"""Training on objects that turn: the blocks and the stages."""

from dataclasses import replace

from vtssi_pyro.config.schedules import Cosine, Linear
from vtssi_pyro.model.blocks.clearest import ClearestFrameConfig
from vtssi_pyro.model.blocks.gated import GatedConfig
from vtssi_pyro.model.blocks.presence import PresenceConfig
from vtssi_pyro.model.blocks.turning import TurningConfig
from vtssi_pyro.model.blocks.turning_search import TurningFINDConfig
from vtssi_pyro.model.config import ModelConfig, TestTime
from vtssi_pyro.train.config import Config, renamed
from vtssi_pyro.train.recipe import Stage

# First frames of which the clearest shows what objects look like, since an overlap lasts for about as many. Of 80
# sequences of rods, the mean confidence was 0.91 with 5 frames and 0.92 with 10, before the motion was trained.
K = 10
SEARCH = 100  # steps for the eight numbers of the search and of the chain of angles
PATHS = 1000  # sequences whose paths the motion learns from: each takes a tenth of a second


def turning(config: Config) -> Config:
    """A configuration for objects that turn.

    Looks are learned on single frames, on which every angle is a look of its own. Of a sequence one frame decides the
    looks, and angles are those by which the objects are turned from there.
    """
    base = config.model
    assert isinstance(base, ModelConfig)
    stages = tuple(map(turning_stage, config.train.stages))
    return renamed(replace(config, model=turned(base), train=replace(config.train, stages=stages)))


def turned(model: ModelConfig, kernel_side: int | None = None) -> ModelConfig:
    """A model whose objects turn, and move as in another one.

    Args:
        model: the other one.
        kernel_side: side of the templates, see :class:`~vtssi_pyro.model.blocks.template.TemplateConfig`.
    """
    coming = isinstance(model.scene, PresenceConfig)  # who comes is described frame by frame
    return replace(
        model,
        consensus=model.consensus if coming else ClearestFrameConfig(K=K),
        finder=TurningFINDConfig(kernel_side=kernel_side),
        motion=TurningConfig(of=model.motion),
        order="frame-by-frame",
        test_time=TestTime(tight=True),  # several hypotheses take five times as long, and gain little
    )


def upright(model: ModelConfig) -> ModelConfig:
    """The model of objects that do not turn, and else move and are found as those of another one."""
    if not (isinstance(model.motion, TurningConfig) and isinstance(model.finder, TurningFINDConfig)):
        return model
    return replace(model, finder=GatedConfig(kernel_side=model.finder.kernel_side), motion=model.motion.of)


def turning_stage(stage: Stage) -> Stage:
    """A stage for objects that turn."""
    if stage.name == "search":
        return replace(
            stage,
            steps=min(stage.steps, SEARCH),
            blocks=("finder", "motion.angles"),
            learning_rate=Cosine(1e-2, 1e-3, 5, SEARCH),
            length=Linear(6, 10, 0, SEARCH),
        )
    return (
        replace(stage, cache=min(stage.cache, PATHS)) if stage.objective in ("rollout", "futures") else stage
    )
