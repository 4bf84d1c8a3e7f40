"""A motion in which the objects of a scene act on each other. Not in the paper."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Annotated

import torch
from pyro.distributions import Normal
from torch import Tensor, nn

from vtssi_pyro.config import Range
from vtssi_pyro.config.ranges import UNITS
from vtssi_pyro.errors import UsageError
from vtssi_pyro.model.blocks.mot import scale_heads
from vtssi_pyro.model.blocks.residual_mot import ACTIVATIONS, NEARLY, ResidualMOT, ResidualMOTConfig
from vtssi_pyro.model.kinds import MOTIONS
from vtssi_pyro.model.nn import GaussianMLP
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.types import Paths, State

APART = (
    0.01  # first scale of a message: a tenth of a change's own, so that scenes begin as if objects were alone
)
TINY = 1e-12  # frame coordinates squared, so that the distance of an object from itself has a gradient


@MOTIONS.register("interacting")
@dataclass(frozen=True)
class InteractingMOTConfig(ResidualMOTConfig):
    """See :class:`InteractingMOT`."""

    inertia: Annotated[
        bool, "Whether velocities are kept unless the networks change them; messages need it."
    ] = True
    messages: Annotated[tuple[int, ...], UNITS, "Dense layers of the messages between two objects."] = (
        64,
        64,
    )
    # ten steps of the default are half of the frame
    reach: Annotated[
        float,
        Range(0, 1000),
        "Distance from which on objects do not act on each other, steps; 0: they never do.",
    ] = 10.0

    def build(self, sizes: Sizes) -> "InteractingMOT":
        """See :class:`InteractingMOT`."""
        self.relate("model.motion.")
        return InteractingMOT(self, sizes)

    def relate(self, where: str) -> None:
        """Refuse messages about velocities that no motion has."""
        super().relate(where)
        if not self.inertia:
            raise UsageError(f"{where}inertia: messages between objects need it")


class InteractingMOT(ResidualMOT):
    """Changes of an object are its own, as in :class:`ResidualMOT`, plus a message from each other object.

    A message is a normal in the coordinates of the pair, along and across the line between both objects. It depends on
    their distance, on their relative velocity in these coordinates, and on what else their motions hold; where they are
    in the frame, and how the line is turned, does not matter. Messages are independent: their means and their variances
    add up, each weighted by how far its sender is there, and by a smooth cutoff. So the transition is equivariant to
    the order of objects, an absent or far object changes no density, and an object alone moves by its own changes.

    After: Battaglia et al., Interaction networks, 2016; the cutoff: Behler and Parrinello, 2007.
    """

    config: InteractingMOTConfig

    def __init__(self, config: InteractingMOTConfig, sizes: Sizes) -> None:
        super().__init__(config, sizes)
        dims = config.motion
        self.message = GaussianMLP(
            [3 + 2 * (dims - 2), *config.messages], (), 2 + dims, ACTIVATIONS[config.activation],
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
        number = previous["position"].shape[-2]
        if number == 1 or not self.config.reach:
            return own
        *message, weight = self._messages(previous["position"], previous["motion"])
        if "steps" in previous:
            weight = weight * previous["steps"].detach().unsqueeze(-3)
        loc, variance = ((value * weight).sum(-2) for value in message)
        parts = zip(own, loc.tensor_split([2], -1), variance.tensor_split([2], -1), strict=True)
        moved, turned = (Normal(q.loc + a, (q.variance + b).sqrt()) for q, a, b in parts)
        return moved, turned

    def _messages(self, position: Tensor, motion: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and variance (..., N, N, 2 + dims) of the message to each object from each, and its weight."""
        pair = (*motion.shape[:-2], motion.shape[-2], *motion.shape[-2:])  # the receiver, then the sender
        receiver, sender = motion.unsqueeze(-2).expand(pair), motion.unsqueeze(-3).expand(pair)
        apart = position.unsqueeze(-3) - position.unsqueeze(-2)
        distance = (apart.square().sum(-1, keepdim=True) + TINY).sqrt()
        axes = _axes(apart / distance)
        reach, steps = self.config.reach, distance / self.config.step
        known = [
            reach - steps.clamp(max=reach),
            _turned(axes.mT, sender[..., :2] - receiver[..., :2]),
            receiver[..., 2:],
            sender[..., 2:],
        ]
        local = self.message(torch.cat(known, -1)).base_dist
        # of the message's vectors: a change of place, and one of velocity
        vectors, rest = local.loc.tensor_split([4], -1)
        spreads, others = local.variance.tensor_split([4], -1)
        loc = torch.cat([*(_turned(axes, v) for v in vectors.split(2, -1)), rest], -1)
        variance = torch.cat([*(_turned(axes.square(), v) for v in spreads.split(2, -1)), others], -1)
        weight = (1 + torch.cos(torch.pi * (steps / reach).clamp(max=1))) / 2
        return loc, variance, weight * (1 - torch.eye(pair[-2]).to(weight)).unsqueeze(-1)

    def examples(self, paths: Paths) -> Paths:
        """Whole scenes, in which objects meet."""
        return paths

    def scales(self) -> Iterator[nn.Parameter]:
        """The parameters of the networks' scale heads."""
        return chain(super().scales(), scale_heads(self.message))


def _axes(along: Tensor) -> Tensor:
    """The axes (..., 2, 2) of unit vectors (..., 2): as columns, these and those across them."""
    x, y = along.unbind(-1)
    return torch.stack([torch.stack([x, -y], -1), torch.stack([y, x], -1)], -2)


def _turned(matrix: Tensor, vector: Tensor) -> Tensor:
    """Matrices (..., 2, 2) times vectors (..., 2)."""
    return (matrix * vector.unsqueeze(-2)).sum(-1)
