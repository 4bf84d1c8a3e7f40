"""How objects move: MOT (section 3.2.3, App. B.2.3), its null object RandomWalk, and a base for one's own."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pyro
import torch
from pyro.distributions import Independent, Normal
from pyro.nn import PyroModule
from pyro.poutine.runtime import Message
from torch import Tensor, nn

from vtssi_pyro.config import AIRConfig, MOTConfig
from vtssi_pyro.model.blocks.air import AIR
from vtssi_pyro.model.nn import GaussianMLP, Memory, Network, recur
from vtssi_pyro.types import Anneal, Carry, Found, Objects, State


class RandomWalk(PyroModule):
    """No motion: p(p_1) = N(0, 1), p(p_t | p_{t-1}) = N(p_{t-1}, 0.1), and no gradient into the mean.

    Reference: App. B.2.1 (the prior position).
    """

    M = 1  # frames before a transition prior takes over: it never does
    predicts = False

    def __init__(self, scale: float = 0.1) -> None:
        super().__init__()
        self.scale = scale

    def model(self, t: int, previous: State | None, like: Tensor, seed: int) -> State:
        """Sample position_t.

        Args:
            t: frame, 1-based.
            previous: state of frame t - 1, None at t = 1.
            like: sizes (..., B, N, 2), for shape, dtype and device.
            seed: M, the number of frames before the transition prior takes over; unused here.
        """
        del seed
        return State(pyro.sample(f"position_{t}", self.walk(previous, like)), None)

    def walk(self, previous: State | None, like: Tensor) -> Independent:
        """The density of the position, batch (..., B, N), event (2,)."""
        if previous is None:
            return Normal(torch.zeros_like(like), torch.ones_like(like)).to_event(1)
        return Normal(previous.position.detach(), torch.full_like(like, self.scale)).to_event(1)

    def guide(self, air: AIR, objects: Objects, found: Found, seed: int, carry: Carry | None = None) -> Any:
        """Nothing to infer, nothing to remember."""

    def fused(self, name: str, seed: int) -> bool:
        """Whether the site of that name combines a proposal with a prediction: none does."""
        del name, seed
        return False

    def weight(self, anneal: Anneal, seed: int) -> Callable[[Message], Tensor | None]:
        """Proposals stay as inferred."""
        del anneal, seed
        return lambda msg: None


class StateSpace(RandomWalk):
    """p(p_t, m_t | p_{t-1}, m_{t-1}) beyond frame M, where a random walk ends, from p(m_M) = N(0, 1).

    The base of MOT, and of a motion of your own: say in :meth:`transition` what it believes and in :meth:`read` how it
    tells m_t from what was found. That is all; model, guide and prediction follow.

    Args:
        M: frames before the transition takes over.
        dims: of m_t.
        scale: of the walk up to frame M, frame coordinates.
        weight_shared: what shares a draw of the fusion weight, see :class:`~vtssi_pyro.config.MOTConfig`.
    """

    predicts = True

    def __init__(self, M: int, dims: int, scale: float = 0.1, weight_shared: str = "none") -> None:
        super().__init__(scale)
        if weight_shared not in ("none", "objects", "sequences"):
            raise ValueError(f"weight_shared: expected none, objects or sequences, found {weight_shared!r}")
        self.M, self.dims, self.weight_shared = M, dims, weight_shared

    def transition(self, previous: State) -> tuple[Independent, Independent]:
        """The densities of the next position and motion, batch (..., B, N), events (2,) and (dims,).

        Diagonal normals, :meth:`Normal.to_event(1)`, for the fusion with what was found to be one.
        """
        raise NotImplementedError

    def read(
        self, air: AIR, objects: Objects, found: Found, carry: Carry | None = None
    ) -> tuple[Independent, Any]:
        """Propose m_t for every t from where the objects were found up to then.

        Args:
            air: whose decoder shows what the objects look like.
            objects: draws.
            found: positions (..., B, T, N, 2).
            carry: of the frames before these, None if there are none; ``carry.memory`` is what this returned then.

        Returns:
            a diagonal normal with batch (..., B, T, N), event (dims,); and what to remember of these frames.
        """
        raise NotImplementedError

    def model(self, t: int, previous: State | None, like: Tensor, seed: int) -> State:
        """Sample position_t, and motion_t from t = M on; see :meth:`RandomWalk.model`."""
        if t > seed and previous is not None and previous.motion is not None:
            position, motion = self.transition(previous)
            return State(pyro.sample(f"position_{t}", position), pyro.sample(f"motion_{t}", motion))
        position = pyro.sample(f"position_{t}", self.walk(previous, like))
        if t < seed:
            return State(position, None)
        zeros = like.new_zeros(*like.shape[:-1], self.dims)
        start = Normal(zeros, torch.ones_like(zeros)).to_event(1)
        return State(position, pyro.sample(f"motion_{t}", start))

    def guide(self, air: AIR, objects: Objects, found: Found, seed: int, carry: Carry | None = None) -> Any:
        """Propose motion_t for t = M..T from where the objects are; returns what to remember."""
        q, memory = self.read(air, objects, found, carry)
        m = q.base_dist  # (..., B, T, N, dims)
        for t in range(max(seed, 1), found.position.shape[-3] + 1):
            here = m.loc[..., t - 1, :, :], m.scale[..., t - 1, :, :]
            pyro.sample(f"motion_{t}", Normal(*here).to_event(1))
        return memory

    def rollout(self, start: State, num_steps: int) -> State:
        """Modes of the next frames given a state: position (..., num_steps, N, 2), motion (..., num_steps, N, dims)."""
        state, states = start, []
        for _ in range(num_steps):
            position, motion = self.transition(state)
            state = State(position.base_dist.loc, motion.base_dist.loc)
            states.append(state)
        return State(*(torch.stack(values, -3) for values in zip(*states, strict=True)))

    def fused(self, name: str, seed: int) -> bool:
        """Whether the site of that name combines a proposal with a prediction: positions and motions beyond M."""
        variable, _, t = name.rpartition("_")
        return variable in ("position", "motion") and int(t) > seed

    def weight(self, anneal: Anneal, seed: int) -> Callable[[Message], Tensor | None]:
        """The fusion weight w ~ Uniform(low, high), shared by position and motion of a step (reading D2)."""
        draws: dict[str, Tensor] = {}

        def weight(msg: Message) -> Tensor | None:
            name = str(msg["name"])
            if not self.fused(name, seed):
                return None
            step = name.rpartition("_")[2]
            if step not in draws:
                like = msg["fn"].mean[..., 0]  # (..., B, N)
                shape = {"none": like.shape, "objects": (*like.shape[:-1], 1), "sequences": ()}
                noise = torch.rand(shape[self.weight_shared], dtype=like.dtype, device=like.device)
                draws[step] = (anneal.fuse_low + (anneal.fuse_high - anneal.fuse_low) * noise).expand_as(like)
            return draws[step]

        return weight


FASTEST = 10.0  # steps a frame that a velocity may be kept at
UNIT = 0.2  # frame coordinates: steps in which scales of changes are as the networks say
ACTIVATIONS = {"tanh": nn.Tanh, "silu": nn.SiLU}


class Remembered(NamedTuple):
    """What LSTM_mot goes on from."""

    lstm: Memory
    moves: tuple[Tensor, ...]  # the last position and its differences but the highest, (..., 1, N, 2) each


class MOT(StateSpace):
    """A state-space model of motion: p(p_t, m_t | p_{t-1}, m_{t-1}) beyond frame M.

    Reference: App. B.2.3, Alg. 5.
    """

    def __init__(self, config: MOTConfig, air: AIRConfig) -> None:
        super().__init__(config.M, config.motion, config.walk_scale, config.weight_shared)
        if config.differences not in (0, 1, 2):
            raise ValueError(f"differences: expected 0, 1 or 2, found {config.differences}")
        if config.activation not in ACTIVATIONS:
            raise ValueError(f"activation: expected {' or '.join(ACTIVATIONS)}, found {config.activation!r}")
        if config.inertia and not (config.residual and config.differences):
            raise ValueError("inertia: needs transitions that predict changes (residual), and differences")
        self.config = config
        dims, units = config.motion, config.units
        self.lstm = _LSTM(2 + air.description + 4 * config.extents + 2 + 2 * config.differences, units)
        state, squash = [2 + dims, *config.transition], None if config.residual else torch.tanh
        activation = ACTIVATIONS[config.activation]
        scale, positive = config.scale_init, air.scale_transform
        self.readout = GaussianMLP([units], config.heads, dims, nn.Tanh, None, 0.0, scale, positive)
        self.position = GaussianMLP(state, config.heads, 2, activation, squash, 0.0, scale, positive)
        self.motion = GaussianMLP(state, config.heads, dims, activation, None, 0.0, scale, positive)
        if config.inertia:  # at first straight on, nearly: what adds nothing would pass on no gradient
            for network, rows in ((self.readout, slice(2)), (self.position, ...), (self.motion, ...)):
                final = network.get_submodule("body.loc")[-1]
                with torch.no_grad():
                    final.weight[rows] *= 0.01
                    final.bias[rows] = 0

    def transition(self, previous: State) -> tuple[Independent, Independent]:
        """TR_pos and TR_mot: the densities of the next position and motion."""
        assert previous.motion is not None
        state = torch.cat([previous.position, previous.motion], -1)  # (..., 2 + dims)
        position, motion = self.position(state).base_dist, self.motion(state).base_dist
        bound = self.config.position_scale  # of means, as tanh is: what is predicted stays in the frame
        if not self.config.residual:
            return Normal(bound * position.loc, position.scale).to_event(1), motion.to_event(1)
        # samples feed on themselves, and changes have no tanh: motions stay such as LSTM_mot can infer them, and
        # neither density is wider than the prior where nothing is known (App. B.2.3)
        unit, change = self.config.step, position.loc
        if self.config.inertia:
            change = change + previous.motion[..., :2]
        place = _within(previous.position + unit * change, -bound, bound)
        pace = _within(previous.motion + motion.loc, *self._reach())
        return (
            Normal(place, _at_most(self.scale, unit / UNIT * position.scale)).to_event(1),
            Normal(pace, _at_most(1.0, motion.scale)).to_event(1),
        )

    def _reach(self) -> tuple[Tensor, Tensor]:
        """The least and the greatest motions (dims,) that LSTM_mot can infer: its last hidden layer is tanh."""
        final = self.readout.get_submodule("body.loc")[-1]
        with torch.no_grad():
            reach = final.weight.abs().sum(-1)
            if self.config.inertia:
                reach[:2] += FASTEST
            return final.bias - reach, final.bias + reach

    def static(self, air: AIR, objects: Objects, found: Found) -> Tensor:
        """What LSTM_mot sees of objects that does not change, (..., N, F): size, description and perhaps extents."""
        known = [objects.size, objects.description]
        if self.config.extents:
            with torch.no_grad():
                box = air.box(objects, found)
            known += [extent / self.config.step for extent in box]
        return torch.cat(known, -1)

    def read(
        self, air: AIR, objects: Objects, found: Found, carry: Carry | None = None
    ) -> tuple[Independent, Remembered]:
        """q(m_t | s, d, p^_1:t); see :meth:`StateSpace.read`."""
        return self.infer(self.static(air, objects, found), found.position, carry)

    def infer(
        self, static: Tensor, position: Tensor, carry: Carry | None = None
    ) -> tuple[Independent, Remembered]:
        """q(m_t | s, d, p^_1:t) for every t, and what to remember of these frames.

        Args:
            static: from :meth:`static`.
            position: (..., T, N, 2).
            carry: of the frames before these.

        Returns:
            a normal with batch (..., T, N), and the memory.
        """
        before: Remembered | None = carry and carry.memory
        moves = [position]  # and its differences, as if everything had been at rest before the first frame
        for order in range(self.config.differences):
            last = moves[-1]
            if before:
                previous = before.moves[order]
            else:
                previous = torch.zeros_like(last[..., :1, :, :]) if order else last[..., :1, :, :]
            moves.append((last - torch.cat([previous, last[..., :-1, :, :]], -3)) / self.config.step)
        known = static.unsqueeze(-3).expand(*position.shape[:-1], -1)
        h = torch.cat([known, *moves], -1).transpose(-3, -2)  # (..., N, T, features)
        h, memory = self.lstm(h, before and before.lstm)
        ends = tuple(move[..., -1:, :, :] for move in moves[:-1])
        q = self.readout(h.transpose(-3, -2))
        if self.config.inertia:  # the first two numbers of a motion are what is to be added to a position
            m = q.base_dist
            velocity = nn.functional.pad(moves[1], (0, self.dims - 2)).clamp(-FASTEST, FASTEST)
            q = Normal(m.loc + velocity, m.scale).to_event(1)
        return q, Remembered(memory, ends)


def _within(value: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
    """Values cut off at bounds, with a gradient as if they were not: a path that hits one can learn to turn."""
    return value + (torch.clamp(value, low, high) - value).detach()  # type: ignore[arg-type]


def _at_most(bound: float, scale: Tensor) -> Tensor:
    """Scales that never reach the bound, and keep their gradient."""
    return bound * torch.tanh(scale / bound)


class _LSTM(Network):
    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.body = nn.LSTM(inputs, units, batch_first=True)

    def forward(self, x: Tensor, memory: Memory | None) -> tuple[Tensor, Memory]:
        return recur(self.layers, x, memory)
