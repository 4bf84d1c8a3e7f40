"""Motion of the objects: MOT (section 3.2.3, App. B.2.3), its null object RandomWalk, and a base for own motions."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pyro import poutine
from pyro.distributions import Independent, Normal
from pyro.poutine.runtime import Message
from torch import Tensor, nn

from vtssi_pyro.config import Declared, OneOf
from vtssi_pyro.config.ranges import DIMENSIONS, REACH, SCALE, UNITS, WINDOW
from vtssi_pyro.model.handlers import Weight
from vtssi_pyro.model.interfaces import Picture
from vtssi_pyro.model.kinds import MOTIONS, Buildable
from vtssi_pyro.model.nn import Block, GaussianMLP, Memory, Network, recur
from vtssi_pyro.model.sites import POSITION, Moment, draw, moment
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.ops.gaussian import chosen
from vtssi_pyro.types import Anneal, Detections, Objects, Paths, Pose, Site, State

SHARED = OneOf("none", "objects", "sequences")


@MOTIONS.register("random-walk")
@dataclass(frozen=True)
class RandomWalkConfig(Declared):
    """See :class:`RandomWalk`."""

    scale: Annotated[
        float | None, SCALE, "Scale of a step, frame coordinates; null: the model's walk_scale."
    ] = None

    def build(self, sizes: Sizes) -> "RandomWalk":
        """See :class:`RandomWalk`."""
        return RandomWalk(sizes.walk_scale if self.scale is None else self.scale, self)


class RandomWalk(Block):
    """No motion: p(p_1) = N(0, 1), p(p_t | p_{t-1}) = N(p_{t-1}, 0.1), and no gradient into the mean.

    Reference: App. B.2.1 (the prior position).

    Example:
        >>> from vtssi_pyro import RandomWalk, build
        >>> tracker = build("vtssi")
        >>> tracker.motion = RandomWalk(0.05)
        >>> tracker.predicts
        False
    """

    M = 1  # frames before a transition prior takes over; a random walk has none
    predicts = False
    sites: tuple[Site, ...] = (POSITION,)

    def __init__(self, scale: float = 0.1, config: RandomWalkConfig | None = None) -> None:
        super().__init__()
        self.scale = scale
        self.config: Buildable = config or RandomWalkConfig(scale)

    def model(
        self, t: int, previous: State | None, like: Tensor, warmup: int, age: Tensor | None = None
    ) -> State:
        """Sample the sites of frame t.

        Args:
            t: frame, 1-based.
            previous: state of frame t - 1, None at t = 1.
            like: sizes (..., B, N, 2), for shape, dtype and device.
            warmup: number of frames before the transition prior takes over.
            age: frames since each object has come, (..., B, N), below 0 of empty slots; None: the frame tells.
        """
        return {"position": draw(POSITION, t, self.predict(t, previous, like, warmup, age))}

    def predict(
        self, t: int, previous: State | None, like: Tensor, warmup: int, age: Tensor | None = None
    ) -> Independent:
        """The density of the position of frame t, batch (..., B, N), event (2,); see :meth:`model`."""
        del t, warmup
        walk = self.walk(None if previous is None else previous["position"], like)
        if age is None or previous is None:
            return walk
        return chosen(age > 0, walk.base_dist, self.walk(None, like).base_dist).to_event(1)

    def forget(self, memory: Any, new: Tensor, position: Tensor) -> Any:
        """Forget nothing: there is no memory."""
        del new, position
        return memory

    def walking(self) -> "RandomWalk":
        """The motion without its transition: a random walk of the same scale."""
        return RandomWalk(self.scale)

    def walk(self, position: Tensor | None, like: Tensor) -> Independent:
        """The density of a position given the one before, or of the first: batch (..., B, N), event (2,)."""
        if position is None:
            return Normal(torch.zeros_like(like), torch.ones_like(like)).to_event(1)
        return Normal(position.detach(), torch.full_like(like, self.scale)).to_event(1)

    def pose(self, objects: Objects, states: State, presence: Tensor) -> Pose:
        """The objects' pose in frames with states (..., T, N, dims); ``presence`` is (..., N)."""
        depth = states["depth"].squeeze(-1) if "depth" in states else None
        return Pose(states["position"], objects.size, presence.unsqueeze(-2), depth)

    def guide(
        self, picture: Picture, objects: Objects, found: Detections, first: int, warmup: int, memory: Any
    ) -> Any:
        """Make no proposals and keep no memory."""

    def fused(self, at: Moment, warmup: int) -> bool:
        """Whether a site combines a proposal with a prediction; here none does."""
        del at, warmup
        return False

    def weight(self, anneal: Anneal, warmup: int) -> Weight:
        """No fusion weight: proposals stay unchanged."""
        del anneal, warmup
        return lambda msg: None


