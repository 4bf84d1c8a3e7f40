"""A model as data: the block in each slot; the paper's system, ours, and the five variants of each (section 3.4)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated

from vtssi_pyro.config import Declared, OneOf, Range
from vtssi_pyro.config.ranges import WINDOW
from vtssi_pyro.config.variants import CUSTOM, OURS, PAPER, Ablation, Family
from vtssi_pyro.model.blocks.air import AdditiveConfig, AIRConfig, SceneConfig
from vtssi_pyro.model.blocks.clearest import ClearestFrameConfig
from vtssi_pyro.model.blocks.count_rect import CountRECTConfig
from vtssi_pyro.model.blocks.find import FINDConfig, NoFINDConfig
from vtssi_pyro.model.blocks.following import FollowingConfig
from vtssi_pyro.model.blocks.mot import MOTConfig, RandomWalkConfig
from vtssi_pyro.model.blocks.rect import FirstFrameConfig, RECTConfig
from vtssi_pyro.model.blocks.residual_mot import ResidualMOTConfig
from vtssi_pyro.model.blocks.solid import SolidConfig
from vtssi_pyro.model.blocks.spots import SpotsConfig
from vtssi_pyro.model.blocks.strided import StridedAIRConfig
from vtssi_pyro.model.blocks.template import TemplateConfig
from vtssi_pyro.model.kinds import (
    ATTENTIONS,
    CONSENSUSES,
    FINDERS,
    MODELS,
    MOTIONS,
    PICTURES,
    SCENES,
    SLOTS,
    Buildable,
)
from vtssi_pyro.model.sizes import Sizes

FUSIONS = OneOf("average", "product")  # the keys of tracker.RULES


@dataclass(frozen=True)
class TestTime(Declared):
    """The procedure at test time; by default every variable is at its mode, and nothing more is done.

    :data:`PUBLISHED` is the paper's.

    Example:
        >>> from vtssi_pyro import PUBLISHED, TestTime
        >>> TestTime(hypotheses=3) == PUBLISHED
        False
    """

    __test__ = False  # its name looks like a test case to pytest

    # each is a consensus and its evidence, which take a second together at times; so does a round
    hypotheses: Annotated[
        int, Range(1, 100), "Consensuses of different frames, of which that with the most evidence is kept."
    ] = 1
    refine: Annotated[
        int,
        Range(0, 100),
        "Rounds in which positions and looks are settled on the frames; of template searches alone.",
    ] = 0
    settled: Annotated[int, WINDOW, "Frames that settle looks."] = 5
    smooth: Annotated[
        int,
        Range(0, 1000),
        "Gradient steps by which looks and places climb the joint density of all frames; not of forecasts and streams.",
    ] = 0
    tight: Annotated[bool, "Whether tracks hold tight boxes and their centres, not attention windows."] = (
        False
    )
    fusion: Annotated[
        str | None, FUSIONS, "Rule for inference and prediction; null: that of the training."
    ] = None


# The paper's procedure (App. D.2): every variable at its mode; prediction and inference averaged with w = 1/2; the
# objects decided on the first K frames (5, as M, in the paper's presets); positions at centres of attention windows. It
# has no template search, no registration and no hypotheses, so a tracker that needs one is refused.
PUBLISHED = TestTime(fusion="average")


@MODELS.register("blocks")
@dataclass(frozen=True)
class ModelConfig(Sizes):
    """The whole model; the defaults are the paper's.

    Example:
        >>> from vtssi_pyro import ModelConfig, build
        >>> build("vtssi", ModelConfig(num_objects=3)).num_objects
        3
    """

    scene: Annotated[Buildable, SCENES, "The priors of count, size and description."] = field(
        default_factory=SceneConfig
    )
    attention: Annotated[Buildable, ATTENTIONS, "The networks that see objects in single frames (AIR's)."] = (
        field(default_factory=AIRConfig)
    )
    picture: Annotated[Buildable, PICTURES, "The likelihood of frames, given objects."] = field(
        default_factory=AdditiveConfig
    )
    consensus: Annotated[
        Buildable, CONSENSUSES, "The agreement of the first frames on the objects (RECT)."
    ] = field(default_factory=RECTConfig)
    finder: Annotated[Buildable, FINDERS, "The search for objects in a frame (FIND)."] = field(
        default_factory=FINDConfig
    )
    motion: Annotated[Buildable, MOTIONS, "The objects' motion (MOT)."] = field(default_factory=MOTConfig)
    per_frame: Annotated[bool, "Whether each frame is a scene of its own, with its own count."] = False
    order: Annotated[
        str,
        OneOf("proposals-first", "frame-by-frame"),
        "The paper's order, or that in which each frame's proposals see the final variables before it.",
    ] = "proposals-first"
    fusion: Annotated[
        str,
        FUSIONS,
        "Rule for inference and prediction: their average, or their product by their precisions.",
    ] = "average"
    sample_intermediate: Annotated[
        bool, "Whether proposals that are no final variable are drawn; else they are means (reading D5)."
    ] = True
    test_time: Annotated[TestTime, "The procedure at test time."] = PUBLISHED


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


# The ablations of section 3.4: a system with null objects in place of some blocks.
ABLATIONS: dict[Ablation, Callable[[ModelConfig], ModelConfig]] = {
    Ablation.FRAMES: _single_frames,
    Ablation.SEARCH: lambda config: _without_motion(_without_consensus(config)),
    Ablation.CONSENSUS: _without_motion,
    Ablation.MOTION: _without_consensus,
    Ablation.WHOLE: lambda config: config,
}


@dataclass(frozen=True)
class System:
    """A whole model, and the names of its variants.

    Args:
        family: the names.
        model: the whole.
        movies: by slot, the kind of the block that stands there for a movie.
    """

    family: Family
    model: ModelConfig
    movies: Mapping[str, type] = field(default_factory=dict)

    def named(self, model: ModelConfig, ablation: Ablation) -> bool:
        """Whether a model's blocks are of the kinds that a variant's name promises, whatever their numbers."""
        own = ABLATIONS[ablation](self.model)
        # the other names say nothing of a block that a movie replaces by another kind
        movies = {} if ablation in (Ablation.FRAMES, Ablation.CONSENSUS) else self.movies
        return ABLATIONS[ablation](model) == model and all(
            type(getattr(model, slot)) in (type(getattr(own, slot)), movies.get(slot)) for slot in SLOTS
        )


PAPERS_SYSTEM = System(PAPER, ModelConfig())
OUR_SYSTEM = System(
    OURS,
    ModelConfig(
        attention=StridedAIRConfig(),
        consensus=CountRECTConfig(),
        finder=TemplateConfig(),
        motion=ResidualMOTConfig(),
        fusion="product",
        test_time=TestTime(hypotheses=4, refine=2, tight=True),
    ),
    {
        "attention": SpotsConfig,
        "picture": SolidConfig,
        "consensus": ClearestFrameConfig,
        "finder": FollowingConfig,
    },
)
SYSTEMS = (PAPERS_SYSTEM, OUR_SYSTEM)

# The variants of both systems; "air" is the same ablation of both.
VARIANTS: dict[str, Callable[[ModelConfig], ModelConfig]] = {
    system.family.name(ablation): with_null_objects
    for system in SYSTEMS
    for ablation, with_null_objects in ABLATIONS.items()
}


def ablated(model: ModelConfig) -> Ablation:
    """The ablation whose null objects a model has, whatever its other blocks."""
    return next(ablation for ablation in Ablation if ABLATIONS[ablation](model) == model)


def variant_of(model: ModelConfig) -> str:
    """The name of the variant whose kinds of blocks a model has; CUSTOM for a model of other blocks."""
    for system in SYSTEMS:
        for ablation in Ablation:
            if system.named(model, ablation):
                return system.family.name(ablation)
    return CUSTOM
