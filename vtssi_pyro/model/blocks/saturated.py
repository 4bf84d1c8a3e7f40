"""A picture in which no pixel is brighter than white, however many objects cover it. Not in the paper."""

from dataclasses import dataclass

from torch import Tensor

from vtssi_pyro.model.blocks.air import AdditiveConfig, AdditivePicture
from vtssi_pyro.model.kinds import PICTURES
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.types import Objects, Pose

WHITE = 1.0  # the brightest intensity of a frame


@PICTURES.register("saturated")
@dataclass(frozen=True)
class SaturatedConfig(AdditiveConfig):
    """See :class:`SaturatedPicture`."""

    def build(self, sizes: Sizes) -> "SaturatedPicture":
        """See :class:`SaturatedPicture`."""
        return SaturatedPicture(self, sizes)


class SaturatedPicture(AdditivePicture):
    """The sum of all objects' glimpses, cut off at white, as a camera and moving digits cut it off.

    Where white objects cross, their sum is twice as bright as the frame. To the additive picture two objects that cross
    are therefore less likely than one that looks like both; here they are as likely as they look. What the others leave
    to an object, the frame less :meth:`others`, is the object as it is drawn wherever the frame is as expected: a white
    pixel tells nothing of how many objects cover it. Not in the paper.
    """

    def draw(self, pose: Pose, objects: Objects) -> Tensor:
        """The frames with all objects."""
        return super().draw(pose, objects).clamp_max(WHITE)

    def compose(self, layers: Tensor, pose: Pose) -> Tensor:
        """Frames (..., T, C, H, W) of layers (..., T, N, C, H, W)."""
        return super().compose(layers, pose).clamp_max(WHITE)
