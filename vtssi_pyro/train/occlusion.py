"""Training on objects that hide each other: the blocks and the stages for bright objects of about one size."""

from dataclasses import replace

from vtssi_pyro.config.schedules import Constant, Cosine
from vtssi_pyro.model.blocks.boxed import BoxedConfig
from vtssi_pyro.model.blocks.clearest import ClearestFrameConfig
from vtssi_pyro.model.blocks.layered import LayeredConfig
from vtssi_pyro.model.config import ModelConfig, TestTime
from vtssi_pyro.train.boxed import boxed_objects
from vtssi_pyro.train.config import Config, renamed
from vtssi_pyro.train.recipe import Stage
from vtssi_pyro.train.visits import WALK, followed

SIZE = 0.26  # of attention windows, fractions of the frame: discs of 0.24 with a margin
# Mean intensity in a box that counts as one half. A whole disc has 0.4 to 0.6: one that is half hidden is not counted,
# so that looks are learned, and described, where most of an object is seen.
SEEN = 0.3
# Frames of a step for looks. Who is who behind another one is told by fine textures, which take many steps, whatever
# the number of frames.
FEW = 32
FRONT = 100  # steps for the one front of all sequences
# Sequences that are judged during a training, by several hypotheses each: 500 took four minutes every time.
VALIDATED = 32
STRAIGHTER = 4  # of the steps for motion: objects go straight ahead, and learn to turn back at the edges


def occluding(config: Config) -> Config:
    """A configuration for objects that hide each other, or are hidden by something at rest.

    The objects are bright on black, and of about one size. Their looks and opacities are learned on single frames, what
    stands before them on sequences, and then how they move, also while they are hidden.
    """
    base = config.model
    assert isinstance(base, ModelConfig)
    model = replace(
        followed(base),
        attention=BoxedConfig(level=SEEN),
        picture=LayeredConfig(noise="learned", front=True),
        consensus=ClearestFrameConfig(),
        size_loc=(SIZE, SIZE),
        size_scale=0.05,
        walk_scale=WALK,
        test_time=TestTime(hypotheses=4, tight=True),
    )
    stages = {stage.name: stage for stage in config.train.stages}
    looks = replace(boxed_objects(stages["objects"].steps), batch=FEW)
    train = replace(config.train, stages=(looks, _front(), _moving(stages["motion"])))
    data = replace(config.data, validation_sequences=min(VALIDATED, config.data.validation_sequences))
    return renamed(replace(config, data=data, model=model, train=train))


def _front() -> Stage:
    """The stage of what stands before objects."""
    return Stage(
        "places",
        FRONT,
        "walk",
        ("picture.front",),
        batch=8,
        # logits of 0.6 a step: 80 steps of 3e-3 left the middle of a bar transparent, where few objects come
        learning_rate=Cosine(2e-2, 1e-3, 10, FRONT),
        length=Constant(10),
        random_start=True,
        step_weight=Constant(1.0),
    )


def _moving(stage: Stage) -> Stage:
    """The stage of roll-outs, from few paths."""
    steps = stage.steps // STRAIGHTER
    return replace(stage, steps=steps, learning_rate=Cosine(3e-3, 1e-4, 50, steps), refined=False, cache=400)
