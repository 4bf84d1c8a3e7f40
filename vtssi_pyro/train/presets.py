"""Named configurations: the paper's, exactly, and recipes of stages that learn in minutes."""

from collections.abc import Callable
from dataclasses import replace

from vtssi_pyro.config.schedules import Constant, Cosine, Decay, Flattening, Linear, Staircase
from vtssi_pyro.model.blocks.count_rect import CountRECTConfig
from vtssi_pyro.model.blocks.find import FINDConfig
from vtssi_pyro.model.blocks.mot import MOTConfig
from vtssi_pyro.model.blocks.rect import RECTConfig
from vtssi_pyro.model.blocks.registered import RegisteredConfig
from vtssi_pyro.model.blocks.residual_mot import ResidualMOTConfig
from vtssi_pyro.model.blocks.strided import StridedAIRConfig
from vtssi_pyro.model.blocks.template import TemplateConfig
from vtssi_pyro.model.config import VARIANTS, ModelConfig, TestTime
from vtssi_pyro.train.config import Config, DataConfig
from vtssi_pyro.train.recipe import SCALES, Stage, TrainConfig

PAPER_STEPS = 780_000  # 1k epochs of 50,000 sequences in batches of 64

# App. C: the curriculum is +1 frame every 20k steps from 1, for VTSSI +1 every 30k from 6 with AIR's own ELBO
# during its first three lengths.
_PAPER = Stage(
    "paper",
    PAPER_STEPS,
    batch=64,
    learning_rate=Decay(1e-4, 0.9, 20_000, 200_000, 1e-5),
    length=Staircase(1, 1, 20_000, 20),
    count_shift=Linear(1.0, 0.0, 100_000, 200_000),
    bell=Flattening(0.1, 1000, 100.0),
    analytic=False,
)
_PAPER_VTSSI = replace(_PAPER, length=Staircase(6, 1, 30_000, 20), air_weight=Staircase(1, -1, 90_000, 0))


def paper(variant: str) -> Config:
    """Every number of appendices B and C; one stage of 780,000 steps."""
    stage = {"vtssi": _PAPER_VTSSI}.get(variant, _PAPER)
    return Config(
        variant,
        "paper",
        model=VARIANTS[variant](ModelConfig()),
        train=TrainConfig((stage,), evaluate_every=5000, save_every=1000, log_every=100),
    )


def paper_ddpae(variant: str) -> Config:
    """The paper's variation for its comparison with DDPAE (App. C.2)."""
    model = ModelConfig(
        frame_size=64,
        glimpse=32,
        finder=FINDConfig(kernel_side=12),
        consensus=RECTConfig(K=10),
        motion=MOTConfig(M=10),
    )
    config = paper(variant)
    stage = replace(
        config.train.stages[0],
        learning_rate=Decay(1e-4, 0.9, 20_000, 200_000, 5e-5),
        length=Staircase(2, 1, 30_000, 20),
        fuse_low=Constant(0.5),
        fuse_high=Constant(0.5),
    )
    return replace(
        config,
        preset="paper-ddpae",
        observe=10,
        model=VARIANTS[variant](model),
        train=replace(config.train, stages=(stage,)),
    )


def paper_sqair(variant: str) -> Config:
    """The paper's variation for its comparison with SQAIR (App. C.2); its variant is ``find-mot``."""
    model = ModelConfig(
        finder=FINDConfig(position_scale=1.5),
        consensus=RECTConfig(K=3),
        motion=MOTConfig(M=3, position_scale=1.5),
    )
    config = paper(variant)
    stage = replace(
        config.train.stages[0],
        length=Staircase(6, 1, 30_000, 10),
        fuse_low=Constant(0.1),
        fuse_high=Constant(0.9),
    )
    data = DataConfig(source="linear-wide", length=10)
    train = replace(config.train, stages=(stage,))
    return replace(
        config, preset="paper-sqair", observe=3, model=VARIANTS[variant](model), data=data, train=train
    )


FAST = ModelConfig(
    attention=StridedAIRConfig(),
    consensus=CountRECTConfig(),
    finder=TemplateConfig(),
    motion=ResidualMOTConfig(),
    fusion="product",
    test_time=TestTime(hypotheses=4, refine=2, tight=True),
)

OBJECTS = ("scene", "attention", "picture")  # the slots that AIR fills

# The stages of a variant: the objects' looks, their search, both together over time, their motion, and places and
# motion together.
_STAGES = {
    "air": ("objects",),
    "find": ("objects", "search", "places"),
    "rect-find": ("objects", "search", "places"),
    "find-mot": ("objects", "search", "places", "motion", "joint"),
    "vtssi": ("objects", "search", "places", "motion", "joint"),
}


def _staged(preset: str, variant: str, steps: dict[str, int], cache: int) -> Config:
    """The recipe of stages, given the steps of each; a stage without steps is left out."""
    objects, search, places, motion, joint = (steps[name] for name in _STAGES["vtssi"])
    stages = (*_seeing(objects, search, places), *_moving(motion, joint, cache))
    chosen = tuple(stage for stage in stages if stage.name in _STAGES[variant] and stage.steps)
    return Config(
        variant, preset, model=VARIANTS[variant](FAST), train=TrainConfig(chosen, beta1=0.9, average=0.99)
    )


