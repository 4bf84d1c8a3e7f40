"""The optimisers that a stage of a recipe can name."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Muon, Optimizer

from vtssi_pyro.baselines.sqair.rmsprop import RMSProp

Parameters = list[nn.Parameter]


def adam(parameters: Parameters, beta1: float) -> list[Optimizer]:
    """Adam, as the paper trains: ``beta1`` is the decay of the gradients' mean, 0.999 that of their squares."""
    capturable = parameters[0].device.type == "cuda"
    return [Adam(parameters, betas=(beta1, 0.999), fused=True, capturable=capturable)]


class PacedMuon(Muon):
    """Muon whose learning rate may be a scalar on the device, so that a CUDA graph can hold its steps."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient."""
        rates = [group["lr"] for group in self.param_groups]
        if not any(isinstance(rate, Tensor) for rate in rates):
            return super().step(closure)
        # torch's own step fetches the rate; the change is proportional to it, so that one of rate 1 is cut down
        before = [[parameter.clone() for parameter in group["params"]] for group in self.param_groups]
        for group in self.param_groups:
            group["lr"] = 1.0
        loss = super().step(closure)
        for group, rate, old in zip(self.param_groups, rates, before, strict=True):
            group["lr"] = rate
            for parameter, start in zip(group["params"], old, strict=True):
                parameter.copy_(torch.lerp(start, parameter, torch.as_tensor(rate).to(parameter.dtype)))
        return loss


def muon(parameters: Parameters, beta1: float) -> list[Optimizer]:
    """Muon for matrices, whose updates have the size of Adam's and all singular values alike, and Adam for the rest.

    For networks whose outputs are fed back many times, as a transition's are in roll-outs: the few directions in which
    a matrix's gradient is large hide those on which far predictions depend.

    Reference: K. Jordan et al., Muon (2024); the size of updates: Liu et al., arXiv 2502.16982.
    """
    matrices = [parameter for parameter in parameters if parameter.ndim == 2]
    rest = [parameter for parameter in parameters if parameter.ndim != 2]
    first = [PacedMuon(matrices, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")] if matrices else []
    return first + (adam(rest, beta1) if rest else [])


def rmsprop(parameters: Parameters, beta1: float) -> list[Optimizer]:
    """RMSProp with momentum as in TensorFlow, with which SQAIR was published; it has no ``beta1``."""
    del beta1
    return [RMSProp(parameters)]


# What makes the optimisers of some parameters, which share one learning rate, from the recipe's beta1. Their steps read
# no value from the device, so that a CUDA graph can hold them.
OPTIMIZERS: dict[str, Callable[[Parameters, float], list[Optimizer]]] = {
    "adam": adam,
    "muon": muon,
    "rmsprop": rmsprop,
}
