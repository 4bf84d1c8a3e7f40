"""Checks of a configuration and its data, before sequences are drawn or anything is written."""

import torch

from vtssi_pyro.config import checked_config
from vtssi_pyro.data.dataset import Dataset, channels_of
from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.inference.standalone import SomeTracker, build, variant_of
from vtssi_pyro.model.blocks import FirstFrame, NoFIND, RandomWalk
from vtssi_pyro.model.kinds import SLOTS
from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.movies.prepared import PreparedMovie
from vtssi_pyro.system.memory import FLOAT, refuse_beyond_memory
from vtssi_pyro.train.batches import path_batches
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.elbo import make_elbo
from vtssi_pyro.train.group import ALONE, Group
from vtssi_pyro.train.objective import OBJECTIVES, WHOLE
from vtssi_pyro.train.recipe import Stage
from vtssi_pyro.train.splits import Halves, Splits, open_splits

NULL = (FirstFrame, NoFIND, RandomWalk)  # null objects
# Numbers that a training step holds of each object in each frame: copies of the frame, measured between 28 and 60; and
# of a path's place, the layers of a motion.
PICTURES, PATH = 28, 2000


def checked_splits(
    config: Config, device: torch.device, given: Halves | PreparedMovie | None = None, group: Group = ALONE
) -> Splits:
    """Open the sequences of a training; what cannot be trained is refused as early as it can be told.

    Args:
        config: the configuration.
        device: the device to train on.
        given: sequences or a movie, in place of those that the configuration names.
        group: the processes that will train.
    """
    tracker = check(config, group)
    check_frames(config, tracker)
    splits = open_splits(config, device, given)
    check_data(config, splits.train, tracker)
    return splits


def check(config: Config, group: Group = ALONE) -> SomeTracker:
    """Refuse a configuration that cannot be trained, before sequences are drawn or anything is written.

    Returns:
        the untrained tracker that the configuration makes, for further checks.
    """
    config = checked_config(config)
    make_elbo(config.train.elbo, config.train.particles)  # it refuses too few particles
    if config.variant != (true := variant_of(config.model)):
        raise UsageError(
            f"variant: {config.variant} names another model than this one, which is of variant {true}"
        )
    tracker = _built(config)
    for stage in config.train.stages:
        _check_stage(stage, config, tracker, group)
    if not config.train.steps:
        raise UsageError("train.stages: expected steps of 0 or more, and some of them above 0")
    return tracker


def _check_stage(stage: Stage, config: Config, tracker: SomeTracker, group: Group) -> None:
    """Refuse a stage that the processes cannot share, or whose objective or blocks the tracker does not have."""
    where, parts = f"train.stages.{stage.name}", tracker.parts()
    if stage.batch % group.size:
        raise UsageError(
            f"{where}.batch: expected a multiple of {group.size}, the number of processes, found {stage.batch}"
        )
    # the other objectives are of programs without some of the slots
    objectives = OBJECTIVES if tracker.slots else (WHOLE,)
    if stage.objective not in objectives:
        raise UsageError(
            f"{where}.objective: expected one of {', '.join(objectives)}, found {stage.objective!r}"
        )
    changes = isinstance(tracker, Tracker) and tracker.scene.changes
    if changes and stage.steps and OBJECTIVES[stage.objective].program is None:
        raise UsageError(
            f"{where}.objective: {stage.objective} learns from objects that are there in all frames, and those of "
            "this scene come and go; leave the stage out (steps of 0), or take full"
        )
    if unknown := [name for name in stage.blocks if name not in parts]:
        raise UsageError(f"{where}.blocks: expected some of {', '.join(SLOTS)}, found {unknown[0]!r}")
    if not any(parts[name] for name in stage.blocks or ("",)):
        raise UsageError(
            f"{where}: variant {config.variant} has nothing to train in {', '.join(stage.blocks)}"
        )


def _check_length(config: Config, length: int, shortest: int) -> None:
    """Refuse sequences of fewer frames than a tracker learns from."""
    if length < shortest:
        frames = f"{length} frame" + "s" * (length > 1)
        raise DataError(
            f"sequences have {frames}: variant {config.variant} needs {shortest} or more to learn motion;"
            " give longer sequences, or choose a variant without motion, such as air"
        )


def check_frames(config: Config, tracker: SomeTracker) -> None:
    """Refuse numbers of frames that are more than a sequence has, before sequences are drawn."""
    length = config.data.length
    learned = config.data.train_length or length
    _check_length(config, learned, tracker.shortest)
    # after the observed frames, and after the M first, a tracker that predicts needs one to predict
    limits = [("observe", config.observe, length, length - tracker.predicts)]
    if isinstance(tracker, Tracker):
        limits += [
            ("model.consensus.K", tracker.consensus.K, learned, learned),
            ("model.motion.M", tracker.motion.M, learned, learned - tracker.predicts),
        ]
    for key, found, frames, most in limits:
        if found > most:
            raise UsageError(
                f"{key}: expected {most} or less, for sequences have {frames} frames (data.length), found {found}"
            )


def check_data(config: Config, learned: Dataset, tracker: SomeTracker | None = None) -> None:
    """Refuse sequences that the model of a configuration cannot learn from.

    Args:
        config: the configuration.
        learned: the sequences.
        tracker: the tracker that the configuration makes; None: it is built for this.
    """
    side = config.model.frame_size
    if learned.frame_size != (side, side):
        found = "x".join(str(pixels) for pixels in learned.frame_size)
        raise DataError(f"frames have {found} pixels (H x W), the model's (model.frame_size) {side}x{side}")
    if (channels := channels_of(learned)) != config.model.channels:
        raise DataError(
            f"frames have C = {channels} channels, the model's (model.channels) C = {config.model.channels}"
        )
    _check_length(config, learned.length, (tracker or _built(config)).shortest)
    for stage in config.train.stages:
        _refuse_large(stage, config, learned)


def _refuse_large(stage: Stage, config: Config, learned: Dataset) -> None:
    """Refuse a stage a step of which takes more memory than is free."""
    longest = max(stage.length(step) for step in (0, stage.steps))
    if OBJECTIVES[stage.objective].batches is path_batches:
        frames, each = learned.length, PATH
    else:
        frames = min(round(longest), learned.length)
        each = PICTURES * config.model.channels * config.model.frame_size**2
    refuse_beyond_memory(
        FLOAT * stage.batch * frames * config.model.num_objects * each,
        f"a step of {stage.batch:,} sequences of {frames} frames",
        f"lower train.stages.{stage.name}.batch",
    )


def idle_stages(config: Config) -> list[str]:
    """Names of stages whose blocks have no parameters and are no null objects: a recipe can leave them out.

    A stage for the null objects of a variant is a mistake instead.
    """
    tracker, idle = _built(config), []
    parts = tracker.parts()
    for stage in config.train.stages:
        blocks = [tracker._modules.get(name.partition(".")[0]) for name in stage.blocks]
        own = any(block is not None and type(block) not in NULL for block in blocks)
        if own and set(stage.blocks) <= parts.keys() and not any(parts[name] for name in stage.blocks):
            idle.append(stage.name)
    return idle


def _built(config: Config) -> SomeTracker:
    try:
        return build(config.model)
    except (RuntimeError, ValueError, KeyError, IndexError, ZeroDivisionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f"model: these sizes or names do not make a model ({reason}); mend the model.* keys"
        ) from error
