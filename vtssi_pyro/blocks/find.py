"""Where known objects are, frame by frame: FIND (section 3.2.1, App. B.2.1), a template-matching FIND, and NoFIND."""

import math

import pyro
import torch
from pyro.distributions import Normal
from pyro.nn import PyroModule
from torch import Tensor, nn

from vtssi_pyro.blocks.air import AIR
from vtssi_pyro.config import AIRConfig, FINDConfig, TemplateConfig
from vtssi_pyro.nn import MIN_SCALE, MLP, ConvStack, GaussianMLP, Network
from vtssi_pyro.ops import counting
from vtssi_pyro.ops.correlate import correlate, match
from vtssi_pyro.ops.exclusion import exclude
from vtssi_pyro.ops.ink import tight_box
from vtssi_pyro.ops.registration import register, sharpen
from vtssi_pyro.ops.spatial import SIZE_LIMITS, paste
from vtssi_pyro.types import Carry, Found, Objects, Plates

REGISTRATION = 2  # steps; they leave hundredths of a pixel


class NoFIND(PyroModule):
    """Nothing to find: for the program of single frames, whose only position AIR has inferred."""

    K = 1  # frames that must be seen at once

    def guide(
        self,
        air: AIR,
        frames: Tensor,
        objects: Objects,
        first: Tensor | None,
        plates: Plates,
        carry: Carry | None = None,
    ) -> Found:
        """The first position as a sequence of length one, (..., B, 1, N, 2)."""
        if first is None or frames.shape[-3] != 1:
            raise ValueError(
                "NoFIND serves programs of single frames only: give it one frame and its positions"
            )
        return Found(first.unsqueeze(-3))


