"""The networks of SQAIR as plain layers, with the official initial values."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vtssi_pyro.baselines.sqair.config import SQAIRConfig
from vtssi_pyro.baselines.sqair.state import WHERE, joined
from vtssi_pyro.model.nn import dense

MIN_SCALE = 1e-2  # floor of every learned scale


class Window(NamedTuple):
    """A place in the frame, as :mod:`vtssi_pyro.ops.spatial` takes it."""

    position: Tensor  # (..., 2) frame coordinates
    size: Tensor  # (..., 2) fractions of the frame


def window(where: Tensor, frame_size: int, glimpse: int) -> Window:
    """The place that logits (..., 4) denote.

    The official grids span the *centres* of the outermost pixels of frame and glimpse; ours span their edges. With
    these factors both sample the same points, so a centre stays at least half a pixel inside the frame.
    """
    inside = (frame_size - 1) / frame_size
    size, shift = where.split(2, -1)
    return Window(torch.tanh(shift) * inside, torch.sigmoid(size) * (inside * glimpse / (glimpse - 1)))


def cut(frame: Tensor, where: Tensor, glimpse: int) -> Tensor:
    """Cut glimpses (..., B, N, C, G, G) out of frames (B, 1, C, H, W) at logits (..., B, N, 4).

    As :func:`~vtssi_pyro.ops.spatial.extract_glimpses` at the :func:`window`, but by bilinear sampling: matrix products
    pay where an object is cut out of many frames at once; here, where each glimpse waits for the one before, they take
    over three times as long.
    """
    size, shift = where.split(2, -1)
    size, shift = torch.sigmoid(size).unsqueeze(-1), torch.tanh(shift).unsqueeze(-1)
    # (..., B, N, G)
    x, y = (shift + size * torch.linspace(-1, 1, glimpse, dtype=where.dtype, device=where.device)).unbind(-2)
    square = (*x.shape, glimpse)
    grid = torch.stack([x.unsqueeze(-2).expand(square), y.unsqueeze(-1).expand(square)], -1)
    images = frame.expand(*where.shape[:-1], *frame.shape[-3:])
    glimpses = nn.functional.grid_sample(images.flatten(0, -4), grid.flatten(0, -4), align_corners=True)
    return glimpses.unflatten(0, where.shape[:-1])


def positive(raw: Tensor) -> Tensor:
    """Map raw numbers to scales."""
    return nn.functional.softplus(raw) + MIN_SCALE


def forced(logit: Tensor, before: Tensor) -> Tensor:
    """The logits of presence, of objects that were absent so low that they stay absent."""
    return before * logit + (before - 1) * 88  # sigmoid(-88) is 0 in single precision


def mlp(inputs: int, hidden: tuple[int, ...], outputs: int, bias: float = 0.0) -> nn.Sequential:
    """Dense layers with ELU and a linear output, whose bias starts at ``bias``."""
    layers = nn.Sequential(*dense([inputs, *hidden], nn.ELU), nn.Linear(hidden[-1], outputs))
    initialise(layers)
    last = layers[-1]
    assert isinstance(last, nn.Linear)
    nn.init.constant_(last.bias, bias)
    return layers


def initialise(layers: nn.Module) -> None:
    """Draw weights as Sonnet does: a normal of variance 1 / inputs, cut off at two scales; biases are 0."""
    for name, parameter in layers.named_parameters():
        if "bias" in name:
            nn.init.zeros_(parameter)
        else:
            truncated(parameter, parameter.shape[1])


def truncated(weight: Tensor, inputs: int) -> None:
    """Fill a matrix of weights for a layer with so many inputs."""
    scale = 1 / math.sqrt(inputs)
    nn.init.trunc_normal_(weight, std=scale, a=-2 * scale, b=2 * scale)


class Cell(nn.Module):
    """A tanh recurrent cell; the parts of its input that several steps share are projected once.

    Args:
        shared: sizes of the shared parts.
        varying: size of the input of each step.
        units: of the state.
    """

    def __init__(self, shared: tuple[int, ...], varying: int, units: int) -> None:
        super().__init__()
        self.shared = nn.ModuleList(nn.Linear(size, units, bias=not i) for i, size in enumerate(shared))
        self.varying = nn.Linear(varying + units, units, bias=False)
        self.start = nn.Parameter(torch.zeros(units))
        initialise(self.shared)
        inputs = sum(shared) + varying  # the parts are one matrix, and its weights have one scale
        with torch.no_grad():
            for weight in (p for p in self.shared.parameters() if p.dim() > 1):
                truncated(weight, inputs)
            truncated(self.varying.weight[:, :varying], inputs)
            truncated(self.varying.weight[:, varying:], units)

    def project(self, *shared: Tensor) -> Tensor:
        """Project the shared parts, each (..., size), to (..., units)."""
        return sum(layer(part) for layer, part in zip(self.shared, shared, strict=True))

    def forward(self, projected: Tensor, varying: Tensor, state: Tensor) -> Tensor:
        """The next state (..., units)."""
        return torch.tanh(projected + self.varying(joined(varying, state)))


class GRU(nn.Module):
    """A gated recurrent cell with any leading axes, and a trained state to start from."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.cell = nn.GRUCell(inputs, units)
        initialise(self.cell)
        self.start = nn.Parameter(torch.zeros(units))

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        """The next state (..., units)."""
        lead = torch.broadcast_shapes(x.shape[:-1], state.shape[:-1])
        x, state = (tensor.expand(*lead, -1).reshape(-1, tensor.shape[-1]) for tensor in (x, state))
        return self.cell(x, state).view(*lead, -1)


