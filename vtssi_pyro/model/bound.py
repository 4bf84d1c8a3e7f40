"""ELBOs that are one differentiable scalar, from which the loss and its gradients follow."""

from collections.abc import Callable
from typing import Any

import torch
from pyro.infer import ELBO
from pyro.util import warn_if_nan
from torch import Tensor

Program = Callable[..., Any]
Terms = dict[str, Tensor]  # nats, summed over the batch


class DifferentiableELBO(ELBO):
    """An ELBO whose terms are scalars with gradients; a subclass defines :meth:`terms`."""

    def terms(self, model: Program, guide: Program, *args: Any, **kwargs: Any) -> Terms:
        """The terms of the ELBO by name; their sum has its value, and their gradients are the estimate of its own."""
        raise NotImplementedError

    def differentiable_loss(self, model: Program, guide: Program, *args: Any, **kwargs: Any) -> Tensor:
        """Minus the sum of the terms."""
        return total_loss(self.terms(model, guide, *args, **kwargs))

    def loss(self, model: Program, guide: Program, *args: Any, **kwargs: Any) -> float:
        """The value of :meth:`differentiable_loss`."""
        with torch.no_grad():
            loss = self.differentiable_loss(model, guide, *args, **kwargs).item()
        warn_if_nan(loss, "loss")
        return loss

    def loss_and_grads(self, model: Program, guide: Program, *args: Any, **kwargs: Any) -> float:
        """The value of :meth:`differentiable_loss`; its gradients are added to those of the parameters."""
        loss = self.differentiable_loss(model, guide, *args, **kwargs)
        if loss.requires_grad:
            loss.backward(retain_graph=self.retain_graph)
        warn_if_nan(loss, "loss")
        return loss.item()


def total_loss(terms: Terms) -> Tensor:
    """Minus the sum of some terms."""
    return -torch.stack(list(terms.values())).sum()
