"""DDPAE's configuration."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vtssi_pyro.errors import UsageError
from vtssi_pyro.inference.standalone import StandaloneConfig
from vtssi_pyro.model.kinds import register

if TYPE_CHECKING:
    from vtssi_pyro.baselines.ddpae.program import DDPAE

SMALLEST = 32  # pixels a side: an object's picture, half as large, then has two convolutions


@register("model", "ddpae")
@dataclass(frozen=True)
class DDPAEConfig(StandaloneConfig):
    """All numbers of DDPAE; the defaults are those of the official program for its Moving MNIST.

    An object's picture has half the side of a frame.
    """

    frame_size: int = 64  # a power of 2
    inputs: int = 10  # frames that the guide reads; it predicts all others
    features: int = 256  # of a frame
    content: int = 128  # D
    hidden: int = 64  # of every LSTM
    filters: int = 8  # of the first convolution
    zoom: float = (
        2.0  # side of a frame by that of an object's window: the prior's mean; the window's bounds are +-1
    )
    pose_scale: tuple[float, float, float] = (0.2, 1.0, 1.0)  # of the prior of the initial pose
    step_scale: float = 0.1  # of the prior of a pose's change
    likelihood_scale: float = 0.3

    @property
    def picture_size(self) -> int:
        """Side of an object's picture, pixels."""
        return self.frame_size // 2

    def build(self) -> "DDPAE":
        """Build an untrained tracker.

        Raises:
            UsageError: the frames' side is no power of 2, or the windows could vanish.
        """
        from vtssi_pyro.baselines.ddpae.program import DDPAE

        side = self.frame_size
        if side < SMALLEST or side & (side - 1):
            raise UsageError(
                f"model.frame_size: ddpae needs a power of 2 of {SMALLEST} or more, found {side}"
            )
        if self.zoom <= 1:
            raise UsageError(f"model.zoom: expected a number above 1, found {self.zoom}")
        return DDPAE(self)
