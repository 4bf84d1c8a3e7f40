"""A tiny SQAIR whose objects come and go, and frames for it."""

import torch
from torch import Tensor

from vtssi_pyro.baselines import SQAIR, SQAIRConfig

CONFIG = SQAIRConfig(num_objects=2, spare=0, frame_size=12, glimpse=5, what=3, units=8)


def tiny(config: SQAIRConfig = CONFIG) -> SQAIR:
    """In float64, with weights so large that every network matters, and with an even chance to stay or to be found."""
    sqair = config.build().double()
    with torch.no_grad():
        for name, parameter in sqair.named_parameters():
            if "bias" in name or "start" in name or name.endswith("background"):
                parameter.add_(0.3 * torch.randn_like(parameter))
        for presence in (sqair.inference.body.propagation.presence, sqair.inference.body.discovery.presence):
            presence[-1].bias.fill_(0.5)
    return sqair


def frames(sequences: int = 2, length: int = 4, side: int = 12) -> Tensor:
    return torch.rand(sequences, length, 1, side, side, dtype=torch.float64)
