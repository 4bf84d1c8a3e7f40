"""FIND without networks: template matching, frame by frame or following the objects. Not in the paper."""

import math

import pyro
import torch
from pyro.distributions import Normal
from pyro.nn import PyroModule
from torch import Tensor, nn

from vtssi_pyro.config import AIRConfig, TemplateConfig
from vtssi_pyro.model.blocks.air import AIR
from vtssi_pyro.model.nn import MIN_SCALE
from vtssi_pyro.ops import counting
from vtssi_pyro.ops.correlate import match
from vtssi_pyro.ops.exclusion import exclude
from vtssi_pyro.ops.explaining import Placed, crosstalk, explain
from vtssi_pyro.ops.peaks import bump
from vtssi_pyro.ops.registration import precision, register, sharpen
from vtssi_pyro.ops.spatial import SIZE_LIMITS, crop, paste, to_pixels
from vtssi_pyro.types import Carry, Found, Heading, Objects, Plates

REGISTRATION = 2  # steps; they leave hundredths of a pixel
LOST = 0.45  # of what an object that is seen in full offers: what a place anywhere costs; noise offers less
INERTIA = 0.5  # share of the old velocity that a frame keeps
TIRING = 0.9  # share of its velocity that an object keeps in a frame that does not show it
SEEN = 0.4  # of what an object offers: less than this of it is noise, or another's edge


