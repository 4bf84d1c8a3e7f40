"""The blocks of the model and the guide: one file per section of appendix B, and one per block of ours."""

from vtssi_pyro.model.blocks.air import AIR, AdditivePicture, CountedScene, SolidPicture, StridedAIR
from vtssi_pyro.model.blocks.find import FIND, NoFIND, StridedFIND
from vtssi_pyro.model.blocks.following import FollowingFIND
from vtssi_pyro.model.blocks.mot import MOT, RandomWalk, StateSpace
from vtssi_pyro.model.blocks.rect import RECT, ClearestFrame, CountRECT, FirstFrame
from vtssi_pyro.model.blocks.residual_mot import ResidualMOT
from vtssi_pyro.model.blocks.spots import Spots
from vtssi_pyro.model.blocks.template import TemplateFIND

__all__ = [
    "AIR",
    "FIND",
    "MOT",
    "RECT",
    "AdditivePicture",
    "ClearestFrame",
    "CountRECT",
    "CountedScene",
    "FirstFrame",
    "FollowingFIND",
    "NoFIND",
    "RandomWalk",
    "ResidualMOT",
    "SolidPicture",
    "Spots",
    "StateSpace",
    "StridedAIR",
    "StridedFIND",
    "TemplateFIND",
]
