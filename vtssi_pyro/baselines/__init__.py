"""Other people's models, as programs of their own: trained and judged by the same code as ours."""

from vtssi_pyro.baselines.ddpae import DDPAE, DDPAEConfig
from vtssi_pyro.baselines.sqair import SQAIR, SQAIRConfig

__all__ = ["DDPAE", "SQAIR", "DDPAEConfig", "SQAIRConfig"]
