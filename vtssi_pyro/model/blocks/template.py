"""FIND without networks: template matching of every object's glimpse in every frame. Not in the paper."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from pyro.distributions import Independent, Normal
from torch import Tensor, nn

from vtssi_pyro.config import Declared, Range
from vtssi_pyro.config.ranges import EVIDENCE, KERNEL, SCALE, SMALL
from vtssi_pyro.errors import UsageError
from vtssi_pyro.model.blocks.find import FinderBase
from vtssi_pyro.model.interfaces import Picture, Predict, Sight
from vtssi_pyro.model.kinds import FINDERS
from vtssi_pyro.model.nn import MIN_SCALE
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.ops.correlate import correlate_template
from vtssi_pyro.ops.exclusion import exclude
from vtssi_pyro.ops.registration import precision
from vtssi_pyro.ops.spatial import SIZE_LIMITS, centres, paste
from vtssi_pyro.types import Detections, Objects, State

CELL = (
    2  # pixels of a cell's side: the frame is halved for the search, which compares a quarter of the places
)


@FINDERS.register("template")
@dataclass(frozen=True)
class TemplateConfig(Declared):
    """See :class:`TemplateFIND`; sides in pixels of the halved frame."""

    kernel_side: Annotated[
        int | None,
        Range(3, KERNEL.high),
        "Side of a template, odd, pixels of the halved frame; null: that which suits the model's frames.",
    ] = None
    # Guesses from here on; sharpness, strength and floor are only first values, which are learned.
    sharpness: Annotated[float, EVIDENCE, "Initial evidence of a match of 1, nats."] = 8.0
    rounds: Annotated[
        int,
        Range(0, 100),  # five suffice; each costs as much as the search
        "Rounds of mutual exclusion between the objects; 0: each is searched on its own.",
    ] = 5
    strength: Annotated[
        float, EVIDENCE, "Initial cost of a shared place, nats; more than a match of 1 weighs."
    ] = 10.0
    reach: Annotated[
        float, Range(SMALL, 10), "Reach of an object's exclusion, in units of half its size."
    ] = 0.8
    floor: Annotated[
        float, SCALE, "Initial scale of a position with certain evidence, frame coordinates."
    ] = 0.05

    def relate(self, where: str) -> None:
        """Refuse an even side."""
        if self.kernel_side is not None and self.kernel_side % 2 == 0:
            raise UsageError(
                f"{where}kernel_side: expected an odd number, so that it has a centre, found {self.kernel_side}"
            )

    def build(self, sizes: Sizes) -> "TemplateFIND":
        """See :class:`TemplateFIND`."""
        self.relate("model.finder.")
        return TemplateFIND(self, sizes)


def kernel_side(frame_size: int) -> int:
    """The side of the template in frames of this side, pixels: the same share of the frame as 15 of 50."""
    return int(0.3 * frame_size) | 1


class TemplateFIND(FinderBase):
    """Match each object's decoded glimpse against the frames; the position is the expected place of the match.

    FIND's convolution kernel is here the object itself: its glimpse, pasted at its inferred size. The objects exclude
    each other (:func:`~vtssi_pyro.ops.exclusion.exclude`). The softmax of the resulting map gives the position's mean
    (soft-argmax), and its spread gives the scale. Only five numbers are learned, so the search finds objects from the
    first step, and short trainings suffice.

    Not in the paper; replaces :class:`FIND` without any other change.

    Example:
        >>> from vtssi_pyro import TemplateFIND, load
        >>> isinstance(load("moving-mnist").finder, TemplateFIND)
        True
    """

    registers = True

    def __init__(self, config: TemplateConfig, sizes: Sizes) -> None:
        super().__init__()
        self.config = config
        self.frame_size = sizes.frame_size
        given = config.kernel_side
        self.kernel_side = kernel_side(sizes.frame_size) if given is None else given
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(config.sharpness)))
        self.rivalry = nn.Parameter(torch.tensor(0.0))  # weight of the other objects' matches at a place
        self.log_strength = nn.Parameter(torch.tensor(math.log(config.strength)))
        self.spread = nn.Parameter(torch.tensor([0.0, math.log(config.floor)]))

    def look(
        self, picture: Picture, frames: Tensor, objects: Objects, before: Detections | None = None
    ) -> Sight:
        """q(p_t | x_t, s, d) of all frames, batch (..., B, T, N, 2); every frame is searched on its own."""
        del before
        return Sight(self.locate(self.search(picture, frames, objects)))

    def step(self, sight: Sight, index: int, previous: State, predict: Predict | None = None) -> Independent:
        """q(p_t | x_t, s, d) of one of the frames."""
        del previous, predict
        q: Normal = sight.evidence
        return Normal(q.loc[..., index, :, :], q.scale[..., index, :, :]).to_event(1)

    def spread_of(
        self,
        frames: Tensor,
        draw: Callable[[Tensor], Tensor],
        glimpses: Tensor,
        position: Tensor,
        objects: Objects,
        searched: Tensor,
    ) -> Tensor:
        """Standard errors of the registration for visible objects, and the scales of the search for hidden ones."""
        visible = self.visible(frames, glimpses, position, objects).unsqueeze(-1)
        return precision(frames - draw(position), glimpses, position, objects.size).where(
            visible > 0, searched
        )

    def search(self, picture: Picture, frames: Tensor, objects: Objects) -> Tensor:
        """Logits (..., B, T, N, h, w) of each object's place in each frame, over the cells of the halved frame.

        Args:
            picture: decodes the objects' looks.
            frames: (B, T, C, H, W), intensities in [0, 1].
            objects: draws; description (..., B, N, D).
        """
        return self.exclude(self.evidence(frames, objects, *self._template(picture, objects)), objects)

    def evidence(self, frames: Tensor, objects: Objects, template: Tensor, norm: Tensor) -> Tensor:
        """Evidence of the frames for each object by itself, logits (..., B, T, N, h, w)."""
        short = -frames.shape[-1] % CELL, -frames.shape[-2] % CELL
        whole = nn.functional.pad(frames, (0, short[0], 0, short[1])).flatten(0, 1)
        small = nn.functional.avg_pool2d(whole, CELL).unflatten(0, frames.shape[:2])  # (B, T, C, H/2, W/2)
        own = self.match(small, template, norm)  # (..., B, T, N, h, w)
        active = self.active(objects)[..., None, None]
        # of all matches, those of the others: all less the object's own
        every = (own * active).sum(-3, keepdim=True)
        return own * (self.log_sharpness.exp() - self.rivalry * active) + self.rivalry * every

    def match(self, frames: Tensor, template: Tensor, norm: Tensor) -> Tensor:
        """Fit of templates (..., N, C, h, w) of unit norm; see :func:`~vtssi_pyro.ops.correlate.correlate_template`."""
        del norm
        return correlate_template(frames, template)

    def exclude(self, logits: Tensor, objects: Objects) -> Tensor:
        """The logits after mutual exclusion of the objects."""
        grid = centres(self.frame_size, logits, CELL)
        reach = (self.config.reach * objects.size.detach().clamp(*SIZE_LIMITS)).unsqueeze(-3)
        active = self.active(objects)
        return exclude(logits, (grid, grid), reach, self.log_strength.exp(), active, self.config.rounds)

    def active(self, objects: Objects) -> Tensor:
        """1 for objects that claim a place, 0 for empty slots, (..., B, 1, N)."""
        return (objects.steps > 0).to(objects.size).unsqueeze(-2)

    @torch.no_grad()  # the decoder learns from reconstructions alone, not from the search
    def _template(self, picture: Picture, objects: Objects) -> tuple[Tensor, Tensor]:
        """The object as a kernel (..., N, C, h, w) of half the resolution, zero mean and unit norm; and its norm."""
        side = CELL * self.kernel_side
        glimpses = picture.decode(objects.description).unsqueeze(-4)  # (..., N, 1, C, G, G)
        size = objects.size.unsqueeze(-2) * self.frame_size / side  # (..., N, 1, 2)
        centre = torch.zeros_like(size).unsqueeze(-3)  # (..., N, 1, 1, 2)
        return self._kernel(paste(glimpses, centre, size, (side, side)).squeeze(-4))

    def _kernel(self, full: Tensor) -> tuple[Tensor, Tensor]:
        """Kernels (..., C, h, w) of zero mean and unit norm, and their norms, of objects' pictures (..., C, 2h, 2w)."""
        kernel = nn.functional.avg_pool2d(full.flatten(0, -4), CELL).unflatten(0, full.shape[:-3])
        kernel = kernel - kernel.mean((-2, -1), keepdim=True)
        norm = kernel.square().sum((-3, -2, -1), keepdim=True).sqrt().clamp_min(1e-3)  # black: 0
        return kernel / norm, norm

    def locate(self, logits: Tensor) -> Normal:
        """Mean and scale of the position under the softmax of a map: (..., h, w) to batch (..., 2)."""
        height, width = logits.shape[-2:]
        p = logits.flatten(-2).softmax(-1).unflatten(-1, (height, width))
        across = [p.sum(-2), p.sum(-1)]  # x, y marginals
        grid = centres(self.frame_size, p, CELL)
        loc, variance = [], []
        for marginal in across:
            mean = marginal @ grid
            loc.append(mean)
            variance.append((marginal @ grid.square() - mean.square()).clamp_min(0))
        gain, floor = self.spread.exp()
        # half: a first gain, guessed, as a match is wider than the error of its place; 1e-8: a finite gradient at 0
        scale = gain * (torch.stack(variance, -1) + 1e-8).sqrt() * 0.5 + floor + MIN_SCALE
        return Normal(torch.stack(loc, -1), scale)
