"""Named configurations: the paper's, exactly, and recipes of stages that learn in minutes."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from vtssi_pyro.config.schedules import Constant, Cosine, Decay, Flattening, Linear, Staircase
from vtssi_pyro.config.variants import NAMES, Ablation, ablation_of
from vtssi_pyro.errors import Argument, UsageError
from vtssi_pyro.model.blocks.registered import RegisteredConfig
from vtssi_pyro.model.blocks.template import TemplateConfig
from vtssi_pyro.model.config import (
    OUR_SYSTEM,
    PAPERS_SYSTEM,
    VARIANTS,
    ModelConfig,
    System,
    ablated,
)
from vtssi_pyro.model.interfaces import SCALES
from vtssi_pyro.train.comparisons import COMPARISONS
from vtssi_pyro.train.config import Config, renamed
from vtssi_pyro.train.recipe import Stage, TrainConfig

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


OBJECTS = ("scene", "attention", "picture")  # the slots that AIR fills

# The stages of a variant, as far as a recipe has them: the objects' looks, their consensus, their search, all of these
# over time, their motion, the scales of its futures or those of its ELBO, and places and motion together.
_STAGES = {
    Ablation.FRAMES: ("objects",),
    Ablation.SEARCH: ("objects", "search", "places"),
    Ablation.CONSENSUS: ("objects", "consensus", "search", "places"),
    Ablation.MOTION: ("objects", "search", "places", "motion", "futures", "scales", "joint"),
    Ablation.WHOLE: ("objects", "consensus", "search", "places", "motion", "futures", "scales", "joint"),
}


def _staged(preset: str, variant: str, steps: dict[str, int], cache: int) -> Config:
    """The recipe of stages, given the steps of each; a stage without steps is left out."""
    seeing = _seeing(steps["objects"], steps["search"], steps["places"])
    moving = _moving(steps["motion"], steps["futures"], cache)
    return _through(
        preset, variant, OUR_SYSTEM.model, tuple(stage for stage in (*seeing, *moving) if stage.steps)
    )


def _through(preset: str, variant: str, model: ModelConfig, stages: tuple[Stage, ...]) -> Config:
    """A variant of a model, trained through its own ones of some stages."""
    chosen = tuple(stage for stage in stages if stage.name in _STAGES[ablation_of(variant)])
    return Config(
        variant, preset, model=VARIANTS[variant](model), train=TrainConfig(chosen, beta1=0.9, average=0.99)
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


def _moving(motion: int, futures: int, cache: int) -> tuple[Stage, ...]:
    """The stages of MOT: its predictions after any number of frames, then the scales of its futures.

    They end with no ELBO: its one-step terms would spoil long predictions, and its scales are too wide for them.
    """
    rollout = Stage(
        "motion",
        motion,
        "rollout",
        ("motion",),
        batch=128,
        optimizer="muon",  # Adam needs batches of 256, and then predicts a little worse
        learning_rate=Cosine(3e-3, 1e-4, 50, motion),
        length=Constant(14),
        random_start=True,
        cache=cache,
        overshooting=0.03,
        refined=True,
        fuse_low=Constant(0.5),  # as at test time
        fuse_high=Constant(0.5),
        later=True,
    )
    return (
        rollout,
        replace(
            rollout,
            name="futures",
            steps=futures,
            objective="futures",
            blocks=(SCALES,),
            batch=32,
            optimizer="adam",
            learning_rate=Cosine(1e-2, 1e-4, 20, futures),
            cache=cache // 5,  # scales need few paths
            overshooting=0.0,
        ),
    )


def quick(variant: str) -> Config:
    """Five to ten minutes of one core, by its speed."""
    steps = {"objects": 1500, "search": 400, "places": 0, "motion": 1200, "futures": 300}
    config = _staged("quick", variant, steps, cache=2500)
    # judging 1,000 took a sixth of the whole
    return replace(config, data=replace(config.data, test_sequences=400))


def standard(variant: str) -> Config:
    """Under an hour of one core."""
    steps = {"objects": 6000, "search": 1500, "places": 4000, "motion": 6000, "futures": 1000}
    if variant == "air":  # no further stage shares the time
        steps["objects"] = 12_000
    return _staged("standard", variant, steps, cache=20_000)


def paper_fast(variant: str) -> Config:
    """The paper's model, exactly, by another route: stages, the last of which trains all blocks on the whole ELBO.

    FIND first imitates, on frames alone, a template search whose templates are what AIR has learned to draw.
    """
    consensus, search = 1000, 9000
    objects, _, places = _seeing(8000, search, 2000)
    motion, _ = _moving(24_000, 0, cache=20_000)
    scales, joint = 150, 2250
    total, half = objects.steps, places.steps / 2
    stages = (
        replace(
            objects,
            learning_rate=Cosine(1e-3, 1e-4, 50, total),
            count_shift=Linear(1.0, 0.0, 0.1 * total, 0.3 * total),
            # flattened early: under a bell attention windows grow to half as large again as the objects
            bell=Linear(0.0, 1.0, 0.025 * total, 0.15 * total),
            step_weight=Linear(0.0, 1.0, 0.1 * total, 0.2 * total),
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
            batch=128,  # how steady FIND is decides how far predictions hold, most of all on ellipses
            learning_rate=Cosine(1e-3, 5e-5, 50, search),
            length=Constant(10),
            finder=RegisteredConfig(),
            cache=10_000,
        ),
        replace(
            places,
            learning_rate=Cosine(3e-4, 2e-5, 50, places.steps),
            step_weight=Linear(1.0, 0.0, 0, half),
            air_weight=Linear(1.0, 0.0, 0, half),
        ),
        replace(motion, learning_rate=Cosine(3e-3, 5e-5, 50, motion.steps), refined=False),
        # Roll-outs train no scales; untrained, their KL terms are thousands of nats, whose gradients ruin the means.
        Stage("scales", scales, blocks=(SCALES,), batch=32, learning_rate=Cosine(3e-3, 1e-4, 10, scales)),
        Stage(
            "joint",
            joint,
            batch=128,
            learning_rate=Cosine(2e-4, 1e-5, 50, joint),
            rollout_weight=Constant(10.0),
        ),
    )
    config = _through("paper-fast", variant, ModelConfig(), stages)
    return replace(config, train=replace(config.train, evaluate_every=5000))  # as paper has it


# Presets whose variants share the blocks of one training on all flavours: its variant, and its last stage.
SHARED = {"paper-fast": ("air", "objects")}


@dataclass(frozen=True)
class Preset:
    """A recipe by name, for the variants of one system.

    Args:
        recipe: makes the configuration of a variant.
        system: the system whose variants it has.
        default: the variant of new models, unless another is named.
    """

    recipe: Callable[[str], Config]
    system: System
    default: Ablation = Ablation.WHOLE

    def __call__(self, variant: str | None = None) -> Config:
        """The configuration of a variant; None: the default.

        Raises:
            UsageError: the preset has no such variant.
        """
        family = self.system.family
        name = variant or family.name(self.default)
        if name in family.names:
            return self.recipe(name)
        own = next((name for name, preset in PRESETS.items() if preset is self), "this one")
        if name not in NAMES:
            raise UsageError(f"unknown variant {name!r}: preset {own} has {', '.join(family.names)}")
        home, other = next(
            (name, preset.system.family)
            for name, preset in PRESETS.items()
            if variant in preset.system.family.names
        )
        alike = family.name(ablation_of(name))
        raise UsageError(
            f"{name} is of {other.blocks}, which preset {own} has not: take ",
            Argument("preset"),
            f" {home}, or ",
            Argument("tracker"),
            f" {alike}",
        )

    def for_model(self, model: ModelConfig) -> Config:
        """The configuration for a model of any blocks, through the stages of the variant with the same null objects."""
        return renamed(replace(self.recipe(self.system.family.name(ablated(model))), model=model))


PRESETS: dict[str, Preset] = {
    "quick": Preset(quick, OUR_SYSTEM),
    "standard": Preset(standard, OUR_SYSTEM),
    "paper-fast": Preset(paper_fast, PAPERS_SYSTEM),
    "paper": Preset(paper, PAPERS_SYSTEM),
}
ROUTES = tuple(PRESETS)  # the presets of the paper's own data


def _compared(route: str, model: str) -> Preset:
    """A preset under the paper's comparison with another model."""
    preset, comparison = PRESETS[route], COMPARISONS[model]

    def recipe(variant: str) -> Config:
        config = comparison.applied(preset.recipe(variant), f"{route}-{model}")
        # the other routes keep their own schedules
        return comparison.published(config) if route == "paper" else config

    return Preset(recipe, preset.system, comparison.ablation)


PRESETS |= {f"{route}-{model}": _compared(route, model) for model in COMPARISONS for route in ROUTES}
