"""Recipes of other people's models: the published training, and a fast one."""

from collections.abc import Callable
from dataclasses import replace

from vtssi_pyro.baselines import DDPAEConfig
from vtssi_pyro.config.schedules import Constant, Cosine, Staircase
from vtssi_pyro.errors import Argument, UsageError
from vtssi_pyro.inference.standalone import WholeModel, variant_of
from vtssi_pyro.model.config import ModelConfig
from vtssi_pyro.train.config import Config, DataConfig
from vtssi_pyro.train.presets import PRESETS
from vtssi_pyro.train.recipe import Stage, TrainConfig

NO_CLIP = 1e9  # a norm that no gradient reaches: DDPAE's are not clipped


def ddpae_published() -> Config:
    """The training of DDPAE's official program: 200,000 steps, some 24 hours of one core."""
    steps = 200_000
    stage = Stage(
        "published",
        steps,
        batch=64,
        learning_rate=Staircase(1e-3, -9e-4, steps / 2, 1e-4),
        length=Constant(20),
        analytic=False,
    )
    # The official program draws new videos all the time, 12.8 million; these differ from each other as much.
    data = DataConfig("ddpae", blend="max", sequences=200_000)
    train = TrainConfig((stage,), clip=NO_CLIP, evaluate_every=5000, save_every=1000, log_every=100)
    return Config("ddpae", "published", observe=10, data=data, model=DDPAEConfig(), train=train)


def ddpae_fast() -> Config:
    """A quarter of the steps: KL terms in closed form, and a learning rate that falls all the time."""
    published, steps = ddpae_published(), 50_000
    stage = replace(
        published.train.stages[0],
        name="fast",
        steps=steps,
        learning_rate=Cosine(1e-3, 2e-5, 100, steps),
        analytic=True,
    )
    return replace(published, preset="fast", train=replace(published.train, stages=(stage,)))


# By model and preset; the first preset of a model is its default.
BASELINES: dict[str, dict[str, Callable[[], Config]]] = {
    "ddpae": {"fast": ddpae_fast, "published": ddpae_published},
}
USUAL = "quick"  # the default preset of the models of blocks


def recipe(model: str | None, preset: str | None) -> Config:
    """The configuration of a model by name.

    Args:
        model: one of the preset's variants, or of BASELINES; None: the preset's whole system.
        preset: one of PRESETS, or of a baseline's own; None: the model's default.

    Raises:
        UsageError: there is no such preset, or it has no such model.
    """
    if model in BASELINES:
        own = BASELINES[model]
        name = preset or next(iter(own))
        if name not in own:
            raise UsageError(Argument("preset"), f" {name}: is not of {model}, which has {', '.join(own)}")
        return own[name]()
    return PRESETS[_known(preset)](model)


def recipe_for(model: WholeModel, preset: str | None) -> Config:
    """The configuration for a model of any sizes, of the recipe that its kind has."""
    if isinstance(model, ModelConfig):
        return PRESETS[_known(preset)].for_model(model)
    name = variant_of(model)
    if name not in BASELINES:
        raise UsageError(f"{name}: no preset is of this model; give a whole configuration")
    return replace(recipe(name, preset), model=model)


def _known(preset: str | None) -> str:
    """The name of a preset of blocks."""
    if preset is None:
        return USUAL
    if preset not in PRESETS:
        of = [model for model, own in BASELINES.items() if preset in own]
        hint = f"; {preset} is of {', '.join(of)}" if of else ""
        raise UsageError(f"unknown preset {preset!r}: expected one of {', '.join(PRESETS)}{hint}")
    return preset