class StateSpace(RandomWalk):
    """A transition p(p_t, m_t | p_{t-1}, m_{t-1}) beyond frame M, after a random walk up to M and p(m_M) = N(0, 1).

    It is the base class of MOT and of your own motions. A subclass defines :meth:`transition`, the prior of the next
    state, and :meth:`infer`, the proposal of m_t from positions. Model, guide, training and prediction follow from
    these two.

    Args:
        M: number of frames before the transition takes over.
        dims: dimensions of m_t.
        scale: scale of the walk up to frame M, frame coordinates.
        weight_shared: whether objects or sequences share a draw of the fusion weight, see :class:`MOTConfig`.

    Example:
        >>> from vtssi_pyro import StateSpace, build
        >>> isinstance(build("vtssi").motion, StateSpace)
        True
    """

    predicts = True

    def __init__(self, M: int, dims: int, scale: float = 0.1, weight_shared: str = "none") -> None:
        super().__init__(scale)
        if not SHARED.accepts(weight_shared):
            raise ValueError(f"weight_shared: expected {SHARED}, found {weight_shared!r}")
        self.M, self.dims, self.weight_shared = M, dims, weight_shared
        self.sites = (POSITION, Site("motion", dims))

    def transition(self, previous: State) -> dict[str, Independent]:
        """The densities of the next frame's sites, by name: batch (..., B, N), events (2,) and (dims,).

        They are diagonal normals, :meth:`Normal.to_event(1)`, so that their fusion with a proposal is one, too. A
        transition in which objects act on each other may use all N objects of a scene; see :meth:`examples`.
        """
        raise NotImplementedError

    def static(self, picture: Picture, objects: Objects, found: Detections) -> Tensor:
        """The constant features of objects for :meth:`infer`, (..., N, F): size and description."""
        del picture, found
        return torch.cat([objects.size, objects.description], -1)

    def infer(self, static: Tensor, position: Tensor, memory: Any = None) -> tuple[Independent, Any]:
        """q(m_t | s, d, p^_1:t) for every t, from the proposed positions up to t.

        Args:
            static: the features of :meth:`static`, (..., N, F).
            position: (..., T, N, 2), frame coordinates.
            memory: the memory returned for the frames before these; None for the first frames.

        Returns:
            a diagonal normal with batch (..., T, N), event (dims,), and the memory of these frames.
        """
        raise NotImplementedError

    def examples(self, paths: Paths) -> Paths:
        """Each present object as a scene of its own, so that no work is spent on empty slots; N is then 1.

        Objects move independently here. A motion in which they act on each other returns the ``paths`` as they are. If
        no object is present, all slots are examples, so that a training on frames without objects goes on.
        """
        chosen = paths.present if paths.present.any() else torch.ones_like(paths.present)
        return Paths(
            paths.present[chosen].unsqueeze(-1),
            paths.static[chosen].unsqueeze(1),
            paths.position.transpose(1, 2)[chosen].unsqueeze(2),
            paths.visible.transpose(1, 2)[chosen].unsqueeze(2),
            paths.scale.transpose(1, 2)[chosen].unsqueeze(2),
        )

    def scales(self) -> Iterator[nn.Parameter]:
        """The parameters on which only the scales of its densities depend; by default all parameters."""
        return self.parameters()

    def model(
        self, t: int, previous: State | None, like: Tensor, warmup: int, age: Tensor | None = None
    ) -> State:
        """Sample position_t, and motion_t from t = M on; see :meth:`RandomWalk.model`."""
        if age is not None:
            return self._model_by_age(t, previous, like, age)
        if previous is not None and self._moves(t, previous, warmup):
            density = self.transition(previous)
            return {site.name: draw(site, t, density[site.name]) for site in self.sites}
        state: State = {"position": draw(POSITION, t, super().predict(t, previous, like, warmup))}
        if t < warmup:
            return state
        for site in self.sites[1:]:
            zeros = like.new_zeros(*like.shape[:-1], site.dims)
            state[site.name] = draw(site, t, Normal(zeros, torch.ones_like(zeros)).to_event(1))
        return state

    def predict(
        self, t: int, previous: State | None, like: Tensor, warmup: int, age: Tensor | None = None
    ) -> Independent:
        """The transition's density of the position beyond ``warmup``, before that the random walk's."""
        if age is not None:
            return self._by_age(previous, like, age)["position"]
        if previous is not None and self._moves(t, previous, warmup):
            return self.transition(previous)["position"]
        return super().predict(t, previous, like, warmup)

    def _model_by_age(self, t: int, previous: State | None, like: Tensor, age: Tensor) -> State:
        """Sample the sites of objects that have come at different times: position_t of all, motion_t from age M on."""
        density, state = self._by_age(previous, like, age), State()
        for site in self.sites:
            begun = age >= 0 if site is POSITION else age + 1 >= self.M
            with poutine.mask(mask=begun):
                state[site.name] = draw(site, t, density[site.name], fused=age >= self.M)
        return state

    def _by_age(self, previous: State | None, like: Tensor, age: Tensor) -> dict[str, Independent]:
        """The densities of the sites: N(0, 1) at first, for positions then the walk, from age M on the transition."""
        first = {"position": self.walk(None, like)}
        for site in self.sites[1:]:
            zeros = like.new_zeros(*like.shape[:-1], site.dims)
            first[site.name] = Normal(zeros, torch.ones_like(zeros)).to_event(1)
        if previous is None:
            return first
        walk = self.walk(previous["position"], like).base_dist
        young = first | {"position": chosen(age > 0, walk, first["position"].base_dist).to_event(1)}
        moved = self.transition(previous)
        return {
            name: chosen(age >= self.M, moved[name].base_dist, young[name].base_dist).to_event(1)
            for name in first
        }

    def _moves(self, t: int, previous: State, warmup: int) -> bool:
        """Whether the transition makes the state of frame t: it needs a state with a motion to start from."""
        return t > warmup and all(site.name in previous for site in self.sites)

    def guide(
        self, picture: Picture, objects: Objects, found: Detections, first: int, warmup: int, memory: Any
    ) -> Any:
        """Propose motion_t for the frames from M on, given the objects' positions; returns the memory.

        Args:
            picture: decodes the objects' looks.
            objects: draws.
            found: positions (..., B, T, N, 2).
            first: the number of the first of these T frames.
            warmup: see :meth:`RandomWalk.model`.
            memory: the memory returned for the frames before these.
        """
        q, memory = self.infer(self.static(picture, objects, found), found.position, memory)
        m = q.base_dist  # (..., B, T, N, dims)
        for t in range(max(warmup, first), first + found.position.shape[-3]):
            now = m.loc[..., t - first, :, :], m.scale[..., t - first, :, :]
            draw(self.sites[1], t, Normal(*now).to_event(1))
        return memory

    def fused(self, at: Moment, warmup: int) -> bool:
        """Whether a site combines a proposal with a prediction; all sites beyond M do."""
        return at.site in self.sites and at.t > warmup

    def weight(self, anneal: Anneal, warmup: int) -> Weight:
        """The fusion weight w ~ Uniform(low, high), shared by the sites of a frame (reading D2)."""
        return fusion_weight(anneal, self.weight_shared, lambda at: self.fused(at, warmup))