def _seeing(objects: int, search: int, places: int) -> tuple[Stage, ...]:
    """The stages of AIR, RECT and FIND."""
    return (
        Stage(
            "objects",
            objects,
            "frames",
            OBJECTS,
            learning_rate=Cosine(1e-3, 2e-4, 50, objects),
            length=Constant(1),
            random_start=True,
            count_shift=Linear(1.0, 0.0, 0.2 * objects, 0.5 * objects),
            bell=Linear(0.0, 0.9, 0.5 * objects, objects),
            step_weight=Linear(0.0, 1.0, 0.25 * objects, 0.4 * objects),
        ),
        Stage(
            "search",
            search,
            "walk",
            ("consensus", "finder"),
            batch=32,
            learning_rate=Cosine(1e-3, 1e-4, 20, search),
            length=Linear(6, 10, 0, search),
            bell=Linear(0.9, 1.0, 0, 0.2 * search),
            step_weight=Constant(1.0),
        ),
        Stage(
            "places",
            places,
            "walk",
            (*OBJECTS, "consensus", "finder"),
            batch=32,
            learning_rate=Cosine(5e-4, 2e-5, 50, places),
            length=Constant(10),
            step_weight=Constant(1.0),
            air_weight=Constant(1.0),
        ),
    )


def _moving(motion: int, joint: int, cache: int) -> tuple[Stage, ...]:
    """The stages of MOT."""
    return (
        Stage(
            "motion",
            motion,
            "rollout",
            ("motion",),
            batch=256,
            learning_rate=Cosine(7e-3, 1e-4, 50, motion),
            length=Constant(14),
            random_start=True,
            cache=cache,
            overshooting=0.03,
            refined=True,
        ),
        Stage(
            "joint",
            joint,
            "full",
            (SCALES,),  # the one-step terms of the whole ELBO would spoil the means' long predictions
            batch=32,
            learning_rate=Cosine(3e-3, 1e-4, 10, joint),
            step_weight=Constant(1.0),
            refined=True,
        ),
    )


def quick(variant: str) -> Config:
    """About five minutes of one core."""
    steps = {"objects": 1500, "search": 400, "places": 0, "motion": 1200, "joint": 60}
    return _staged("quick", variant, steps, cache=2500)


def standard(variant: str) -> Config:
    """Under an hour of one core."""
    steps = {"objects": 6000, "search": 1500, "places": 4000, "motion": 6000, "joint": 300}
    if variant == "air":  # no further stage shares the time
        steps["objects"] = 12_000
    return _staged("standard", variant, steps, cache=20_000)


# The stages of the paper's own blocks by variant
_FAST_STAGES = {
    "air": ("objects",),
    "find": ("objects", "search", "places"),
    "rect-find": ("objects", "consensus", "search", "places"),
    "find-mot": ("objects", "search", "places", "motion", "joint"),
    "vtssi": ("objects", "consensus", "search", "places", "motion", "joint"),
}


def paper_fast(variant: str) -> Config:
    """The paper's model, exactly, by another route: stages, the last of which trains all blocks on the whole ELBO.

    FIND first imitates, on frames alone, a template search whose templates are what AIR has learned to draw.
    """
    objects, consensus, search, places, motion, joint = 8000, 1000, 6000, 2000, 4000, 3000
    stages = (
        Stage(
            "objects",
            objects,
            "frames",
            OBJECTS,
            learning_rate=Cosine(1e-3, 1e-4, 50, objects),
            length=Constant(1),
            random_start=True,
            count_shift=Linear(1.0, 0.0, 0.1 * objects, 0.3 * objects),
            # flattened early: under a bell attention windows grow to half as large again as the objects
            bell=Linear(0.0, 1.0, 0.025 * objects, 0.15 * objects),
            step_weight=Linear(0.0, 1.0, 0.1 * objects, 0.2 * objects),
        ),
        Stage(
            "consensus",
            consensus,
            "walk",
            ("consensus",),
            batch=32,
            learning_rate=Cosine(1e-3, 1e-4, 20, consensus),
            length=Constant(6),
            step_weight=Constant(1.0),
            finder=TemplateConfig(),
        ),
        Stage(
            "search",
            search,
            "imitation",
            ("finder",),
            batch=32,
            learning_rate=Cosine(1e-3, 5e-5, 50, search),
            length=Constant(10),
            finder=RegisteredConfig(),
            cache=10_000,
        ),
        Stage(
            "places",
            places,
            "walk",
            (*OBJECTS, "consensus", "finder"),
            batch=32,
            learning_rate=Cosine(3e-4, 2e-5, 50, places),
            length=Constant(10),
            step_weight=Linear(1.0, 0.0, 0, 0.5 * places),
            air_weight=Linear(1.0, 0.0, 0, 0.5 * places),
        ),
        Stage(
            "motion",
            motion,
            "rollout",
            ("motion",),
            batch=256,
            learning_rate=Cosine(4e-3, 1e-4, 50, motion),
            length=Constant(14),
            random_start=True,
            cache=20_000,
            overshooting=0.03,
        ),
        Stage("joint", joint, batch=32, learning_rate=Cosine(2e-4, 1e-5, 50, joint)),
    )
    chosen = tuple(stage for stage in stages if stage.name in _FAST_STAGES[variant])
    return Config(
        variant,
        "paper-fast",
        model=VARIANTS[variant](ModelConfig()),
        train=TrainConfig(chosen, beta1=0.9, average=0.99),
    )


# Presets whose variants share the blocks of one training on all flavours: its variant, and its last stage.
SHARED = {"paper-fast": ("air", "objects")}

# The default variant of a preset; that of all others is the whole of VTSSI.
_DEFAULT_VARIANTS = {"paper-sqair": "find-mot"}

PRESETS: dict[str, Callable[[str], Config]] = {
    "quick": quick,
    "standard": standard,
    "paper-fast": paper_fast,
    "paper": paper,
    "paper-ddpae": paper_ddpae,
    "paper-sqair": paper_sqair,
}


def default_variant(preset: str) -> str:
    """The variant of a preset's new models, unless another is named."""
    return _DEFAULT_VARIANTS.get(preset, "vtssi")
