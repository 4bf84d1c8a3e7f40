"""Recipes of other people's models: the published training, and a fast one."""

from collections.abc import Callable
from dataclasses import replace

from vtssi_pyro.baselines import DDPAEConfig, SQAIRConfig
from vtssi_pyro.config.schedules import Constant, Cosine, Drops, Linear, Staircase
from vtssi_pyro.errors import Argument, UsageError
from vtssi_pyro.inference.standalone import WholeModel, variant_of
from vtssi_pyro.model.config import ModelConfig
from vtssi_pyro.train.config import Config, DataConfig
from vtssi_pyro.train.presets import PRESETS
from vtssi_pyro.train.recipe import Stage, TrainConfig

NO_CLIP = 1e9  # a norm that no gradient reaches: the official programs do not clip


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
    """Single frames first, then sequences of 2 to 20 frames; KL terms in closed form.

    A single frame costs a twentieth of a sequence, and two digits that are apart in it are two components' at once; the
    LSTMs then learn to hold them. From sequences alone each component draws both digits for thousands of steps.
    """
    published, steps = ddpae_published(), 6_000
    analytic = replace(published.train.stages[0], analytic=True)
    frames = replace(analytic, name="frames", steps=4_000, learning_rate=Constant(1e-3), length=Constant(1))
    sequences = replace(
        analytic,
        name="sequences",
        steps=steps,
        learning_rate=Cosine(1e-3, 2e-5, 100, steps),
        length=Staircase(2, 1, 100, 20),
    )
    train = replace(published.train, stages=(frames, sequences), evaluate_every=1000)
    return replace(published, preset="fast", train=train)


def sqair_published() -> Config:
    """The training of SQAIR's official program: 2,000,000 steps, some 970 hours of one core."""
    stage = Stage(
        "published",
        2_000_000,
        batch=32,
        # the budget's fifth at the first rate, three tenths at the second
        learning_rate=Drops(1e-5, 1 / 3, (400_000, 1_000_000)),
        length=Staircase(3, 1, 100_000, 10),
        optimizer="rmsprop",
    )
    train = TrainConfig(
        (stage,), elbo="VIMCO-SQAIR", particles=5, clip=NO_CLIP, per_frame=True, evaluate_every=5000,
        log_every=100,
    )  # fmt: skip
    data = DataConfig("sqair-original", blend="max", sequences=60_000, length=10)
    return Config("sqair", "published", observe=3, data=data, model=SQAIRConfig(), train=train)


def sqair_fast() -> Config:
    """Single frames first, then sequences of 2 to 10 frames, then the prior's motion: some 1.9 hours of one core.

    A single frame costs a thirtieth of ten, and shows as well as these what an object is. Discovery that works would
    go on in every frame, and spare the guide to learn propagation: hence later discoveries are dear at first.
    """
    published = sqair_published()
    adam = replace(published.train.stages[0], optimizer="adam")
    frames = replace(adam, name="frames", steps=8_000, learning_rate=Constant(3e-4), length=Constant(1))
    sequences = replace(
        adam,
        name="sequences",
        steps=3_600,
        learning_rate=Drops(3e-4, 1 / 3, (600, 2_900)),
        length=Staircase(2, 1, 300, 10),
        # more than an object is worth, some 400 nats: of two runs at 200 one went on to find all anew in each frame
        discovery_shift=Linear(-1000.0, 0.0, 900, 1_500),
    )
    # predictions were 14.0 px off after 600 steps, and 10.3 px after 1,500 more
    prior = replace(
        adam,
        name="prior",
        steps=2_000,
        blocks=("prior",),
        learning_rate=Cosine(2e-3, 5e-5, 50, 2_000),
        length=Constant(10),
    )
    train = replace(
        published.train,
        stages=(frames, sequences, prior),
        # gradients of sequences have norms of 400 to 1,300; one of over 3,000 undid 400 steps
        clip=500.0,
        # 0.9 as in Adam's publication: the decay of 0.5 of the VTSSI paper has not been tried here
        beta1=0.9,
        evaluate_every=500,
    )
    return replace(published, preset="fast", train=train)


# By model and preset; the first preset of a model is its default.
BASELINES: dict[str, dict[str, Callable[[], Config]]] = {
    "ddpae": {"fast": ddpae_fast, "published": ddpae_published},
    "sqair": {"fast": sqair_fast, "published": sqair_published},
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
