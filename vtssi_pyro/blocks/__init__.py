"""One file per section of appendix B; each class holds its part of the model and of the guide."""

from vtssi_pyro.blocks.air import AIR
from vtssi_pyro.blocks.find import FIND, NoFIND, TemplateFIND
from vtssi_pyro.blocks.mot import MOT, RandomWalk
from vtssi_pyro.blocks.rect import RECT, FirstFrame

__all__ = ["AIR", "FIND", "MOT", "RECT", "FirstFrame", "NoFIND", "RandomWalk", "TemplateFIND"]
