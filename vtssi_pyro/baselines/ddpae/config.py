"""DDPAE's configuration."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from vtssi_pyro.config import Range
from vtssi_pyro.config.ranges import DIMENSIONS, SCALE, SIDE, UNITS, WINDOW
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

    frame_size: Annotated[
        int, Range(SMALLEST, SIDE.high), "Side of the square frames, a power of 2, pixels."
    ] = 64
    inputs: Annotated[int, WINDOW, "Frames that the guide reads; it predicts all others."] = 10
    features: Annotated[int, UNITS, "Features of a frame."] = 256
    content: Annotated[int, DIMENSIONS, "Dimensions D of an object's content."] = 128
    hidden: Annotated[int, UNITS, "Units of every LSTM."] = 64
    filters: Annotated[int, UNITS, "Filters of the first convolution."] = 8
    zoom: Annotated[
        float,
        Range(1, 100, "(]"),  # the window's bounds are +-1 of it: at 1 it could vanish
        "Side of a frame by that of an object's window: the prior's mean.",
    ] = 2.0
    pose_scale: Annotated[
        tuple[float, float, float], SCALE, "Standard deviations of the prior of the initial pose."
    ] = (0.2, 1.0, 1.0)
    step_scale: Annotated[float, SCALE, "Standard deviation of the prior of a pose's change."] = 0.1
    likelihood_scale: Annotated[float, SCALE, "Standard deviation of a pixel."] = 0.3

    def relate(self, where: str) -> None:
        """Refuse sides that are no power of 2."""
        if self.frame_size & (self.frame_size - 1):
            raise UsageError(
                f"{where}frame_size: ddpae needs a power of 2 of {SMALLEST} or more, found {self.frame_size}"
            )

    @property
    def picture_size(self) -> int:
        """Side of an object's picture, pixels."""
        return self.frame_size // 2

    def build(self) -> "DDPAE":
        """Build an untrained tracker.

        Raises:
            UsageError: the frames' side is no power of 2.
        """
        from vtssi_pyro.baselines.ddpae.program import DDPAE

        self.relate("model.")
        return DDPAE(self)
