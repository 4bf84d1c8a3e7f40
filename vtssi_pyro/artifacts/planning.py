"""Planning of a training: its data, its configuration and its initial weights."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from vtssi_pyro.artifacts.loading import AnyTracker, InMemory, at_hand, kept_by, rebuildable
from vtssi_pyro.artifacts.opening import (
    File,
    Opened,
    Source,
    as_movie,
    brought,
    called,
    dataset_of,
    movie_of,
    movies_of,
    refuse_unheard,
)
from vtssi_pyro.artifacts.requests import said
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.artifacts.sources import identity, refuse_other_files, refuse_other_frames
from vtssi_pyro.artifacts.telling import tell_of, warn_if_even
from vtssi_pyro.artifacts.trained import Trained
from vtssi_pyro.config import override
from vtssi_pyro.data import FLAVOURS, Dataset
from vtssi_pyro.errors import Argument, UsageError, listed
from vtssi_pyro.inference.standalone import SomeTracker, WholeModel, build
from vtssi_pyro.model.config import VARIANTS
from vtssi_pyro.model.kinds import SLOTS
from vtssi_pyro.movies import Hints, Preparation, Stored
from vtssi_pyro.movies.prepared import PreparedMovie, look
from vtssi_pyro.train.baseline_presets import BASELINES, recipe, recipe_for
from vtssi_pyro.train.checks import checked_splits, idle_stages
from vtssi_pyro.train.config import Config, renamed
from vtssi_pyro.train.flavours import suited_to
from vtssi_pyro.train.group import Group
from vtssi_pyro.train.movies import anticipated, assembled, suited
from vtssi_pyro.train.reporting import Reporter
from vtssi_pyro.train.splits import (
    Halves,
    Splits,
    halves,
    is_flavour,
    of_flavour,
    of_movie,
    of_sequences,
    open_file,
)

Learned = Source | Sequence[File]  # sequences or a movie, or the paths of several movies of one camera

FROM_DATA = ("data.length", "data.sequences", "data.validation_sequences", "data.train_length")
# The keys of the configuration that arguments of fit decide beside ``changes``, or in their place.
KEYS = {
    "tracker": "variant",
    "preset": "preset",
    "data": "data.source",
    "start": "start",
    "objects": "model.num_objects",
    "digits": "data.digits",
}
LOOKS = ("attention", "picture")  # the slots of the networks that see and draw single objects
CHOSEN_ELSEWHERE = {KEYS[argument]: argument for argument in ("tracker", "preset", "data", "start")}


class Change(NamedTuple):
    """A change to a key of the configuration, and the argument that makes it."""

    assignment: str
    argument: str = "changes"

    @property
    def key(self) -> str:
        """The key that changes."""
        return self.assignment.partition("=")[0].strip()

    @property
    def name(self) -> tuple[str, ...]:
        """Its name, as parts of an error's message."""
        own = Argument(self.argument)
        return (own, f" {self.assignment}") if own in ("changes", "config") else (own,)


Changes = Sequence[Change]


class Plan(NamedTuple):
    """The configuration, the data and the initial weights of a training."""

    config: Config
    splits: Splits
    preparation: Preparation | None
    weights: dict[str, Tensor] | None  # to start from: all, or those of the blocks that start alike
    data: dict[str, Any] | None = None  # the fingerprints of the data, see sources.identity


def planned(
    data: Learned | None, tracker: AnyTracker | None, preset: str | None, hints: Hints, objects: int | None,
    changes: Changes, held_out: Dataset | None, where: torch.device, group: Group, report: Reporter,
    start_from: AnyTracker | None = None, stored: Stored = Stored(),
) -> Plan:  # fmt: skip
    """Plan a training; see :func:`vtssi_pyro.fit` for the arguments."""
    begun, start = _recipe(tracker, preset)
    data = begun.data.source if data is None else data
    whole = isinstance(tracker, Config | WholeModel)  # of which nothing follows from the data
    if not whole and isinstance(data, str) and data in FLAVOURS:
        own = suited_to(data, begun)
        if start is not None and start_from is None and own.model != begun.model:
            start, start_from = None, tracker  # its other blocks begin with what is alike
        begun = own
    fixed = start is not None or whole
    refuse_misplaced(changes)
    changed(anticipated(begun), changes)  # typos, before a movie is read
    source = _learned(
        data, hints, objects, held_out, begun.model.frame_size if fixed else None, report, stored
    )
    config = configured(begun, source, changes, fixed)
    if idle := idle_stages(config):
        report.say(f"left out, for there is nothing to learn in them: stages {', '.join(idle)}")
        config = _without(config, idle)
    splits = checked_splits(config, where, None if isinstance(source, str) else source, group)
    if not is_flavour(config.data.source):
        warn_if_even(splits.train, config.data.source, report)
    config, weights = _initial(config, start, start_from, changes, report)
    prepared = source if isinstance(source, PreparedMovie) else None
    data_of = identity(config, splits, prepared.movie if prepared else None)
    if data_of is not None:
        data_of |= {"stored": stored.as_dict()} if stored != Stored() else {}
        data_of |= {"hints": said(hints)} if hints.said else {}
    return Plan(config, splits, prepared.preparation if prepared else None, weights, data_of)


