"""A training before its first step: what is learned from, by which configuration, from which weights."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import NamedTuple

import torch

from vtssi_pyro.artifacts.loading import AnyTracker, InMemory, Trained, kept_by, rebuildable
from vtssi_pyro.artifacts.reading import Source, as_movie, brought, called, dataset_of, movie_of
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.config import override
from vtssi_pyro.data import FLAVOURS, Dataset
from vtssi_pyro.errors import UsageError
from vtssi_pyro.model.config import VARIANTS, ModelConfig
from vtssi_pyro.model.program import Tracker, build
from vtssi_pyro.movies import Hints, Preparation
from vtssi_pyro.movies.prepared import PreparedMovie, look
from vtssi_pyro.train import training
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.group import Group
from vtssi_pyro.train.movies import suited
from vtssi_pyro.train.presets import PRESETS
from vtssi_pyro.train.reporting import Reporter
from vtssi_pyro.train.splits import (
    Halves,
    Splits,
    halves,
    of_flavour,
    of_movie,
    of_sequences,
    open_file,
    open_splits,
)

FROM_DATA = ("data.length", "data.sequences", "data.validation_sequences")
CHOSEN_ELSEWHERE = {
    "variant": "--variant",
    "preset": "--preset",
    "data.source": "the argument DATA",
    "start": "--from",
}

Changes = Mapping[str, str]  # assignments to keys of the configuration, by what errors call them


class Plan(NamedTuple):
    """All that a training is decided by."""

    config: Config
    splits: Splits
    preparation: Preparation | None
    start: Trained | None


def planned(
    data: Source | None, tracker: AnyTracker, preset: str, hints: Hints, objects: int | None,
    changes: Changes, held_out: Dataset | None, where: torch.device, group: Group, report: Reporter,
) -> Plan:  # fmt: skip
    """All that a training is decided by; see :func:`vtssi_pyro.fit` for the arguments."""
    recipe, start = _recipe(tracker, preset)
    fixed = start is not None or isinstance(tracker, Config | ModelConfig)
    refuse_misplaced(changes)
    override(recipe, list(changes.values()))  # typos, before a movie is read
    side = recipe.model.frame_size if fixed else None
    source = _learned(recipe.data.source if data is None else data, hints, objects, held_out, side, report)
    config = configured(recipe, source, changes, fixed)
    splits = open_splits(config, where, None if isinstance(source, str) else source)
    training.check(config, splits.train, group)
    if start:
        check_start(start, config, changes)
    return Plan(config, splits, source.preparation if isinstance(source, PreparedMovie) else None, start)


def replanned(
    run: Run,
    data: Source | None,
    changes: Changes,
    held_out: Dataset | None,
    where: torch.device,
    group: Group,
) -> tuple[Config, Splits | None]:
    """The configuration of a run that is to be resumed, and its sequences; None where it is finished.

    Args:
        run: that a training has begun in.
        data: what it learns from, in place of what its configuration names.
        changes: that it is expected to be made with.
        held_out: of sequences in memory, those to judge by.
        where: to train.
        group: the processes that will train.
    """
    config = run.config
    path = os.fspath(data) if isinstance(data, str | os.PathLike) else None
    check_same(run, config, path, changes)
    if run.read_summary():
        return config, None
    given: Halves | PreparedMovie | None = None
    if preparation := run.preparation:
        given = PreparedMovie.of(movie_of(config.data.source if data is None else data), preparation)
    elif data is not None and path is None:
        given = halves(dataset_of(data), called(data), held_out)
    splits = open_splits(config, where, given)
    training.check(config, splits.train, group)
    return config, splits


def _recipe(tracker: AnyTracker, preset: str) -> tuple[Config, Trained | None]:
    """The configuration that data and changes are added to, and whose weights to start from."""
    if preset not in PRESETS:
        raise UsageError(f"unknown preset {preset!r}: expected one of {', '.join(PRESETS)}")
    if isinstance(tracker, Tracker):
        start = InMemory(tracker, replace(PRESETS[preset]("vtssi"), model=rebuildable(tracker)))
        return replace(start.config, start=start.name), start
    if isinstance(tracker, Config):
        return tracker, None
    if isinstance(tracker, ModelConfig):
        return replace(PRESETS[preset]("vtssi"), model=tracker), None
    if isinstance(tracker, str) and tracker in VARIANTS:
        return PRESETS[preset](tracker), None
    kept = kept_by(tracker)
    assert kept is not None
    before = kept.config
    fresh = PRESETS[preset](before.variant)
    return replace(fresh, model=before.model, observe=before.observe, start=kept.name), kept


def _learned(
    data: Source,
    hints: Hints,
    objects: int | None,
    held_out: Dataset | None,
    side: int | None,
    report: Reporter,
) -> str | Halves | PreparedMovie:
    """What is learned from: a flavour or a file's path, sequences, or a movie, prepared."""
    flavour = isinstance(data, str) and data in FLAVOURS
    data = brought(data)
    if isinstance(data, PreparedMovie):
        movie = data.sized(side) if side else data
        return replace(movie, found=replace(movie.inspected, objects=objects)) if objects else movie
    if held_out is None and not flavour and (found := as_movie(data)):
        return look(found, replace(hints, objects=objects or hints.objects), side, report.say)
    said = next((field.name for field in fields(hints) if getattr(hints, field.name) is not None), None)
    if said:
        raise UsageError(f"--{said.replace('_', '-')}: is of a movie; leave it out")
    if isinstance(data, str | os.PathLike) and held_out is None:
        return os.fspath(data)
    return halves(dataset_of(data), called(data), held_out)


