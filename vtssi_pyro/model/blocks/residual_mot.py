"""A motion that predicts changes and sees velocities, so that it learns in minutes. Not in the paper."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, NamedTuple

import torch
from pyro.distributions import Independent, Normal
from torch import Tensor, nn

from vtssi_pyro.config import Declared, OneOf, Range
from vtssi_pyro.config.ranges import DIMENSIONS, REACH, SCALE, SHARE, UNITS, WINDOW
from vtssi_pyro.errors import UsageError
from vtssi_pyro.model.blocks.inertia import Inertia
from vtssi_pyro.model.blocks.mot import LSTM, SHARED, StateSpace, forgotten, scale_heads
from vtssi_pyro.model.interfaces import Picture, looks
from vtssi_pyro.model.kinds import MOTIONS
from vtssi_pyro.model.nn import GaussianMLP, Memory
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.ops.fading import Pace
from vtssi_pyro.types import Detections, Objects, State

ACTIVATIONS = {"silu": nn.SiLU, "tanh": nn.Tanh}
FASTEST = 10.0  # steps a frame: the largest velocity that inertia keeps, with the default step the width of the frame
UNIT = 0.2  # frame coordinates: the step in which the networks' scales of changes hold unscaled; the default step
# For one movie: the last difference, and memories of some 4 and 20 frames. Forecasts of drawn blobs that go straight
# on are 0.76 px off after 15 frames, those by a regression 0.75 px, by the last two steps 1.6 px.
FADING = (0.0, 0.6, 0.9)
CARRIED = 6  # numbers of a motion with ``edges``: a velocity, and margins towards low and high walls in UNIT
NEARLY = (
    0.01  # factor on the initial weights of an inert motion's networks: straight paths, but with a gradient
)


@MOTIONS.register("residual-mot")
@dataclass(frozen=True)
class ResidualMOTConfig(Declared):
    """See :class:`ResidualMOT`."""

    M: Annotated[int, WINDOW, "First frames from which an object's motion is inferred."] = 5
    motion: Annotated[int, DIMENSIONS, "Dimensions of a motion."] = 16
    units: Annotated[int, UNITS, "Units of LSTM_mot."] = 64
    heads: Annotated[tuple[int, ...], UNITS, "Dense layers after LSTM_mot."] = (128,)
    transition: Annotated[tuple[int, ...], UNITS, "Dense layers of the transitions."] = (128, 128)
    weight_shared: Annotated[str, SHARED, "Who shares a draw of the fusion weight w (reading D2)."] = "none"
    position_scale: Annotated[
        float, REACH, "Bound of predicted positions; 1.5 lets objects be partly out of the frame (App. C.2)."
    ] = 1.0
    scale_init: Annotated[float, SCALE, "First scale of positions and motions (reading D26)."] = 0.1
    # a third difference of positions is noise
    differences: Annotated[
        int, Range(0, 2), "Differences that LSTM_mot also sees: velocities (1), and accelerations (2)."
    ] = 2
    activation: Annotated[str, OneOf(*ACTIVATIONS), "Activation of the transitions."] = "silu"
    extents: Annotated[
        bool, "Whether LSTM_mot also sees each object's tight box, with which objects bounce off edges."
    ] = True
    step: Annotated[float, SCALE, "Unit of differences and changes, frame coordinates."] = 0.2
    inertia: Annotated[bool, "Whether velocities are kept unless the networks change them."] = False
    fading: Annotated[
        tuple[float, ...],
        SHARE,
        "Fading factors of filters whose velocities inertia mixes; none: it keeps the last difference.",
    ] = ()
    walls: Annotated[
        bool, "Whether inertia turns objects back at four walls, which are learned; it needs fading."
    ] = False
    edges: Annotated[
        bool,
        "Whether walls turn an object back where its tight box meets them, not its place; it needs walls and extents.",
    ] = False

    def build(self, sizes: Sizes) -> "ResidualMOT":
        """See :class:`ResidualMOT`."""
        self.relate("model.motion.")
        return ResidualMOT(self, sizes)

    def relate(self, where: str) -> None:
        """Refuse inertia of velocities that nobody sees."""
        if self.inertia and not self.differences:
            raise UsageError(f"{where}inertia: needs {where}differences of 1 or 2, found {self.differences}")
        if self.fading and not self.inertia:
            raise UsageError(f"{where}fading: needs {where}inertia, whose velocities are filtered")
        if self.walls and not self.fading:
            raise UsageError(f"{where}walls: needs {where}fading, whose filters know of walls, too")
        if self.edges and not (self.walls and self.extents):
            raise UsageError(
                f"{where}edges: needs {where}walls, and {where}extents, which tell the tight boxes"
            )
        if self.edges and self.motion < CARRIED:
            raise UsageError(f"{where}edges: needs {where}motion of {CARRIED} or more, found {self.motion}")

    def suited(self, speed: float) -> "ResidualMOTConfig":
        """Inertia, which one movie is too short to teach, and steps of the objects' speed, UNIT at most."""
        edges = self.extents and self.motion >= CARRIED
        return replace(self, step=min(speed, UNIT), inertia=True, fading=FADING, walls=True, edges=edges)