def _initial(
    config: Config, start: Trained | None, start_from: AnyTracker | None, changes: Changes, report: Reporter
) -> tuple[Config, dict[str, Tensor] | None]:
    """The initial weights of a training, None of a fresh one, and its configuration, which names their source.

    Args:
        config: the configuration.
        start: a tracker whose weights are all taken; None: there is none.
        start_from: a tracker of which those of the blocks that are alike are taken; None: there is none.
        changes: see :func:`check_start`.
        report: is told of the blocks.
    """
    if start is not None:
        check_start(start, config, changes)
        if start_from is not None:
            raise UsageError(
                f"{start.name}: a tracker with weights of its own starts from no others; name one"
            )
        return config, start.tracker().state_dict()
    if start_from is None:
        return config, None
    other = at_hand(start_from)
    weights = blocks_alike(other.tracker, config.model)
    if not weights:
        raise UsageError(
            f"{other.name}: has no block in common with this model, whose weights it could start from"
        )
    taken = ", ".join(_blocks(weights, build(config.model).state_dict()))
    report.say(f"weights of {other.name}: {taken}; the other blocks start afresh")
    return replace(config, start=other.name), weights


def recipe_of(tracker: AnyTracker | None, preset: str | None, changes: Changes) -> Config:
    """The configuration of a training before data are known; see :func:`planned`."""
    begun, _ = _recipe(tracker, preset)
    refuse_misplaced(changes)
    return renamed(changed(begun, changes))


def _without(config: Config, idle: list[str]) -> Config:
    """A configuration without some stages, in which there is nothing to learn."""
    stages = tuple(stage for stage in config.train.stages if stage.name not in idle)
    return replace(config, train=replace(config.train, stages=stages))


def replanned(
    run: Run,
    data: Learned | None,
    changes: Changes,
    whole: Config | None,
    held_out: Dataset | None,
    where: torch.device,
    group: Group,
) -> tuple[Config, Splits | None]:
    """The configuration and the sequences of a run to resume; None if the run is finished.

    Args:
        run: a run whose training has begun.
        data: the training data, in place of those that it began with.
        changes: the changes with which the run was made; others are refused.
        whole: the whole configuration with which it was made, but for its data; None: changes tell.
        held_out: the held-out sequences, for training data in memory.
        where: the device to train on.
        group: the processes that will train.
    """
    config = run.config
    path = os.fspath(data) if isinstance(data, str | os.PathLike) else None
    check_same(run, config, path, changes, whole)
    if run.read_summary():
        return config, None
    known = run.sources.get("data")
    stored = Stored.from_dict(known["stored"]) if known and "stored" in known else Stored()
    movies = (known or {}).get("movies", [config.data.source]) if data is None else _paths(data)
    if movies:
        refuse_other_files(movies, known)
    given: Halves | PreparedMovie | None = None
    if preparation := run.preparation:
        stored = stored.like(preparation.stored)
        if movies and len(movies) > 1:
            movie = movies_of(movies, stored)
        else:
            movie = movie_of(movies[0] if movies else cast(Source, data), stored)
        given = PreparedMovie.of(movie, preparation)
    elif stored != Stored() and (data is None or path is not None):
        given = halves(dataset_of(path or config.data.source, stored), path or config.data.source)
    elif data is not None and path is None:
        frames = cast(Source, data)  # a list of movies is no sequences, which is then said
        given = halves(dataset_of(frames, stored), called(frames), held_out)
    splits = checked_splits(config, where, given, group)
    if data is not None and path is None:
        refuse_other_frames(
            known, identity(config, splits, given.movie if isinstance(given, PreparedMovie) else None)
        )
    return config, splits


