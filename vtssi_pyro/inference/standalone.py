"""Trackers that are no assembly of the six slots, such as other people's models: one interface, the same doors.

:func:`~vtssi_pyro.fit`, run folders, :func:`~vtssi_pyro.track`, :func:`~vtssi_pyro.forecast` and
:func:`~vtssi_pyro.evaluate` take such a tracker like the model of this package.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from torch import Tensor

from vtssi_pyro.inference.estimate import Estimate, floats, joined, quiet, seeded
from vtssi_pyro.model.config import ModelConfig
from vtssi_pyro.model.config import variant_of as blocks_variant
from vtssi_pyro.model.kinds import MODELS
from vtssi_pyro.model.notebook import html
from vtssi_pyro.model.program import TRAINED
from vtssi_pyro.model.sizes import SceneSizes
from vtssi_pyro.model.tracker import Tracker, at_once
from vtssi_pyro.model.tracker import build as assembled
from vtssi_pyro.model.trainable import Trainable
from vtssi_pyro.ops.channels import channelled
from vtssi_pyro.types import Anneal


@dataclass(frozen=True)
class StandaloneConfig(SceneSizes):
    """The configuration of a standalone tracker; register it with ``register("model", NAME)``."""

    def build(self) -> "StandaloneTracker":
        """Build an untrained tracker."""
        raise NotImplementedError


class StandaloneTracker(Trainable):
    """A tracker whose ``model`` and ``guide`` are a program of its own.

    Args:
        config: the configuration that builds such a tracker.
    """

    predicts = True  # whether it predicts frames
    per_frame = False  # whether each frame has a count of its own

    def __init__(self, config: StandaloneConfig) -> None:
        super().__init__()
        self.config = config

    def _repr_html_(self) -> str:
        """As a notebook shows a tracker."""
        return html(self, self.named_children(), self.trained_on)

    @property
    def num_objects(self) -> int:
        """Number of object slots N."""
        return self.config.num_objects

    @property
    def frame_size(self) -> int:
        """Side of its frames, pixels."""
        return self.config.frame_size

    @property
    def channels(self) -> int:
        """Number of channels C of its frames."""
        return self.config.channels

    @property
    def K(self) -> int:
        """Number of first frames that decide the objects."""
        raise NotImplementedError

    @property
    def reads(self) -> int | None:
        """Number of first frames that it reads; later ones it predicts, observed or not. None: it reads all."""
        return None

    @property
    def shortest(self) -> int:
        """The least number of frames of a training sequence."""
        raise NotImplementedError

    def model(self, frames: Tensor, anneal: Anneal = TRAINED, horizon: int = 0) -> object:
        """p(x, z).

        Args:
            frames: (B, T, C, H, W), or (B, T, H, W) in grey; intensities in [0, 1].
            anneal: the annealed numbers of a training step.
            horizon: frames to predict beyond the observed ones.
        """
        raise NotImplementedError

    def guide(self, frames: Tensor, anneal: Anneal = TRAINED, horizon: int = 0) -> object:
        """q(z | x), with the arguments of :meth:`model`."""
        raise NotImplementedError

    def read(
        self, frames: Tensor, horizon: int, num_samples: int, temperatures: Sequence[float]
    ) -> list[Estimate]:
        """Estimate the observed frames and ``horizon`` frames beyond them, without gradients, in evaluation mode.

        Args:
            frames: (B, T, C, H, W) in [0, 1], as many sequences as memory allows.
            horizon: number of frames to predict.
            num_samples: number of sampled paths (S, B, T + horizon, N, 2); 0: none.
            temperatures: factors on the scales of the samples' draws, one for each estimate.
        """
        raise NotImplementedError

    def at_once(self, length: int) -> int:
        """Number of sequences of ``length`` frames that are read together; more would only take more memory."""
        return at_once(self, length)

    def program(self) -> Self:
        """The program that training fits."""
        return self

    def refined(self) -> Self:
        """The program whose ELBO judges held-out sequences."""
        return self

    def forecasts(
        self,
        frames: Tensor,
        horizon: int,
        num_samples: int,
        temperatures: Sequence[float],
        batch: int | None = None,
        seed: int = 0,
    ) -> list[Estimate]:
        """Forecasts at several temperatures; see :func:`vtssi_pyro.inference.filter.forecasts`."""
        x = floats(channelled(frames))
        with quiet(self), seeded(seed):
            parts = [
                self.read(some, horizon, num_samples, temperatures)
                for some in x.split(batch or self.at_once(x.shape[1] + horizon))
            ]
        return [joined(estimates, 0) for estimates in zip(*parts, strict=True)]


SomeTracker = Tracker | StandaloneTracker
WholeModel = ModelConfig | StandaloneConfig


def variant_of(config: WholeModel) -> str:
    """The name of the variant whose kinds of blocks a model has, or that of another model."""
    return blocks_variant(config) if isinstance(config, ModelConfig) else MODELS.name(config)


def build(config: WholeModel) -> SomeTracker:
    """Build an untrained tracker of any kind."""
    return assembled(config) if isinstance(config, ModelConfig) else config.build()
