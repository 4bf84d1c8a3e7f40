"""Training on coloured sprites that come, go and hide each other: the blocks and the stages of Sprites-MOT."""

from dataclasses import replace

from vtssi_pyro.model.blocks.boxed import BoxedConfig
from vtssi_pyro.model.blocks.layered import LayeredConfig
from vtssi_pyro.model.blocks.presence import PresenceConfig
from vtssi_pyro.model.config import ModelConfig
from vtssi_pyro.train.boxed import boxed_objects
from vtssi_pyro.train.config import Config, renamed
from vtssi_pyro.train.visits import SIMPLER, visiting, visits

SIDE = 0.17  # usual side of a sprite, fractions of the frame: 11 px of 64
WINDOW = 1.3  # side of the attention window in these: the largest sprite, 13 px wide, and a margin of a pixel
# Mean intensity in a box that counts as one half: a triangle fills half of its own, and a sprite appears as a whole.
SEEN = 0.2
SETTLED = 2  # frames after its entrance in which a sprite's looks are settled: the first shows it as a whole


def sprites(config: Config) -> Config:
    """A configuration for coloured sprites, which appear as a whole, and of which the nearer ones hide others.

    As :func:`~vtssi_pyro.train.visits.visiting`, with opaque objects.
    """
    base = visiting(config).model
    assert isinstance(base, ModelConfig)
    model = replace(
        base,
        scene=PresenceConfig(settle=SETTLED),
        attention=BoxedConfig(extent=1 / WINDOW, level=SEEN),
        picture=LayeredConfig(noise="learned"),
        size_loc=(WINDOW * SIDE, WINDOW * SIDE),
        size_scale=0.02,
    )
    steps = {stage.name: stage.steps for stage in config.train.stages}
    stages = boxed_objects(steps["objects"]), visits(steps["futures"] // SIMPLER)
    return renamed(replace(config, model=model, train=replace(config.train, stages=stages)))
