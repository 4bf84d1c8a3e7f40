"""What the objects of a sequence are: RECT (section 3.2.2, App. B.2.2) and its null objects."""

import pyro
import torch
from pyro.distributions import Independent, Normal
from pyro.nn import PyroModule
from torch import Tensor, nn

from vtssi_pyro.config import AIRConfig, RECTConfig
from vtssi_pyro.model.blocks.air import AIR
from vtssi_pyro.model.nn import MLP, Network, recur
from vtssi_pyro.ops.gaussian import weighted_average
from vtssi_pyro.types import Objects, Plates


class FirstFrame(PyroModule):
    """No consensus: what AIR sees in the first frame holds, position included."""

    K = 1
    tries = 1  # consensuses that are tried at test time, of different frames

    def guide(self, air: AIR, frames: Tensor, plates: Plates) -> tuple[Objects, Tensor | None]:
        """q_AIR(c, s, d, p_1 | x_1).

        Args:
            air: whose networks read the frame.
            frames: (B, T, H, W), intensities in [0, 1].
            plates: of the program.

        Returns:
            objects, and the first position (..., B, N, 2).
        """
        first = frames[..., 0, :, :]
        with plates.sequences:
            count = pyro.sample("count", _per_sequence(air.infer_count(first)))  # (..., B, 1, 1)
            q_size, q_position = air.locate(first)
            with plates.objects:
                size = pyro.sample("size", q_size)
                position = pyro.sample("position_1", q_position)
                q_description = air.describe(first.unsqueeze(-3), position, size)
                description = pyro.sample("description", q_description)
        return Objects(count.squeeze(-2), size, description), position


class RECT(PyroModule):
    """A consensus of what AIR sees in each of the first K frames.

    Reference: App. B.2.2, Alg. 4.
    """

    def __init__(self, config: RECTConfig, air: AIRConfig) -> None:
        super().__init__()
        self.K, self.tries = config.K, config.tries
        inputs = 2 + air.num_objects * 2 * (2 + air.description)
        self.lstm = _BiLSTM(inputs, config.units)
        self.logits = MLP([2 * config.units, *config.dense], 1, bias=False)  # the softmax would cancel it
        self.count_gain = nn.Parameter(torch.tensor(0.0)) if config.count_gain else None

    def guide(self, air: AIR, frames: Tensor, plates: Plates) -> tuple[Objects, Tensor | None]:
        """q_RECT(c, s, d | c^, s^, d^ of frames 1..K); the first position is left to FIND.

        Args:
            air: whose networks read the frames.
            frames: (B, T, H, W); K is cut to T.
            plates: of the program.

        Returns:
            objects, and None.
        """
        frames = frames[..., : self.K, :, :]  # (B, K, H, W)
        with plates.sequences:
            c = air.infer_count(frames).base_dist  # (B, K, 1)
            q_size, q_position = (q.base_dist for q in air.locate(frames))  # (B, K, N, 2)
            with plates.objects:
                # the K frames are an event axis: a plate at -3 would collide with vectorised particles
                size = pyro.sample("size_hat", _frames_last(q_size)).transpose(-3, -2)  # (..., B, K, N, 2)
                position = pyro.sample("position_hat", _frames_last(q_position)).transpose(-3, -2)
            d = air.describe(frames.unsqueeze(-3), position, size).base_dist  # (..., B, K, N, D)
            w = self._weights(c, q_size, d)  # (..., B, K)
            count = pyro.sample("count", _per_sequence(weighted_average(c.loc, c.scale, w).to_event(1)))
            with plates.objects:
                w = w.unsqueeze(-2)  # (..., B, 1, K)
                size = pyro.sample("size", self._consensus(q_size, w))
                description = pyro.sample("description", self._consensus(d, w))
        return Objects(count.squeeze(-2), size, description), None

    def _weights(self, c: Normal, s: Normal, d: Normal) -> Tensor:
        lead = d.loc.shape[:-2]  # (..., B, K)
        inputs = [p.expand(*lead, 1) for p in (c.loc, c.scale)]
        inputs += [p.expand(*lead, *p.shape[-2:]).flatten(-2) for q in (s, d) for p in (q.loc, q.scale)]
        logits = self.logits(self.lstm(torch.cat(inputs, -1))).squeeze(-1)  # (..., B, K)
        if self.count_gain is not None:
            logits = logits + nn.functional.softplus(self.count_gain) * c.loc.squeeze(-1)
        return logits.softmax(-1)

    @staticmethod
    def _consensus(q: Normal, w: Tensor) -> Independent:
        average = weighted_average(
            q.loc.transpose(-3, -2), q.scale.transpose(-3, -2), w
        )  # from (..., B, N, K, E)
        return average.to_event(1)


class ClearestFrame(PyroModule):
    """No consensus: what AIR sees in that of the first K frames in which it counts most. Not in the paper."""

    def __init__(self, config: RECTConfig) -> None:
        super().__init__()
        self.K, self.tries = config.K, config.tries

    def guide(self, air: AIR, frames: Tensor, plates: Plates) -> tuple[Objects, Tensor | None]:
        """q_AIR(c, s, d | x_k); see :meth:`RECT.guide <vtssi_pyro.model.blocks.rect.RECT.guide>`."""
        frames = frames[..., : self.K, :, :]  # (B, K, H, W)
        chosen = air.infer_count(frames).mean.squeeze(-1).argmax(-1)  # (B,)
        clearest = frames[torch.arange(len(frames), device=frames.device), chosen]
        with plates.sequences:
            count = pyro.sample("count", _per_sequence(air.infer_count(clearest)))
            q_size, q_position = air.locate(clearest)
            with plates.objects:
                size = pyro.sample("size", q_size)
                position = pyro.sample("position_hat", q_position)
                description = pyro.sample("description", air.describe(clearest.unsqueeze(-3), position, size))
        return Objects(count.squeeze(-2), size, description), None


class _BiLSTM(Network):
    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.body = nn.LSTM(inputs, units, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        return recur(self.layers, x)[0]


def _per_sequence(q: Independent) -> Independent:
    """Batch (..., B) to (..., B, 1): room for the objects plate at its right."""
    return Normal(q.base_dist.loc.unsqueeze(-2), q.base_dist.scale.unsqueeze(-2)).to_event(1)


def _frames_last(q: Normal) -> Independent:
    """(B, K, N, E) to batch (B, N), event (K, E)."""
    return Normal(q.loc.transpose(-3, -2), q.scale.transpose(-3, -2)).to_event(2)
