"""Weights that ship with the package: tensors in ``weights/NAME.safetensors``, their card in ``weights/NAME.json``."""

import difflib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from vtssi_pyro.artifacts.formats import FORMAT, known_format, restored, upgraded_weights
from vtssi_pyro.artifacts.trained import Trained
from vtssi_pyro.config import from_dict, to_dict
from vtssi_pyro.errors import CheckpointError, UsageError
from vtssi_pyro.evaluation.calibration import Calibration
from vtssi_pyro.inference.novelty import Familiar
from vtssi_pyro.inference.standalone import SomeTracker, build
from vtssi_pyro.model.notebook import looks
from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.system.checkpoint import refuse_not_finite
from vtssi_pyro.system.plain import parsed
from vtssi_pyro.train.config import Config

FOLDER = Path(__file__).parent / "weights"
PREFIX = "pretrained:"
_MEND = "install vtssi-pyro anew"


@dataclass(frozen=True)
class Card:
    """The description of weights: their making and their metrics."""

    name: str
    description: str
    data: str  # the training data
    licence: str  # the licence of those data
    recipe: dict  # the whole configuration, by config.to_dict
    observe: int  # frames observed before the predictions of the metrics
    minutes: float  # minutes of training
    machine: str
    seed: int
    commit: str
    metrics: dict  # metrics of held-out sequences (Evaluation.as_dict) by precision ("float16", "float32")
    sha256: str  # SHA-256 of the file with the weights
    calibration: dict | None = None  # calibration of sampled predictions (Calibration.as_dict)
    familiar: dict | None = None  # how well held-out frames fit (Familiar.as_dict)
    format: int = FORMAT


class Pretrained(Trained):
    """Weights that ship, and their card; the files are read on first use.

    Args:
        name: one of :func:`available`.
        folder: the folder of the files; None: the package's own.
    """

    def __init__(self, name: str, folder: str | os.PathLike[str] | None = None) -> None:
        self._name, self._folder = name, Path(folder or FOLDER)

    @property
    def name(self) -> str:
        """``pretrained:NAME``."""
        return f"{PREFIX}{self._name}"

    @property
    def card(self) -> Card:
        """The card.

        Raises:
            CheckpointError: there are no such weights, or the card is damaged or that of other weights.
        """
        known = available(self._folder)
        if self._name not in known:
            near = difflib.get_close_matches(self._name, known, 1)
            hint = f"did you mean {PREFIX}{near[0]}?" if near else f"there is {', '.join(known) or 'none'}"
            raise CheckpointError(f"{self.name}: no such weights ship with this version; {hint}")
        path = self._folder / f"{self._name}.json"
        try:
            plain = parsed(path.read_text())
            if isinstance(plain, dict):
                config, _ = restored(plain["recipe"], known_format(plain.get("format", FORMAT), path), path)
                plain = {**plain, "recipe": to_dict(config), "format": FORMAT}
            found: Card = from_dict(plain, Card)
        except (ValueError, KeyError, TypeError, AttributeError, OSError, UsageError) as error:
            raise CheckpointError(f"{path}: damaged ({error}); {_MEND}") from error
        if found.name != self._name:
            raise CheckpointError(f"{path}: is the card of {found.name}; {_MEND}")
        return found

    @property
    def config(self) -> Config:
        """The configuration of the training."""
        return self._config(self.card)

    def tracker(self, checkpoint_name: str = "last", device: str | torch.device = "cpu") -> SomeTracker:
        """The tracker in single precision, in evaluation mode.

        Args:
            checkpoint_name: ``last``; there is no other.
            device: the tracker's device.

        Raises:
            CheckpointError: the weights are missing or damaged, or do not fit their card.
        """
        if checkpoint_name != "last":
            raise UsageError(f"{self.name}: has no checkpoint {checkpoint_name}, but one that needs no name")
        card, path = self.card, self._folder / f"{self._name}.safetensors"
        config = self._config(card)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error.strerror}); {_MEND}") from error
        if hashlib.sha256(data).hexdigest() != card.sha256:
            raise CheckpointError(
                f"{path}: damaged, or not what its card is about: its SHA-256 differs; {_MEND}"
            )
        try:
            weights = safetensors.torch.load(data)
            tracker = build(config.model)
            refuse_not_finite(weights, path)
            tracker.load_state_dict(upgraded_weights(weights))  # into tensors of single precision
        except (safetensors.SafetensorError, RuntimeError, UsageError) as error:
            reason = " ".join(str(error).split())[:200]  # torch's first line alone holds no reason
            raise CheckpointError(f"{path}: does not fit its card ({reason}); {_MEND}") from error
        return self.marked(tracker.to(device).eval())

    def _picture(self) -> str:
        """Looks that its tracker draws, if that has any."""
        try:
            tracker = self.tracker()
        except CheckpointError:
            return ""
        return looks(tracker.scene, tracker.picture) if isinstance(tracker, Tracker) else ""

    @property
    def calibration(self) -> Calibration | None:
        """The calibration of the tracker's sampled predictions; None if the weights ship without one."""
        card = self.card
        try:
            return Calibration.from_dict(card.calibration) if card.calibration else None
        except (ValueError, TypeError, KeyError) as error:
            raise CheckpointError(f"{self.name}: its calibration is damaged ({error}); {_MEND}") from error

    @property
    def familiar(self) -> Familiar | None:
        """How well held-out frames fit; None if the card does not tell."""
        known = self.card.familiar
        try:
            return Familiar(**known) if known else None
        except TypeError as error:
            raise CheckpointError(
                f"{self.name}: its measure of familiar frames is damaged ({error}); {_MEND}"
            ) from error

    def about(self) -> dict[str, Any]:
        """The card, ready for JSON."""
        return to_dict(self.card)

    def _config(self, card: Card) -> Config:
        try:
            return from_dict(card.recipe, Config)
        except (TypeError, UsageError) as error:
            raise CheckpointError(
                f"{self.name}: its recipe is damaged or of another version ({error}); {_MEND}"
            ) from error


def available(folder: str | os.PathLike[str] | None = None) -> tuple[str, ...]:
    """The names of the weights that ship, sorted."""
    return tuple(sorted(path.stem for path in Path(folder or FOLDER).glob("*.json")))


def card(name: str, folder: str | os.PathLike[str] | None = None) -> Card:
    """Read the card of weights; see :attr:`Pretrained.card`."""
    return Pretrained(name, folder).card
