"""RECT in which frames that show more objects weigh more. Not in the paper."""

from dataclasses import dataclass

import torch
from pyro.distributions import Normal
from torch import Tensor, nn

from vtssi_pyro.model.blocks.rect import RECT, RECTConfig
from vtssi_pyro.model.kinds import CONSENSUSES
from vtssi_pyro.model.sizes import Sizes


@CONSENSUSES.register("count-rect")
@dataclass(frozen=True)
class CountRECTConfig(RECTConfig):
    """See :class:`CountRECT`."""

    def build(self, sizes: Sizes) -> "CountRECT":
        """See :class:`CountRECT`."""
        return CountRECT(self, sizes)


class CountRECT(RECT):
    """RECT in which frames with higher counts weigh more, by a learned factor. Not in the paper."""

    def __init__(self, config: CountRECTConfig, sizes: Sizes) -> None:
        super().__init__(config, sizes)
        self.count_gain = nn.Parameter(torch.tensor(0.0))

    def _logits(self, c: Normal, s: Normal, d: Normal) -> Tensor:
        return super()._logits(c, s, d) + nn.functional.softplus(self.count_gain) * c.loc.squeeze(-1)
