"""The trainings that a table or a figure of the paper is made from: found, continued or begun."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch

from vtssi_pyro.artifacts.fitting import conduct, machine_of, warn_of_changes
from vtssi_pyro.artifacts.planning import configured
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.errors import CheckpointError, UsageError
from vtssi_pyro.paper.cells import Key
from vtssi_pyro.system.machine import prepare
from vtssi_pyro.system.provenance import provenance
from vtssi_pyro.train import training
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.presets import PRESETS
from vtssi_pyro.train.reporting import Reporter, Silent
from vtssi_pyro.train.splits import open_splits
from vtssi_pyro.train.training import Interrupted


class Order(NamedTuple):
    """What is asked for, whatever is made of it."""

    preset: str
    digits: str
    out: Path
    device: torch.device
    threads: int | None
    train: bool  # what is missing; False: refuse
    report: Reporter = Silent()

    def folder(self, key: Key) -> Path:
        """Where a training of this order lies."""
        return self.out / "runs" / key.name

    def config(self, key: Key) -> Config:
        """What a training of this order is made with."""
        changes = {"--seed": f"seed={key.seed}", "--digits": f'data.digits="{self.digits}"'}
        return configured(PRESETS[self.preset](key.variant), key.flavour, changes)


def refuse_company() -> None:
    """One process reproduces; several may have trained before.

    Raises:
        UsageError: ``torchrun`` started this process and others.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise UsageError(
            "reproduce runs in one process; train single runs with torchrun and vtssi-pyro fit --out "
            "OUT/runs/VARIANT-FLAVOUR-SEED, and it takes them as they are"
        )


def trained(order: Order, key: Key) -> Run:
    """The finished run of a cell or figure; what is missing of it is trained now.

    Raises:
        UsageError: the folder holds a run of another kind.
        CheckpointError: it is not finished, and the order is not to train.
    """
    key = key.trained
    run, wanted = Run(order.folder(key)), order.config(key)
    if (run.folder / "config.json").exists():
        _check_same(run, wanted, order.report)
        if run.read_summary():
            return run
    if not order.train:
        raise CheckpointError(f"{run.folder}: not trained, or not to the end, and this order trains nothing")
    return _train(order, run, wanted)


def starts(run: Run) -> list[dict[str, Any]]:
    """Code and machine of every start of a training, as far as they were written down."""
    path, found = run.folder / "starts.jsonl", []
    for line in path.read_text().splitlines() if path.exists() else []:
        with suppress(ValueError):  # half a line, left by a kill
            found.append(json.loads(line))
    return found


def _check_same(run: Run, wanted: Config, report: Reporter) -> None:
    found = run.config
    pairs = {
        "variant": (found.variant, wanted.variant),
        "--preset": (found.preset, wanted.preset),
        "flavour": (found.data.source, wanted.data.source),
        "--digits": (found.data.digits, wanted.data.digits),
        "seed": (found.seed, wanted.seed),
    }
    differing = [f"{name} {was}, not {asked}" for name, (was, asked) in pairs.items() if was != asked]
    if differing:
        raise UsageError(f"{run.folder}: was made with {', '.join(differing)}; choose another --out")
    if found != wanted:
        report.warn(
            f"{run.folder}: was made with other numbers than preset {wanted.preset} now has; it is kept as it is"
        )


def _train(order: Order, run: Run, wanted: Config) -> Run:
    resume = (run.folder / "config.json").exists()
    config = run.config if resume else wanted
    prepare(order.threads or (run.machine.get("threads") if resume else None))
    splits = open_splits(config, order.device)
    training.check(config, splits.train)
    machine = machine_of(order.device)
    if resume:
        warn_of_changes(run, machine, order.report)
    else:
        Run.create(run.folder, config, machine)
    with (run.folder / "starts.jsonl").open("a") as file:
        file.write(json.dumps(provenance(order.device)) + "\n")
    try:
        conduct(run, config, splits, order.device, order.report, resume=resume)
    except Interrupted:
        order.report.say(
            "the same vtssi-pyro reproduce goes on from here; what is finished is not done again"
        )
        raise
    return run
