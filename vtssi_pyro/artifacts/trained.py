"""The base of runs and of weights that ship."""

import json
import re
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch

from vtssi_pyro.config.ranges import SAMPLED
from vtssi_pyro.errors import VtssiError
from vtssi_pyro.evaluation.calibration import Calibration
from vtssi_pyro.inference.novelty import Familiar
from vtssi_pyro.inference.standalone import SomeTracker
from vtssi_pyro.movies import Preparation
from vtssi_pyro.system.markup import terms
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.reporting import Reporter

SHOWN = 8  # filled-in keys in a message, about two lines of a terminal
HORIZON = 15  # frames that a tracker without a calibration predicts by default: those of the paper's sequences of 20


class Usual(NamedTuple):
    """How a tracker predicts by default."""

    observe: int  # observed frames
    horizon: int  # predicted frames
    samples: int  # sampled futures
    why: str  # for people


class Trained(ABC):
    """A configuration, and weights that were trained with it."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name by which :func:`~vtssi_pyro.artifacts.loading.find` finds it, from any folder."""

    @property
    @abstractmethod
    def config(self) -> Config:
        """The resolved configuration it was trained with."""

    @abstractmethod
    def tracker(self, checkpoint_name: str = "last", device: str | torch.device = "cpu") -> SomeTracker:
        """The tracker in evaluation mode; raises a :class:`CheckpointError` if it cannot be loaded."""

    @abstractmethod
    def about(self) -> dict[str, Any]:
        """A description with metrics, ready for JSON."""

    def _repr_html_(self) -> str | None:
        """As a notebook shows a training; None, its plain form, if a file of it is damaged or missing."""
        try:
            config, about = self.config, self.about()
        except VtssiError:
            return None
        told = {
            "variant": f"{config.variant}, preset {config.preset}, seed {config.seed}",
            "data": config.data.source,
            "frames": f"{config.model.frame_size} x {config.model.frame_size} px",
            "objects": f"{config.model.num_objects} or fewer",
            "training": f"{config.train.steps} steps, {about.get('minutes') or 0:.1f} minutes",
        }
        judged = next(iter((about.get("metrics") or {}).values()), None) or {}
        for name, unit in (("count_accuracy", "%"), ("inference_error", "px"), ("prediction_error", "px")):
            value = judged.get(name)
            if isinstance(value, int | float):
                told[name.replace("_", " ")] = f"{100 * value:.1f} %" if unit == "%" else f"{value:.2f} px"
        calibrated = "calibrated" if about.get("calibration") else "not calibrated"
        return terms(self.name, told | {"predictions": calibrated}) + self._picture()

    def _picture(self) -> str:
        """A picture below that, as HTML; empty if there is none."""
        return ""

    def marked(self, tracker: SomeTracker) -> SomeTracker:
        """Tell its tracker what it was trained on."""
        config = self.config
        tracker.trained_on = f"{config.data.source}, {config.train.steps:,} steps, preset {config.preset}"
        return tracker

    @property
    def filled_in(self) -> dict[str, Any]:
        """The values, by key, that stand for what a configuration of a former format lacks."""
        return {}

    def say_filled_in(self, report: Reporter) -> None:
        """Report which values stand for keys that a configuration of a former format lacks."""
        # a value that several stages share is told once
        values = {
            re.sub(r"^train\.stages\.[^.]+\.", "train.stages.NAME.", f"{key}={json.dumps(value)}"): None
            for key, value in self.filled_in.items()
        }
        shown, more = list(values)[:SHOWN], len(values) - SHOWN
        if shown:
            rest = f" and {more} more" if more > 0 else ""
            report.say(f"{self.name}: is of a former format; filled in: {', '.join(shown)}{rest}")

    @property
    def calibration(self) -> Calibration | None:
        """The calibration of sampled predictions, for the weights that it names; None if there is none."""
        return None

    @property
    def usual(self) -> Usual:
        """How it predicts by default: as it is calibrated, else as its held-out sequences were judged."""
        if found := self.calibration:
            ahead = len(found.factors)
            why = f"{self.name} is calibrated on {ahead} frames after {found.observed}"
            return Usual(found.observed, ahead, found.samples, why)
        return Usual(self.config.observe, HORIZON, SAMPLED, f"{self.name} is not calibrated")

    @property
    def familiar(self) -> Familiar | None:
        """How well held-out frames fit, with which others are compared; None if it was not measured."""
        return None

    @property
    def preparation(self) -> Preparation | None:
        """The preparation of a movie's frames; None if the training used frames as they are."""
        return None