def named(changes: Changes | Iterable[str], objects: int | None) -> dict[str, str]:
    """Assignments by what errors call them."""
    named = (
        dict(changes) if isinstance(changes, Mapping) else {f"--set {change}": change for change in changes}
    )
    if objects is not None:
        named["--objects"] = f"model.num_objects={objects}"
    return named


def configured(
    recipe: Config,
    data: str | Halves | PreparedMovie,
    changes: Changes,
    fixed: bool = False,
) -> Config:
    """A recipe, then what the data say, then the changes.

    Args:
        recipe: to begin with.
        data: a flavour, a file's path, sequences or a movie.
        changes: to single keys.
        fixed: whether the recipe's model stays as it is, whatever the data; they may turn out not to fit later.
    """
    refuse_misplaced(changes)
    flavour = isinstance(data, str) and data in FLAVOURS
    digits = _naming(changes, ("data.digits",))
    if digits and not flavour:
        name = data if isinstance(data, str) else data.name
        raise UsageError(f"{digits}: {name} is no flavour of moving digits but a file; leave it out")
    if isinstance(data, PreparedMovie):
        config, keys = (recipe if fixed else suited(recipe, data)), of_movie(data)
    elif isinstance(data, str) and flavour:
        config, keys = recipe, of_flavour(data)
    else:
        halves = open_file(data) if isinstance(data, str) else data
        config, keys = recipe, of_sequences(halves, recipe.model)
    for key, value in keys.items():
        if not (fixed and key.startswith("model.")):
            config = override(config, [f"{key}={json.dumps(value)}"])
    misplaced = None if flavour else _naming(changes, FROM_DATA[isinstance(data, PreparedMovie) :])
    if misplaced:
        raise UsageError(f"{misplaced}: number and length of the sequences come from the file; leave it out")
    return override(config, list(changes.values()))


def refuse_misplaced(changes: Changes) -> None:
    """Refuse changes to keys that arguments of their own decide."""
    for name, assignment in changes.items():
        if (key := _key(assignment)) in CHOSEN_ELSEWHERE:
            raise UsageError(f"{name}: {key} is chosen with {CHOSEN_ELSEWHERE[key]}")


def check_start(start: Trained, config: Config, changes: Changes) -> None:
    """Refuse changes that make a model of other sizes or parts than the one to start from."""
    before = start.config
    theirs, own = (
        {name: tuple(tensor.shape) for name, tensor in build(c.model).state_dict().items()}
        for c in (before, config)
    )
    differing = sorted(name for name in theirs | own if theirs.get(name) != own.get(name))
    if differing:
        bare = replace(config, model=before.model)
        changed = [name for name, text in changes.items() if override(bare, [text]) != bare]
        first = differing[0]
        raise UsageError(
            f"{', '.join(changed)}: the weights of {start.name} would not fit ({first}: {theirs.get(first)} there, "
            f"{own.get(first)} here); leave that out, or --from"
        )


def check_same(run: Run, config: Config, data: str | None, changes: Changes) -> None:
    """Refuse what contradicts the configuration of a run that is to be resumed."""
    differing = [name for name, assignment in changes.items() if override(config, [assignment]) != config]
    moved = config.data.movie and data is not None and Path(data).exists()  # its frames are compared later
    if data is not None and not moved and config.data.source not in (data, str(Path(data).resolve())):
        differing.insert(0, f"DATA {data}")
    if differing:
        raise UsageError(
            f"{run.folder}: was made with another configuration than {', '.join(differing)}; leave that out, "
            "or start a new run without --resume and with another --out"
        )


def _naming(changes: Changes, keys: tuple[str, ...]) -> str | None:
    """What the first change to one of the keys is called."""
    return next((name for name, assignment in changes.items() if _key(assignment) in keys), None)


def _key(assignment: str) -> str:
    return assignment.partition("=")[0].strip()
