"""SQAIR (Kosiorek et al. 2018) in Pyro: program, objective, recipes, tracker."""

from vtssi_pyro.baselines.sqair.posterior import Figures, figures
from vtssi_pyro.baselines.sqair.program import SQAIR, SQAIRConfig
from vtssi_pyro.baselines.sqair.recipe import FAST, PUBLISHED, Learner, SQAIRRecipe
from vtssi_pyro.baselines.sqair.tracker import SQAIRTracker
from vtssi_pyro.baselines.sqair.vimco import VIMCO

__all__ = [
    "FAST",
    "PUBLISHED",
    "SQAIR",
    "VIMCO",
    "Figures",
    "Learner",
    "SQAIRConfig",
    "SQAIRRecipe",
    "SQAIRTracker",
    "figures",
]
