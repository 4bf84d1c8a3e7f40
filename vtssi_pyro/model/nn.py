"""The networks: PyroModules outside, plain torch inside.

A network reads its plain ``body`` once per call, which registers its parameters with Pyro; the layers inside have no
effects. Only Pyro's own optimisers need the registration, which :func:`unregistered` turns off.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from itertools import pairwise
from typing import Any, TypeVar

import torch
from pyro.distributions import Independent, Normal
from pyro.nn import PyroModule
from torch import Tensor, nn

from vtssi_pyro.ops.correlate import channels_last

MIN_SCALE = 1e-3  # floor of every learned scale (reading D12)

Activation = Callable[[], nn.Module]
Copy = TypeVar("Copy", bound=nn.Module)
Memory = tuple[Tensor, Tensor]  # of an LSTM, (layers, R, units) each


def dense(sizes: Sequence[int], activation: Activation) -> nn.Sequential:
    """Dense layers of the given sizes, input first, each followed by the activation."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), activation()]
    return nn.Sequential(*layers)


_UNREGISTERED = ContextVar("unregistered", default=False)
_BFLOAT16 = ContextVar("bfloat16", default=False)


@contextmanager
def _setting(variable: ContextVar[bool], value: bool) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def unregistered(on: bool = True) -> AbstractContextManager[None]:
    """Let blocks use their weights without statements to Pyro, which take a tenth of a small step."""
    return _setting(_UNREGISTERED, on)


def bfloat16_convolutions(on: bool = True) -> AbstractContextManager[None]:
    """Run the convolution stacks in bfloat16, with inputs and outputs in float32; nothing else changes."""
    return _setting(_BFLOAT16, on)


class Block(PyroModule):
    """A PyroModule whose weights are registered with Pyro's store as they are read, unless :func:`unregistered`."""

    def __getattr__(self, name: str) -> Any:
        """A weight or a part of the module."""
        if _UNREGISTERED.get():
            for own in (self.__dict__.get("_parameters", {}), self.__dict__.get("_modules", {})):
                if name in own and not isinstance(own[name], PyroModule):
                    return own[name]
        return super().__getattr__(name)


class Network(Block):
    """A block around plain layers, its ``body``."""

    @property
    def layers(self) -> nn.Module:
        """The body."""
        body = self.body
        assert isinstance(body, nn.Module)
        return body