class TemplateFIND(PyroModule):
    """Match each object's decoded glimpse against the frames; the position is the expected place of the match.

    FIND's convolution kernel is here the object itself: its glimpse, pasted at its inferred size. The objects keep each
    other away (:func:`~vtssi_pyro.ops.exclusion.exclude`), and the softmax of what results gives the position's mean
    (soft-argmax); its spread gives the scale. Only five numbers are learned, so it finds objects from the first step,
    which is what makes short trainings work.

    Not in the paper; stands in for :class:`FIND` without any other change.
    """

    def __init__(self, config: TemplateConfig, air: AIRConfig) -> None:
        super().__init__()
        self.config = config
        self.frame_size = air.frame_size
        self.refinement = config.refinement
        if config.kernel_side % 2 == 0:
            raise ValueError(
                f"the template's side must be odd, so that it has a centre; found {config.kernel_side}"
            )
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(config.sharpness)))
        self.rivalry = nn.Parameter(torch.tensor(0.0))  # how a place counts where the others match, too
        self.log_strength = nn.Parameter(torch.tensor(math.log(config.strength)))
        self.spread = nn.Parameter(torch.tensor([0.0, math.log(config.floor)]))

    @property
    def K(self) -> int:
        """Frames that settle what objects look like, and so must be seen at once."""
        return self.config.settled if self.refinement else 1

    def guide(
        self,
        air: AIR,
        frames: Tensor,
        objects: Objects,
        first: Tensor | None,
        plates: Plates,
        carry: Carry | None = None,
    ) -> Found:
        """prod_t q(p_t | x_t, s, d); see :meth:`FIND.guide`. Every frame is searched on its own."""
        q, heading = self.read(air, frames, objects, carry)  # (..., B, T, N, 2)
        found = Found(q.loc, heading=heading)
        scale = q.scale
        if self.refinement and not self.training:
            found = self._refined(air, frames, objects, found, carry)
            scale = self.spread_of(frames, found, objects, q.scale)
        positions = [] if first is None else [first]
        with plates.sequences, plates.objects:
            for t in range(len(positions) + 1, frames.shape[-3] + 1):
                here = found.position[..., t - 1, :, :], scale[..., t - 1, :, :]
                positions.append(pyro.sample(f"position_{t}", Normal(*here).to_event(1)))
        return found._replace(position=torch.stack(positions, -3))

    def read(
        self, air: AIR, frames: Tensor, objects: Objects, carry: Carry | None
    ) -> tuple[Normal, Heading | None]:
        """Where the objects are by the search alone, and where the next frames' search starts from, if it matters."""
        del carry
        return self.locate(self.search(air, frames, objects)), None

    def search(self, air: AIR, frames: Tensor, objects: Objects) -> Tensor:
        """Where each object is in each frame: logits (..., B, T, N, h, w) of the cells of the halved frame.

        Args:
            air: whose decoder shows what the objects look like.
            frames: (B, T, H, W), intensities in [0, 1].
            objects: draws; description (..., B, N, D).
        """
        return self.apart(self.evidence(frames, objects, *self._template(air, objects)), objects)

    def evidence(self, frames: Tensor, objects: Objects, template: Tensor, norm: Tensor) -> Tensor:
        """What the frames say of each object by itself, logits (..., B, T, N, h, w)."""
        odd = frames.shape[-1] % 2, frames.shape[-2] % 2
        small = nn.functional.avg_pool2d(
            nn.functional.pad(frames, (0, odd[0], 0, odd[1])), 2
        )  # (B, T, H/2, W/2)
        own = self.match(small, template, norm)  # (..., B, T, N, h, w)
        mine = own * self.there(objects)[..., None, None]
        others = mine.sum(-3, keepdim=True) - mine
        return self.log_sharpness.exp() * own + self.rivalry * others

    def match(self, frames: Tensor, template: Tensor, norm: Tensor) -> Tensor:
        """How well templates (..., N, h, w), brought to unit norm, fit; see :func:`~vtssi_pyro.ops.correlate.match`."""
        del norm
        return match(frames, template)

    def apart(self, logits: Tensor, objects: Objects) -> Tensor:
        """The same with the objects keeping each other away."""
        grid = self._grid(logits.shape[-2], logits), self._grid(logits.shape[-1], logits)
        reach = (self.config.reach * objects.size.detach().clamp(*SIZE_LIMITS)).unsqueeze(-3)
        there = self.there(objects)
        return exclude(logits, grid, reach, self.log_strength.exp(), there, self.config.rounds)

    def there(self, objects: Objects) -> Tensor:
        """1 for objects that claim a place, 0 for empty slots, (..., B, 1, N)."""
        num_objects = objects.size.shape[-2]
        number = counting.expected_number(objects.count, num_objects)
        return counting.active(number, num_objects).to(objects.size).unsqueeze(-2)

    def _refined(
        self, air: AIR, frames: Tensor, objects: Objects, found: Found, carry: Carry | None
    ) -> Found:
        """What the frames tell beyond the search's cells and the decoder.

        The first K frames settle what the objects look like; all later ones, in other calls too, go by that.
        """
        size, first, position = objects.size, slice(self.K), found.position
        if carry is not None and carry.found.glimpses is not None:
            glimpses, box = carry.found.glimpses, carry.found.box
        else:
            num_objects = position.shape[-2]
            there = counting.present(objects.count, num_objects)
            steps = counting.steps(counting.expected_number(objects.count, num_objects), num_objects) * there
            glimpses = air.decode(objects.description) * steps[..., None, None]
            begun, seen = position[..., first, :, :], frames[..., first, :, :]
            for _ in range(self.refinement):
                begun = register(seen, glimpses, begun, size, REGISTRATION)
                glimpses = sharpen(
                    seen, glimpses, begun, size, self.visible(seen, glimpses, begun, size, there)
                )
            box = air.box(objects, found._replace(glimpses=glimpses, box=None))
        exact = register(frames, glimpses, position, size, REGISTRATION)
        return found._replace(position=exact, glimpses=glimpses, box=box)

    def spread_of(self, frames: Tensor, found: Found, objects: Objects, searched: Tensor) -> Tensor:
        """Scales (..., B, T, N, 2) of registered positions: those they were ``searched`` with, which are learned."""
        del frames, found, objects
        return searched

    def visible(
        self, frames: Tensor, glimpses: Tensor, position: Tensor, size: Tensor, there: Tensor
    ) -> Tensor:
        """In how far objects are there to be seen, (..., B, T, N): those that are there (..., B, N) always."""
        del frames, glimpses, size
        return there.unsqueeze(-2).expand(position.shape[:-1]).to(position)

    @torch.no_grad()  # the decoder learns from reconstructions, not from being easy to find
    def _template(self, air: AIR, objects: Objects) -> tuple[Tensor, Tensor]:
        """The object as a kernel (..., N, h, w) at half the frame's resolution, zero mean, unit norm; and its norm."""
        side = 2 * self.config.kernel_side
        glimpses = air.decode(objects.description).unsqueeze(-3)  # (..., N, 1, G, G)
        size = objects.size.unsqueeze(-2) * self.frame_size / side  # (..., N, 1, 2)
        centre = torch.zeros_like(size).unsqueeze(-3)  # (..., N, 1, 1, 2)
        full = paste(glimpses, centre, size, (side, side)).squeeze(-3)  # (..., N, 2h, 2w)
        kernel = nn.functional.avg_pool2d(full.flatten(0, -3), 2).unflatten(0, full.shape[:-2])
        kernel = kernel - kernel.mean((-2, -1), keepdim=True)
        norm = kernel.square().sum((-2, -1), keepdim=True).sqrt().clamp_min(1e-3)
        return kernel / norm, norm

    def locate(self, logits: Tensor) -> Normal:
        """Mean and scale of the position under the softmax of a map: (..., h, w) to batch (..., 2)."""
        height, width = logits.shape[-2:]
        p = logits.flatten(-2).softmax(-1).unflatten(-1, (height, width))
        across = [p.sum(-2), p.sum(-1)]  # x, y marginals
        loc, variance = [], []
        for marginal in across:
            grid = self._grid(marginal.shape[-1], p)
            mean = marginal @ grid
            loc.append(mean)
            variance.append((marginal @ grid.square() - mean.square()).clamp_min(0))
        gain, floor = self.spread.exp()
        scale = gain * (torch.stack(variance, -1) + 1e-8).sqrt() * 0.5 + floor + MIN_SCALE
        return Normal(torch.stack(loc, -1), scale)

    def _grid(self, cells: int, like: Tensor) -> Tensor:
        """Frame coordinates (cells,) of the centres of an axis's cells, which are two pixels wide."""
        middle = 2 * torch.arange(cells, dtype=like.dtype, device=like.device) + 1
        return 2 * middle / self.frame_size - 1