def fusion_weight(anneal: Anneal, shared: str, fused: Callable[[Moment], bool]) -> Weight:
    """The fusion weight w ~ Uniform(low, high) of the sites that are fused, one draw for all of a frame.

    Args:
        anneal: its bounds.
        shared: who shares a draw; see :class:`MOTConfig`.
        fused: whether a site combines a proposal with a prediction.
    """
    draws: dict[int, Tensor] = {}

    def weight(msg: Message) -> Tensor | None:
        at = moment(msg)
        if at is None or not fused(at):
            return None
        if at.t not in draws:
            like = msg["fn"].mean[..., 0]  # (..., B, N)
            shape = {"none": like.shape, "objects": (*like.shape[:-1], 1), "sequences": ()}
            noise = torch.rand(shape[shared], dtype=like.dtype, device=like.device)
            draws[at.t] = (anneal.fuse_low + (anneal.fuse_high - anneal.fuse_low) * noise).expand_as(like)
        return draws[at.t]

    return weight


@MOTIONS.register("mot")
@dataclass(frozen=True)
class MOTConfig(Declared):
    """See :class:`MOT`."""

    M: Annotated[int, WINDOW, "First frames from which an object's motion is inferred."] = 5
    motion: Annotated[int, DIMENSIONS, "Dimensions of a motion."] = 10
    units: Annotated[int, UNITS, "Units of LSTM_mot."] = 64
    heads: Annotated[tuple[int, ...], UNITS, "Dense layers after LSTM_mot."] = (32,)
    transition: Annotated[tuple[int, ...], UNITS, "Dense layers of the transitions."] = (64, 64)
    weight_shared: Annotated[str, SHARED, "Who shares a draw of the fusion weight w (reading D2)."] = "none"
    position_scale: Annotated[
        float, REACH, "Bound of predicted positions; 1.5 lets objects be partly out of the frame (App. C.2)."
    ] = 1.0
    scale_init: Annotated[float, SCALE, "First scale of positions and motions (reading D26)."] = 0.1

    def build(self, sizes: Sizes) -> "MOT":
        """See :class:`MOT`."""
        return MOT(self, sizes)


