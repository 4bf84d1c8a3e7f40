"""Inertia of one movie's objects: velocities by filters, and walls at which they turn. Not in the paper."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vtssi_pyro.model.nn import Block
from vtssi_pyro.ops.fading import Pace, paces, reflected

# Unit of the few numbers below. Adam changes a number by its rate in a step, and the networks beside them need a low
# one: with 4e-4, walls that are 0.11 off are right to 0.001 after 100 steps of this unit.
UNIT = 30.0
# Nats by which, untrained, rest is trusted less than a filter, and the filter of the longest memory more.
TRUST = 4.0
DOUBT = 2.0  # nats of trust in a filter, untrained, per squared step by which its last prediction was wrong
WIDEST = 0.9  # frame coordinates: margin of an object that nearly fills the frame, and still has room between walls
MOST = 10.0  # squared steps of a surprise from which on more do not count


class Inertia(Block):
    """The velocity that an object keeps, and where it turns back.

    The velocity is mixed of those of some filters and of rest, each trusted by how well the filter has predicted the
    last position. Predictions beyond a wall are reflected. The walls are the edges of the frame at first, and learn
    from predictions. Of objects of different sizes each turns where its own edges meet a wall, if its margins are told.

    Args:
        fading: fading factors of the filters, the longest memory last; see :func:`~vtssi_pyro.ops.fading.paces`.
        walls: whether there are walls.
        step: unit of velocities, frame coordinates a frame.
        reach: place of the walls at first: so far from the middle of the frame, frame coordinates.
    """

    def __init__(self, fading: Sequence[float], walls: bool, step: float, reach: float) -> None:
        super().__init__()
        self.step, self.reach = step, reach
        self.fading: Tensor
        # on the device from the first: a captured step sends it nothing
        self.register_buffer("fading", torch.tensor(fading), persistent=False)
        trust = [-TRUST, *[0.0] * (len(fading) - 1), TRUST]
        self.trust = nn.Parameter(torch.tensor(trust) / UNIT)  # in rest, and in each filter
        self.doubt = nn.Parameter(torch.full((len(fading),), DOUBT / UNIT))
        # how far the low and the high walls are behind the edges, in x and y
        self.walls = nn.Parameter(torch.zeros(2, 2)) if walls else None

    def velocity(
        self, position: Tensor, before: Pace | None, margins: Tensor | None = None
    ) -> tuple[Tensor, Pace]:
        """Velocities in frames of positions (..., T, N, 2), in steps, and the filters' estimates in the last frame.

        Args:
            position: frame coordinates.
            before: the estimates in the frame before these; None: these are the first.
            margins: see :meth:`turned`, (..., N, 4).
        """
        walls = None if self.walls is None else self.walls.detach()
        each = None if margins is None else margins.unsqueeze(-2)  # (..., N, 1, 4), the same for all filters
        told, last = paces(
            position, self.fading, lambda place, step: self._turned(place, step, walls, each), before
        )
        trust, doubt = UNIT * self.trust, UNIT * self.doubt
        wrong = (told.surprise / self.step**2).clamp_max(MOST)  # (..., T, N, A)
        rest = trust[:1].expand(*wrong.shape[:-1], 1)
        share = torch.cat([rest, trust[1:] - doubt * wrong], -1).softmax(-1)[..., 1:]
        return (share.unsqueeze(-1) * told.velocity).sum(-2) / self.step, last

    def turned(self, place: Tensor, step: Tensor, margins: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """A place (..., 2) and the step to it, reflected at the walls.

        Args:
            place: frame coordinates.
            step: frame coordinates.
            margins: how far an object reaches from its place towards the low and the high walls, in x and y each,
                (..., 4), frame coordinates; None: places themselves turn at walls.
        """
        return self._turned(place, step, self.walls, margins)

    def _turned(
        self, place: Tensor, step: Tensor, walls: Tensor | None, margins: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        if walls is None:
            return place, step
        low, high = UNIT * walls
        low, high = low - self.reach, high + self.reach
        if margins is not None:
            before, behind = margins.clamp(0, WIDEST).split(2, -1)
            low, high = low + before, high - behind
        return reflected(place, step, low, high)
