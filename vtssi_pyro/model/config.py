"""A model as data: the block in each slot, and the paper's five variants (section 3.4)."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Annotated

from vtssi_pyro.model.blocks.air import AdditiveConfig, AIRConfig, SceneConfig
from vtssi_pyro.model.blocks.find import FINDConfig, NoFINDConfig
from vtssi_pyro.model.blocks.mot import MOTConfig, RandomWalkConfig
from vtssi_pyro.model.blocks.rect import FirstFrameConfig, RECTConfig
from vtssi_pyro.model.kinds import ATTENTIONS, CONSENSUSES, FINDERS, MOTIONS, PICTURES, SCENES, Buildable
from vtssi_pyro.model.sizes import Sizes


@dataclass(frozen=True)
class TestTime:
    """The procedure at test time; by default every variable is at its mode, and nothing more is done.

    :data:`PUBLISHED` is the paper's.
    """

    __test__ = False  # its name looks like a test case to pytest

    hypotheses: int = 1  # consensuses of different frames, of which that with the most evidence is kept
    refine: int = 0  # rounds in which positions and looks are settled on the frames; template searches only
    settled: int = 5  # frames that settle looks
    tight: bool = False  # tracks hold tight boxes and their centres, not attention windows
    fusion: str | None = None  # rule for inference and prediction; None: as in training


# The paper's procedure (App. D.2): every variable at its mode; prediction and inference averaged with w = 1/2; the
# objects decided on the first K frames (5, as M, in the paper's presets); positions at centres of attention windows. It
# has no template search, no registration and no hypotheses, so a tracker that needs one is refused.
PUBLISHED = TestTime(fusion="average")


@dataclass(frozen=True)
class ModelConfig(Sizes):
    """The whole model; the defaults are the paper's."""

    scene: Annotated[Buildable, SCENES] = field(default_factory=SceneConfig)
    attention: Annotated[Buildable, ATTENTIONS] = field(default_factory=AIRConfig)
    picture: Annotated[Buildable, PICTURES] = field(default_factory=AdditiveConfig)
    consensus: Annotated[Buildable, CONSENSUSES] = field(default_factory=RECTConfig)
    finder: Annotated[Buildable, FINDERS] = field(default_factory=FINDConfig)
    motion: Annotated[Buildable, MOTIONS] = field(default_factory=MOTConfig)
    per_frame: bool = False  # whether each frame is a scene of its own, with its own count
    order: str = (
        "proposals-first"  # or "frame-by-frame": each frame's proposals see the final variables before it
    )
    fusion: str = "average"  # rule for inference and prediction; or "product", by their precisions
    sample_intermediate: bool = True  # False: means of proposals that are no final variable (reading D5)
    test_time: TestTime = PUBLISHED


def _single_frames(config: ModelConfig) -> ModelConfig:
    config = _without_motion(_without_consensus(config))
    return replace(
        config, finder=NoFINDConfig(), per_frame=True, test_time=replace(config.test_time, refine=0)
    )


def _without_motion(config: ModelConfig) -> ModelConfig:
    return replace(config, motion=RandomWalkConfig())


def _without_consensus(config: ModelConfig) -> ModelConfig:
    """A first frame in place of the consensus, which leaves no other hypothesis."""
    return replace(config, consensus=FirstFrameConfig(), test_time=replace(config.test_time, hypotheses=1))


# The ablations of section 3.4: VTSSI with null objects in place of some blocks.
VARIANTS: dict[str, Callable[[ModelConfig], ModelConfig]] = {
    "air": _single_frames,
    "find": lambda config: _without_motion(_without_consensus(config)),
    "rect-find": _without_motion,
    "find-mot": _without_consensus,
    "vtssi": lambda config: config,
}
