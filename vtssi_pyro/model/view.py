"""One frame as a scene sees it: how objects are drawn in it, and how likely that makes it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from pyro.distributions import Normal
from torch import Tensor, nn

from vtssi_pyro.model.interfaces import Motion, Picture
from vtssi_pyro.ops.dilation import dilated
from vtssi_pyro.ops.gaussian import chosen
from vtssi_pyro.ops.packing import Packed, some
from vtssi_pyro.ops.turning import turned
from vtssi_pyro.types import Objects, Pose, State

OWN = (1, 2, 2, 1, 1)  # axes of the fields of Objects in one sequence


class Depicted(NamedTuple):
    """Objects at places in a frame, and what they look like there."""

    objects: Objects
    place: Tensor  # (..., N, 2), frame coordinates
    layers: Tensor  # (..., 1, N, C, H, W), each object by itself, wholly present

    def of(self, rows: Packed) -> "Depicted":
        """Those of some sequences."""
        return self._mapped(rows.of)

    def at(self, index: Tensor) -> "Depicted":
        """Those with indices (...,) in a batch of one axis."""
        return self._mapped(lambda values, own: values[index])

    def _mapped(self, change: Callable[[Tensor, int], Tensor]) -> "Depicted":
        """With values changed that are given with the number of their own axes."""
        objects = (v if v is None else change(v, own) for v, own in zip(self.objects, OWN, strict=True))
        return Depicted(Objects._make(objects), change(self.place, 2), change(self.layers, 5))

    @property
    def there(self) -> Tensor:
        """1 for the objects that are present, else 0, (..., N)."""
        return self.objects.present.to(self.place)


@dataclass(frozen=True)
class View:
    """One frame, (B, 1, C, H, W), how objects are drawn in it, and what is expected of them.

    Args:
        picture: draws objects.
        motion: poses objects.
        frame: (B, 1, C, H, W).
        depth: as in the frame before, (..., B, N, 1); None if there is none yet, or objects have none.
        looks: the density of known objects' descriptions, given the frame before, (..., B, N, D).
        way: that of their places, (..., B, N, 2).
        reach: pixels within which a drawing may be wrong by its brightness.
    """

    picture: Picture
    motion: Motion
    frame: Tensor
    depth: Tensor | None
    looks: Normal
    way: Normal
    reach: int

    def of(self, rows: Packed) -> "View":
        """The frames of some sequences."""
        looks, way = (Normal(rows.of(q.loc, 2), rows.of(q.scale, 2)) for q in (self.looks, self.way))
        depth = None if self.depth is None else rows.of(self.depth, 2)
        return replace(self, frame=rows.of(self.frame, 4), depth=depth, looks=looks, way=way)

    def expecting(self, known: Tensor, looks: Normal, way: Normal) -> "View":
        """The frame, with other densities of the objects that are not ``known``, bool (..., N)."""
        return replace(self, looks=chosen(known, self.looks, looks), way=chosen(known, self.way, way))

    def expected(self, looks: Tensor, place: Tensor) -> Tensor:
        """Log density (..., N) of descriptions and places, given the frame before."""
        return self.looks.log_prob(looks).sum(-1) + self.way.log_prob(place).sum(-1)

    def depicted(self, objects: Objects, place: Tensor) -> Depicted:
        """Objects drawn at places (..., B, N, 2)."""
        whole = torch.ones_like(place[..., 0])
        pose = self.motion.pose(objects, {"position": place.unsqueeze(-3)}, whole)
        return Depicted(objects, place, self.picture.layers(pose, objects))

    def compose(self, layers: Tensor, presence: Tensor) -> Tensor:
        """The frame (..., B, 1, C, H, W) with objects present by shares (..., B, N)."""
        return self.picture.compose(*self._present(layers, presence))

    def apart(self, layers: Tensor, presence: Tensor) -> Tensor:
        """What the others, present by shares (..., B, N), leave of the frame to each object, (..., B, N, C, H, W)."""
        others = self.picture.others(*self._present(layers, presence))
        return (self.frame.unsqueeze(-4) - others).clamp(0, 1).squeeze(-5)

    def evidence(self, layers: Tensor, presence: Tensor, unsure: Tensor | None = None) -> Tensor:
        """Log p(x) of the frame, (..., B).

        Args:
            layers: of the objects.
            presence: their shares.
            unsure: a further error of each pixel, intensity, (..., B, 1, C, H, W); then up to a constant.
        """
        density = self.picture.likelihood(self.compose(layers, presence))
        if unsure is None:
            return density.log_prob(self.frame).squeeze(-1)
        variance = density.variance + unsure.square()
        return -0.5 * ((self.frame - density.mean).square() / variance).sum((-3, -2, -1)).squeeze(-1)

    def gain(self, layers: Tensor, drawn: Tensor, more: Tensor, tried: Tensor) -> Tensor:
        """Evidence (...,) of objects ``tried`` of the layers ``more``, beyond that of the objects drawn already.

        What these leave near themselves may be an error of their drawing: a pixel there says little.
        """
        unsure = dilated(self.compose(layers, drawn), self.reach)
        return self.evidence(more, tried, unsure) - self.evidence(layers, drawn, unsure)

    def weighed(self, shown: Depicted, prior: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior probabilities (..., N) of known objects, each given those decided before; and the decisions.

        Args:
            shown: the objects.
            prior: their probabilities (..., N) before the frame is seen.
        """
        was, drawn, likely = shown.objects.present, shown.there, []
        odds = prior.clamp(1e-6, 1 - 1e-6).logit()
        slots = torch.arange(was.shape[-1], device=was.device)
        best = self.evidence(shown.layers, drawn)  # with all that are drawn
        for i in range(slots.numel()):
            if not some(was[..., i]):
                likely.append(torch.zeros_like(best))
                continue
            without = drawn * (slots != i)
            evidence = self.evidence(shown.layers, without)
            chance = torch.sigmoid(odds[..., i] + best - evidence) * was[..., i]
            stays = chance > 0.5
            drawn = torch.where(stays.unsqueeze(-1), drawn, without)
            best = torch.where(stays, best, evidence)
            likely.append(chance)
        return torch.stack(likely, -1), drawn

    def unexplained(self, layers: Tensor, drawn: Tensor) -> Tensor:
        """The most that further objects could gain, (..., B): all that is missing; see :meth:`gain`."""
        frame = self.compose(layers, drawn)
        unsure = dilated(frame, self.reach)
        variance = self.picture.likelihood(frame).variance + unsure.square()
        return 0.5 * ((self.frame - frame).square() / variance).sum((-3, -2, -1)).squeeze(-1)

    def _present(self, layers: Tensor, presence: Tensor) -> tuple[Tensor, Pose]:
        """Layers weighted by shares (..., B, N), and a pose without places."""
        weight, depth = presence.unsqueeze(-2), None
        if self.depth is not None:  # that of newcomers, behind the known objects, is the prior's mean
            known = self.depth.squeeze(-1).unsqueeze(-2)
            depth = nn.functional.pad(known, (0, weight.shape[-1] - known.shape[-1]))
        unplaced = Pose(weight.unsqueeze(-1).expand(*weight.shape, 2), presence.unsqueeze(-1), weight, depth)
        return layers * weight[..., None, None, None], unplaced


def extents(picture: Picture, state: State) -> tuple[Tensor, Tensor]:
    """Tight boxes of the objects of a state as they are drawn; see :meth:`Picture.box`."""
    with torch.no_grad():
        glimpses, size = picture.decode(state["description"]), state["size"]
        if "angle" in state:
            glimpses, size = turned(glimpses, size, state["angle"].squeeze(-1))
        return picture.box(glimpses, size)
