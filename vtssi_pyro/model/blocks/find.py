"""Where known objects are, frame by frame: FIND (section 3.2.1, App. B.2.1) and its null object NoFIND."""

import pyro
import torch
from pyro.distributions import Normal
from pyro.nn import PyroModule
from torch import Tensor, nn

from vtssi_pyro.config import AIRConfig, FINDConfig
from vtssi_pyro.model.blocks.air import AIR
from vtssi_pyro.model.nn import MLP, ConvStack, GaussianMLP, Network
from vtssi_pyro.ops.correlate import correlate
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
