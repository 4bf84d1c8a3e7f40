"""Training on objects that collide: the blocks and the stages for equal bright objects that are always apart."""

from dataclasses import replace

from vtssi_pyro.config.schedules import Constant, Cosine, Linear
from vtssi_pyro.model.blocks.air import SceneConfig
from vtssi_pyro.model.blocks.clearest import ClearestFrameConfig
from vtssi_pyro.model.blocks.following import FollowingConfig
from vtssi_pyro.model.blocks.interaction import InteractingMOTConfig
from vtssi_pyro.model.blocks.residual_mot import FADING
from vtssi_pyro.model.blocks.solid import SolidConfig
from vtssi_pyro.model.blocks.spots import SpotsConfig
from vtssi_pyro.model.config import ModelConfig, TestTime
from vtssi_pyro.train.boxed import boxed_objects
from vtssi_pyro.train.config import Config, renamed
from vtssi_pyro.train.movies import SURE, WINDOW, searching
from vtssi_pyro.train.recipe import Stage

DIAMETER = 19 / 128  # of a ball, fractions of the frame: DDPAE's
STEP = 0.05  # frame coordinates: 3.2 px of 128, the largest speed along an axis
LENGTH = 20  # frames of a path in training
AHEAD = 8  # frames of its roll-outs in the end: most collide once in them, few twice
SCENES = (
    16  # of a step: from every frame of each, balls collide some forty times within reach of the roll-outs
)
LOOKS = 300  # steps for looks, of which there is one
# Sequences whose paths are learned from, each of which takes half a second. A ball meets another one every 40 frames,
# so that these have 1,500 collisions, of which one network learns, wherever they are and whatever their direction.
PATHS = 500
JUDGED = 100  # held-out sequences of 60 frames of 128x128, whose judging takes as long as their tracking


def colliding(config: Config) -> Config:
    """A configuration for objects that collide.

    They are found as those of a movie are, without learning. The law by which they move is one of places: it is learned
    from paths of whole scenes, by roll-outs of a few frames from everywhere.
    """
    base = config.model
    assert isinstance(base, ModelConfig)
    window = WINDOW * DIAMETER
    model = replace(
        base,
        size_loc=(window, window),
        size_scale=0.1 * window,
        walk_scale=2 * STEP,
        scene=SceneConfig(count_loc=2.0),
        attention=SpotsConfig(extent=1 / WINDOW),
        picture=SolidConfig(),
        consensus=ClearestFrameConfig(),
        finder=FollowingConfig(kernel_side=15, sharpness=SURE, strength=SURE, floor=0.004, gate=2 * STEP),
        motion=InteractingMOTConfig(motion=2, units=32, heads=(32,), transition=(64, 64), step=STEP,
                                    extents=False, fading=FADING, walls=True),
        test_time=TestTime(tight=True),
    )  # fmt: skip
    stages = {stage.name: stage for stage in config.train.stages}
    motion, futures = stages["motion"], stages["futures"]
    looks, search = replace(boxed_objects(LOOKS), batch=16), replace(searching(stages["search"]), batch=4)
    train = replace(config.train, stages=(looks, search, _moving(motion), _futures(futures)))
    data = replace(config.data, test_sequences=JUDGED)
    return renamed(replace(config, model=model, train=train, data=data))


def _moving(stage: Stage) -> Stage:
    """The stage of roll-outs, which grow."""
    return replace(
        stage,
        batch=SCENES,
        learning_rate=Cosine(5e-3, 5e-5, 50, stage.steps),
        length=Constant(LENGTH),
        ahead=Linear(1, AHEAD, 0, 0.6 * stage.steps),
        overshooting=0.0,
        refined=False,
        cache=PATHS,
    )


def _futures(stage: Stage) -> Stage:
    """The stage of scales."""
    return replace(
        stage, length=Constant(LENGTH), ahead=Constant(LENGTH // 2), refined=False, cache=PATHS // 5
    )
