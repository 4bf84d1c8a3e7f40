"""SQAIR (Kosiorek et al. 2018) in Pyro: program, objective, figures of held-out sequences."""

from vtssi_pyro.baselines.sqair.config import SQAIRConfig
from vtssi_pyro.baselines.sqair.posterior import Figures, figures
from vtssi_pyro.baselines.sqair.program import SQAIR
from vtssi_pyro.baselines.sqair.vimco import VIMCO

__all__ = ["SQAIR", "VIMCO", "Figures", "SQAIRConfig", "figures"]
