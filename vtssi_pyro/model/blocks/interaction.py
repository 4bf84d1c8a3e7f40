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
VELOCITY = 2  # dimensions of a motion that is a velocity alone
# Log odds, untrained, of a collision of two objects at one place: none collide yet, but odds have a gradient; and nats
# of a unit of the network's outputs, which learn as slowly as changes in steps do.
SELDOM, SURE = -2.0, 10.0


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
    elastic: Annotated[
        bool,
        "Whether two objects that collide keep their momentum and their kinetic energy, and an object alone its "
        "speed; motions are then velocities alone.",
    ] = False

    def build(self, sizes: Sizes) -> "InteractingMOT":
        """See :class:`InteractingMOT`."""
        self.relate("model.motion.")
        return InteractingMOT(self, sizes)

    def relate(self, where: str) -> None:
        """Refuse messages about velocities that no motion has, and collisions of more than velocities."""
        super().relate(where)
        if not self.inertia:
            raise UsageError(f"{where}inertia: messages between objects need it")
        if self.elastic and self.motion != VELOCITY:
            raise UsageError(
                f"{where}elastic: needs {where}motion of {VELOCITY}, a velocity alone, found {self.motion}"
            )


class InteractingMOT(ResidualMOT):
    """Changes of an object are its own, as in :class:`ResidualMOT`, plus a message from each other object.

    A message is a normal in the coordinates of the pair, along and across the line between both objects. It depends on
    their distance, on their relative velocity in these coordinates, and on what else their motions hold; where they are
    in the frame, and how the line is turned, does not matter. Messages are independent: their means and their variances
    add up, each weighted by how far its sender is there, and by a smooth cutoff. So the transition is equivariant to
    the order of objects, an absent or far object changes no density, and an object alone moves by its own changes.

    With ``elastic``, a message's velocity is that of an elastic collision of equal masses: both exchange the velocities
    along a direction, which the network tells, as it tells whether they collide. Two objects that collide keep their
    momentum and their kinetic energy, and an object alone keeps its velocity, whatever the weights are; only three that
    collide in one frame may gain or lose some.

    After: Battaglia et al., Interaction networks, 2016; the cutoff: Behler and Parrinello, 2007.
    """

    config: InteractingMOTConfig

    def __init__(self, config: InteractingMOTConfig, sizes: Sizes) -> None:
        super().__init__(config, sizes)
        dims = config.motion
        self.message = GaussianMLP(
            [3 + 2 * (dims - 2), *config.messages], (), 2 + dims + config.elastic, ACTIVATIONS[config.activation],
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
        if self.config.elastic:  # an object alone keeps its velocity
            own = Normal(0 * own[0].loc, own[0].scale), Normal(0 * own[1].loc, own[1].scale)
        number = previous["position"].shape[-2]
        if number == 1 or not self.config.reach:
            return own
        position, motion = previous["position"], previous["motion"]
        there = previous["steps"].detach() if "steps" in previous else torch.ones_like(position[..., :1])
        loc, variance = (message.sum(-2) for message in self._messages(position, motion, there))
        parts = zip(own, loc.tensor_split([2], -1), variance.tensor_split([2], -1), strict=True)
        moved, turned = (Normal(q.loc + a, (q.variance + b).sqrt()) for q, a, b in parts)
        return moved, turned

    def _messages(self, position: Tensor, motion: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance (..., N, N, 2 + dims) of the message to each object from each, as far as it counts."""
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
        shape = [2, 2, self.dims - 2, int(self.config.elastic)]
        move, turn, rest, odds = local.loc.split(shape, -1)
        *spreads, others, _ = local.variance.split(shape, -1)
        weight = (1 + torch.cos(torch.pi * (steps / reach).clamp(max=1))) / 2
        apart = 1 - torch.eye(pair[-2], dtype=weight.dtype, device=weight.device)
        counts = apart.unsqueeze(-1) * there.unsqueeze(-3)
        weight = weight * counts
        variance = torch.cat([*(_turned(axes.square(), v) for v in spreads), others], -1) * weight
        if self.config.elastic:
            logits = SELDOM + SURE * odds + (weight + TINY).log()
            turn = counts * _collided(known[1], turn, logits)
        else:
            turn = weight * turn
        loc = torch.cat([weight * _turned(axes, move), _turned(axes, turn), weight * rest], -1)
        return loc, variance

    def examples(self, paths: Paths) -> Paths:
        """Whole scenes, in which objects meet."""
        return paths

    def scales(self) -> Iterator[nn.Parameter]:
        """The parameters of the networks' scale heads."""
        return chain(super().scales(), scale_heads(self.message))


def _collided(coming: Tensor, bent: Tensor, logits: Tensor) -> Tensor:
    """The change of an object's velocity (..., 2) if it collides, in the coordinates of the pair.

    The velocities of equal masses along one direction are exchanged. A collision is one or none, since half of one
    would lose energy; its gradient is that of its probability (a straight-through estimator, Bengio et al. 2013).

    Args:
        coming: the velocity of the other one relative to the object's own, (..., 2).
        bent: the direction less the line between both, (..., 2).
        logits: log odds of a collision, (..., 1).
    """
    along = torch.stack([bent[..., 0] + 1, bent[..., 1]], -1)
    along = along / (along.square().sum(-1, keepdim=True) + TINY).sqrt()
    soft = torch.sigmoid(logits)
    collides = soft + ((logits > 0).to(soft) - soft).detach()
    return collides * (coming * along).sum(-1, keepdim=True) * along


def _axes(along: Tensor) -> Tensor:
    """The axes (..., 2, 2) of unit vectors (..., 2): as columns, these and those across them."""
    x, y = along.unbind(-1)
    return torch.stack([torch.stack([x, -y], -1), torch.stack([y, x], -1)], -2)


def _turned(matrix: Tensor, vector: Tensor) -> Tensor:
    """Matrices (..., 2, 2) times vectors (..., 2)."""
    return (matrix * vector.unsqueeze(-2)).sum(-1)