class FollowingFIND(TemplateFIND):
    """Match templates as :class:`TemplateFIND` does, near the place that the object moves to at constant velocity.

    q(p_t | p_{t-1}, x_t, s, d) as in the paper: a Gaussian gate around p_{t-1} + v_{t-1} on a floor, so that an object
    that was lost is found again. What an object explains is no evidence for the others
    (:func:`~vtssi_pyro.ops.explaining.explain`): things that look alike are told apart by where they were, things that
    overlap by what they leave each other. An object of which nothing is left to be seen keeps away from those that are.
    Not in the paper.
    """

    def read(
        self, air: AIR, frames: Tensor, objects: Objects, carry: Carry | None
    ) -> tuple[Normal, Heading | None]:
        """One frame after the other; see :meth:`TemplateFIND.read`."""
        heading = carry.found.heading if carry is not None else None
        there = self.there(objects).squeeze(-2) > 0
        template, norm = self._template(air, objects)
        mixed, energy = crosstalk(template * norm, template / norm), norm.flatten(-3).square()
        sharpness, strength = self.log_sharpness.exp(), self.log_strength.exp()
        loc, scale = [], []
        for own in self.evidence(frames, objects, template, norm).unbind(-4):  # (..., B, N, h, w)
            gate = torch.zeros_like(own) if heading is None else self._gate(heading, own)
            with torch.no_grad():
                expected = None if heading is None else self._expected(heading)
                explained, placed = explain(own / sharpness, gate / sharpness, mixed, energy, there, expected)
                near = self._near(placed, objects, own)
                kept_away = (1 - placed.seen)[..., None, None] * (near - explained).relu()
            q = self.locate(own + gate - sharpness * explained - strength * kept_away)
            heading = self._headed(heading, q.loc.detach(), placed.seen)
            loc.append(q.loc)
            scale.append(q.scale)
        return Normal(torch.stack(loc, -3), torch.stack(scale, -3)), heading

    def match(self, frames: Tensor, template: Tensor, norm: Tensor) -> Tensor:
        """How much of each object's picture the frames have, by place, 1 for all of it."""
        return super().match(frames, template, norm) / norm.unsqueeze(-4)

    def spread_of(self, frames: Tensor, found: Found, objects: Objects, searched: Tensor) -> Tensor:
        """What the frames leave open of objects that they show; of others how far the search may have gone astray."""
        glimpses, there = found.glimpses, self.there(objects).squeeze(-2)
        assert glimpses is not None
        seen = self.visible(frames, glimpses, found.position, objects.size, there).unsqueeze(-1)
        return precision(frames, glimpses, found.position, objects.size).where(seen > 0, searched)

    def visible(
        self, frames: Tensor, glimpses: Tensor, position: Tensor, size: Tensor, there: Tensor
    ) -> Tensor:
        """Where the frame has what the object offers, in full or in part; an object may be away for some frames."""
        sizes = size.unsqueeze(-3).expand_as(position)
        seen = crop(frames.unsqueeze(-3), position, sizes, glimpses.shape[-1])  # (..., T, N, G, G)
        own = glimpses.unsqueeze(-4)
        share = (seen * own).sum((-2, -1)) / own.square().sum((-2, -1)).clamp_min(1e-6)
        return there.unsqueeze(-2) * (share > SEEN)

    def there(self, objects: Objects) -> Tensor:
        """1 for objects that are more there than not: what is hardly there must take nobody's place."""
        return counting.present(objects.count, objects.size.shape[-2]).to(objects.size).unsqueeze(-2)

    def _expected(self, heading: Heading) -> Placed:
        pixels = to_pixels(heading.place + heading.velocity, (self.frame_size, self.frame_size))
        return Placed((pixels.flip(-1) - 1) / 2, heading.seen)

    def _near(self, placed: Placed, objects: Objects, like: Tensor) -> Tensor:
        """How near each cell is to where other objects are seen, (..., N, h, w), 1 on top of one."""
        cells = self.frame_size / 4  # in half the frame's size, the unit of sizes and of the reach
        reach = self.config.reach * cells * objects.size.clamp(*SIZE_LIMITS)  # (..., N, 2)
        down, across = (
            bump(place, torch.arange(length, device=like.device), width.unsqueeze(-1))
            for length, place, width in zip(
                like.shape[-2:], placed.cell.unbind(-1), reach.flip(-1).unbind(-1), strict=True
            )
        )
        each = placed.seen[..., None, None] * down.unsqueeze(-1) * across.unsqueeze(-2)
        return each.sum(-3, keepdim=True) - each

    def _gate(self, heading: Heading, like: Tensor) -> Tensor:
        """Log of a Gaussian bump around where objects are expected, on a floor, (..., N, h, w)."""
        centre = heading.place + heading.velocity
        height, width = like.shape[-2:]
        across = (self._grid(width, like) - centre[..., :1]).square().unsqueeze(-2)
        down = (self._grid(height, like) - centre[..., 1:]).square().unsqueeze(-1)
        near = -0.5 * (across + down) / self.config.gate**2
        return torch.logaddexp(near, (-LOST * self.log_sharpness.exp()).expand_as(near))

    @staticmethod
    def _headed(heading: Heading | None, place: Tensor, seen: Tensor) -> Heading:
        """After a frame; where an object was not seen, its old velocity wanes instead."""
        if heading is None:
            return Heading(place, torch.zeros_like(place), seen)
        measured = INERTIA * heading.velocity + (1 - INERTIA) * (place - heading.place)
        sure = seen.square().unsqueeze(-1)
        return Heading(place, sure * measured + (1 - sure) * TIRING * heading.velocity, seen)
