"""Packing of a trained run into weights that ship: tensors, and a card that describes them."""

import hashlib
import os
import re
from dataclasses import replace
from pathlib import Path

import safetensors.torch
import torch

from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.artifacts.shipped import FOLDER, Card
from vtssi_pyro.config import to_dict
from vtssi_pyro.data.dataset import Dataset
from vtssi_pyro.errors import UsageError
from vtssi_pyro.evaluation.calibration import Calibration
from vtssi_pyro.evaluation.judge import judge
from vtssi_pyro.inference.model_tracker import ModelTracker
from vtssi_pyro.inference.standalone import SomeTracker
from vtssi_pyro.system.atomic import write_bytes, write_json
from vtssi_pyro.system.checkpoint import digest
from vtssi_pyro.train.config import Config

LARGEST = 10_000_000  # bytes of a file with weights, so that the package stays small to install


def pack(
    run: Run,
    name: str,
    test: Dataset,
    *,
    description: str,
    data: str,
    licence: str,
    machine: str,
    commit: str,
    earlier: float = 0.0,
    checkpoint_name: str = "last",
    dtype: torch.dtype = torch.float16,
    folder: str | os.PathLike[str] | None = None,
) -> Card:
    """Write ``NAME.safetensors`` and ``NAME.json``, after judging the weights in both precisions.

    Args:
        run: a finished run.
        name: lower case letters, digits and hyphens.
        test: sequences with truth that no training has seen.
        description: the purpose of the weights.
        data: the training data.
        licence: the licence of those data.
        machine: the machine of the training.
        commit: the commit of the code of the training.
        earlier: minutes of the trainings whose weights the run started from.
        checkpoint_name: ``last`` or ``best``.
        dtype: the type of the parameters in the file; buffers, which hold the priors, keep their precision.
        folder: the folder to write to; None: the package's own.

    Raises:
        UsageError: weights that are too large or out of the range of ``dtype``, or a calibration of others; nothing was
            written.
    """
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise UsageError(f"{name}: expected a name of lower case letters, digits and hyphens")
    config, tracker = run.config, run.tracker(checkpoint_name)
    weights = _rounded(tracker, dtype)
    payload = safetensors.torch.save(weights)
    if len(payload) > LARGEST:
        raise UsageError(
            f"{run.folder}: its weights take {len(payload) / 1e6:.1f} MB, {LARGEST / 1e6:.0f} MB at most may ship"
        )
    calibration = _calibration(run, tracker, checkpoint_name)
    metrics = {"float32": judge(ModelTracker(tracker), test, config.observe).as_dict()}
    tracker.load_state_dict(weights)
    metrics[str(dtype).removeprefix("torch.")] = judge(ModelTracker(tracker), test, config.observe).as_dict()
    if calibration:
        calibration = replace(calibration, weights=digest(tracker.state_dict()))
    card = Card(
        name=name, description=description, data=data, licence=licence, recipe=to_dict(_without_paths(config)),
        observe=config.observe, minutes=round(run.minutes + earlier, 2), machine=machine, seed=config.seed,
        commit=commit, metrics=metrics, sha256=hashlib.sha256(payload).hexdigest(),
        calibration=calibration.as_dict() if calibration else None,
        familiar=run.familiar.as_dict() if run.familiar else None,
    )  # fmt: skip
    target = Path(folder or FOLDER)
    target.mkdir(parents=True, exist_ok=True)
    write_bytes(target / f"{name}.safetensors", payload)
    write_json(target / f"{name}.json", to_dict(card))
    return card


def _calibration(run: Run, tracker: SomeTracker, checkpoint_name: str) -> Calibration | None:
    """The run's calibration, if it has one; it must be of these weights."""
    found = run.calibration
    if found and not found.is_of(digest(tracker.state_dict())):
        raise UsageError(
            f"{run.folder}: its calibration is of other weights than checkpoint {checkpoint_name}; "
            "calibrate those, or remove it"
        )
    return found


def _rounded(tracker: SomeTracker, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The state of a tracker, its parameters in another precision."""
    parameters = {name for name, _ in tracker.named_parameters()}
    weights = {k: v.to(dtype) if k in parameters else v for k, v in tracker.state_dict().items()}
    lost = [name for name, tensor in weights.items() if not tensor.isfinite().all()]
    if lost:
        raise UsageError(f"{lost[0]}: holds what {dtype} cannot; pack in another precision")
    return {name: tensor.contiguous() for name, tensor in weights.items()}


def _without_paths(config: Config) -> Config:
    """The same, where files go by their names: their folders are nobody else's."""
    source = Path(config.data.source).name
    return replace(
        config, data=replace(config.data, source=source), start=config.start and Path(config.start).name
    )
