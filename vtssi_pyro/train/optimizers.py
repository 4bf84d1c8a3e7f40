"""The optimisers that a stage of a recipe can name."""

from collections.abc import Callable

from torch import nn
from torch.optim import Adam, Muon, Optimizer

from vtssi_pyro.baselines.sqair.rmsprop import RMSProp

Parameters = list[nn.Parameter]


def adam(parameters: Parameters, beta1: float) -> list[Optimizer]:
    """Adam, as the paper trains: ``beta1`` is the decay of the gradients' mean, 0.999 that of their squares."""
    capturable = parameters[0].device.type == "cuda"
    return [Adam(parameters, betas=(beta1, 0.999), fused=True, capturable=capturable)]


def muon(parameters: Parameters, beta1: float) -> list[Optimizer]:
    """Muon for matrices, whose updates have the size of Adam's and all singular values alike, and Adam for the rest.

    For networks whose outputs are fed back many times, as a transition's are in roll-outs: the few directions in which
    a matrix's gradient is large hide those on which far predictions depend.

    Reference: K. Jordan et al., Muon (2024); the size of updates: Liu et al., arXiv 2502.16982.
    """
    matrices = [parameter for parameter in parameters if parameter.ndim == 2]
    rest = [parameter for parameter in parameters if parameter.ndim != 2]
    first = [Muon(matrices, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")] if matrices else []
    return first + (adam(rest, beta1) if rest else [])


def rmsprop(parameters: Parameters, beta1: float) -> list[Optimizer]:
    """RMSProp with momentum as in TensorFlow, with which SQAIR was published; it has no ``beta1``."""
    del beta1
    return [RMSProp(parameters)]


# What makes the optimisers of some parameters, which share one learning rate, from the recipe's beta1.
OPTIMIZERS: dict[str, Callable[[Parameters, float], list[Optimizer]]] = {
    "adam": adam,
    "muon": muon,
    "rmsprop": rmsprop,
}
# Those whose steps read no value from the device, so that a CUDA graph can hold them.
CAPTURABLE = ("adam",)