def _recipe(tracker: AnyTracker | None, preset: str | None) -> tuple[Config, Trained | None]:
    """The configuration before data and changes are applied, and the source of the initial weights."""
    if tracker is None or (isinstance(tracker, str) and tracker in (*VARIANTS, *BASELINES)):
        return recipe(tracker, preset), None
    if isinstance(tracker, SomeTracker):
        start = InMemory(tracker, recipe_for(rebuildable(tracker), preset))
        return replace(start.config, start=start.name), start
    if isinstance(tracker, Config):
        return tracker, None
    if isinstance(tracker, WholeModel):
        return recipe_for(tracker, preset), None
    kept = kept_by(tracker)
    assert kept is not None
    before = kept.config
    return replace(recipe_for(before.model, preset), observe=before.observe, start=kept.name), kept


def _paths(data: Learned) -> list[str] | None:
    """The paths of data that are files; None of others."""
    if isinstance(data, str | os.PathLike):
        return [os.fspath(data)]
    return [os.fspath(each) for each in data] if isinstance(data, list | tuple) else None


def _learned(
    data: Learned,
    hints: Hints,
    objects: int | None,
    held_out: Dataset | None,
    side: int | None,
    report: Reporter,
    stored: Stored,
) -> str | Halves | PreparedMovie:
    """The training data: a flavour or a file's path, sequences, or a prepared movie."""
    if isinstance(data, list | tuple):
        several = movies_of(data, stored)
        return look(several, replace(hints, objects=objects or hints.objects), side, report.say)
    flavour = isinstance(data, str) and data in FLAVOURS
    data = brought(cast(Source, data))
    refuse_unheard(data, stored)
    if isinstance(data, PreparedMovie):
        movie = data.sized(side) if side else data
        return replace(movie, found=movie.inspected.of_number(objects)) if objects else movie
    if held_out is None and not flavour and (found := as_movie(data, stored)):
        return look(found, replace(hints, objects=objects or hints.objects), side, report.say)
    if hints.said:
        raise UsageError(Argument(hints.said), ": is of a movie; leave it out")
    path = isinstance(data, str | os.PathLike) and held_out is None
    if path and (flavour or not Path(os.fspath(data)).exists()):  # type: ignore[arg-type]
        return os.fspath(data)  # type: ignore[arg-type]
    found_sequences = dataset_of(data, stored)
    tell_of(Opened(found_sequences), report)
    return halves(found_sequences, called(data), held_out)


def gathered(changes: Iterable[str], filed: Iterable[str] = (), **arguments: Any) -> list[Change]:
    """The changes of a file, those by arguments of fit that are not None, and then ``changes``: the last one counts.

    Args:
        changes: assignments to keys.
        filed: those of a file.
        arguments: values by the arguments' names in KEYS.
    """
    given = {name: json.dumps(value) for name, value in arguments.items() if value is not None}
    own = [Change(f"{KEYS[name]}={value}", name) for name, value in given.items()]
    return [*(Change(each, "config") for each in filed), *own, *map(Change, changes)]


def changed(config: Config, changes: Changes) -> Config:
    """Change single keys of a configuration."""
    return override(config, [change.assignment for change in changes])


def configured(
    recipe: Config,
    data: str | Halves | PreparedMovie,
    changes: Changes,
    fixed: bool = False,
) -> Config:
    """Apply to a recipe the keys that follow from the data, and then the changes; its variant is that of its blocks.

    Args:
        recipe: the recipe.
        data: a flavour, a file's path, sequences or a movie.
        changes: changes to single keys.
        fixed: whether to keep the recipe's model whatever the data, which may then be refused later.
    """
    refuse_misplaced(changes)
    flavour = isinstance(data, str) and data in FLAVOURS
    digits = _first(changes, ("data.digits",))
    if digits and not flavour:
        name = data if isinstance(data, str) else data.name
        raise UsageError(*digits.name, f": {name} is no flavour of moving digits but a file; leave it out")
    if isinstance(data, PreparedMovie):
        assembled(recipe, data)
        config, keys = (recipe if fixed else suited(recipe, data)), of_movie(data)
    elif isinstance(data, str) and flavour:
        config, keys = recipe, of_flavour(data)
    else:
        halves = open_file(data) if isinstance(data, str) else data
        config, keys = recipe, of_sequences(halves)
        keys["observe"] = _observed(recipe, halves.train.length)
    for key, value in keys.items():
        if not (fixed and key.startswith("model.")):
            config = override(config, [f"{key}={json.dumps(value)}"])
    misplaced = None if flavour else _first(changes, FROM_DATA[isinstance(data, PreparedMovie) :])
    if misplaced:
        raise UsageError(
            *misplaced.name, ": number and length of the sequences come from the file; leave it out"
        )
    return renamed(changed(config, changes))


