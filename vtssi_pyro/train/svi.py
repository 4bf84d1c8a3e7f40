"""Pyro's ``SVI`` and ``PyroOptim`` as training needs them.

Pyro's classes look parameters up in a global store, which all trackers of a process would share. They give each
parameter an optimiser of its own and clip each gradient by itself, whereas the paper clips the global norm. They also
fetch the loss from the device at every step. The classes here receive the parameters, update them together, and fetch
nothing, so that a step can be captured as a CUDA graph.
"""

from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import pyro
import torch
from pyro.infer import ELBO, SVI
from pyro.optim import PyroOptim
from torch import Tensor, nn

from vtssi_pyro.model.bound import DifferentiableELBO, Terms, total_loss
from vtssi_pyro.model.nn import unregistered
from vtssi_pyro.train.group import ALONE, Group
from vtssi_pyro.train.optimizers import OPTIMIZERS
from vtssi_pyro.types import Scalar


class StageOptim(PyroOptim):
    """The optimiser of a stage; gradients are averaged over processes and clipped by their global norm.

    Args:
        parameters: the parameters it moves, all on one device.
        beta1: decay of the gradients' mean, in Adam.
        clip: the largest global norm (reading D3).
        group: the processes that share the batch.
        name: a key of :data:`~vtssi_pyro.train.optimizers.OPTIMIZERS`.
        whole: whether the programs have no other parameters, so that none need be kept from the backward pass.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        beta1: float,
        clip: float,
        group: Group = ALONE,
        name: str = "adam",
        whole: bool = False,
    ) -> None:
        self.parameters, self.clip, self.group = list(parameters), clip, group
        self.inputs = None if whole else self.parameters
        self.parts = OPTIMIZERS[name](self.parameters, beta1)
        super().__init__(type(self.parts[0]), {}, {"clip_norm": clip})

    def __call__(self, params: Any = None) -> Tensor:
        """Make a step by the present gradients, averaged over all processes.

        Args:
            params: the parameters that Pyro's ``SVI`` found; ignored, since the step updates the optimiser's own.

        Returns:
            the gradient's norm before clipping.
        """
        self.group.average([p.grad for p in self.parameters if p.grad is not None])
        norm = nn.utils.clip_grad_norm_(self.parameters, self.clip)
        for part in self.parts:
            part.step()
        return norm

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for part in self.parts:
            part.zero_grad()

    def ascend(self, terms: Terms, per: int) -> tuple[Terms, Tensor]:
        """Make a step up the sum of some terms.

        Args:
            terms: nats of the whole batch.
            per: the sequences, or frames, over which they are averaged.

        Returns:
            the averaged terms, and the gradient's norm before clipping.
        """
        terms = {name: value / per for name, value in terms.items()}
        loss = total_loss(terms)
        self.zero_grad()
        if loss.requires_grad:  # a roll-out of a motion without trainable means needs no gradient
            # Not autograd.grad: it leaves gradients in the layout they were computed in, which the fused Adam of a CPU
            # takes for the parameter's own, and hands out one tensor for two parameters, to be clipped twice. Of a
            # program of many small operations, a choice of inputs takes a tenth of the pass.
            loss.backward(inputs=self.inputs)
        norm = self(self.parameters)
        return {name: value.detach() for name, value in terms.items()}, norm

    def set_learning_rate(self, rate: Scalar) -> None:
        """Set the learning rate of the next steps: a number, or a 0-d tensor of the device."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = rate

    def get_state(self) -> dict[str, Any]:
        """The optimiser's state, on which the next step depends beside parameters and gradients."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def set_state(self, state_dict: dict[str, Any]) -> None:
        """Restore a state of :meth:`get_state`, perhaps from another device."""
        kept = state_dict.get("parts", [state_dict])  # a run of version 1 kept the state of its one Adam
        for part, state in zip(self.parts, deepcopy(kept), strict=True):
            fresh = [options.get("capturable") for options in part.param_groups]
            part.load_state_dict(state)
            for options, capturable in zip(part.param_groups, fresh, strict=True):
                if capturable is not None:  # it is of the device
                    options["capturable"] = capturable


class StageSVI(SVI):
    """Stochastic variational inference that updates its optimiser's parameters and leaves the global store alone.

    Args:
        model: p(x, z).
        guide: q(z | x).
        optim: the optimiser, with its parameters.
        loss: a :class:`~vtssi_pyro.model.bound.DifferentiableELBO`, or one of Pyro's own, which halt the device at
            every step.
    """

    def __init__(
        self, model: Callable[..., Any], guide: Callable[..., Any], optim: StageOptim, loss: ELBO
    ) -> None:
        super().__init__(model, guide, optim, loss)
        self.elbo = loss

    def step(self, *args: Any, extras: Callable[[], Terms] = dict, per: int = 1) -> tuple[Terms, Tensor]:
        """Make a step up the sum of the ELBO and further terms.

        Args:
            args: arguments of the model and the guide.
            extras: makes the further terms, after the draws of the ELBO.
            per: the sequences, or frames, over which terms are averaged.

        Returns:
            the averaged terms, and the gradient's norm before clipping.
        """
        # Pyro's own ELBOs make gradients only if the programs register their parameters with a store
        with pyro.get_param_store().scope(), unregistered(isinstance(self.elbo, DifferentiableELBO)):
            terms = self._terms(*args) | extras()
        return self.optim.ascend(terms, per)

    def _terms(self, *args: Any) -> Terms:
        """The ELBO of the whole batch by term, nats; one of Pyro's own is one term, "elbo"."""
        if isinstance(self.elbo, DifferentiableELBO):
            return self.elbo.terms(self.model, self.guide, *args)
        # some ELBOs of Pyro have no differentiable loss: this scalar has the value and the gradient
        self.optim.zero_grad()
        loss = self.loss_and_grads(self.model, self.guide, *args)
        slopes = [((p - p.detach()) * p.grad).sum() for p in self.optim.parameters if p.grad is not None]
        return {"elbo": -(loss + torch.stack(slopes).sum())}
