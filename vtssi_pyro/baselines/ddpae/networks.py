"""DDPAE's networks."""

import math
from itertools import pairwise

import torch
from pyro.distributions import Normal
from torch import Tensor, nn

from vtssi_pyro.model.nn import Network
from vtssi_pyro.ops.correlate import channels_last

SLOPE = 0.2  # of the leaky rectifiers
INITIAL_SCALE = 0.02  # of the initial weights of convolutions, dense layers and batch norms


def initialised(module: nn.Module) -> None:
    """Draw a layer's initial weights as the official program does; other modules stay as torch makes them."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.BatchNorm2d):
        nn.init.normal_(module.weight, float(isinstance(module, nn.BatchNorm2d)), INITIAL_SCALE)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Encoder(Network):
    """Pictures (R, C, S, S), S a power of 2, to vectors (R, size): convolutions that halve the side down to 4."""

    def __init__(self, side: int, channels: int, size: int, filters: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, filters, 4, 2, 1, bias=False), nn.LeakyReLU(SLOPE)]
        widths = _widths(side, filters)
        for fan_in, fan_out in pairwise(widths):
            layers += [
                nn.Conv2d(fan_in, fan_out, 4, 2, 1, bias=False), nn.BatchNorm2d(fan_out), nn.LeakyReLU(SLOPE),
            ]  # fmt: skip
        self.body = nn.Sequential(*layers, nn.Conv2d(widths[-1], size, 4, bias=False), nn.Flatten())

    def forward(self, pictures: Tensor) -> Tensor:
        """Encode pictures."""
        return self.layers(channels_last(pictures))


class Decoder(Network):
    """Vectors (R, size) to pictures (R, C, S, S) in [0, 1]: the encoder's mirror image."""

    def __init__(self, side: int, channels: int, size: int, filters: int) -> None:
        super().__init__()
        widths = _widths(side, filters)[::-1]
        layers: list[nn.Module] = [nn.ConvTranspose2d(size, widths[0], 4, bias=False)]
        for fan_in, fan_out in pairwise([*widths, channels]):
            layers += [
                nn.BatchNorm2d(fan_in),
                nn.ReLU(),
                nn.ConvTranspose2d(fan_in, fan_out, 4, 2, 1, bias=False),
            ]
        self.body = nn.Sequential(*layers, nn.Sigmoid())

    def forward(self, vectors: Tensor) -> Tensor:
        """Decode vectors."""
        return self.layers(vectors[..., None, None])


class PoseNetwork(Network):
    """The densities of poses: an LSTM over frames, and one that predicts, from component to component."""

    def __init__(
        self, side: int, channels: int, features: int, hidden: int, filters: int, components: int
    ) -> None:
        super().__init__()
        self.components, self.hidden = components, hidden
        self.body = nn.ModuleDict(
            {
                "encoder": Encoder(side, channels, features, filters),
                "reader": nn.LSTM(features + hidden, hidden, batch_first=True),
                "predictor": nn.LSTMCell(2 * hidden, hidden),
                "starter": nn.LSTM(hidden, hidden, batch_first=True),
                "step_loc": nn.Linear(hidden, 3),
                "step_scale": nn.Linear(hidden, 3),
                "start_loc": nn.Linear(hidden, 3),
                "start_scale": nn.Linear(hidden, 3),
            }
        )

    def forward(self, frames: Tensor, horizon: int) -> tuple[Normal, Normal]:
        """Read frames (B, T, C, H, W) and predict ``horizon`` further ones.

        Returns:
            the densities of the initial pose, (B, N, 3), and of its changes, (B, T + horizon, N, 3).
        """
        net = self.layers
        assert isinstance(net, nn.ModuleDict)
        seen = net["encoder"](frames.flatten(0, 1)).unflatten(0, frames.shape[:2])  # (B, T, features)
        outputs, first = [], []
        before = seen.new_zeros(*seen.shape[:2], self.hidden)  # of the component before, frame by frame
        ahead_before = [before[:, 0]] * horizon
        for _ in range(self.components):
            before, (h, c) = net["reader"](torch.cat([seen, before], -1))
            first.append(before[:, 0])
            state, ahead = (h[0], c[0]), []
            for earlier in ahead_before:
                state = net["predictor"](torch.cat([state[0], earlier], -1), state)
                ahead.append(state[0])
            ahead_before = ahead
            outputs.append(torch.cat([before, *(step.unsqueeze(1) for step in ahead)], 1))
        steps = torch.stack(outputs, 2)  # (B, T + horizon, N, hidden)
        starts, _ = net["starter"](torch.stack(first, 1))  # (B, N, hidden)
        return _normal(net["start_loc"](starts), net["start_scale"](starts)), _normal(
            net["step_loc"](steps), net["step_scale"](steps)
        )


class ContentNetwork(Network):
    """The density of each component's content, from its pictures in all frames."""

    def __init__(self, side: int, channels: int, size: int, hidden: int, filters: int) -> None:
        super().__init__()
        self.body = nn.ModuleDict(
            {
                "encoder": Encoder(side, channels, size, filters),
                "reader": nn.LSTM(size, hidden, batch_first=True),
                "readout": nn.Linear(hidden, 2 * size),
            }
        )

    def forward(self, pictures: Tensor) -> Normal:
        """Read pictures (B, T, N, C, G, G); returns the density (B, N, D)."""
        net = self.layers
        assert isinstance(net, nn.ModuleDict)
        batch, frames, components = pictures.shape[:3]
        seen = net["encoder"](pictures.flatten(0, 2)).unflatten(0, (batch, frames, components))
        outputs, _ = net["reader"](seen.transpose(1, 2).flatten(0, 1))  # (B N, T, hidden)
        loc, scale = net["readout"](outputs[:, -1]).unflatten(0, (batch, components)).chunk(2, -1)
        return _normal(loc, scale)


def _widths(side: int, filters: int) -> list[int]:
    """Numbers of filters of the convolutions that halve a picture's side down to 4."""
    return [filters * 2**i for i in range(round(math.log2(side)) - 2)]


def _normal(loc: Tensor, raw: Tensor) -> Normal:
    return Normal(loc, nn.functional.softplus(raw))
