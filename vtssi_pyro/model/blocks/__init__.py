"""The blocks of the model and the guide: the paper's by section of appendix B, and ours in files of their own."""

from vtssi_pyro.model.blocks.air import AIR, AdditivePicture, CountedScene
from vtssi_pyro.model.blocks.blobs import BlobsAttention, BlobsPicture
from vtssi_pyro.model.blocks.boxed import Boxed
from vtssi_pyro.model.blocks.clearest import ClearestFrame
from vtssi_pyro.model.blocks.count_rect import CountRECT
from vtssi_pyro.model.blocks.find import FIND, NoFIND
from vtssi_pyro.model.blocks.following import FollowingFIND
from vtssi_pyro.model.blocks.gated import GatedFIND
from vtssi_pyro.model.blocks.interaction import InteractingMOT
from vtssi_pyro.model.blocks.layered import LayeredPicture
from vtssi_pyro.model.blocks.mot import MOT, RandomWalk, StateSpace
from vtssi_pyro.model.blocks.presence import PresenceScene
from vtssi_pyro.model.blocks.rect import RECT, FirstFrame
from vtssi_pyro.model.blocks.residual_mot import ResidualMOT
from vtssi_pyro.model.blocks.saturated import SaturatedPicture
from vtssi_pyro.model.blocks.solid import SolidPicture
from vtssi_pyro.model.blocks.spots import Spots
from vtssi_pyro.model.blocks.strided import StridedAIR, StridedFIND
from vtssi_pyro.model.blocks.template import TemplateFIND
from vtssi_pyro.model.blocks.turning import Turning
from vtssi_pyro.model.blocks.turning_search import TurningFIND
from vtssi_pyro.model.blocks.wide import WideAIR

__all__ = [
    "AIR",
    "FIND",
    "MOT",
    "RECT",
    "AdditivePicture",
    "BlobsAttention",
    "BlobsPicture",
    "Boxed",
    "ClearestFrame",
    "CountRECT",
    "CountedScene",
    "FirstFrame",
    "FollowingFIND",
    "GatedFIND",
    "InteractingMOT",
    "LayeredPicture",
    "NoFIND",
    "PresenceScene",
    "RandomWalk",
    "ResidualMOT",
    "SaturatedPicture",
    "SolidPicture",
    "Spots",
    "StateSpace",
    "StridedAIR",
    "StridedFIND",
    "TemplateFIND",
    "Turning",
    "TurningFIND",
    "WideAIR",
]
