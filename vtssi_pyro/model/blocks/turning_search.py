"""The gated search for objects that turn: their pictures are matched at all angles. Not in the paper."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from pyro.distributions import Independent, Normal
from torch import Tensor

from vtssi_pyro.config.ranges import ANGLES, SCALE
from vtssi_pyro.model.blocks.gated import GatedConfig, GatedFIND, Seen
from vtssi_pyro.model.blocks.template import CELL
from vtssi_pyro.model.interfaces import Picture, Predict, Sight
from vtssi_pyro.model.kinds import FINDERS
from vtssi_pyro.model.look import Look
from vtssi_pyro.model.sites import ANGLE, SPIN
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.ops.correlate import correlate_template
from vtssi_pyro.ops.registration import precision
from vtssi_pyro.ops.turning import around_expected, extract_turned, paste_turned, register_turned, turned
from vtssi_pyro.types import Detections, Objects, State

STEPS = 4  # of a registration: from 11 degrees and a pixel away, it leaves hundredths of both


@FINDERS.register("turning")
@dataclass(frozen=True)
class TurningFINDConfig(GatedConfig):
    """See :class:`TurningFIND`."""

    # objects turn by up to a third of a radian a frame, of which all is news in the second frame
    turn: Annotated[float, SCALE, "Standard deviation of the gate around expected angles, radians."] = 0.3
    angles: Annotated[int, ANGLES, "Angles of a whole turn at which templates are matched."] = 16

    def build(self, sizes: Sizes) -> "TurningFIND":
        """See :class:`TurningFIND`."""
        self.relate("model.finder.")
        return TurningFIND(self, sizes)


class _Frames(NamedTuple):
    """The evidence of frames."""

    look: Look
    frames: Tensor  # (B, T, C, H, W)
    halved: Tensor  # (B, T, C, h, w)


class TurningFIND(GatedFIND):
    """Match each object's picture near its predicted place at all angles, then register place and angle there.

    In frames after the first the motion (:class:`~vtssi_pyro.model.blocks.turning.Turning`) expects an angle, near
    which matches weigh more, so that templates that look the same at several angles do no harm. The best angle of each
    object counts. Angles are inferred by the motion, given the places. Not in the paper.
    """

    config: TurningFINDConfig

    def look(
        self, picture: Picture, frames: Tensor, objects: Objects, before: Detections | None = None
    ) -> Sight:
        """The frames, and the objects' looks."""
        del before
        with torch.no_grad():
            return Sight(_Frames(Look(picture, objects), frames, self._halved(frames)))

    def step(self, sight: Sight, index: int, previous: State, predict: Predict | None = None) -> Independent:
        """q(p_t | p_{t-1}, a_{t-1}, m_{t-1}, x_t, s, d): near the predicted place."""
        assert predict is not None, "this finder asks for predictions: take the order frame-by-frame"
        seen: _Frames = sight.evidence
        predicted = predict().base_dist
        with torch.no_grad():
            matched, angle = self._matched(seen, index, previous, predicted)
            place = self._search(matched, 0, predicted)
            place, scale, share = self._turned(seen, index, place, angle)
        return self._believed(place, scale, share, predicted)

    def _matched(self, seen: _Frames, index: int, previous: State, predicted: Normal) -> tuple[Seen, Tensor]:
        """The match of each object at its best angle with every place of one frame, and these angles (..., N)."""
        look, number, side = seen.look, self.config.angles, CELL * self.kernel_side
        size, sharpness = look.objects.size, self.log_sharpness.exp()
        known, unknown = ANGLE.name in previous, torch.zeros_like(size[..., 0])
        angle = (previous[ANGLE.name] + previous.get(SPIN.name, 0.0)).squeeze(-1) if known else unknown
        scale = torch.full_like(angle, self.config.turn)
        around, gate = around_expected(angle, scale, number, -self.config.clutter * sharpness)
        if known:  # an eighth of a turn to either side, more than an object turns in a frame
            near = slice(number // 2 - number // 8, number // 2 + number // 8 + 1)
            around, gate = around[..., near], gate[..., near]
        window = size.unsqueeze(-2) * self.frame_size / side  # (..., N, 1, 2)
        glimpses = look.glimpses.unsqueeze(-4)  # (..., N, 1, C, G, G)
        full = paste_turned(glimpses, torch.zeros_like(window), window, around, (side, side))
        template, norm = self._kernel(full)  # (..., N, A, C, h, w)
        frame = seen.halved[:, index : index + 1]
        own = correlate_template(frame, template.flatten(-5, -4)).unflatten(-3, around.shape[-2:])
        own = own.squeeze(-5) / norm.squeeze(-3)  # (..., N, A, h, w)
        places = self._gate(own[..., 0, :, :], predicted).unsqueeze(-3)
        logits = sharpness * own + places
        best = (logits.amax((-2, -1)) + gate * known).argmax(-1, keepdim=True)  # (..., N, 1)

        def at(values: Tensor) -> Tensor:
            """The values (..., N, ...) at the best angle, of values (..., N, A, ...)."""
            axis = best.dim() - 1
            index = best.reshape(*best.shape, *(1,) * (values.dim() - best.dim()))
            return values.take_along_dim(index, axis).squeeze(axis)

        chosen = Seen(look.picture, frame, look.objects, at(own).unsqueeze(-4), at(template), at(norm))
        return chosen, at(around)

    def _turned(
        self, seen: _Frames, index: int, place: Tensor, angle: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Registered places, their standard deviations and shares; see :meth:`GatedFIND._registered`."""
        look, frame = seen.look, seen.frames[:, index]
        glimpses, size = look.glimpses, look.objects.size
        place, angle, _ = register_turned(frame, look.draw, glimpses, place, angle, size, STEPS)
        upright, window = turned(glimpses, size, angle)
        residual = (frame - look.draw(place, angle)).unsqueeze(-4)
        scale = precision(residual, upright, place.unsqueeze(-3), window).squeeze(-3)
        inside = extract_turned(torch.ones_like(frame[..., :1, :, :]), place, size, angle, glimpses.shape[-1])
        energy = glimpses.square()
        share = (energy * inside).sum((-3, -2, -1)) / energy.sum((-3, -2, -1)).clamp_min(1e-6)
        return place, scale, share.unsqueeze(-1)
