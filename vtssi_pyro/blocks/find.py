"""Where known objects are, frame by frame: FIND (section 3.2.1, App. B.2.1), a template-matching FIND, and NoFIND."""

import math

import pyro
import torch
from pyro.distributions import Normal
from pyro.nn import PyroModule
from torch import Tensor, nn

from vtssi_pyro.blocks.air import AIR
from vtssi_pyro.config import AIRConfig, FINDConfig, TemplateConfig
from vtssi_pyro.nn import MIN_SCALE, MLP, ConvStack, GaussianMLP
from vtssi_pyro.ops import counting
from vtssi_pyro.ops.correlate import correlate
from vtssi_pyro.ops.spatial import paste
from vtssi_pyro.types import Objects, Plates


class NoFIND(PyroModule):
    """Nothing to find: for the program of single frames, whose only position AIR has inferred."""

    def guide(
        self, air: AIR, frames: Tensor, objects: Objects, first: Tensor | None, plates: Plates
    ) -> Tensor:
        """The first position as a sequence of length one, (..., B, 1, N, 2)."""
        if first is None or frames.shape[-3] != 1:
            raise ValueError(
                "NoFIND serves programs of single frames only: give it one frame and its positions"
            )
        return first.unsqueeze(-3)


class FIND(PyroModule):
    """Fast weights: convolution kernels made from an object's description find it in every frame.

    Reference: App. B.2.1, Alg. 3.
    """

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
        self, air: AIR, frames: Tensor, objects: Objects, first: Tensor | None, plates: Plates
    ) -> Tensor:
        """prod_t q_FIND(p_t | p_{t-1}, x_t, d); convolutions of all frames at once, only MLP_pos in sequence.

        Args:
            air: unused here; template matching decodes with it.
            frames: (B, T, H, W), intensities in [0, 1].
            objects: draws; description is (..., B, N, D).
            first: position of frame 1 where AIR has inferred it, (..., B, N, 2), else None and p_0 = 0.
            plates: of the program.

        Returns:
            positions (..., B, T, N, 2), frame coordinates.
        """
        features = self._features(frames, objects.description)  # (..., B, T, N, F)
        net, scale = self.position, self.config.position_scale
        positions = [] if first is None else [first]
        previous = torch.zeros_like(features[..., 0, :, :2]) if first is None else first
        with plates.sequences, plates.objects:
            for t in range(len(positions) + 1, frames.shape[-3] + 1):
                q = net(torch.cat([features[..., t - 1, :, :], previous], -1)).base_dist
                previous = pyro.sample(f"position_{t}", Normal(scale * q.loc, q.scale).to_event(1))
                positions.append(previous)
        return torch.stack(positions, -3)

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

    One more kernel than FIND's learned ones is the object itself: its glimpse, pasted at its inferred size. A small
    network turns the responses into a map of logits; its softmax gives the position's mean (soft-argmax), and its
    spread the scale. It can find objects before it has learned anything, which is what makes short trainings work.

    Not in the paper; stands in for :class:`FIND` without any other change.
    """

    def __init__(self, config: TemplateConfig, air: AIRConfig) -> None:
        super().__init__()
        self.config = config
        self.frame_size = air.frame_size
        side, learned = config.kernel_side, config.num_kernels
        if side % 2 == 0:
            raise ValueError(f"the template's side must be odd, so that it has a centre; found {side}")
        self.kernels = MLP([air.description, *config.kernel_dense], learned * side**2)
        self.logits = _LogitMap(learned + 2, config)
        self.spread = nn.Parameter(torch.tensor([0.0, math.log(0.05)]))

    def guide(
        self, air: AIR, frames: Tensor, objects: Objects, first: Tensor | None, plates: Plates
    ) -> Tensor:
        """prod_t q(p_t | x_t, s, d); see :meth:`FIND.guide`. Every frame is searched on its own."""
        logits = self._search(air, frames, objects)  # (..., B, T, N, h w)
        q = self._locate(logits)  # (..., B, T, N, 2)
        positions = [] if first is None else [first]
        with plates.sequences, plates.objects:
            for t in range(len(positions) + 1, frames.shape[-3] + 1):
                here = q.loc[..., t - 1, :, :], q.scale[..., t - 1, :, :]
                positions.append(pyro.sample(f"position_{t}", Normal(*here).to_event(1)))
        return torch.stack(positions, -3)

    def _search(self, air: AIR, frames: Tensor, objects: Objects) -> Tensor:
        odd = frames.shape[-1] % 2, frames.shape[-2] % 2
        small = nn.functional.avg_pool2d(
            nn.functional.pad(frames, (0, odd[0], 0, odd[1])), 2
        )  # (B, T, H/2, W/2)
        side, learned = self.config.kernel_side, self.config.num_kernels
        kernels = self.kernels(objects.description).unflatten(-1, (learned, side, side)) / side
        with torch.no_grad():  # the decoder learns from reconstructions, not from being easy to find
            template = self._template(air, objects).unsqueeze(-3)
        kernels = torch.cat([template, kernels], -3)  # (..., B, N, 1 + C, h, w)
        responses = per_object(small, kernels, padding=side // 2)  # (..., B, T, N, 1 + C, h, w)
        own = responses[..., :1, :, :]
        number = counting.expected_number(objects.count, own.shape[-4])
        there = counting.active(number, own.shape[-4]).to(own)[
            ..., None, :, None, None, None
        ]  # (..., B, 1, N, 1, 1, 1)
        others = (own * there).sum(-4, keepdim=True) - own * there
        return self.logits(torch.cat([own, others, responses[..., 1:, :, :]], -3))

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

    def _locate(self, logits: Tensor) -> Normal:
        """Mean and scale of the position under the softmax of a map: (..., h, w) to batch (..., 2)."""
        height, width = logits.shape[-2:]
        p = logits.flatten(-2).softmax(-1).unflatten(-1, (height, width))
        across = [p.sum(-2), p.sum(-1)]  # x, y marginals
        loc, variance = [], []
        for marginal in across:
            pixels = marginal.shape[-1]
            middle = 2 * torch.arange(pixels, dtype=p.dtype, device=p.device) + 1  # pixels of the frame
            grid = 2 * middle / self.frame_size - 1
            mean = marginal @ grid
            loc.append(mean)
            variance.append((marginal @ grid.square() - mean.square()).clamp_min(0))
        gain, floor = self.spread.exp()
        scale = gain * (torch.stack(variance, -1) + 1e-8).sqrt() * 0.5 + floor + MIN_SCALE
        return Normal(torch.stack(loc, -1), scale)


class _LogitMap(PyroModule):
    """The template's response, sharpened, plus a learned correction that starts near zero."""

    def __init__(self, in_channels: int, config: TemplateConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = in_channels
        for out, side in config.filters:
            layers += [nn.Conv2d(channels, out, side, padding=side // 2), nn.ReLU()]
            channels = out
        final = nn.Conv2d(channels, 1, 1)
        nn.init.normal_(final.weight, std=0.01)
        assert final.bias is not None
        nn.init.zeros_(final.bias)
        self.body = _Residual(nn.Sequential(*layers, final), config.sharpness)

    def forward(self, responses: Tensor) -> Tensor:
        """Logits (..., h, w) from (..., C, h, w), the template's response first."""
        return self.body(responses.flatten(0, -4)).unflatten(0, responses.shape[:-3])


class _Residual(nn.Module):
    def __init__(self, net: nn.Module, sharpness: float) -> None:
        super().__init__()
        self.net = net
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(sharpness)))

    def forward(self, x: Tensor) -> Tensor:
        # channels last is thrice as fast on a CPU; of the input alone, since Pyro's parameter store copies weights
        # that are laid out so, and would train the copies
        correction = self.net(x.contiguous(memory_format=torch.channels_last))
        return self.log_sharpness.exp() * x[:, 0] + correction[:, 0]


class _Plain(PyroModule):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def per_object(frames: Tensor, kernels: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    """Filter every frame with the kernels of every object of its sequence.

    Args:
        frames: (B, T, H, W).
        kernels: (..., B, N, C, h, w).
        stride: of the convolution.
        padding: zeros at each side, pixels.

    Returns:
        responses (..., B, T, N, C, H', W').
    """
    stacked = kernels.movedim(-5, 0)  # (B, ..., N, C, h, w)
    channels = stacked.shape[1:-2]
    out = correlate(frames, stacked.flatten(1, -3), stride, padding)  # (B, T, ... N C, H', W')
    out = out.unflatten(2, channels)  # (B, T, ..., N, C, H', W')
    return out.movedim((0, 1), (-6, -5))