def refuse_misplaced(changes: Changes) -> None:
    """Refuse changes to keys that have arguments of their own."""
    for change in changes:
        for key, argument in CHOSEN_ELSEWHERE.items():
            if f"{key}.".startswith(f"{change.key}."):  # or it is a part of what changes
                raise UsageError(*change.name, f": {key} is chosen with ", Argument(argument))


def check_start(start: Trained, config: Config, changes: Changes) -> None:
    """Refuse changes by which the initial weights no longer fit the model's sizes or parts.

    Parameters that the initial weights lack, such as a noise that is learned from now on, begin as in a new training.
    """
    before = start.config
    theirs, own = (
        {name: tuple(tensor.shape) for name, tensor in build(c.model).state_dict().items()}
        for c in (before, config)
    )
    differing = sorted(name for name in theirs if theirs[name] != own.get(name))
    if differing:
        bare = replace(config, model=before.model)
        why, first = [change.name for change in changes if changed(bare, [change]) != bare], differing[0]
        raise UsageError(
            *listed(why),
            f": the weights of {start.name} would not fit ({first}: {theirs[first]} there, "
            f"{own.get(first)} here); leave that out, or start from no weights",
        )


def blocks_alike(other: SomeTracker, model: WholeModel) -> dict[str, Tensor]:
    """The weights that a fresh tracker takes from another one.

    A block is taken as a whole if both trackers have it in the same configuration and sizes. Of another attention or
    picture its networks are taken that are alike, such as the encoder of an attention that finds objects in another
    way: looks are looks, while a search or a motion is learned for its own procedure.
    """
    theirs, own = (tracker.state_dict() for tracker in (other, build(model)))

    def shapes(weights: Mapping[str, Tensor], part: str) -> dict[str, torch.Size]:
        return {name: value.shape for name, value in weights.items() if name.startswith(f"{part}.")}

    def alike(part: str) -> bool:
        return bool(shapes(own, part)) and shapes(own, part) == shapes(theirs, part)

    def taken(name: str) -> bool:
        slot, _, rest = name.partition(".")
        if getattr(other.config, slot, None) == getattr(model, slot, None) and alike(slot):
            return True
        return slot in LOOKS and alike(f"{slot}.{rest.partition('.')[0]}")

    return {name: value for name, value in theirs.items() if taken(name)}


def _blocks(weights: Mapping[str, Tensor], whole: Mapping[str, Tensor]) -> Iterator[str]:
    """The names of the blocks that have weights; of blocks that have some, the names of their parts."""
    for slot in SLOTS:
        some, own = ([name for name in names if name.startswith(f"{slot}.")] for names in (weights, whole))
        if some and len(some) == len(own):
            yield slot
        else:
            yield from dict.fromkeys(".".join(name.split(".")[:2]) for name in some)


def check_same(
    run: Run, config: Config, data: str | None, changes: Changes, whole: Config | None = None
) -> None:
    """Refuse arguments that contradict the configuration of a run to resume."""
    differing = []
    if changed(config, changes) != config:  # together, for of several changes to a key the last one counts
        last = {change.key: change for change in changes}.values()
        differing = [change.name for change in last if changed(config, [change]) != config]
        differing = differing or [change.name for change in last]
    if whole is not None and not differing and _fitted(whole, config, changes) != config:
        differing.append((Argument("config"),))
    moved = config.data.movie and data is not None and Path(data).exists()  # its frames are compared later
    if data is not None and not moved and config.data.source not in (data, str(Path(data).resolve())):
        differing.insert(0, (Argument("data"), f" {data}"))
    if differing:
        raise UsageError(
            f"{run.folder}: was made with another configuration than ",
            *listed(differing),
            "; leave that out, or start a new run in another folder",
        )


def _fitted(whole: Config, run: Config, changes: Changes) -> Config:
    """The configuration that :func:`planned` makes of a whole one for the data and the initial weights of a run."""
    begun = replace(whole, data=run.data, start=run.start)
    if not (run.data.movie or is_flavour(run.data.source)):
        begun = replace(begun, observe=_observed(whole, run.data.length))
    made = renamed(changed(begun, changes))
    return _without(made, idle_stages(made))


def _observed(recipe: Config, length: int) -> int:
    """The number of frames to observe of sequences: of short ones, all but the last."""
    return max(1, min(recipe.observe, length - 1))


def _first(changes: Changes, keys: tuple[str, ...]) -> Change | None:
    """The first change to one of the keys."""
    return next((change for change in changes if change.key in keys), None)
