"""A template search near each object's predicted place, on the residual of the other objects. Not in the paper."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from pyro.distributions import Normal
from torch import Tensor

from vtssi_pyro.config.ranges import SCALE, SHARE
from vtssi_pyro.model.blocks.template import CELL, TemplateConfig, TemplateFIND
from vtssi_pyro.model.interfaces import Picture, Sight
from vtssi_pyro.model.kinds import FINDERS
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.ops.explaining import Placed, crosstalk, matching_pursuit
from vtssi_pyro.ops.peaks import bump
from vtssi_pyro.ops.spatial import SIZE_LIMITS, centres, extract_glimpses, to_cells, to_pixels
from vtssi_pyro.types import Detections, Objects


@FINDERS.register("following")
@dataclass(frozen=True)
class FollowingConfig(TemplateConfig):
    """See :class:`FollowingFIND`."""

    gate: Annotated[
        float, SCALE, "Standard deviation of the gate around an object's expected place, frame coordinates."
    ] = 0.1
    # The rest are rules of thumb, of which no measurement is on record.
    lost: Annotated[
        float, SHARE, "Cost of a place far from the expected one, share of a full match; noise matches less."
    ] = 0.45
    inertia: Annotated[
        float, SHARE, "Share of the old velocity in the new one; less follows noise, more lags in turns."
    ] = 0.5
    decay: Annotated[
        float,
        SHARE,
        "Factor on a hidden object's velocity per frame; of 0.9, it goes on for ten frames' way.",
    ] = 0.9
    seen: Annotated[
        float, SHARE, "Least share of an object in a frame that shows it; less is noise, or another's edge."
    ] = 0.4

    def build(self, sizes: Sizes) -> "FollowingFIND":
        """See :class:`FollowingFIND`."""
        self.relate("model.finder.")
        return FollowingFIND(self, sizes)


class Prediction(NamedTuple):
    """The state from which the finder predicts the objects' places in the next frame."""

    place: Tensor  # (..., B, N, 2) in the last frame, frame coordinates
    velocity: Tensor  # (..., B, N, 2)
    visible: Tensor  # (..., B, N) share of each object that the last frame showed, in [0, 1]

    @property
    def expected(self) -> Tensor:
        """Places in the next frame, (..., B, N, 2)."""
        return self.place + self.velocity


class Dictionary(NamedTuple):
    """What objects look like to the search; the same in all frames."""

    template: Tensor  # (..., B, N, C, h, w), see TemplateFIND
    norm: Tensor  # (..., B, N, 1, 1, 1)
    mixed: Tensor  # (..., B, N, N, k, k), see crosstalk
    energy: Tensor  # (..., B, N)


class Memory(NamedTuple):
    """What the finder keeps for the next frames."""

    prediction: Prediction
    dictionary: Dictionary