class FIND(PyroModule):
    """Fast weights: convolution kernels made from an object's description find it in every frame.

    Reference: App. B.2.1, Alg. 3.
    """

    K = 1

    def __init__(self, config: FINDConfig, air: AIRConfig) -> None:
        super().__init__()
        self.config = config
        side = air.frame_size
        self.kernels = MLP(
            [air.description, *config.kernel_dense], config.num_kernels * config.kernel_side**2
        )
        if config.stride:
            reduced = (side - config.kernel_side) // 2 + 1
            first: list[nn.Module] = [nn.ReLU()]
        else:
            reduced = (side - config.kernel_side + 1) // 2
            first = [nn.ReLU(), nn.MaxPool2d(2)]
        self.activate = _Plain(nn.Sequential(*first))
        self.features = ConvStack(
            config.num_kernels, config.filters, (0,), config.stride, same=config.same_padding
        )
        features = self.features.num_features(config.num_kernels, reduced, reduced)
        self.readout = MLP([features, *config.dense], config.features)
        self.position = GaussianMLP(
            [config.features + 2, *config.position_trunk], config.position_heads, 2, nn.Tanh, torch.tanh,
            scale_init=config.scale_init, positive=air.scale_transform,
        )  # fmt: skip

    def guide(
        self,
        air: AIR,
        frames: Tensor,
        objects: Objects,
        first: Tensor | None,
        plates: Plates,
        carry: Carry | None = None,
    ) -> Found:
        """prod_t q_FIND(p_t | p_{t-1}, x_t, d); convolutions of all frames at once, only MLP_pos in sequence.

        Args:
            air: unused here; template matching decodes with it.
            frames: (B, T, H, W), intensities in [0, 1].
            objects: draws; description is (..., B, N, D).
            first: position of frame 1 where AIR has inferred it, (..., B, N, 2), else None.
            plates: of the program.
            carry: of the frames before these, from whose last position the chain goes on; None: from 0.

        Returns:
            positions (..., B, T, N, 2), frame coordinates.
        """
        features = self._features(frames, objects.description)  # (..., B, T, N, F)
        net, scale = self.position, self.config.position_scale
        positions = [] if first is None else [first]
        if first is not None:
            previous = first
        elif carry is not None:
            previous = carry.found.position[..., -1, :, :]
        else:
            previous = torch.zeros_like(features[..., 0, :, :2])
        with plates.sequences, plates.objects:
            for t in range(len(positions) + 1, frames.shape[-3] + 1):
                q = net(torch.cat([features[..., t - 1, :, :], previous], -1)).base_dist
                previous = pyro.sample(f"position_{t}", Normal(scale * q.loc, q.scale).to_event(1))
                positions.append(previous)
        return Found(torch.stack(positions, -3))

    def _features(self, frames: Tensor, description: Tensor) -> Tensor:
        side = self.config.kernel_side
        kernels = self.kernels(description).unflatten(-1, (self.config.num_kernels, side, side))
        responses = per_object(
            frames, kernels, stride=2 if self.config.stride else 1
        )  # (..., B, T, N, C, H', W')
        reduced = self.activate(responses.flatten(0, -4)).unflatten(0, responses.shape[:-3])
        return self.readout(self.features(reduced))


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
        self.spread = nn.Parameter(torch.tensor([0.0, math.log(0.05)]))

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
        q = self.locate(self.search(air, frames, objects))  # (..., B, T, N, 2)
        found = Found(q.loc)
        if self.refinement and not self.training:
            found = self._refined(air, frames, objects, q.loc, carry)
        positions = [] if first is None else [first]
        with plates.sequences, plates.objects:
            for t in range(len(positions) + 1, frames.shape[-3] + 1):
                here = found.position[..., t - 1, :, :], q.scale[..., t - 1, :, :]
                positions.append(pyro.sample(f"position_{t}", Normal(*here).to_event(1)))
        return found._replace(position=torch.stack(positions, -3))

    def search(self, air: AIR, frames: Tensor, objects: Objects) -> Tensor:
        """Where each object is in each frame: logits (..., B, T, N, h, w) of the cells of the halved frame.

        Args:
            air: whose decoder shows what the objects look like.
            frames: (B, T, H, W), intensities in [0, 1].
            objects: draws; description (..., B, N, D).
        """
        odd = frames.shape[-1] % 2, frames.shape[-2] % 2
        small = nn.functional.avg_pool2d(
            nn.functional.pad(frames, (0, odd[0], 0, odd[1])), 2
        )  # (B, T, H/2, W/2)
        with torch.no_grad():  # the decoder learns from reconstructions, not from being easy to find
            own = match(small, self._template(air, objects))  # (..., B, T, N, h, w)
        num_objects = own.shape[-3]
        number = counting.expected_number(objects.count, num_objects)
        there = counting.active(number, num_objects).to(own).unsqueeze(-2)  # (..., B, 1, N)
        mine = own * there[..., None, None]  # (..., B, T, N, h, w)
        others = mine.sum(-3, keepdim=True) - mine
        logits = self.log_sharpness.exp() * own + self.rivalry * others
        grid = self._grid(logits.shape[-2], logits), self._grid(logits.shape[-1], logits)
        reach = (self.config.reach * objects.size.detach().clamp(*SIZE_LIMITS)).unsqueeze(-3)
        return exclude(logits, grid, reach, self.log_strength.exp(), there, self.config.rounds)

    def _refined(
        self, air: AIR, frames: Tensor, objects: Objects, position: Tensor, carry: Carry | None
    ) -> Found:
        """What the frames tell beyond the search's cells and the decoder.

        The first K frames settle what the objects look like; all later ones, in other calls too, go by that.
        """
        size, first = objects.size, slice(self.K)
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
                glimpses = sharpen(seen, glimpses, begun, size, there)
            box = tight_box(glimpses, size)
        return Found(register(frames, glimpses, position, size, REGISTRATION), glimpses, box)

    def _template(self, air: AIR, objects: Objects) -> Tensor:
        """The object as a kernel (..., N, h, w) at half the frame's resolution, zero mean, unit norm."""
        side = 2 * self.config.kernel_side
        glimpses = air.decode(objects.description).unsqueeze(-3)  # (..., N, 1, G, G)
        size = objects.size.unsqueeze(-2) * self.frame_size / side  # (..., N, 1, 2)
        centre = torch.zeros_like(size).unsqueeze(-3)  # (..., N, 1, 1, 2)
        full = paste(glimpses, centre, size, (side, side)).squeeze(-3)  # (..., N, 2h, 2w)
        kernel = nn.functional.avg_pool2d(full.flatten(0, -3), 2).unflatten(0, full.shape[:-2])
        kernel = kernel - kernel.mean((-2, -1), keepdim=True)
        return kernel / kernel.square().sum((-2, -1), keepdim=True).sqrt().clamp_min(1e-3)

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


class _Plain(Network):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def per_object(frames: Tensor, kernels: Tensor, stride: int = 1) -> Tensor:
    """Filter every frame with the kernels of every object of its sequence.

    Args:
        frames: (B, T, H, W).
        kernels: (..., B, N, C, h, w).
        stride: of the convolution.

    Returns:
        responses (..., B, T, N, C, H', W').
    """
    stacked = kernels.movedim(-5, 0)  # (B, ..., N, C, h, w)
    channels = stacked.shape[1:-2]
    out = correlate(frames, stacked.flatten(1, -3), stride)  # (B, T, ... N C, H', W')
    out = out.unflatten(2, channels)  # (B, T, ..., N, C, H', W')
    return out.movedim((0, 1), (-6, -5))
