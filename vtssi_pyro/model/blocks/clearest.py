"""The objects of the one frame that shows the most of them, in place of a consensus. Not in the paper."""

from dataclasses import dataclass
from typing import Annotated

import pyro
import torch
from torch import Tensor

from vtssi_pyro.config import Declared
from vtssi_pyro.config.ranges import WINDOW
from vtssi_pyro.model.blocks.rect import per_sequence
from vtssi_pyro.model.interfaces import Attention
from vtssi_pyro.model.kinds import CONSENSUSES
from vtssi_pyro.model.nn import Block
from vtssi_pyro.model.sites import draw_intermediate
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.types import Objects, Plates


@CONSENSUSES.register("clearest")
@dataclass(frozen=True)
class ClearestFrameConfig(Declared):
    """See :class:`ClearestFrame`."""

    K: Annotated[int, WINDOW, "First frames of which the clearest decides what the objects are."] = 5

    def build(self, sizes: Sizes) -> "ClearestFrame":
        """See :class:`ClearestFrame`."""
        del sizes
        return ClearestFrame(self)


class ClearestFrame(Block):
    """No consensus: AIR's inference from that of the first K frames with the highest count. Not in the paper."""

    def __init__(self, config: ClearestFrameConfig) -> None:
        super().__init__()
        self.config, self.K = config, config.K

    def guide(self, attention: Attention, frames: Tensor, plates: Plates) -> tuple[Objects, Tensor | None]:
        """q_AIR(c, s, d | x_k); see :meth:`RECT.guide <vtssi_pyro.model.blocks.rect.RECT.guide>`."""
        frames = frames[:, : self.K]  # (B, K, C, H, W)
        chosen = attention.infer_count(frames).mean.squeeze(-1).argmax(-1)  # (B,)
        clearest = frames[torch.arange(len(frames), device=frames.device), chosen]
        with plates.sequences:
            count = pyro.sample("count", per_sequence(attention.infer_count(clearest)))
            q_size, q_position = attention.locate(clearest)
            with plates.objects:
                size = pyro.sample("size", q_size)
                position = draw_intermediate("position_hat", q_position)
                description = pyro.sample(
                    "description", attention.describe(clearest.unsqueeze(-4), position, size)
                )
        return Objects(count.squeeze(-2), size, description), None
