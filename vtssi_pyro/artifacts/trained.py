"""The base of runs and of weights that ship."""

import json
import re
from abc import ABC, abstractmethod
from typing import Any

import torch

from vtssi_pyro.evaluation.calibration import Calibration
from vtssi_pyro.inference.novelty import Familiar
from vtssi_pyro.inference.standalone import SomeTracker
from vtssi_pyro.movies import Preparation
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.reporting import Reporter

SHOWN = 8  # filled-in keys in a message, about two lines of a terminal


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

    @property
    def filled_in(self) -> dict[str, Any]:
        """The values, by key, that stand for what a configuration of a former format lacks."""
        return {}

    def say_filled_in(self, report: Reporter) -> None:
        """Report which values stand for keys that a configuration of a former format lacks."""
        values = {
            re.sub(r"^train\.stages\.[^.]+\.", "train.stages.NAME.", f"{key}={json.dumps(value)}"): None
            for key, value in self.filled_in.items()
        }  # of many stages alike, one
        shown, more = list(values)[:SHOWN], len(values) - SHOWN
        if shown:
            rest = f" and {more} more" if more > 0 else ""
            report.say(f"{self.name}: is of a former format; filled in: {', '.join(shown)}{rest}")

    @property
    def calibration(self) -> Calibration | None:
        """The calibration of sampled predictions, for the weights that it names; None if there is none."""
        return None

    @property
    def familiar(self) -> Familiar | None:
        """How well held-out frames fit, with which others are compared; None if it was not measured."""
        return None

    @property
    def preparation(self) -> Preparation | None:
        """The preparation of a movie's frames; None if the training used frames as they are."""
        return None
