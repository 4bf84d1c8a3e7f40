"""Training on objects that turn: the blocks and the stages."""

from dataclasses import replace

from vtssi_pyro.config.schedules import Cosine, Linear
from vtssi_pyro.model.blocks.clearest import ClearestFrameConfig
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
    model = replace(
        base,
        consensus=ClearestFrameConfig(K=K),
        finder=TurningFINDConfig(),
        motion=TurningConfig(of=base.motion),
        order="frame-by-frame",
        test_time=TestTime(tight=True),  # several hypotheses take five times as long, and gain little
    )
    stages = tuple(map(_turned, config.train.stages))
    return renamed(replace(config, model=model, train=replace(config.train, stages=stages)))


def _turned(stage: Stage) -> Stage:
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
