"""A motion in which the objects of a scene act on each other. Not in the paper."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Annotated

import torch
from pyro.distributions import Normal
from torch import nn

from vtssi_pyro.config.ranges import UNITS
from vtssi_pyro.model.blocks.mot import scale_heads
from vtssi_pyro.model.blocks.residual_mot import ACTIVATIONS, NEARLY, ResidualMOT, ResidualMOTConfig
from vtssi_pyro.model.kinds import MOTIONS
from vtssi_pyro.model.nn import GaussianMLP
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.types import Paths, State

APART = (
    0.01  # first scale of a message: a tenth of a change's own, so that scenes begin as if objects were alone
)


@MOTIONS.register("interacting")
@dataclass(frozen=True)
class InteractingMOTConfig(ResidualMOTConfig):
    """See :class:`InteractingMOT`."""

    messages: Annotated[tuple[int, ...], UNITS, "Dense layers of the messages between two objects."] = (
        128,
        128,
    )

    def build(self, sizes: Sizes) -> "InteractingMOT":
        """See :class:`InteractingMOT`."""
        self.relate("model.motion.")
        return InteractingMOT(self, sizes)


class InteractingMOT(ResidualMOT):
    """Changes of an object are its own, as in :class:`ResidualMOT`, plus a message from each other object.

    The message to object i from object j is a normal that depends on the place of j as seen from i and on both motions.
    Messages are independent: their means and their variances add up, each weighted by how far its sender is there. So
    the transition is equivariant to the order of objects, an absent object changes no density, and an object alone
    moves by its own changes.

    After: Battaglia et al., Interaction networks, 2016.
    """

    config: InteractingMOTConfig

    def __init__(self, config: InteractingMOTConfig, sizes: Sizes) -> None:
        super().__init__(config, sizes)
        dims = config.motion
        self.message = GaussianMLP(
            [2 + 2 * dims, *config.messages], config.heads, 2 + dims, ACTIVATIONS[config.activation],
            scale_init=APART, positive=sizes.scale_transform,
        )  # fmt: skip
        final = self.message.get_submodule("body.loc")[-1]
        with torch.no_grad():
            final.weight *= NEARLY
            final.bias.zero_()

    def changes(self, previous: State) -> tuple[Normal, Normal]:
        """Own changes and messages; see :meth:`ResidualMOT.changes`.

        ``previous`` has, beside position and motion, the ``steps`` (..., N, 1) by which each object is there; without
        them all objects are.
        """
        own = super().changes(previous)
        position, motion = previous["position"], previous["motion"]
        number = position.shape[-2]
        if number == 1:
            return own
        pair = (*position.shape[:-2], number, number, -1)  # the receiver, then the sender
        place = (position.unsqueeze(-3) - position.unsqueeze(-2)) / self.config.step
        motions = motion.unsqueeze(-2).expand(pair), motion.unsqueeze(-3).expand(pair)
        message = self.message(torch.cat([place, *motions], -1)).base_dist
        weight = 1 - torch.eye(number, dtype=position.dtype, device=position.device).unsqueeze(-1)
        if "steps" in previous:
            weight = weight * previous["steps"].detach().unsqueeze(-3)
        loc, variance = (message.loc * weight).sum(-2), (message.variance * weight).sum(-2)
        at = own[0].loc.shape[-1]
        parts = zip(own, loc.tensor_split([at], -1), variance.tensor_split([at], -1), strict=True)
        moved, turned = (Normal(q.loc + a, (q.variance + b).sqrt()) for q, a, b in parts)
        return moved, turned

    def examples(self, paths: Paths) -> Paths:
        """Whole scenes, in which objects meet."""
        return paths

    def scales(self) -> Iterator[nn.Parameter]:
        """The parameters of the networks' scale heads."""
        return chain(super().scales(), scale_heads(self.message))
