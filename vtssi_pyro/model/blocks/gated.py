"""A template search around the places that the motion predicts, inside the frame and beyond it. Not in the paper."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, NamedTuple

import torch
from pyro.distributions import Independent, Normal
from torch import Tensor, nn

from vtssi_pyro.config import Range
from vtssi_pyro.config.ranges import EVIDENCE, SCALE, SHARE
from vtssi_pyro.model.blocks.template import CELL, TemplateConfig, TemplateFIND
from vtssi_pyro.model.interfaces import Picture, Predict, Sight
from vtssi_pyro.model.kinds import FINDERS
from vtssi_pyro.model.nn import MIN_SCALE
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.ops.correlate import correlate_template
from vtssi_pyro.ops.exchange import exchanged
from vtssi_pyro.ops.explaining import Placed, crosstalk, matching_pursuit
from vtssi_pyro.ops.registration import precision, register
from vtssi_pyro.ops.spatial import extract_glimpses
from vtssi_pyro.types import Detections, Objects, Pose, State

STEPS = 3  # of a registration: its error is then hundredths of a pixel, also of an object that is partly in the frame


@FINDERS.register("gated")
@dataclass(frozen=True)
class GatedConfig(TemplateConfig):
    """See :class:`GatedFIND`."""

    # a match of one half more than elsewhere decides, at 15 nats; the place itself is registered
    sharpness: Annotated[float, EVIDENCE, "Evidence of a match of 1, nats."] = 30.0
    floor: Annotated[
        float, SCALE, "Initial scale of a position with certain evidence, frame coordinates."
    ] = 0.01
    clutter: Annotated[
        float, SHARE, "Cost of a place far from the predicted one, share of a full match; noise matches less."
    ] = 0.45
    least: Annotated[
        float, Range(0, 1), "Share of an object that is seen below which its place is the predicted one."
    ] = 0.1

    def build(self, sizes: Sizes) -> "GatedFIND":
        """See :class:`GatedFIND`."""
        self.relate("model.finder.")
        return GatedFIND(self, sizes)


class Seen(NamedTuple):
    """The evidence of frames."""

    picture: Picture
    frames: Tensor  # (B, T, C, H, W)
    objects: Objects
    own: Tensor  # (..., B, T, N, h, w) share of each object's picture that the frames show, by cell
    template: Tensor  # (..., B, N, C, h', w')
    norm: Tensor


class GatedFIND(TemplateFIND):
    """Match each object's picture near its predicted place, then register it there.

    The gate is the motion's own density of the next position, on a floor of clutter, so that a lost object is found
    again. The part of a frame that one object explains is no evidence for the others. The cells of the search go on
    beyond the frame's edges, for objects that leave. Of an object of which the frame shows nothing, since it is outside
    or hidden, the place is the predicted one. Not in the paper.
    """

    config: GatedConfig
    registers = False  # positions depend on the prediction, and are registered already

    def look(
        self, picture: Picture, frames: Tensor, objects: Objects, before: Detections | None = None
    ) -> Sight:
        """The match of each object with every place of every frame."""
        del before
        with torch.no_grad():
            template, norm = self._template(picture, objects)
            own = correlate_template(self._halved(frames), template) / norm.squeeze(-3).unsqueeze(-4)
        return Sight(Seen(picture, frames, objects, own, template, norm))

    def step(self, sight: Sight, index: int, previous: State, predict: Predict | None = None) -> Independent:
        """q(p_t | p_{t-1}, m_{t-1}, x_t, s, d): near the predicted place."""
        assert predict is not None, "this finder asks for predictions: take the order frame-by-frame"
        seen: Seen = sight.evidence
        predicted = predict().base_dist
        with torch.no_grad():
            place = self._search(seen, index, predicted)
            place, scale, share = self._registered(seen, index, place, predicted, previous)
        return self._believed(place, scale, share, predicted)

    def _halved(self, frames: Tensor) -> Tensor:
        """Frames (B, T, C, h, w) of cells, that go on beyond the edges."""
        short = -frames.shape[-1] % CELL, -frames.shape[-2] % CELL
        side = CELL * self._margin
        whole = nn.functional.pad(frames, (side, side + short[0], side, side + short[1])).flatten(0, 1)
        return nn.functional.avg_pool2d(whole, CELL).unflatten(0, frames.shape[:2])

    def _believed(self, place: Tensor, scale: Tensor, share: Tensor, predicted: Normal) -> Independent:
        """The density of registered places; the predicted one of objects of which the frame shows next to nothing.

        Args:
            place: (..., N, 2), frame coordinates.
            scale: standard deviations of the registration, (..., N, 2).
            share: of each object in the frame, (..., N, 1).
            predicted: the motion's density.
        """
        with torch.no_grad():
            known = share > self.config.least
            place = torch.where(known, place, predicted.loc)
        gain, floor = self.spread.exp()
        scale = (gain * scale + floor) / share.sqrt().clamp_min(0.1) + MIN_SCALE
        return Normal(place, torch.where(known, scale, predicted.scale.detach())).to_event(1)

    @property
    def _margin(self) -> int:
        """Cells beyond each edge: as far as half an object reaches."""
        return self.kernel_side // 2 + 1

    def _search(self, seen: Seen, index: int, predicted: Normal) -> Tensor:
        own, objects = seen.own[..., index, :, :, :], seen.objects  # (..., N, h, w)
        sharpness = self.log_sharpness.exp()
        gate = self._gate(own, predicted)
        cells = (predicted.loc.flip(-1) + 1) * self.frame_size / (2 * CELL) - 0.5 + self._margin
        active = objects.steps > 0
        mixed = crosstalk(seen.template * seen.norm, seen.template / seen.norm)
        explained, _ = matching_pursuit(
            own, gate / sharpness, mixed, seen.norm.flatten(-4).square(), active, Placed(cells, objects.steps)
        )
        logits = gate + sharpness * (own - explained)
        p = logits.flatten(-2).softmax(-1).unflatten(-1, own.shape[-2:])
        down, across = (self._cells(length, own) for length in own.shape[-2:])
        return torch.stack([p.sum(-2) @ across, p.sum(-1) @ down], -1)

    def _gate(self, own: Tensor, predicted: Normal) -> Tensor:
        """Log prior of the places of maps (..., N, h, w): the motion's prediction, on a floor of clutter."""
        x, y = (
            -0.5 * ((self._cells(length, own) - loc.unsqueeze(-1)) / scale.unsqueeze(-1)).square()
            for length, loc, scale in zip(
                own.shape[:-3:-1], predicted.loc.unbind(-1), predicted.scale.unbind(-1), strict=True
            )
        )
        return self._floored(y.unsqueeze(-1) + x.unsqueeze(-2))

    def _cells(self, length: int, like: Tensor) -> Tensor:
        """Frame coordinates of the centres of an axis's cells."""
        cells = torch.arange(length, dtype=like.dtype, device=like.device) - self._margin
        return (2 * CELL * cells + CELL) / self.frame_size - 1

    def _registered(
        self, seen: Seen, index: int, place: Tensor, predicted: Normal, previous: State
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Registered places (..., N, 2), their standard deviations, and the share of each object that is seen.

        Where objects can hide, an object stays at the predicted place unless the frame tells of another one; then two
        that were mistaken for each other are exchanged.
        """
        picture, objects = seen.picture, seen.objects
        planes, steps = picture.planes(objects.description), objects.steps
        glimpses = planes[..., : picture.channels, :, :] * steps[..., None, None, None]
        frame = seen.frames[:, index : index + 1]
        pose = Pose(place.unsqueeze(-3), objects.size, steps.unsqueeze(-2), appearance=planes.unsqueeze(-5))
        clear = None
        if picture.sites:
            pose, clear = self._likelier(seen, index, pose, predicted, previous)
        draw = partial(_drawn, picture, objects, pose)
        position = register(frame, draw, glimpses, pose.position, objects.size, STEPS, clear)
        if clear is not None:
            assert pose.depth is not None  # it is in order
            places = self._exchanged(seen, frame, pose._replace(position=position), clear, predicted)
            position = position.take_along_dim(places.unsqueeze(-1), -2)
            pose = pose._replace(depth=pose.depth.take_along_dim(places, -1))
            clear = clear.take_along_dim(places[..., None, None, None], -4)
            draw = partial(_drawn, picture, objects, pose)
            # of a look at another's place, whose middle is a fraction of a pixel elsewhere
            position = register(frame, draw, glimpses, position, objects.size, 1, clear)
        scale = precision(frame - draw(position), glimpses, position, objects.size).squeeze(-3)
        place, inside = position.squeeze(-3), torch.ones_like(frame[..., :1, :, :])
        energy = glimpses.square()
        visible = energy * extract_glimpses(
            inside if clear is None else clear.squeeze(-5), place, objects.size, glimpses.shape[-1]
        )
        share = visible.sum((-3, -2, -1)) / energy.sum((-3, -2, -1)).clamp_min(1e-6)
        return place, scale, share.unsqueeze(-1)

    def _likelier(
        self, seen: Seen, index: int, pose: Pose, predicted: Normal, previous: State
    ) -> tuple[Pose, Tensor | None]:
        """The pose, in order, with each object at the likelier place, the searched or the predicted one; what is clear.

        Each object is tried at the predicted place while the others are where the search has placed them.
        """
        picture, objects, frame = seen.picture, seen.objects, seen.frames[:, index : index + 1]
        place, expected = pose.position, predicted.loc.unsqueeze(-3)  # (..., 1, N, 2)
        pose = pose if "depth" not in previous else pose._replace(depth=previous["depth"].mT)
        searched, others = (picture.layers(pose._replace(position=at), objects) for at in (place, expected))
        slots = torch.arange(place.shape[-2], device=place.device)
        alone = (slots == slots[:, None]).view(-1, *(1,) * (searched.dim() - 4), len(slots), 1, 1, 1)
        tried = torch.cat([searched.unsqueeze(0), torch.where(alone, others, searched)])  # (1 + N, ...)
        fit = picture.likelihood(picture.compose(tried, pose)).log_prob(frame)  # (1 + N, ..., 1)
        gate = self._gated((place - expected) / predicted.scale.unsqueeze(-3))
        better = (fit[0].unsqueeze(-1) + gate - fit[1:].movedim(0, -1) <= 0).unsqueeze(-1)  # (..., 1, N, 1)
        layers = torch.where(better[..., None, None], others, searched)
        pose = pose._replace(position=torch.where(better, expected, place))
        pose = picture.ordered(frame, layers, pose, previous)
        return pose, picture.clear(layers, pose)

    def _exchanged(self, seen: Seen, frame: Tensor, pose: Pose, clear: Tensor, predicted: Normal) -> Tensor:
        """The number of each object's place, (..., 1, N), its own unless it was mistaken for another object.

        Objects that meet or come forth again may have been mistaken for each other. The looks of all are compared with
        what the frame shows at each place, as far as nothing hides it. Looks are never exact, and their errors are not
        those of single pixels: their scale is fitted, too, for each object and place, above the likelihood's.

        Args:
            seen: the evidence.
            frame: (B, 1, C, H, W).
            pose: of all objects, in order; its appearance has the opacity as its last plane.
            clear: the share of each object that nothing hides, (..., 1, N, 1, H, W).
            predicted: the motion's density of their places.
        """
        picture, objects = seen.picture, seen.objects
        layers = picture.layers(pose, objects)
        own = layers[..., : picture.channels, :, :] * clear
        left = (frame - picture.compose(layers, pose)).unsqueeze(-4) + own
        assert pose.appearance is not None
        looks, opacity = pose.appearance.tensor_split([picture.channels], -3)
        sizes, side = objects.size.unsqueeze(-3).expand_as(pose.position), looks.shape[-1]
        there, share = (extract_glimpses(values, pose.position, sizes, side) for values in (left, clear))
        share = share * opacity  # (..., 1, N, 1, G, G)
        # of each object at each place, (..., 1, N, N)
        off = (share.unsqueeze(-5) * (there.unsqueeze(-5) - looks.unsqueeze(-4)).square()).sum((-3, -2, -1))
        number = (picture.channels * share.sum((-3, -2, -1))).unsqueeze(-2)
        area = (objects.size * self.frame_size / side).prod(-1)[..., None, None, :]  # px of a glimpse's pixel
        noise = picture.likelihood(frame).variance.mean()
        fit = -0.5 * number * area * (noise + off / number.clamp_min(1e-6)).log()
        loc, scale = (moment[..., None, :, None, :] for moment in (predicted.loc, predicted.scale))
        fit = fit + self._gated((pose.position.unsqueeze(-3) - loc) / scale)
        present = objects.present.unsqueeze(-2)
        return exchanged(fit, present.unsqueeze(-1) & present.unsqueeze(-2))

    def _gated(self, far: Tensor) -> Tensor:
        """Log prior (...) of places that are so far from the predicted one, (..., 2) deviations, on a floor."""
        return self._floored(-far.square().sum(-1) / 2)

    def _floored(self, nats: Tensor) -> Tensor:
        """Log priors of places on a floor of clutter."""
        return torch.logaddexp(nats, -self.config.clutter * self.log_sharpness.exp())


def _drawn(picture: Picture, objects: Objects, pose: Pose, position: Tensor) -> Tensor:
    """Frames (..., T, C, H, W) with the objects of a pose at other positions (..., T, N, 2)."""
    return picture.draw(pose._replace(position=position), objects)