class MLP(Network):
    """Dense layers and a linear output: (..., sizes[0]) -> (..., num_outputs)."""

    def __init__(
        self, sizes: Sequence[int], num_outputs: int, activation: Activation = nn.ReLU, bias: bool = True
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(*dense(sizes, activation), nn.Linear(sizes[-1], num_outputs, bias=bias))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers to the last axis."""
        return self.layers(x)


# Maps from a raw number to a scale, and back (reading D12).
POSITIVE: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[float], float]]] = {
    "softplus": (nn.functional.softplus, lambda scale: math.log(math.expm1(scale))),
    "exp": (torch.exp, math.log),
}


class _NormalBody(nn.Module):
    """A shared trunk and one head each for location and raw scale."""

    def __init__(self, trunk: nn.Module, loc: nn.Sequential, scale: nn.Sequential, positive: str) -> None:
        super().__init__()
        self.trunk, self.loc, self.scale = trunk, loc, scale
        self.positive = POSITIVE[positive][0]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.trunk(x)
        return self.loc(h), self.positive(self.scale(h)) + MIN_SCALE


class GaussianMLP(Network):
    """A network that returns a diagonal normal with event shape (E,).

    Args:
        trunk: sizes of the dense layers shared by location and scale, input first.
        heads: sizes of the dense layers of each head, location and scale.
        num_outputs: E.
        activation: of the dense layers.
        squash: applied to the location (sigmoid for sizes, tanh for positions).
        loc_init: location at the start of training, before squashing.
        scale_init: scale at the start of training.
        positive: the transform to positive scales, a key of :data:`POSITIVE`.
    """

    def __init__(
        self,
        trunk: Sequence[int],
        heads: Sequence[int],
        num_outputs: int,
        activation: Activation = nn.ReLU,
        squash: Callable[[Tensor], Tensor] | None = None,
        loc_init: float | Sequence[float] = 0.0,
        scale_init: float = 0.5,
        positive: str = "softplus",
    ) -> None:
        super().__init__()
        self.squash = squash or _identity
        sizes = [trunk[-1], *heads]

        def head() -> nn.Sequential:
            return nn.Sequential(*dense(sizes, activation), nn.Linear(sizes[-1], num_outputs))

        self.body = _NormalBody(dense(trunk, activation), head(), head(), positive)
        for layers, value in (
            (self.body.loc, loc_init),
            (self.body.scale, POSITIVE[positive][1](scale_init)),
        ):
            final = layers[-1]
            assert isinstance(final, nn.Linear)
            final.bias.data.copy_(torch.as_tensor(value, dtype=final.bias.dtype))

    def forward(self, x: Tensor) -> Independent:
        """The distribution given (..., trunk[0])."""
        loc, scale = self.layers(x)
        return Normal(self.squash(loc), scale).to_event(1)


class ConvStack(Network):
    """Convolutions with ReLU that halve the resolution in places: (..., C, H, W) -> (..., features).

    Args:
        in_channels: C.
        filters: (channels, kernel side) of each convolution.
        halve: the convolutions (0-based) after which the resolution is halved.
        stride: halve by striding the convolution, which is faster, instead of by max-pooling.
        pad: zeros around the input, pixels.
        same: pad every convolution to keep the resolution; otherwise they are valid (reading D14).
    """

    def __init__(
        self,
        in_channels: int,
        filters: Sequence[tuple[int, int]],
        halve: Sequence[int],
        stride: bool = False,
        pad: int = 0,
        same: bool = False,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.ZeroPad2d(pad)] if pad else []
        for i, (channels, side) in enumerate(filters):
            striding = 2 if stride and i in halve else 1
            padding = side // 2 if same else 0
            layers.append(nn.Conv2d(in_channels, channels, side, stride=striding, padding=padding))
            if i in halve and not stride:
                layers.append(nn.MaxPool2d(2))
            layers.append(nn.ReLU())  # before or after the pooling is the same; after it there is less to do
            in_channels = channels
        self.body = nn.Sequential(*layers, nn.Flatten())

    def forward(self, x: Tensor) -> Tensor:
        """Features of images with any leading axes."""
        # only inputs have this layout: Pyro's parameter store would copy weights with it, and train the copies
        images = channels_last(x.flatten(0, -4))
        on = _BFLOAT16.get()  # if off, a caller's own autocast holds
        with torch.autocast(x.device.type, torch.bfloat16) if on else nullcontext():
            features = self.layers(images)
        return features.to(x.dtype).unflatten(0, x.shape[:-3])

    def num_features(self, in_channels: int, height: int, width: int) -> int:
        """Length of the feature vector of an image of that size."""
        with torch.no_grad():
            return self.body(torch.zeros(1, in_channels, height, width)).shape[-1]


class RepeatedInputLSTM(nn.LSTM):
    """An LSTM with the same input at every step, projected only once: (R, features) -> (R, L, units)."""

    weight_ih_l0: Tensor
    weight_hh_l0: Tensor
    bias_ih_l0: Tensor
    bias_hh_l0: Tensor

    def forward(self, x: Tensor, num_steps: int) -> Tensor:  # type: ignore[override]
        """Outputs of ``num_steps`` steps, as of ``nn.LSTM`` with the input repeated."""
        projected = nn.functional.linear(x, self.weight_ih_l0, self.bias_ih_l0 + self.bias_hh_l0)
        h = c = x.new_zeros(len(x), self.hidden_size)
        outputs = []
        for step in range(num_steps):
            gates = projected + nn.functional.linear(h, self.weight_hh_l0) if step else projected
            i, f, g, o = gates.chunk(4, -1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs, -2)


def recur(lstm: nn.Module, x: Tensor, memory: Memory | None = None) -> tuple[Tensor, Memory]:
    """Run an LSTM over the last but one axis of (..., L, features), with any leading axes.

    Args:
        lstm: an LSTM with ``batch_first``.
        x: inputs.
        memory: the memory after earlier inputs; None: the first inputs.

    Returns:
        outputs (..., L, units), and the memory.
    """
    h, memory = lstm(x.flatten(0, -3), memory)
    return h.unflatten(0, x.shape[:-2]), memory


def compacted(copy: Copy) -> Copy:
    """A copy of a module, with the weights of each LSTM in one piece of memory again, as a GPU wants them."""
    for part in copy.modules():
        if isinstance(part, nn.RNNBase):
            part.flatten_parameters()
    return copy


def _identity(x: Tensor) -> Tensor:
    return x
