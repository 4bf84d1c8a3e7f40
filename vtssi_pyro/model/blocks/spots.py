"""AIR's guide for things that stand out from a plain background: seen as spots, without learned networks.

Learning to attend takes thousands of different frames, and one movie of a few hundred has not so many. Where things are
bright on black and of about one size, which preparation can see to, the peaks of a blurred frame are where they are.
What they look like, how they move and how sure all that is, is learned as ever. Not in the paper.
"""

import torch
from pyro.distributions import Independent, Normal
from torch import Tensor, nn

from vtssi_pyro.config import AIRConfig, SpotConfig
from vtssi_pyro.model.blocks.air import AIR
from vtssi_pyro.model.nn import MIN_SCALE
from vtssi_pyro.ops.ink import middle, tight_box, without_halo
from vtssi_pyro.ops.peaks import peaks
from vtssi_pyro.types import Found, Objects

GAIN = 8.0  # of a peak's height over the level, relative to it: one half above counts as 0.98


class SpotAIR(AIR):
    """AIR whose guide attends to the highest peaks of the blurred frame.

    q(c | x) counts the peaks by how far each is above a level, q(p | x) is around them, and q(s) is the same for
    all things: around the prior's mean, since the attention window only has to enclose them.
    """

    def __init__(self, config: AIRConfig, spots: SpotConfig) -> None:
        super().__init__(config)
        self.spots = spots
        self.log_scales = nn.Parameter(
            torch.tensor([0.1, 0.5, 0.5]).log()
        )  # of c, s and p, the last two in prior deviations and pixels
        self.window = nn.Parameter(torch.zeros(2))  # beside the size's prior mean, in its standard deviations

    def _attend(self, config: AIRConfig) -> None:
        """No networks."""

    def infer_count(self, frames: Tensor) -> Independent:
        """q(c | x); see :meth:`AIR.infer_count <vtssi_pyro.model.blocks.air.AIR.infer_count>`."""
        num_objects = self.config.num_objects
        above = self._peaks(frames)[1] / self.spots.level - 1
        number = torch.sigmoid(GAIN * above).sum(-1, keepdim=True)
        share = (number / num_objects).clamp(0.02 / num_objects, 1 - 0.02 / num_objects)
        return Normal(share.logit(), self._scale(0).expand_as(share)).to_event(1)

    def locate(self, frames: Tensor) -> tuple[Independent, Independent]:
        """q(s | x) and q(p | x); see :meth:`AIR.locate <vtssi_pyro.model.blocks.air.AIR.locate>`."""
        places = self._peaks(frames)[0]
        prior = self.size().base_dist
        size = (prior.mean + self.window * prior.stddev).expand_as(places)
        q_size = Normal(size, (self._scale(1) * prior.stddev).expand_as(places)).to_event(1)
        pixel = 2 / self.config.frame_size
        return q_size, Normal(places, (self._scale(2) * pixel).expand_as(places)).to_event(1)

    def box(self, objects: Objects, found: Found) -> tuple[Tensor, Tensor]:
        """Tight boxes of what is solid, around its middle: neither halos nor noise move that."""
        if found.box:
            return found.box
        solid = without_halo(self.glimpses(objects, found))
        return middle(solid, objects.size), tight_box(solid, objects.size)[1]

    def _peaks(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        extent = self.spots.extent * self.size().mean
        return peaks(frames, extent, self.config.num_objects)

    def _scale(self, index: int) -> Tensor:
        return self.log_scales[index].exp() + MIN_SCALE