class Glimpses(nn.Module):
    """The encoder of glimpses, which discovery and propagation share."""

    def __init__(self, config: SQAIRConfig) -> None:
        super().__init__()
        self.side, units = config.glimpse, config.units
        pixels = config.channels * config.glimpse**2
        self.layers = mlp(pixels, (units, units), 2 * config.what)

    def forward(self, frame: Tensor, where: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Location and scale (..., W) of the glimpses of frames (B, 1, C, H, W) at (..., B, N, 4).

        ``mask`` (..., B, N, G G) is multiplied into every channel.
        """
        glimpses = cut(frame, where, self.side).flatten(-2)
        if mask is not None:
            glimpses = glimpses * mask.unsqueeze(-2)
        loc, raw = self.layers(glimpses.flatten(-2)).chunk(2, -1)
        return loc, positive(raw)


class PlaceHead(nn.Module):
    """Location and scale of ``where`` by an MLP; the scale's raw number has one trained offset."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.layers = mlp(inputs, (units, units), 2 * WHERE)
        self.offset = nn.Parameter(torch.tensor(-3.0))

    def forward(self, x: Tensor, below: float = 0.0) -> tuple[Tensor, Tensor]:
        """Location and scale, (..., 4) each; the raw scale is lowered by ``below``."""
        loc, raw = self.layers(x).chunk(2, -1)
        return loc, positive(raw + (self.offset - below))


class DiscoveryNetworks(nn.Module):
    """The recurrent search for new objects in a frame."""

    def __init__(self, config: SQAIRConfig) -> None:
        super().__init__()
        units, pixels = config.units, config.channels * config.frame_size**2
        self.image = dense([pixels, units, units], nn.ELU)
        initialise(self.image)
        self.cell = Cell((units, units), config.what + WHERE + 1, units)
        self.place = PlaceHead(units, units)
        self.presence = mlp(units + config.what, (units // 2,), 1, bias=1.0)


class PropagationNetworks(nn.Module):
    """The update of known objects by a frame."""

    def __init__(self, config: SQAIRConfig) -> None:
        super().__init__()
        units, half, what = config.units, config.units // 2, config.what
        self.glance = mlp(units, (half,), WHERE)  # where to look first, relative to the last place
        self.mask = mlp(units, (half,), config.glimpse**2, bias=1.0)
        state = what + WHERE + 1
        self.cell = Cell((what + state + units,), state, units)
        self.place = PlaceHead(units + WHERE + units, units)
        limit = math.sqrt(6 / 20)  # Glorot's, of a vector of ten
        self.cholesky = nn.Parameter(torch.empty(WHERE * (WHERE + 1) // 2).uniform_(-limit, limit))
        self.temporal = GRU(units + WHERE + 2 * what, units)
        self.what = nn.Linear(units, 2 * what)
        self.gates = nn.Linear(units, 3 * what)
        initialise(self.what)
        initialise(self.gates)
        nn.init.ones_(self.gates.bias)
        self.presence = mlp(2 * units + what, (half,), 1, bias=5.0)

    def factor(self, scale: Tensor) -> Tensor:
        """The Cholesky factors (..., 4, 4) of places with scales (..., 4): the rows of I + L, scaled."""
        rows, columns = torch.tril_indices(WHERE, WHERE, device=scale.device)
        lower = torch.eye(WHERE, dtype=scale.dtype, device=scale.device)
        lower = lower.index_put((rows, columns), self.cholesky, accumulate=True)
        # a column's sign does not change the covariance, and a density wants a positive diagonal
        return scale.unsqueeze(-1) * (lower * lower.diagonal().sign())

    def fuse(self, memory: Tensor, what: Tensor, loc: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Location and scale of ``what`` from that before, the glimpse's and the temporal state's."""
        own_loc, own_raw = self.what(memory).chunk(2, -1)
        forget, seen, own = (0.9999 * torch.sigmoid(self.gates(memory))).chunk(3, -1)
        mixed = forget * what + (1 - seen) * loc + (1 - own) * own_loc
        return mixed, (1 - seen) * scale + (1 - own) * positive(own_raw)


class InferenceNetworks(nn.Module):
    """All networks of the guide but the summary, which it shares with the prior."""

    def __init__(self, config: SQAIRConfig) -> None:
        super().__init__()
        self.discovery = DiscoveryNetworks(config)
        self.propagation = PropagationNetworks(config)
        self.glimpses = Glimpses(config)


class PriorNetworks(nn.Module):
    """The networks of the prior."""

    def __init__(self, config: SQAIRConfig) -> None:
        super().__init__()
        units, what, slots = config.units, config.what, config.slots
        self.transition = GRU(what + WHERE, units)
        self.next = nn.Linear(units, 1 + 2 * (WHERE + what))
        initialise(self.next)
        self.count = nn.Parameter(torch.zeros(slots + 1))
        # after the first frame mostly nothing is discovered
        self.later = nn.Parameter(10.0 * (torch.arange(slots + 1) == 0))
        self.count_by_others = mlp(1, (10,), slots + 1)
        # where: a recurrent cell of the last place alone, whose state is the scene
        self.scene_start = nn.Parameter(torch.zeros(WHERE))
        self.scene = nn.Sequential(nn.Linear(WHERE + units + 1, 128), nn.ELU())
        self.place = nn.Linear(WHERE + 128, WHERE)
        initialise(self.scene)
        with torch.no_grad():
            nn.init.zeros_(self.place.bias)
            truncated(self.place.weight[:, :WHERE], WHERE)
            truncated(self.place.weight[:, WHERE:], 128)
        limit = math.sqrt(6 / (1 + WHERE))  # Glorot's, of one row
        self.first = nn.Parameter(torch.empty(WHERE).uniform_(-limit, limit))
        self.readout = nn.Linear(WHERE, 2 * WHERE)
        initialise(self.readout)
        # small objects in the middle: logits -2, and raw scales of 1
        self.readout.bias.data.copy_(torch.tensor([-2.0, -2.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]))


class PictureNetworks(nn.Module):
    """The decoder of glimpses, and the background behind objects."""

    def __init__(self, config: SQAIRConfig) -> None:
        super().__init__()
        side, units = config.frame_size, config.units
        self.decoder = mlp(config.what, (units, units), config.channels * config.glimpse**2)
        self.contrast = nn.Parameter(torch.tensor(0.25))
        self.background = nn.Parameter(torch.zeros(config.channels, side, side))
