"""A picture of objects with halos, whose tight boxes are those of the solid parts. Not in the paper."""

from dataclasses import dataclass

from torch import Tensor

from vtssi_pyro.model.blocks.air import AdditiveConfig, AdditivePicture
from vtssi_pyro.model.kinds import PICTURES
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.ops.ink import middle, tight_box, without_halo


@PICTURES.register("solid")
@dataclass(frozen=True)
class SolidConfig(AdditiveConfig):
    """See :class:`SolidPicture`."""

    def build(self, sizes: Sizes) -> "SolidPicture":
        """See :class:`SolidPicture`."""
        return SolidPicture(self, sizes)


class SolidPicture(AdditivePicture):
    """A picture of objects with halos: a tight box is that of the object's solid part, around its middle.

    Neither halos nor noise move such a box. Not in the paper.
    """

    box_error = 0.0  # the middle of a solid part is known to fractions of a pixel
    resolves = False  # what a frame shows beyond the solid part is no ink of the object

    def box(self, glimpses: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
        """Tight boxes of the solid parts in glimpses (..., N, C, G, G)."""
        solid = without_halo(glimpses)
        return middle(solid, size), tight_box(solid, size)[1]
