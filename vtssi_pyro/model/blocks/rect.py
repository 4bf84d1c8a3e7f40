"""The consensus on the objects of a sequence: RECT (section 3.2.2, App. B.2.2) and its null objects."""

from dataclasses import dataclass
from typing import Annotated

import pyro
import torch
from pyro.distributions import Independent, Normal
from torch import Tensor, nn

from vtssi_pyro.config import Declared
from vtssi_pyro.config.ranges import UNITS, WINDOW
from vtssi_pyro.model.interfaces import Attention
from vtssi_pyro.model.kinds import CONSENSUSES
from vtssi_pyro.model.nn import MLP, Block, Network, recur
from vtssi_pyro.model.sites import POSITION, draw, draw_intermediate
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.ops.gaussian import weighted_average
from vtssi_pyro.types import Objects, Plates


@CONSENSUSES.register("first-frame")
@dataclass(frozen=True)
class FirstFrameConfig:
    """See :class:`FirstFrame`."""

    def build(self, sizes: Sizes) -> "FirstFrame":
        """See :class:`FirstFrame`."""
        del sizes
        return FirstFrame(self)


class FirstFrame(Block):
    """No consensus: AIR's inference from the first frame, its position included, holds for the sequence.

    Example:
        >>> from vtssi_pyro import FirstFrame, build
        >>> tracker = build("vtssi")
        >>> tracker.consensus = FirstFrame()
    """

    K = 1

    def __init__(self, config: FirstFrameConfig = FirstFrameConfig()) -> None:
        super().__init__()
        self.config = config

    def guide(self, attention: Attention, frames: Tensor, plates: Plates) -> tuple[Objects, Tensor | None]:
        """q_AIR(c, s, d, p_1 | x_1).

        Args:
            attention: infers from the frame.
            frames: (B, T, C, H, W), intensities in [0, 1].
            plates: of the program.

        Returns:
            draws of the objects, and of the first position (..., B, N, 2).
        """
        first = frames[:, 0]
        with plates.sequences:
            count = pyro.sample("count", per_sequence(attention.infer_count(first)))  # (..., B, 1, 1)
            q_size, q_position = attention.locate(first)
            with plates.objects:
                size = pyro.sample("size", q_size)
                position = draw(POSITION, 1, q_position)
                q_description = attention.describe(first.unsqueeze(-4), position, size)
                description = pyro.sample("description", q_description)
        return Objects(count.squeeze(-2), size, description), position


@CONSENSUSES.register("rect")
@dataclass(frozen=True)
class RECTConfig(Declared):
    """See :class:`RECT`."""

    K: Annotated[int, WINDOW, "First frames on which the objects are agreed."] = 5
    units: Annotated[int, UNITS, "Units of the recurrent layer."] = 128
    dense: Annotated[tuple[int, ...], UNITS, "Dense layers of each variable."] = (64, 64)

    def build(self, sizes: Sizes) -> "RECT":
        """See :class:`RECT`."""
        return RECT(self, sizes)


class RECT(Block):
    """A consensus of AIR's inferences from each of the first K frames.

    Reference: App. B.2.2, Alg. 4.

    Example:
        >>> from vtssi_pyro import RECT, build
        >>> build("rect-find").consensus.K
        5
    """

    def __init__(self, config: RECTConfig, sizes: Sizes) -> None:
        super().__init__()
        self.config, self.K = config, config.K
        inputs = 2 + sizes.num_objects * 2 * (2 + sizes.description)
        self.lstm = _BiLSTM(inputs, config.units)
        self.logits = MLP([2 * config.units, *config.dense], 1, bias=False)  # the softmax would cancel it

    def guide(self, attention: Attention, frames: Tensor, plates: Plates) -> tuple[Objects, Tensor | None]:
        """q_RECT(c, s, d | c^, s^, d^ of frames 1..K); the first position is left to FIND.

        Args:
            attention: infers from the frames.
            frames: (B, T, C, H, W); K is cut to T.
            plates: of the program.

        Returns:
            draws of the objects, and None.
        """
        frames = frames[:, : self.K]  # (B, K, C, H, W)
        with plates.sequences:
            c = attention.infer_count(frames).base_dist  # (B, K, 1)
            q_size, q_position = (q.base_dist for q in attention.locate(frames))  # (B, K, N, 2)
            with plates.objects:
                # the K frames are an event axis: a plate at -3 would collide with vectorised particles
                size = draw_intermediate("size_hat", _frames_last(q_size))  # (..., B, N, K, 2)
                size = size.transpose(-3, -2)
                position = draw_intermediate("position_hat", _frames_last(q_position)).transpose(-3, -2)
            d = attention.describe(frames.unsqueeze(-4), position, size).base_dist  # (..., B, K, N, D)
            w = self._logits(c, q_size, d).softmax(-1)  # (..., B, K)
            count = pyro.sample("count", per_sequence(weighted_average(c.loc, c.scale, w).to_event(1)))
            with plates.objects:
                w = w.unsqueeze(-2)  # (..., B, 1, K)
                size = pyro.sample("size", self._consensus(q_size, w))
                description = pyro.sample("description", self._consensus(d, w))
        return Objects(count.squeeze(-2), size, description), None

    def _logits(self, c: Normal, s: Normal, d: Normal) -> Tensor:
        """Logits of the frames' weights, (..., B, K), given the inferences of count, sizes and descriptions."""
        lead = d.loc.shape[:-2]  # (..., B, K)
        inputs = [p.expand(*lead, 1) for p in (c.loc, c.scale)]
        inputs += [p.expand(*lead, *p.shape[-2:]).flatten(-2) for q in (s, d) for p in (q.loc, q.scale)]
        return self.logits(self.lstm(torch.cat(inputs, -1))).squeeze(-1)

    @staticmethod
    def _consensus(q: Normal, w: Tensor) -> Independent:
        loc, scale = (values.transpose(-3, -2) for values in (q.loc, q.scale))  # (..., B, N, K, E)
        average = weighted_average(loc, scale, w)
        return average.to_event(1)


class _BiLSTM(Network):
    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.body = nn.LSTM(inputs, units, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        return recur(self.layers, x)[0]


def per_sequence(q: Independent) -> Independent:
    """Batch (..., B) to (..., B, 1): room for the objects plate at its right."""
    return Normal(q.base_dist.loc.unsqueeze(-2), q.base_dist.scale.unsqueeze(-2)).to_event(1)


def _frames_last(q: Normal) -> Independent:
    """(B, K, N, E) to batch (B, N), event (K, E)."""
    return Normal(q.loc.transpose(-3, -2), q.scale.transpose(-3, -2)).to_event(2)
