"""SQAIR (Kosiorek et al. 2018) in Pyro: program, objective, tracker."""

from vtssi_pyro.baselines.sqair.program import SQAIR, SQAIRConfig
from vtssi_pyro.baselines.sqair.tracker import SQAIRTracker
from vtssi_pyro.baselines.sqair.vimco import VIMCO

__all__ = ["SQAIR", "VIMCO", "SQAIRConfig", "SQAIRTracker"]
