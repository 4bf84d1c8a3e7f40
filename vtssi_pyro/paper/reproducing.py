"""The trainings behind a table or a figure of the paper: found, continued or begun."""

import json
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vtssi_pyro.artifacts.fitting import conduct, machine_of, warn_of_changes
from vtssi_pyro.artifacts.planning import Change, blocks_alike, configured
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.config.schedules import Constant
from vtssi_pyro.config.variants import PAPER, Family
from vtssi_pyro.errors import Argument, CheckpointError, UsageError, listed
from vtssi_pyro.model.config import PUBLISHED, TestTime
from vtssi_pyro.paper.cells import Key
from vtssi_pyro.paper.published import ALL, cell
from vtssi_pyro.system.atomic import append
from vtssi_pyro.system.machine import prepare
from vtssi_pyro.system.provenance import provenance
from vtssi_pyro.train.baseline_presets import recipe
from vtssi_pyro.train.checks import checked_splits
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.presets import PRESETS, SHARED
from vtssi_pyro.train.reporting import Reporter, Silent
from vtssi_pyro.train.training import Interrupted


class Order(NamedTuple):
    """The options of a table or figure."""

    preset: str
    digits: str
    out: Path
    device: torch.device
    threads: int | None
    train: bool  # whether missing trainings are made; False: they are refused
    report: Reporter = Silent()
    bell: bool = True  # whether trainings use the bell curve (section 3.1), as all but one of figure 1c do

    @property
    def family(self) -> Family:
        """The names of the preset's variants."""
        return PRESETS[self.preset].system.family

    @property
    def procedure(self) -> TestTime | None:
        """The procedure at test time: the paper's for its own blocks; None: that of each tracker."""
        return PUBLISHED if self.family is PAPER else None

    def folder(self, key: Key) -> Path:
        """Return the folder of a training of this order.

        A run that is in ``runs`` itself, where the runs of a former version are, stays there.
        """
        runs = self.out / "runs"
        own = runs / self.preset / (key.name if self.bell else f"{key.name}-without-bell")
        if own.exists() or not self.bell:
            return own
        former = (path.parent for path in sorted(runs.glob("*/config.json")) if cell(path.parent.name))
        return next((folder for folder in former if self._made(folder, key)), own)

    def _made(self, folder: Path, key: Key) -> bool:
        """Whether a folder is a run of a training of this order."""
        with suppress(CheckpointError):
            config = Run(folder).config
            asked = (key.variant, self.preset, key.flavour, key.seed)
            return (config.variant, config.preset, config.data.source, config.seed) == asked
        return False

    def config(self, key: Key) -> Config:
        """Return the configuration of a training of this order."""
        changes = [Change(f"seed={key.seed}"), Change(f'data.digits="{self.digits}"', "digits")]
        if shared(self, key):
            changes.append(Change(f"train.stages.{SHARED[self.preset][1]}.steps=0"))
        config = configured(recipe(key.variant, self.preset), key.flavour, changes)
        if self.bell:
            return config
        flat = tuple(replace(stage, bell=Constant(1.0)) for stage in config.train.stages)
        return replace(config, train=replace(config.train, stages=flat))


def refuse_company() -> None:
    """Refuse to reproduce in several processes; single runs may be trained in several processes before.

    Raises:
        UsageError: ``torchrun`` started this process and others.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise UsageError(
            "reproduce runs in one process; train single runs with torchrun and vtssi-pyro fit --out "
            "OUT/runs/PRESET/VARIANT-FLAVOUR-SEED, and it takes them as they are"
        )


def trained(order: Order, key: Key) -> Run:
    """Return the finished run of a cell or figure; a missing or unfinished one is trained first.

    Raises:
        UsageError: the folder holds a run of another kind.
        CheckpointError: the run is not finished, and the order is not to train.
    """
    key = key.trained
    run, wanted = Run(order.folder(key)), order.config(key)
    if (run.folder / "config.json").exists():
        _check_same(run, wanted, order.report)
        if run.read_summary():
            return run
    if not order.train:
        raise CheckpointError(f"{run.folder}: not trained, or not to the end, and this order trains nothing")
    weights = None
    if (before := shared(order, key)) and not (run.folder / "config.json").exists():
        base = trained(order, before)
        weights = blocks_alike(base.tracker(), wanted.model)
        wanted = replace(wanted, start=base.name)
    return _train(order, run, wanted, weights)


def shared(order: Order, key: Key) -> Key | None:
    """The training whose blocks that of a cell starts from."""
    variant, _ = SHARED.get(order.preset, (key.variant, ""))
    return None if variant == key.variant else Key(variant, ALL, key.seed)


def _check_same(run: Run, wanted: Config, report: Reporter) -> None:
    found = run.config
    pairs = {
        "variant": (found.variant, wanted.variant),
        Argument("preset"): (found.preset, wanted.preset),
        "flavour": (found.data.source, wanted.data.source),
        Argument("digits"): (found.data.digits, wanted.data.digits),
        "seed": (found.seed, wanted.seed),
    }
    differing = [(name, f" {was}, not {asked}") for name, (was, asked) in pairs.items() if was != asked]
    if differing:
        raise UsageError(
            f"{run.folder}: was made with ", *listed(differing), "; choose another ", Argument("out")
        )
    if found != replace(wanted, start=found.start):  # where it starts from was settled when it began
        report.warn(
            f"{run.folder}: was made with other numbers than preset {wanted.preset} now has; it is kept as it is"
        )


def _train(order: Order, run: Run, wanted: Config, weights: dict[str, Tensor] | None) -> Run:
    resume = (run.folder / "config.json").exists()
    config = run.config if resume else wanted
    prepare(order.threads or (run.machine.get("threads") if resume else None))
    splits = checked_splits(config, order.device)
    machine = machine_of(order.device)
    if resume:
        warn_of_changes(run, machine, order.report)
    else:
        Run.create(run.folder, config, machine, weights)
    append(run.folder / "starts.jsonl", json.dumps(provenance(order.device)))
    try:
        conduct(run, config, splits, order.device, order.report, resume=resume)
    except Interrupted:
        order.report.say("the same vtssi-pyro reproduce goes on from here; finished work is not done again")
        raise
    return run
