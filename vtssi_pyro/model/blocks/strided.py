"""AIR and FIND with strided convolutions in place of max-pooling. Not in the paper."""

from dataclasses import dataclass

from vtssi_pyro.model.blocks.air import AIR, AIRConfig
from vtssi_pyro.model.blocks.find import FIND, FINDConfig
from vtssi_pyro.model.kinds import ATTENTIONS, FINDERS
from vtssi_pyro.model.sizes import Sizes


@ATTENTIONS.register("strided-air")
@dataclass(frozen=True)
class StridedAIRConfig(AIRConfig):
    """See :class:`StridedAIR`."""

    dropout: float = 0.0

    def build(self, sizes: Sizes) -> "StridedAIR":
        """See :class:`StridedAIR`."""
        return StridedAIR(self, sizes)


class StridedAIR(AIR):
    """AIR with strided convolutions in place of max-pooling: faster, and as good. Not in the paper."""

    stride = True


@FINDERS.register("strided-find")
@dataclass(frozen=True)
class StridedFINDConfig(FINDConfig):
    """See :class:`StridedFIND`."""

    def build(self, sizes: Sizes) -> "StridedFIND":
        """See :class:`StridedFIND`."""
        return StridedFIND(self, sizes)


class StridedFIND(FIND):
    """FIND with strided convolutions in place of max-pooling: faster. Not in the paper."""

    stride = True
