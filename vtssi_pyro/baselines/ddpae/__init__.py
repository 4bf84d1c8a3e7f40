"""DDPAE, the Decompositional Disentangled Predictive Auto-Encoder (Hsieh et al. 2018), after its official program."""

from vtssi_pyro.baselines.ddpae.config import DDPAEConfig
from vtssi_pyro.baselines.ddpae.program import DDPAE

__all__ = ["DDPAE", "DDPAEConfig"]
