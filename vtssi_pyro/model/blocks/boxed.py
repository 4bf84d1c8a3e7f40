"""Spots in the middles of their boxes, also of those that an edge of the frame cuts off. Not in the paper."""

from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from vtssi_pyro.config import Range
from vtssi_pyro.config.ranges import SMALL
from vtssi_pyro.model.blocks.spots import Spots, SpotsConfig
from vtssi_pyro.model.kinds import ATTENTIONS
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.ops.boxes import boxes


@ATTENTIONS.register("boxed")
@dataclass(frozen=True)
class BoxedConfig(SpotsConfig):
    """See :class:`Boxed`."""

    extent: Annotated[float, Range(SMALL, 2), "Size of the object as a share of its attention window."] = 0.95
    # a handwritten digit fills a fifth of its box
    level: Annotated[
        float, Range(SMALL, 1), "Mean intensity in a box of the usual size that counts as one half."
    ] = 0.03

    def build(self, sizes: Sizes) -> "Boxed":
        """See :class:`Boxed`."""
        return Boxed(self, sizes)


class Boxed(Spots):
    """Attend to the middles of the boxes of bright objects.

    The box of an object that touches an edge goes on beyond it, so that who enters has its whole size, and a place
    from which it moves on. Not in the paper.
    """

    def _peaks(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        return boxes(frames, self.config.extent * self.size_loc, self.sizes.num_objects)