class MOT(StateSpace):
    """A state-space model of motion: p(p_t, m_t | p_{t-1}, m_{t-1}) beyond frame M.

    Reference: App. B.2.3, Alg. 5.

    Example:
        >>> from vtssi_pyro import MOT, build
        >>> isinstance(build("vtssi").motion, MOT)
        True
    """

    config: MOTConfig

    def __init__(self, config: MOTConfig, sizes: Sizes) -> None:
        super().__init__(config.M, config.motion, sizes.walk_scale, config.weight_shared)
        self.config = config
        state, positive = [2 + config.motion, *config.transition], sizes.scale_transform
        self.lstm = LSTM(2 + sizes.description + 2, config.units)
        self.readout = GaussianMLP(
            [config.units], config.heads, config.motion, nn.Tanh, None, 0.0, config.scale_init, positive
        )
        self.position = GaussianMLP(
            state, config.heads, 2, nn.Tanh, torch.tanh, 0.0, config.scale_init, positive
        )
        self.motion = GaussianMLP(
            state, config.heads, config.motion, nn.Tanh, None, 0.0, config.scale_init, positive
        )

    def transition(self, previous: State) -> dict[str, Independent]:
        """TR_pos and TR_mot: the densities of the next position and motion."""
        state = torch.cat([previous["position"], previous["motion"]], -1)  # (..., 2 + dims)
        position = self.position(state).base_dist
        place = Normal(self.config.position_scale * position.loc, position.scale).to_event(1)
        return {"position": place, "motion": self.motion(state)}

    def scales(self) -> Iterator[nn.Parameter]:
        """The parameters of the networks' scale heads."""
        return scale_heads(self.readout, self.position, self.motion)

    def infer(self, static: Tensor, position: Tensor, memory: Any = None) -> tuple[Independent, Any]:
        """LSTM_mot, see :meth:`StateSpace.infer`."""
        known = static.unsqueeze(-3).expand(*position.shape[:-1], -1)
        h = torch.cat([known, position], -1).transpose(-3, -2)  # (..., N, T, features)
        h, memory = self.lstm(h, memory)
        return self.readout(h.transpose(-3, -2)), memory

    def forget(self, memory: Any, new: Tensor, position: Tensor) -> Any:
        """Begin LSTM_mot anew for objects that are new."""
        del position
        return forgotten(memory, new)


def forgotten(memory: Memory | None, new: Tensor) -> Memory | None:
    """The memory of an LSTM over objects (..., N), begun anew for those that are new, bool (..., N)."""
    if memory is None:
        return None
    kept = ~new.flatten().unsqueeze(-1)  # (R, 1)
    return memory[0] * kept, memory[1] * kept


def scale_heads(*networks: GaussianMLP) -> Iterator[nn.Parameter]:
    """The parameters of the heads that make the networks' scales."""
    for network in networks:
        yield from network.get_submodule("body.scale").parameters()


class LSTM(Network):
    """LSTM_mot: (..., L, features) to (..., L, units)."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.body = nn.LSTM(inputs, units, batch_first=True)

    def forward(self, x: Tensor, memory: Memory | None) -> tuple[Tensor, Memory]:
        """Outputs, and the memory for the next inputs."""
        return recur(self.layers, x, memory)
