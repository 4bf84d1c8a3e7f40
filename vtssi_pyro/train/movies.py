"""Training on one movie: its held-out frames, and a configuration that suits it."""

from dataclasses import replace

from vtssi_pyro.config.schedules import Constant, Cosine, Linear
from vtssi_pyro.config.variants import OURS, Ablation
from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.inference.standalone import WholeModel
from vtssi_pyro.model import kinds
from vtssi_pyro.model.blocks.air import SceneConfig
from vtssi_pyro.model.blocks.blobs import BlobsAttentionConfig, BlobsConfig
from vtssi_pyro.model.blocks.clearest import ClearestFrameConfig
from vtssi_pyro.model.blocks.following import FollowingConfig
from vtssi_pyro.model.blocks.gated import GatedConfig
from vtssi_pyro.model.blocks.presence import PresenceConfig
from vtssi_pyro.model.blocks.residual_mot import ResidualMOTConfig
from vtssi_pyro.model.blocks.solid import SolidConfig
from vtssi_pyro.model.blocks.spots import SpotsConfig
from vtssi_pyro.model.blocks.template import TemplateConfig
from vtssi_pyro.model.config import ABLATIONS, ModelConfig, ablated
from vtssi_pyro.movies.prepared import PreparedMovie
from vtssi_pyro.train.boxed import boxed_objects
from vtssi_pyro.train.config import Config, renamed
from vtssi_pyro.train.presets import quick
from vtssi_pyro.train.recipe import Stage
from vtssi_pyro.train.turning import turned, turning_stage, upright
from vtssi_pyro.train.visits import KNOWN, coming_and_going, visits

# Frames of the shortest movie: a quarter of them is held out, and clips of half of the rest still show motion.
FEWEST = 16
HELD_OUT = 0.1  # share of the frames, the last ones; the share that sequences of a file hold out, too
CLIP = 20  # frames of a clip, as of the paper's sequences
WINDOW = 1.3  # side of the attention window in object sizes: room for an error of the size and for the halo; a guess
# Nats of evidence for the place of an object that a frame shows in full, and the cost of a shared place: three times
# the digits' strength, since prepared objects are bright on black. A guess; both are learned from there.
SURE = 30.0
SLOWEST = 0.005  # least unit of motion, frame coordinates a frame: a sixth of a pixel of a frame of 64
# Objects times pixels of a frame that the recipes' batches suit: two objects in frames of 64 pixels a side.
BUDGET = 2 * 64**2
# Share of the steps for looks, which are many for thousands of sequences: a movie has one scene. Held-out blobs
# are explained by 99.4 % after 300 steps.
LOOKS = 0.2
# Motions of our own begin with inertia and walls. After 100 steps of 32 paths, and after 200, forecasts of drawn blobs
# (432 paths of other movies of the kind) are 0.9 px off after 15 frames. Without filters and walls they are 2.4 px off
# after 1,200 steps of 128 paths, and 11 px after 300 of 32. With a rate of 3e-3 straight paths are spoilt: 1.1 px, not
# 0.8 px. Futures are a few scales, for which a third of the recipe's steps is a guess.
MOTION, FUTURES = 1 / 4, 1 / 3
PATHS_AT_ONCE, RATE = 32, 4e-4
PATIENCE = 1 / 4  # share of the steps for looks after which they end if held-out frames gain nothing: a guess
PATHS = 2000  # paths of objects that MOT learns from; clips of one movie overlap, so more paths teach little
VISITS = 40  # steps for where objects leave and for the scales of places: few numbers, as the search's
VISITED = "objects", "visits"  # the stages that have steps where objects come and go
SEARCH = 80  # steps for the five numbers of the search: few, as so few numbers need; a guess

# A bump differs from an object's look by more than noise. With the paper's 0.3, hypotheses about the number of five
# drawn beads keep four of them; with 0.1 and with 0.05 all.
UNLEARNED_NOISE = 0.1
# Frames after its entrance in which a bump's brightness is settled: the last ones in which an object is cut off.
SETTLED = 3
EARLY = 64  # first frames of which the clearest decides what the objects are: more take more memory