class FollowingFIND(TemplateFIND):
    """Match templates as :class:`TemplateFIND` does, near the place predicted by constant velocity.

    The density is q(p_t | p_{t-1}, x_t, s, d), as in the paper, with a Gaussian gate around p_{t-1} + v_{t-1}. The gate
    stands on a floor, so that a lost object is found again. The part of a frame that one object explains is no evidence
    for the others (:func:`~vtssi_pyro.ops.explaining.matching_pursuit`). Objects of the same look are therefore
    distinguished by their last positions, and overlapping objects by the residuals that they leave each other. A hidden
    object is kept away from the visible ones.

    Not in the paper.
    """

    config: FollowingConfig

    def look(
        self, picture: Picture, frames: Tensor, objects: Objects, before: Detections | None = None
    ) -> Sight:
        """q(p_t | x_1:t, s, d), frame by frame; see :meth:`TemplateFIND.look`."""
        memory: Memory | None = before.memory if before is not None else None
        prediction = None if memory is None else memory.prediction
        dictionary = self._dictionary(picture, objects) if memory is None else memory.dictionary
        template, norm, mixed, energy = dictionary
        active = self.active(objects).squeeze(-2) > 0
        sharpness, strength = self.log_sharpness.exp(), self.log_strength.exp()
        loc, scale = [], []
        for own in self.evidence(frames, objects, template, norm).unbind(-4):  # (..., B, N, h, w)
            gate = torch.zeros_like(own) if prediction is None else self._gate(prediction, own)
            with torch.no_grad():
                expected = None if prediction is None else self._expected(prediction)
                explained, placed = matching_pursuit(
                    own / sharpness, gate / sharpness, mixed, energy, active, expected
                )
                proximity = self._proximity(placed, objects, own)
                kept_away = (1 - placed.visible)[..., None, None] * (proximity - explained).relu()
            q = self.locate(own + gate - sharpness * explained - strength * kept_away)
            prediction = self._predicted(prediction, q.loc.detach(), placed.visible)
            loc.append(q.loc)
            scale.append(q.scale)
        assert prediction is not None  # there is a frame
        q = Normal(torch.stack(loc, -3), torch.stack(scale, -3))
        return Sight(q, memory=Memory(prediction, dictionary))

    def _dictionary(self, picture: Picture, objects: Objects) -> Dictionary:
        template, norm = self._template(picture, objects)
        mixed = crosstalk(template * norm, template / norm)
        return Dictionary(template, norm, mixed, norm.flatten(-4).square())

    def match(self, frames: Tensor, template: Tensor, norm: Tensor) -> Tensor:
        """The share of each object's picture that the frames show, by place; 1 for the whole picture."""
        return super().match(frames, template / norm, norm)

    def visible(self, frames: Tensor, glimpses: Tensor, position: Tensor, objects: Objects) -> Tensor:
        """1 if the frame shows the object in full or in part, else 0: the object may be away for some frames."""
        sizes = objects.size.unsqueeze(-3).expand_as(position)
        side = glimpses.shape[-1]
        seen = extract_glimpses(frames.unsqueeze(-4), position, sizes, side)  # (..., T, N, C, G, G)
        own = glimpses.unsqueeze(-5)
        energy = own.square().sum((-3, -2, -1)).clamp_min(1e-6)  # a black glimpse has none
        share = (seen * own).sum((-3, -2, -1)) / energy
        return (objects.present.unsqueeze(-2) & (share > self.config.seen)).to(position)

    def active(self, objects: Objects) -> Tensor:
        """1 for objects with a step value above one half; an object below that must not displace another."""
        return objects.present.to(objects.size).unsqueeze(-2)

    def _expected(self, prediction: Prediction) -> Placed:
        pixels = to_pixels(prediction.expected, (self.frame_size, self.frame_size))
        return Placed(to_cells(pixels.flip(-1), CELL), prediction.visible)

    def _proximity(self, placed: Placed, objects: Objects, like: Tensor) -> Tensor:
        """Proximity of each cell to other visible objects, (..., N, h, w), 1 at the place of one."""
        cells = self.frame_size / (2 * CELL)  # in half the frame's size, the unit of sizes and of the reach
        reach = self.config.reach * cells * objects.size.clamp(*SIZE_LIMITS)  # (..., N, 2)
        down, across = (
            bump(place, torch.arange(length, device=like.device), width.unsqueeze(-1))
            for length, place, width in zip(
                like.shape[-2:], placed.cell.unbind(-1), reach.flip(-1).unbind(-1), strict=True
            )
        )
        each = placed.visible[..., None, None] * down.unsqueeze(-1) * across.unsqueeze(-2)
        return each.sum(-3, keepdim=True) - each

    def _gate(self, prediction: Prediction, like: Tensor) -> Tensor:
        """Log of a Gaussian bump around the objects' expected places, on a floor, (..., N, h, w)."""
        grid, centre = centres(self.frame_size, like, CELL), prediction.expected
        across = (grid - centre[..., :1]).square().unsqueeze(-2)
        down = (grid - centre[..., 1:]).square().unsqueeze(-1)
        nats = self._nats(across + down)
        return torch.logaddexp(nats, self._floor().expand_as(nats))

    def _nats(self, square: Tensor) -> Tensor:
        """Log of the gate's Gaussian at squares of distances, 0 at its peak."""
        return -0.5 * square / self.config.gate**2

    def _floor(self) -> Tensor:
        """The gate's floor, nats below its peak."""
        return -self.config.lost * self.log_sharpness.exp()

    def _predicted(self, prediction: Prediction | None, place: Tensor, visible: Tensor) -> Prediction:
        """The prediction after a frame.

        The velocity of a hidden object decays instead of being updated. An object that is found again elsewhere begins
        at rest: if the jump counted as a velocity, the gate would be far beyond the object in the next frame.
        """
        if prediction is None:
            return Prediction(place, torch.zeros_like(place), visible)
        inertia, decay = self.config.inertia, self.config.decay
        measured = inertia * prediction.velocity + (1 - inertia) * (place - prediction.place)
        sure = visible.square().unsqueeze(-1)  # the square: half an object is a poor measurement of its place
        moved = self._moved(prediction, place) * measured
        return Prediction(place, sure * moved + (1 - sure) * decay * prediction.velocity, visible)

    def _moved(self, prediction: Prediction, place: Tensor) -> Tensor:
        """Probability (..., B, N, 1) that an object moved to its place: the gate's share of the gate on its floor.

        The floor's share is of a lost object that was found again there, whose velocity is unknown.
        """
        off = (place - prediction.expected).square().sum(-1, keepdim=True)
        return torch.sigmoid(self._nats(off) - self._floor().detach())
