"""AIR that also sees objects whose centres are beyond the frame's edges. Not in the paper."""

from dataclasses import dataclass
from typing import Annotated

from pyro.distributions import Independent, Normal
from torch import Tensor

from vtssi_pyro.config.ranges import REACH
from vtssi_pyro.model.blocks.strided import StridedAIR, StridedAIRConfig
from vtssi_pyro.model.kinds import ATTENTIONS
from vtssi_pyro.model.sizes import Sizes


@ATTENTIONS.register("wide-air")
@dataclass(frozen=True)
class WideAIRConfig(StridedAIRConfig):
    """See :class:`WideAIR`."""

    # the centre of an object of 0.5 of the frame's side, of which the frame shows nothing any more
    position_scale: Annotated[float, REACH, "Bound of positions; 1: the frame's edges."] = 1.5

    def build(self, sizes: Sizes) -> "WideAIR":
        """See :class:`WideAIR`."""
        return WideAIR(self, sizes)


class WideAIR(StridedAIR):
    """AIR whose positions reach beyond the frame, so that an object at an edge has its whole size. Not in the paper."""

    config: WideAIRConfig

    def locate(self, frames: Tensor) -> tuple[Independent, Independent]:
        """q(s | x) and q(p | x); see :meth:`AIR.locate <vtssi_pyro.model.blocks.air.AIR.locate>`."""
        q_size, q_position = super().locate(frames)
        q = q_position.base_dist
        return q_size, Normal(self.config.position_scale * q.loc, q.scale).to_event(1)
