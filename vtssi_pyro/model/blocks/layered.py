"""Objects that hide each other: a picture that composes opaque layers by depth. Not in the paper."""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from pyro.distributions import Normal
from torch import Tensor, nn

from vtssi_pyro.config import Range
from vtssi_pyro.config.ranges import SCALE, SMALL
from vtssi_pyro.model.blocks.air import AdditiveConfig, AdditivePicture
from vtssi_pyro.model.kinds import PICTURES
from vtssi_pyro.model.nn import MLP, Block
from vtssi_pyro.model.sites import draw
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.ops.bell import bell_mask
from vtssi_pyro.ops.gaussian import chosen
from vtssi_pyro.ops.occlusion import compared, nearer, shaded, transmittance
from vtssi_pyro.types import Objects, Pose, Scalar, Site, State

DEPTH = Site("depth", 1)
# Logits of a front that nobody has seen yet, 2 % opaque; and how many of them a unit of its parameters is: with Adam's
# steps of a thousandth, pixels can then become opaque in some two hundred steps.
UNSEEN, UNIT = -4.0, 30.0


@PICTURES.register("layered")
@dataclass(frozen=True)
class LayeredConfig(AdditiveConfig):
    """See :class:`LayeredPicture`."""

    softness: Annotated[
        float, SCALE, "Difference of depths at which an order has odds of e; some times as much is an order."
    ] = 0.05
    drift: Annotated[
        float,
        Range(SMALL, 1),
        "Scale of a change of depth from frame to frame; of 1, an order is soon forgotten.",
    ] = 0.3
    front: Annotated[
        bool,
        "Whether something may stand before all objects, at the same place in all frames; it is learned.",
    ] = False

    def build(self, sizes: Sizes) -> "LayeredPicture":
        """See :class:`LayeredPicture`."""
        return LayeredPicture(self, sizes)


class Front(Block):
    """What stands before all objects, at the same place in all frames: an opacity and an intensity for each pixel.

    It is a parameter of the likelihood, as the noise is, not an object: the camera is the same in all sequences.
    """

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.pixels = nn.Parameter(torch.zeros(channels + 1, side, side))

    def forward(self) -> Tensor:
        """Intensities, weighted by the opacity, and behind them the opacity, (C + 1, H, W)."""
        return premultiplied(UNSEEN + UNIT * self.pixels)


