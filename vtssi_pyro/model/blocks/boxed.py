"""Spots in the middles of their boxes, also of those that an edge of the frame cuts off. Not in the paper."""

from dataclasses import dataclass
from typing import Annotated

import torch
from pyro.distributions import Independent
from torch import Tensor

from vtssi_pyro.config import Range
from vtssi_pyro.config.ranges import SMALL
from vtssi_pyro.model.blocks.spots import Spots, SpotsConfig
from vtssi_pyro.model.kinds import ATTENTIONS
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.ops.boxes import boxes
from vtssi_pyro.ops.spatial import centres, extract_glimpses


@ATTENTIONS.register("boxed")
@dataclass(frozen=True)
class BoxedConfig(SpotsConfig):
    """See :class:`Boxed`."""

    extent: Annotated[float, Range(SMALL, 2), "Size of the object as a share of its attention window."] = 0.95
    # a handwritten digit fills a fifth of its box
    level: Annotated[
        float, Range(SMALL, 1), "Mean intensity in a box of the usual size that counts as one half."
    ] = 0.03
    cut: Annotated[
        float,
        Range(0, 1),
        "Largest share of a glimpse that training hides from the encoder, as an edge of the frame does.",
    ] = 0.0

    def build(self, sizes: Sizes) -> "Boxed":
        """See :class:`Boxed`."""
        return Boxed(self, sizes)


class Boxed(Spots):
    """Attend to the middles of the boxes of bright objects.

    The box of an object that touches an edge goes on beyond it, so that who enters has its whole size, and a place
    from which it moves on.

    With ``cut``, the encoder learns to tell a whole object from a part: in training it sees glimpses of which sides are
    missing, while the likelihood is that of the whole frame. The bound is that of a guide which draws what is missing
    first (the denoising criterion of Im et al. 2017). Not in the paper.
    """

    config: BoxedConfig

    def describe(self, frames: Tensor, position: Tensor, size: Tensor) -> Independent:
        """q(d | x, s, p); see :meth:`AIR.describe <vtssi_pyro.model.blocks.air.AIR.describe>`."""
        glimpses = extract_glimpses(frames, position, size, self.sizes.glimpse)
        if self.training and self.config.cut:
            glimpses = cut_off(glimpses, self.config.cut)
        return self.encoder(glimpses.flatten(-3))

    def _peaks(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        return boxes(frames, self.config.extent * self.size_loc, self.sizes.num_objects)


def cut_off(glimpses: Tensor, most: float) -> Tensor:
    """Black out one of the four sides of half of the glimpses (..., C, G, G), up to a share ``most`` of a glimpse."""
    where, axis = (
        torch.rand(glimpses.shape[:-3], dtype=glimpses.dtype, device=glimpses.device) for _ in range(2)
    )
    where = (2 * where - 1).unsqueeze(-1)
    missing = most * (2 * where.abs() - 1).clamp_min(0)
    along = where.sign() * centres(glimpses.shape[-1], glimpses)  # (..., G), to the side that is missing
    kept = (along < 1 - 2 * missing).to(glimpses)
    across = (axis < 0.5)[..., None, None]
    return glimpses * torch.where(across, kept.unsqueeze(-2), kept.unsqueeze(-1)).unsqueeze(-3)
