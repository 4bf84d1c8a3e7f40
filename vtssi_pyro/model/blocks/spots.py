"""An attention for bright objects on a plain background, which finds them as spots, without learned networks.

Learned attention needs thousands of different frames, more than one movie has. If objects are bright on black and of
about one size, as the preparation of a movie makes them, they are at the peaks of a blurred frame. Their looks, their
motion and all scales are learned as in other models. Not in the paper.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from pyro.distributions import Independent, Normal
from torch import Tensor, nn

from vtssi_pyro.config import Declared, Range
from vtssi_pyro.config.ranges import SMALL, UNITS
from vtssi_pyro.model.blocks.air import encoder
from vtssi_pyro.model.kinds import ATTENTIONS
from vtssi_pyro.model.nn import MIN_SCALE, Block
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.ops.peaks import peaks
from vtssi_pyro.ops.spatial import extract_glimpses

# Slope of the count in a peak's height relative to the level: a peak one half above it counts as 0.98, one half below
# it as 0.02. A rule of thumb: objects of one movie differ in height by less than that.
GAIN = 8.0
# Objects: the least number, and how far the greatest is below N, so that its logit is finite; both round to 0 and N.
MARGIN = 0.02
# First scales of count, size and position, in logits, in prior deviations, and in pixels; guesses, which are learned.
SCALES = (0.1, 0.5, 0.5)


@ATTENTIONS.register("spots")
@dataclass(frozen=True)
class SpotsConfig(Declared):
    """See :class:`Spots`."""

    # of objects about which nothing is known; `fit MOVIE` sets both from the inspection
    extent: Annotated[float, Range(SMALL, 1), "Size of the object as a share of its attention window."] = 0.8
    level: Annotated[
        float, Range(SMALL, 1), "Height of a peak in the blurred frame that counts as one half."
    ] = 0.3
    encoder: Annotated[tuple[int, ...], UNITS, "Dense layers of the VAE's encoder."] = (256, 128)

    def build(self, sizes: Sizes) -> "Spots":
        """See :class:`Spots`."""
        return Spots(self, sizes)


class Spots(Block):
    """Attend to the highest peaks of the blurred frame.

    q(c | x) counts the peaks by their height above a level. q(p | x) is centred on the peaks. q(s) is the same for all
    objects, around the prior's mean, since the attention window only has to enclose an object.
    """

    size_loc: Tensor
    size_scale: Tensor

    def __init__(self, config: SpotsConfig, sizes: Sizes) -> None:
        super().__init__()
        self.config, self.sizes = config, sizes
        self.register_buffer("size_loc", torch.tensor(sizes.size_loc), persistent=False)
        self.register_buffer("size_scale", torch.full((2,), sizes.size_scale), persistent=False)
        self.log_scales = nn.Parameter(torch.tensor(SCALES).log())
        self.window = nn.Parameter(torch.zeros(2))  # shift of the size's prior mean, in prior deviations
        self.encoder = encoder(config.encoder, sizes)

    def infer_count(self, frames: Tensor) -> Independent:
        """q(c | x); see :meth:`AIR.infer_count <vtssi_pyro.model.blocks.air.AIR.infer_count>`."""
        num_objects = self.sizes.num_objects
        above = self._peaks(frames)[1] / self.config.level - 1
        number = torch.sigmoid(GAIN * above).sum(-1, keepdim=True)
        share = (number / num_objects).clamp(MARGIN / num_objects, 1 - MARGIN / num_objects)
        return Normal(share.logit(), self._scale(0).expand_as(share)).to_event(1)

    def locate(self, frames: Tensor) -> tuple[Independent, Independent]:
        """q(s | x) and q(p | x); see :meth:`AIR.locate <vtssi_pyro.model.blocks.air.AIR.locate>`."""
        places = self._peaks(frames)[0]
        size = (self.size_loc + self.window * self.size_scale).expand_as(places)
        q_size = Normal(size, (self._scale(1) * self.size_scale).expand_as(places)).to_event(1)
        pixel = 2 / self.sizes.frame_size
        return q_size, Normal(places, (self._scale(2) * pixel).expand_as(places)).to_event(1)

    def describe(self, frames: Tensor, position: Tensor, size: Tensor) -> Independent:
        """q(d | x, s, p); see :meth:`AIR.describe <vtssi_pyro.model.blocks.air.AIR.describe>`."""
        return self.encoder(extract_glimpses(frames, position, size, self.sizes.glimpse).flatten(-3))

    def _peaks(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        return peaks(frames, self.config.extent * self.size_loc, self.sizes.num_objects)

    def _scale(self, index: int) -> Tensor:
        return self.log_scales[index].exp() + MIN_SCALE