class LayeredPicture(AdditivePicture):
    """Objects are opaque layers: x = sum_i c_i prod_{j != i} (1 - w_ij a_j), w_ij = sigmoid((z_i - z_j) / softness).

    c_i is an object's intensity, weighted by its opacity a_i, which is decoded beside it. z_i is its depth in the
    frame, the smaller, the nearer: z_1 ~ N(0, 1), z_t ~ N(z_{t-1}, drift). Where depths differ by much more than the
    softness, the frame is that of the nearest opaque layer; where nothing overlaps, it is the sum of the objects.
    Without depths each order counts as one half. Not in the paper.

    The proposal of depths compares, for each pair of objects, the likelihoods of a frame under both orders, and keeps
    the prior where these are alike. How sharp a proposal is, and how far it goes, is learned.
    """

    config: LayeredConfig
    sites = (DEPTH,)
    resolves = False  # what covers an object is no sum with it

    def __init__(self, config: LayeredConfig, sizes: Sizes) -> None:
        super().__init__(config, sizes)
        planes = sizes.channels + 1
        self.decoder = MLP([sizes.description, *config.decoder], planes * sizes.glimpse**2)
        self.front = Front(sizes.channels, sizes.frame_size) if config.front else None
        # Of proposals with evidence: the scale as a factor on the prior's, and a factor on the way of the mean.
        self.log_shrink = nn.Parameter(torch.tensor(math.log(0.1)))
        self.log_gain = nn.Parameter(torch.tensor(0.0))

    def decode(self, description: Tensor) -> Tensor:
        """Glimpses (..., C, G, G), weighted by opacity; see :meth:`AdditivePicture.decode`."""
        return self.planes(description)[..., : self.channels, :, :]

    def planes(self, description: Tensor) -> Tensor:
        """Intensities, weighted by the opacity, and behind them the opacity, (..., C + 1, G, G)."""
        shape = (self.channels + 1, self.glimpse, self.glimpse)
        return premultiplied(self.decoder(description).unflatten(-1, shape))

    def render(self, objects: Objects, pose: Pose, flatness: Scalar = 1.0) -> Tensor:
        """Mean of the likelihood; the mask dims opacities as it dims intensities."""
        glimpses = self._glimpses(pose, objects)
        mask = bell_mask(self.glimpse, self.config.bell_sigma, flatness, glimpses)
        return self.draw(pose._replace(appearance=glimpses * mask), objects)

    def draw(self, pose: Pose, objects: Objects) -> Tensor:
        """The same as ``compose(layers(pose, objects), pose)``."""
        return self.compose(self.layers(pose, objects), pose)

    def compose(self, layers: Tensor, pose: Pose) -> Tensor:
        """Frames (..., T, C, H, W) of layers (..., T, N, C + 1, H, W), whose last plane is the opacity."""
        colour, opacity = layers.split([self.channels, 1], -3)
        frame = (colour * transmittance(opacity, self._before(layers, pose))).sum(-4)
        if self.front is None:
            return frame
        front, cover = self.front().split([self.channels, 1])
        return front + (1 - cover) * frame

    def others(self, layers: Tensor, pose: Pose) -> Tensor:
        """The frames without each object, in which those behind it are seen, (..., T, N, C, H, W)."""
        slots = torch.arange(layers.shape[-4], device=layers.device)
        without = [
            self.compose(layers * (slots != i)[:, None, None, None].to(layers), pose)
            for i in range(len(slots))
        ]
        return torch.stack(without, -4)

    def shown(self, layers: Tensor, pose: Pose) -> Tensor:
        """What each object changes in the frame, (..., T, N, C, H, W); nothing where it is hidden."""
        return self.compose(layers, pose).unsqueeze(-4) - self.others(layers, pose)

    def clear(self, layers: Tensor, pose: Pose) -> Tensor:
        """The share of each object that nearer ones and the front let through, (..., T, N, 1, H, W)."""
        through = transmittance(layers[..., self.channels :, :, :], self._before(layers, pose))
        return through if self.front is None else through * (1 - self.front()[self.channels :])

    def model(self, t: int, previous: State | None, like: Tensor, age: Tensor | None = None) -> State:
        """Draw depth_t; see :meth:`AdditivePicture.model`."""
        return {DEPTH.name: draw(DEPTH, t, self._prior(previous, like, age).to_event(1))}

    def guide(
        self, frames: Tensor, objects: Objects, pose: Pose, first: int, previous: State | None,
        age: Tensor | None = None,
    ) -> None:  # fmt: skip
        """Propose the depths in frames (B, T, C, H, W) from number ``first`` on; see :meth:`AdditivePicture.guide`."""
        state = previous
        evidence = self._evidence(frames, self.layers(pose, objects), pose, previous)
        for t, nats in enumerate(evidence.unbind(-3), first):
            q = self._proposal(self._prior(state, objects.size, age), nats)
            state = {DEPTH.name: draw(DEPTH, t, q.to_event(1))}

    def ordered(self, frames: Tensor, layers: Tensor, pose: Pose, previous: State | None = None) -> Pose:
        """The pose with the means of the depths that each frame would propose if it were the next."""
        evidence = self._evidence(frames, layers, pose, previous)  # (..., T, N, N)
        prior = self._prior(previous, pose.size)
        lead = (*evidence.shape[:-1], 1)
        prior = Normal(*(value.unsqueeze(-3).expand(lead) for value in (prior.loc, prior.scale)))
        return pose._replace(depth=self._proposal(prior, evidence).loc.squeeze(-1))

    def _prior(self, previous: State | None, like: Tensor, age: Tensor | None = None) -> Normal:
        """The density of the next depths, batch (..., N, 1): a walk, which begins anew with each new object."""
        zeros = torch.zeros_like(like[..., :1])
        first = Normal(zeros, torch.ones_like(zeros))
        if previous is None or DEPTH.name not in previous:
            return first
        before = previous[DEPTH.name]
        walk = Normal(before, torch.full_like(before, self.config.drift))
        return walk if age is None else chosen(age > 0, walk, first)

    def _proposal(self, prior: Normal, evidence: Tensor) -> Normal:
        """The density of depths given the evidence (..., N, N) of a frame; without evidence it is the prior."""
        with torch.no_grad():
            way = compared(prior, evidence) - prior.loc
            told = 1 - (-evidence.abs().amax(-1, keepdim=True)).exp()  # (..., N, 1): how far a frame decides
        scale = prior.scale * (1 - told + told * self.log_shrink.exp())
        return Normal(prior.loc + self.log_gain.exp() * way, scale)

    @torch.no_grad()
    def _evidence(self, frames: Tensor, layers: Tensor, pose: Pose, previous: State | None) -> Tensor:
        """Nats by which each frame favours that object i is nearer than object j, (..., T, N, N).

        All other orders are those of the frame before.
        """
        if previous is not None and DEPTH.name in previous:
            pose = pose._replace(depth=previous[DEPTH.name].mT)
        before, drawn = self._before(layers, pose), self.compose(layers, pose)
        colours, opacities = (planes.unbind(-4) for planes in layers.split([self.channels, 1], -3))
        if self.front is not None:
            through = 1 - self.front()[self.channels :]
            colours = [through * colour for colour in colours]
        slots = range(len(colours))
        found = layers.new_zeros(*layers.shape[:-4], len(slots), len(slots))
        for i in slots:
            for j in slots[i + 1 :]:
                # what the nearer one of the two takes of the farther one
                from_i = opacities[j] * shaded(colours[i], opacities, before[..., i, :], (i, j))
                from_j = opacities[i] * shaded(colours[j], opacities, before[..., j, :], (i, j))
                both = drawn + torch.lerp(from_j, from_i, before[..., i, j, None, None, None])
                one, other = (self.likelihood(both - hidden).log_prob(frames) for hidden in (from_j, from_i))
                found[..., i, j], found[..., j, i] = one - other, other - one
        return found

    def _before(self, layers: Tensor, pose: Pose) -> Tensor:
        """How far object j is nearer than object i, (..., T, N, N)."""
        depth = layers.new_zeros(layers.shape[-4]) if pose.depth is None else pose.depth
        return nearer(depth, self.config.softness)

    def _glimpses(self, pose: Pose, objects: Objects) -> Tensor:
        """(..., T or 1, N, C + 1, G, G): looks settled on frames have the opacity of the description."""
        settled = pose.appearance
        if settled is not None and settled.shape[-3] > self.channels:
            return settled
        planes = self.planes(objects.description).unsqueeze(-5)
        if settled is None:
            return planes
        opacity = planes[..., self.channels :, :, :]
        lead = torch.broadcast_shapes(settled.shape[:-3], opacity.shape[:-3])
        return torch.cat([x.expand(*lead, *x.shape[-3:]) for x in (settled, opacity)], -3)


def premultiplied(logits: Tensor) -> Tensor:
    """Intensities, weighted by the opacity, and the opacity, from logits (..., C + 1, H, W) of both."""
    share = torch.sigmoid(logits)
    opacity = share[..., -1:, :, :]
    return torch.cat([share[..., :-1, :, :] * opacity, opacity], -3)
