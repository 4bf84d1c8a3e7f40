"""Newcomers to a frame: objects that the attention finds in what the known ones leave of it. Not in the paper."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from pyro.distributions import Independent, Normal
from torch import Tensor
from torch.distributions import kl_divergence

from vtssi_pyro.model.interfaces import Attention
from vtssi_pyro.model.sites import draw_intermediate
from vtssi_pyro.model.view import Depicted, View
from vtssi_pyro.ops.gaussian import put
from vtssi_pyro.ops.packing import Packed
from vtssi_pyro.ops.registration import register
from vtssi_pyro.types import Objects, Pose

STEPS = 2  # of a registration, see ops.registration; its next round goes on


class Newcomers(NamedTuple):
    """Candidates, as many as slots, of which few are any: densities, draws (..., N, 2), and log odds (..., N)."""

    q_size: Normal
    q_position: Normal
    q_looks: Normal
    size: Tensor
    position: Tensor
    gain: Tensor

    def seated(self, taken: Tensor) -> "Newcomers":
        """The candidates by the slots that they may fill: every empty slot has the likeliest that is left.

        Args:
            taken: which slots are filled, bool (..., N).
        """
        order = self.gain.argsort(-1, descending=True)  # (..., N) candidates, the likeliest first
        rank = (~taken.expand_as(order)).cumsum(-1).sub(1).clamp_min(0)  # of each slot among the empty ones
        slot = order.gather(-1, rank)  # the candidate of each slot, (..., N)

        def placed(values: Tensor) -> Tensor:
            shape = (*slot.shape, values.shape[-1])
            return values.expand(shape).gather(-2, slot.unsqueeze(-1).expand(shape))

        q_size, q_position, q_looks = (
            Normal(placed(q.loc), placed(q.scale)) for q in (self.q_size, self.q_position, self.q_looks)
        )
        gain = self.gain.gather(-1, slot)
        return Newcomers(q_size, q_position, q_looks, placed(self.size), placed(self.position), gain)


@dataclass(frozen=True)
class Search:
    """The search for newcomers to a frame.

    Args:
        size: their prior p(s), event (2,).
        description: their prior p(d), event (D,).
        entrance: log odds that an empty slot is filled.
        rounds: rounds in which they are registered on the frame and described in turn.
        attention: finds and describes them.
    """

    size: Independent
    description: Independent
    entrance: float
    rounds: int
    attention: Attention

    def __call__(
        self, t: int, view: View, shown: Depicted, likely: Tensor, drawn: Tensor, was: Tensor
    ) -> Newcomers:
        """Propose who comes, as the attention sees it in what the known objects leave of the frame.

        Nobody is looked for where no slot is empty, nor where all that the frame shows beyond the known objects is
        worth less than an entrance alone costs.

        Args:
            t: number of the frame.
            view: the frame.
            shown: the known objects.
            likely: probabilities (..., N) that these are there.
            drawn: 1 for those that are.
            was: which slots were filled, bool (..., N).
        """
        with torch.no_grad():
            worth = view.unexplained(shown.layers, drawn) + self.entrance > 0
            may = worth & ~was.all(-1)
            rest = (view.frame - view.compose(shown.layers, likely)).clamp(0, 1).squeeze(-4)
        rows, like = Packed(may), shown.place
        # where nobody is looked for, who comes by chance is drawn from the prior
        q_size, q_looks, q_position = (
            Normal(prior.mean, prior.stddev)
            for prior in (
                self.size.expand(like.shape[:-1]),
                self.description.expand(like.shape[:-1]),
                view.motion.walk(None, like),
            )
        )
        if rows:
            seen = self.attention.locate(rows.of(rest, 3))
            q_size, q_position = (
                put(rows, q, its.base_dist) for q, its in zip((q_size, q_position), seen, strict=True)
            )
        size = draw_intermediate(f"size_new_{t}", q_size.to_event(1))
        position = draw_intermediate(f"position_new_{t}", q_position.to_event(1))
        rows = Packed(may.expand(position.shape[:-2]))  # the draws may have particles
        gain = torch.full_like(position[..., 0], -torch.inf)
        q_looks = Normal(*(x.expand(*gain.shape, -1) for x in (q_looks.loc, q_looks.scale)))
        found = Newcomers(q_size, q_position, q_looks, size, position, gain)
        return self._weighed(found, rows, view, shown, drawn, rest) if rows else found

    def _weighed(
        self, found: Newcomers, rows: Packed, view: View, shown: Depicted, drawn: Tensor, rest: Tensor
    ) -> Newcomers:
        """Newcomers, registered, described and weighed where they are looked for.

        Args:
            found: the newcomers, with the looks of the prior and nothing gained.
            rows: sequences in which they are looked for.
            view: the frame.
            shown: the known objects.
            drawn: 1 for those that are there, (..., N).
            rest: what these leave of the frame, (..., C, H, W).
        """
        own, left = view.of(rows), rows.of(rest, 3)
        sizes, places = rows.of(found.size, 2), rows.of(found.position, 2)
        with torch.no_grad():
            shift = self._registered(own, left, places, sizes) - places
        places = places + shift
        looks = self.attention.describe(left.unsqueeze(-4), places, sizes).base_dist
        shift = rows.put(torch.zeros_like(found.position), shift)
        q_position = Normal(found.q_position.loc + shift, found.q_position.scale)
        with torch.no_grad():
            wide = [
                Normal(rows.of(q.loc, 2), rows.of(q.scale, 2)).to_event(1) for q in (found.q_size, q_position)
            ]
            cost = (
                kl_divergence(wide[0], self.size)
                + kl_divergence(looks.to_event(1), self.description)
                + kl_divergence(wide[1], view.motion.walk(None, places))
            )
            more = own.depicted(Objects(None, sizes, looks.loc), places).layers
            both = torch.cat([rows.of(shown.layers, 5), more], -4)
            gain = self.gains(own, both, rows.of(drawn, 1), cost)
        return found._replace(
            q_position=q_position,
            q_looks=put(rows, found.q_looks, looks),
            position=found.position + shift,
            gain=rows.put(found.gain, gain),
        )

    def _registered(self, view: View, rest: Tensor, position: Tensor, size: Tensor) -> Tensor:
        """Places (..., N, 2) of newcomers, each registered by itself on what the known objects leave (..., C, H, W)."""
        picture, alone = view.picture, size.movedim(-2, 0).unsqueeze(-2)  # (N, ..., 1, 2)
        whole = alone.new_ones(1, 1)
        for _ in range(self.rounds):
            looks = self.attention.describe(rest.unsqueeze(-4), position, size).mean
            glimpses = picture.decode(looks).movedim(-4, 0).unsqueeze(-4)  # (N, ..., 1, C, G, G)
            objects = Objects(None, alone, looks.movedim(-2, 0).unsqueeze(-2))

            def drawn(place: Tensor, glimpses: Tensor = glimpses, objects: Objects = objects) -> Tensor:
                pose = Pose(place, objects.size, whole, appearance=glimpses.unsqueeze(-5))
                return picture.draw(pose, objects)

            place = position.movedim(-2, 0)[..., None, None, :]  # (N, ..., 1, 1, 2)
            place = register(rest.unsqueeze(-4), drawn, glimpses, place, alone, STEPS)
            position = place[..., 0, 0, :].movedim(0, -2)
        return position

    def gains(self, view: View, layers: Tensor, drawn: Tensor, cost: Tensor) -> Tensor:
        """Posterior log odds (..., N) of newcomers, each given those that the attention has found before.

        What is left near an object may be an error of its drawing: a pixel there says little.

        Args:
            view: the frame.
            layers: of the known objects, and of the newcomers, (..., 1, 2N, C, H, W).
            drawn: 1 for known objects that are there, (..., N).
            cost: what each newcomer pays, nats, (..., N).
        """
        num_objects, gains = drawn.shape[-1], []
        drawn = torch.cat([drawn, torch.zeros_like(drawn)], -1)
        for i in range(num_objects):
            tried = drawn.clone()
            tried[..., num_objects + i] = 1
            gain = view.gain(layers, drawn, layers, tried) - cost[..., i] + self.entrance
            drawn = torch.where((gain > 0).unsqueeze(-1), tried, drawn)
            gains.append(gain)
        return torch.stack(gains, -1)
