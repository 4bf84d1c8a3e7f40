"""RMSProp as TensorFlow 1 has it, with which SQAIR was published."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


class RMSProp(torch.optim.Optimizer):
    """RMSProp with momentum: m = momentum m + rate g / sqrt(v + eps), where v is the running mean of g g.

    ``torch.optim.RMSprop`` differs: there v starts at 0 instead of 1, so that first steps are long; eps is added to the
    root, where 1e-10 would mean 1e-20 here; and a change of the rate is at once a change of past steps in m.

    Args:
        parameters: the parameters.
        lr: the rate.
        decay: of v.
        momentum: of m.
        eps: added under the root.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float = 1e-5,
        decay: float = 0.9,
        momentum: float = 0.9,
        eps: float = 1e-10,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "decay": decay, "momentum": momentum, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not moved:
                continue
            for parameter in moved:
                if not self.state[parameter]:
                    self.state[parameter]["square"] = torch.ones_like(parameter)
                    self.state[parameter]["step"] = torch.zeros_like(parameter)
            gradients: list[Tensor] = [parameter.grad for parameter in moved if parameter.grad is not None]
            squares = [self.state[parameter]["square"] for parameter in moved]
            steps = [self.state[parameter]["step"] for parameter in moved]
            torch._foreach_mul_(squares, group["decay"])
            torch._foreach_addcmul_(squares, gradients, gradients, 1 - group["decay"])
            roots = torch._foreach_sqrt(torch._foreach_add(squares, group["eps"]))
            torch._foreach_mul_(steps, group["momentum"])
            changes = torch._foreach_div(gradients, roots)
            torch._foreach_mul_(changes, group["lr"])  # a number, or a scalar on the device
            torch._foreach_add_(steps, changes)
            torch._foreach_sub_(moved, steps)
        return loss