class PathBelief(NamedTuple):
    """The memory of LSTM_mot between calls."""

    lstm: Memory
    moves: tuple[Tensor, ...]  # the last position and its differences but the highest, (..., 1, N, 2) each
    pace: Pace | None = None  # with ``fading``


class ResidualMOT(StateSpace):
    """MOT whose transitions predict changes of positions and motions, within bounds.

    Predictions are fed back, and changes have no tanh. Motions are therefore bounded by the range that LSTM_mot can
    infer, positions by the frame, and both scales by that of the prior without information (App. B.2.3).

    Example:
        >>> from vtssi_pyro import ResidualMOT, load
        >>> isinstance(load("moving-mnist").motion, ResidualMOT)
        True
    """

    config: ResidualMOTConfig

    def __init__(self, config: ResidualMOTConfig, sizes: Sizes) -> None:
        super().__init__(config.M, config.motion, sizes.walk_scale, config.weight_shared)
        self.config, activation = config, ACTIVATIONS[config.activation]
        dims, scale, positive = config.motion, config.scale_init, sizes.scale_transform
        inputs = 2 + sizes.description + 4 * config.extents + 2 + 2 * config.differences
        self.lstm = LSTM(inputs, config.units)
        state = [2 + dims, *config.transition]
        self.readout = GaussianMLP([config.units], config.heads, dims, nn.Tanh, None, 0.0, scale, positive)
        self.position = GaussianMLP(state, config.heads, 2, activation, None, 0.0, scale, positive)
        self.motion = GaussianMLP(state, config.heads, dims, activation, None, 0.0, scale, positive)
        self.inertia = (
            Inertia(config.fading, config.walls, config.step, config.position_scale)
            if config.fading
            else None
        )
        # first numbers of a motion that are known, and only adjusted
        self.carried = CARRIED if config.edges else 2
        if config.inertia:
            for network, rows in (
                (self.readout, slice(self.carried)),
                (self.position, ...),
                (self.motion, ...),
            ):
                final = network.get_submodule("body.loc")[-1]
                with torch.no_grad():
                    final.weight[rows] *= NEARLY
                    final.bias[rows] = 0

    def transition(self, previous: State) -> dict[str, Independent]:
        """The densities of the next position and motion."""
        position, motion = self.changes(previous)
        bound, unit, change = self.config.position_scale, self.config.step, position.loc
        if self.config.inertia:
            change = change + previous["motion"][..., :2]
        place, pace = previous["position"] + unit * change, previous["motion"] + motion.loc
        if self.inertia is not None:
            margins = UNIT * previous["motion"][..., 2:CARRIED] if self.config.edges else None
            place, turned = self.inertia.turned(place, change, margins)
            velocity = torch.where(turned == change, pace[..., :2], -pace[..., :2])
            pace = torch.cat([velocity, pace[..., 2:]], -1)
        place, pace = _within(place, -bound, bound), _within(pace, *self._reach())
        return {
            "position": Normal(place, _at_most(self.scale, unit / UNIT * position.scale)).to_event(1),
            "motion": Normal(pace, _at_most(1.0, motion.scale)).to_event(1),
        }

    def changes(self, previous: State) -> tuple[Normal, Normal]:
        """Changes of positions, in steps, and of motions, before they are bounded: (..., N, 2) and (..., N, dims)."""
        state = torch.cat([previous["position"], previous["motion"]], -1)  # (..., 2 + dims)
        return self.position(state).base_dist, self.motion(state).base_dist

    def scales(self) -> Iterator[nn.Parameter]:
        """The parameters of the networks' scale heads."""
        return scale_heads(self.readout, self.position, self.motion)

    def static(self, picture: Picture, objects: Objects, found: Detections) -> Tensor:
        """Size, description and, with ``extents``, the tight box, in steps; see :meth:`StateSpace.static`."""
        known = [objects.size, objects.description]
        if self.config.extents:
            with torch.no_grad():
                appearance = looks(picture, objects, found.appearance)
            known += [extent / self.config.step for extent in appearance.box]
        return torch.cat(known, -1)

    def infer(self, static: Tensor, position: Tensor, memory: Any = None) -> tuple[Independent, PathBelief]:
        """q(m_t | s, d, p^_1:t), see :meth:`StateSpace.infer`."""
        before: PathBelief | None = memory
        moves = [position]  # and its differences, as if all objects had been at rest before the first frame
        for order in range(self.config.differences):
            last = moves[-1]
            if before:
                previous = before.moves[order]
            else:
                previous = torch.zeros_like(last[..., :1, :, :]) if order else last[..., :1, :, :]
            moves.append((last - torch.cat([previous, last[..., :-1, :, :]], -3)) / self.config.step)
        known = static.unsqueeze(-3).expand(*position.shape[:-1], -1)
        h = torch.cat([known, *moves], -1).transpose(-3, -2)  # (..., N, T, features)
        h, lstm = self.lstm(h, before and before.lstm)
        ends = tuple(move[..., -1:, :, :] for move in moves[:-1])
        q, pace = self.readout(h.transpose(-3, -2)), None
        # the first two numbers of a motion are a velocity, with edges the next four margins
        if self.config.inertia:
            m = q.base_dist
            carried = moves[1]
            margins = self._margins(static) if self.config.edges else None
            if self.inertia is not None:
                carried, pace = self.inertia.velocity(position, before and before.pace, margins)
            if margins is not None:
                each = (margins / UNIT).unsqueeze(-3).expand(*carried.shape[:-1], -1)
                carried = torch.cat([carried, each], -1)
            carried = nn.functional.pad(carried, (0, self.dims - self.carried)).clamp(-FASTEST, FASTEST)
            q = Normal(m.loc + carried, m.scale).to_event(1)
        return q, PathBelief(lstm, ends, pace)

    def forget(self, memory: Any, new: Tensor, position: Tensor) -> PathBelief | None:
        """Begin anew for objects that are new, as if these had been at rest before."""
        before: PathBelief | None = memory
        if before is None:
            return None
        where = new[..., None, :, None]  # (..., 1, N, 1)
        rest = [torch.where(where, torch.zeros_like(move), move) for move in before.moves]
        rest[:1] = [torch.where(where, position.unsqueeze(-3), move) for move in before.moves[:1]]
        lstm = forgotten(before.lstm, new)
        assert lstm is not None
        return PathBelief(lstm, tuple(rest), before.pace and before.pace.anew(new, position))

    def _margins(self, static: Tensor) -> Tensor:
        """How far tight boxes reach from the places of their objects towards low and high walls, (..., N, 4).

        They are told by the ends of constant features (..., N, F), see :meth:`static`.
        """
        # a size is half a box in frame coordinates
        offset, extent = (self.config.step * static[..., -4:]).split(2, -1)
        return torch.cat([extent - offset, extent + offset], -1)

    def _reach(self) -> tuple[Tensor, Tensor]:
        """The least and the greatest motions (dims,) that LSTM_mot can infer, since its last hidden layer is tanh."""
        final = self.readout.get_submodule("body.loc")[-1]
        with torch.no_grad():
            reach = final.weight.abs().sum(-1)
            if self.config.inertia:
                reach[: self.carried] += FASTEST
            return final.bias - reach, final.bias + reach


def _within(value: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
    """Clamp values to bounds with a straight-through gradient, so that a path at a bound can learn to turn."""
    return value + (torch.clamp(value, low, high) - value).detach()  # type: ignore[arg-type]


def _at_most(bound: float, scale: Tensor) -> Tensor:
    """Bound scales smoothly, so that they keep their gradient."""
    return bound * torch.tanh(scale / bound)
