"""One file per section of appendix B; each class holds its part of the model and of the guide."""

from vtssi_pyro.model.blocks.air import AIR
from vtssi_pyro.model.blocks.find import FIND, NoFIND
from vtssi_pyro.model.blocks.mot import MOT, RandomWalk, StateSpace
from vtssi_pyro.model.blocks.rect import RECT, ClearestFrame, FirstFrame
from vtssi_pyro.model.blocks.spots import SpotAIR
from vtssi_pyro.model.blocks.template import FollowingFIND, TemplateFIND

__all__ = [
    "AIR",
    "FIND",
    "MOT",
    "RECT",
    "ClearestFrame",
    "FirstFrame",
    "FollowingFIND",
    "NoFIND",
    "RandomWalk",
    "SpotAIR",
    "StateSpace",
    "TemplateFIND",
]