def held(total: int) -> int:
    """Number of held-out frames of a movie.

    Raises:
        DataError: the movie is too short to learn from.
    """
    if total < FEWEST:
        raise DataError(f"a movie of {total} frames is too short to learn from: {FEWEST} are needed at least")
    return max(round(HELD_OUT * total), min(total // 4, CLIP))


def clip_length(total: int) -> int:
    """Number of frames of a clip of a movie of ``total`` frames."""
    return min(CLIP, (total - held(total)) // 2 + 1)


def speed_of(movie: PreparedMovie) -> float:
    """The usual speed of its objects, frame coordinates a frame, of which 2 are a frame's side."""
    return max(2 * movie.inspected.speed * movie.ratio / movie.frames.shape[-1], SLOWEST)


def assembled(config: Config, movie: PreparedMovie) -> ModelConfig:
    """The model of a training on a movie, which is an assembly of blocks.

    Raises:
        UsageError: it is another one, whose tracks have no confidence, by which held-out frames are judged.
    """
    if not isinstance(config.model, ModelConfig):
        raise UsageError(f"{movie.name}: {config.variant} learns from sequences, not from one movie")
    return config.model


def suited(config: Config, movie: PreparedMovie) -> Config:
    """A configuration with the parts, sizes and batches that suit the inspection of a movie."""
    found = movie.inspected
    side, ratio = movie.frames.shape[-1], movie.ratio
    base = assembled(config, movie)
    window, objects = WINDOW * found.object_size * ratio / side, max(found.objects, 1)
    speed = speed_of(movie)
    # The numbers below are rules of thumb, of which no measurement is on record.
    # the error of the expected place: a third of the object's size, or 1.5 frames' way
    gate = 2 * ratio / side * max(0.35 * found.object_size, 1.5 * found.speed)
    # the window's pixels in the halved frame, 0.5 of it, with a margin; fewer than 5 cells show no shape
    kernel = max(5, int(0.6 * window * side) | 1)
    model = replace(
        base,
        num_objects=objects,
        frame_size=side,
        channels=movie.frames.shape[1],
        size_loc=(window, window),
        size_scale=0.1 * window,  # objects of one movie are of about one size
        walk_scale=min(4 * speed, base.walk_scale),  # some objects are faster than the usual one
        scene=SceneConfig(count_loc=2.0),  # N sigmoid(2) = 0.88 N: nearly all objects of the inspection
        attention=SpotsConfig(extent=1 / WINDOW, level=movie.level),
        picture=SolidConfig(),
        consensus=ClearestFrameConfig(),
        finder=FollowingConfig(
            kernel_side=kernel, sharpness=SURE, strength=SURE,
            floor=0.5 / side,  # a quarter of a pixel
            gate=min(gate, 0.5),  # a quarter of the frame's width, beyond which a gate excludes little
        ),
        motion=kinds.suited(base.motion, speed),
    )  # fmt: skip
    model = ABLATIONS[ablated(base)](model)
    stages = config.train.stages
    whole = ablated(base) is Ablation.WHOLE
    visited, turn = found.changes and whole, found.turns and whole
    inert = type(model.motion) is ResidualMOTConfig  # objects that act on each other have more to learn
    if visited:
        model, stages = _visited(model, speed), (*stages, visits(VISITS))
    if turn:
        model = turned(model, kernel)
    stages = tuple(_suited(stage, objects, side, inert) for stage in stages)
    if turn:
        stages = tuple(map(turning_stage, stages))
    if visited:  # paths teach motions of objects that are there in all frames
        stages = tuple(s if s.name in VISITED else replace(s, steps=0) for s in stages)
    return renamed(replace(config, model=model, train=replace(config.train, stages=stages)))


def anticipated(config: Config) -> Config:
    """A configuration with all stages that a movie may choose, whose keys changes may name before it is inspected."""
    names = [stage.name for stage in config.train.stages]
    more = tuple(stage for stage in (visits(VISITS),) if stage.name not in names)
    return replace(config, train=replace(config.train, stages=(*config.train.stages, *more)))


def unlearned(movie: PreparedMovie) -> Config:
    """A configuration that tracks a movie's objects untrained: only the inspection's findings are known.

    Looks are round bumps and velocities constant. If the inspection has seen that objects come and go, each frame tells
    who is there; else the looks are settled on the frames.
    """
    found = movie.inspected
    config = suited(quick(OURS.name(Ablation.CONSENSUS)), movie)
    model = at_first(config.model, len(movie.frames))
    assert model is not None
    return renamed(replace(config, model=_visited(model, speed_of(movie)) if found.changes else model))


def at_first(model: WholeModel, frames: int) -> ModelConfig | None:
    """The model of a movie without what must be learned: looks are round bumps, and velocities constant.

    Args:
        model: a model of :func:`suited`; of one with an attention of another kind there is none.
        frames: number of frames that it is to track.
    """
    if not (isinstance(model, ModelConfig) and isinstance(model.attention, SpotsConfig)):
        return None
    seen = replace(
        upright(model),  # a round bump has no angle
        description=model.channels,  # a brightness of each
        attention=BlobsAttentionConfig(extent=model.attention.extent, level=model.attention.level),
        picture=BlobsConfig(noise=UNLEARNED_NOISE),
        # of five drawn beads the inspection's number was right with one hypothesis; four take twice the time
        test_time=replace(model.test_time, hypotheses=1),
    )
    if isinstance(model.scene, PresenceConfig):  # its motion is known, and each frame tells who is there
        return seen
    # a first frame may be black, or show fewer objects than others
    return replace(ABLATIONS[Ablation.CONSENSUS](seen), consensus=ClearestFrameConfig(K=min(frames, EARLY)))


def _visited(model: ModelConfig, speed: float) -> ModelConfig:
    """The model of a movie whose objects come and go, and are found without learning."""
    assert isinstance(model.finder, TemplateConfig)
    # who enters is partly beyond the edge: of six drawn movies, 12 of 1,432 objects and frames are missed so, 24 with
    # places within the frame
    reaching = ResidualMOTConfig(
        M=KNOWN, inertia=True, position_scale=1.5, step=min(speed, ResidualMOTConfig.step)
    )
    return replace(
        coming_and_going(model, SETTLED),
        finder=GatedConfig(kernel_side=model.finder.kernel_side),
        motion=reaching,  # without walls, since objects leave
    )


def _suited(stage: Stage, objects: int, side: int, inert: bool) -> Stage:
    """A stage for a movie of ``objects`` objects in frames with a ``side`` in pixels, whose motion may have inertia."""
    stage = replace(stage, count_shift=Constant(0.0))
    if stage.objective in ("rollout", "futures"):
        kept = replace(stage, cache=max(PATHS // objects, 1))
        return moving(kept) if inert else kept
    share = min(1.0, BUDGET / (objects * side**2))
    # fewer than 4 sequences would make gradients noisy: a guess
    stage = replace(stage, batch=max(4, round(stage.batch * share)))
    if (
        stage.name == "objects"
    ):  # spots are found without learning, so that looks are learned from the first step
        looks = boxed_objects(max(1, round(LOOKS * stage.steps)))
        patience = max(1, round(PATIENCE * looks.steps))
        return replace(looks, blocks=stage.blocks, batch=stage.batch, patience=patience)
    return searching(stage) if stage.name == "search" else stage


def searching(stage: Stage) -> Stage:
    """The stage of the search for objects that a movie, or one look, is of."""
    # its five numbers need fewer steps and a higher rate than the digits' recipe, whose lengths these are; rates and
    # warm-up are guesses
    return replace(
        stage, steps=SEARCH, learning_rate=Cosine(5e-3, 5e-4, 5, SEARCH), length=Linear(6, 10, 0, SEARCH)
    )


def moving(stage: Stage) -> Stage:
    """A stage of paths for a motion that begins with inertia."""
    if stage.objective == "futures":
        steps = max(1, round(FUTURES * stage.steps))
        # the rates of the digits' recipe, and its share of warm-up: 20 of 300 steps
        return replace(stage, steps=steps, learning_rate=Cosine(1e-2, 1e-4, steps // 15, steps))
    steps = max(1, round(MOTION * stage.steps))
    # the rate falls by the factor of the digits' recipe, 3e-3 to 1e-4; of few steps a tenth warms up Adam: a guess
    # no patience: the few held-out paths may show no turn, and the rate must fall for the networks to be quiet
    return replace(
        stage, steps=steps, batch=PATHS_AT_ONCE, optimizer="adam",
        learning_rate=Cosine(RATE, RATE / 30, steps // 10, steps),
    )  # fmt: skip
