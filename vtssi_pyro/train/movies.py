"""One movie to learn from: how much of it is held out, and which configuration suits it."""

from dataclasses import replace

from vtssi_pyro.config.schedules import Constant, Cosine, Linear
from vtssi_pyro.errors import DataError
from vtssi_pyro.model.blocks.air import SceneConfig, SolidConfig
from vtssi_pyro.model.blocks.following import FollowingConfig
from vtssi_pyro.model.blocks.rect import ClearestFrameConfig
from vtssi_pyro.model.blocks.residual_mot import UNIT, ResidualMOTConfig
from vtssi_pyro.model.blocks.spots import SpotsConfig
from vtssi_pyro.model.config import VARIANTS
from vtssi_pyro.movies.prepared import PreparedMovie
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.recipe import Stage

FEWEST = 16  # frames: what is needed to see objects move, and to hold some frames out
HELD_OUT = 0.1  # of the frames, the last ones
CLIP = 20  # frames
WINDOW = 1.3  # of an object's size: its attention window
SURE = 30.0  # nats: what a frame that shows an object in full offers for its place
SLOWEST = 0.005  # frame coordinates a frame: the least unit that motions are seen in
BUDGET = 2 * 64**2  # objects times pixels of a frame for which the recipes' batches are meant
PATHS = 2000  # of objects in clips, which overlap: what MOT learns from
SEARCH = 80  # steps


def held(total: int) -> int:
    """How many of a movie's frames are held out.

    Raises:
        DataError: the movie is too short to learn from.
    """
    if total < FEWEST:
        raise DataError(f"a movie of {total} frames is too short to learn from: {FEWEST} are needed at least")
    return max(round(HELD_OUT * total), min(total // 4, CLIP))


def clip_length(total: int) -> int:
    """Frames of a clip of a movie of ``total`` frames."""
    return min(CLIP, (total - held(total)) // 2 + 1)


def suited(config: Config, movie: PreparedMovie) -> Config:
    """A configuration with the parts, sizes and batches that the findings in a movie ask for."""
    found = movie.inspected
    side, ratio = movie.frames.shape[-1], movie.ratio
    base = config.model
    window, objects = WINDOW * found.object_size * ratio / side, max(found.objects, 1)
    speed = min(max(2 * found.speed * ratio / side, SLOWEST), UNIT)
    gate = 2 * ratio / side * max(0.35 * found.object_size, 1.5 * found.speed)
    motion = base.motion
    if isinstance(motion, ResidualMOTConfig):
        motion = replace(motion, step=speed, inertia=True)
    model = replace(
        base,
        num_objects=objects,
        frame_size=side,
        size_loc=(window, window),
        size_scale=0.1 * window,
        walk_scale=min(4 * speed, base.walk_scale),
        scene=SceneConfig(count_loc=2.0),
        attention=SpotsConfig(extent=1 / WINDOW, level=movie.level),
        picture=SolidConfig(),
        consensus=ClearestFrameConfig(),
        finder=FollowingConfig(
            kernel_side=max(5, int(0.6 * window * side) | 1), sharpness=SURE, strength=SURE,
            floor=0.5 / side, gate=min(gate, 0.5),
        ),
        motion=motion,
    )  # fmt: skip
    model = VARIANTS[config.variant](model)
    stages = tuple(_suited(stage, objects, side) for stage in config.train.stages)
    return replace(config, model=model, train=replace(config.train, stages=stages))


def _suited(stage: Stage, objects: int, side: int) -> Stage:
    """A stage for a movie of so many objects in frames of so many pixels a side."""
    stage = replace(stage, count_shift=Constant(0.0))
    if stage.objective == "rollout":
        return replace(stage, cache=max(PATHS // objects, 1))
    share = min(1.0, BUDGET / (objects * side**2))
    stage = replace(stage, batch=max(4, round(stage.batch * share)))
    if stage.objective == "full":
        return replace(stage, length=Constant(10))
    if stage.name == "search":  # of five numbers, which is all that is learned of how to follow
        return replace(
            stage, steps=SEARCH, learning_rate=Cosine(5e-3, 5e-4, 5, SEARCH), length=Linear(6, 10, 0, SEARCH)
        )
    return stage
