"""The models for comparison, by name."""

from typing import Any, Protocol

from vtssi_pyro.config import Kinds


class Baseline(Protocol):
    """The configuration of a model for comparison: a frozen dataclass that builds it."""

    def build(self) -> Any:
        """Build the untrained model, a Pyro module with the programs ``model`` and ``guide``."""


BASELINES = Kinds("a model for comparison")
