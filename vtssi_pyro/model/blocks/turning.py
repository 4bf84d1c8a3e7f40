"""Objects that turn: any motion, with an angle that is a chain of its own. Not in the paper."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, NamedTuple

import torch
from pyro import poutine
from pyro.distributions import Independent, Normal
from torch import Tensor, nn

from vtssi_pyro.config import Declared
from vtssi_pyro.config.ranges import ANGLES, EVIDENCE, SCALE, SHARE
from vtssi_pyro.model.blocks.mot import RandomWalk, fusion_weight
from vtssi_pyro.model.blocks.residual_mot import ResidualMOTConfig
from vtssi_pyro.model.handlers import Weight
from vtssi_pyro.model.interfaces import Motion, Picture, predictive
from vtssi_pyro.model.kinds import MOTIONS, Buildable, suited
from vtssi_pyro.model.look import Look
from vtssi_pyro.model.nn import MIN_SCALE, Network
from vtssi_pyro.model.sites import ANGLE, SPIN, Moment, draw, moment
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.ops.gaussian import chosen
from vtssi_pyro.ops.packing import some
from vtssi_pyro.ops.turning import around_expected, match_angles, register_turned
from vtssi_pyro.types import Anneal, Detections, Objects, Paths, Pose, State

# Scale of the first angle, of which nothing is known: that of a uniform one.
FIRST = math.pi / math.sqrt(3)
STEPS = 3  # of a registration of angles: from 11 degrees away they leave hundredths of one


@MOTIONS.register("turning")
@dataclass(frozen=True)
class TurningConfig(Declared):
    """See :class:`Turning`."""

    of: Annotated[Buildable, MOTIONS, "The motion of the objects that turn."] = field(
        default_factory=ResidualMOTConfig
    )
    # First values of scales that are learned, guesses but for the speed: objects turn by up to a third of a radian.
    speed: Annotated[float, SCALE, "Initial scale of angular velocities, radians a frame."] = 0.25
    wobble: Annotated[float, SCALE, "Initial scale of an angle beside the expected one, radians."] = 0.1
    drift: Annotated[float, SCALE, "Initial scale of changes of angular velocities, radians a frame."] = 0.05
    error: Annotated[float, SCALE, "Initial scale of an angle that was read off a frame, radians."] = 0.05
    angles: Annotated[int, ANGLES, "Angles of a whole turn at which looks are matched."] = 16
    sharpness: Annotated[float, EVIDENCE, "Evidence of a match of 1, nats."] = 30.0
    clutter: Annotated[
        float, SHARE, "Cost of an angle far from the expected one, share of a full match; noise matches less."
    ] = 0.45
    least: Annotated[
        float, SHARE, "Share of its look in a frame below which an object's angle is the expected one."
    ] = 0.4

    def build(self, sizes: Sizes) -> "Turning":
        """See :class:`Turning`."""
        return Turning(self, self.of.build(sizes), Angles(self))

    def suited(self, speed: float) -> "TurningConfig":
        """The same for a motion that suits a movie's speed."""
        of = suited(self.of, speed)
        if isinstance(of, ResidualMOTConfig):
            of = replace(of, edges=False)  # the box of what turns is another one in each frame
        return replace(self, of=of)


class _Scales(nn.Module):
    """Four learned scales, and the factor on the standard errors of angles that were read off frames."""

    def __init__(self, *first: float) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.tensor(first).log())

    def forward(self) -> Tensor:
        return self.log.exp() + MIN_SCALE


class Angles(Network):
    """The chain of an angle and an angular velocity.

    ======  ============================  =================
    frame   angle a_t                     spin v_t
    ======  ============================  =================
    first   N(0, FIRST)                   none
    second  N(a_1, speed)                 N(0, speed)
    later   N(a_{t-1} + v_{t-1}, wobble)  N(v_{t-1}, drift)
    ======  ============================  =================

    Angles are real numbers, not wrapped: an object that has turned twice is at 4 pi.
    """

    def __init__(self, config: TurningConfig) -> None:
        super().__init__()
        self.body = _Scales(config.speed, config.wobble, config.drift, config.error, 1.0)

    @property
    def scales(self) -> tuple[Tensor, ...]:
        """speed, wobble, drift, error, and the factor on standard errors."""
        return tuple(self.layers().unbind())

    def first(self, like: Tensor) -> dict[str, Independent]:
        """The densities where nothing is known: batch (..., N), events (1,)."""
        speed, zero = self.scales[0], torch.zeros_like(like[..., :1])
        return {ANGLE.name: _normal(zero, zero.new_full((), FIRST)), SPIN.name: _normal(zero, speed)}

    def next(self, previous: State) -> dict[str, Independent]:
        """The densities after a state with an angle, and perhaps with an angular velocity."""
        speed, wobble, drift, *_ = self.scales
        angle = previous[ANGLE.name]
        if SPIN.name not in previous:
            return {ANGLE.name: _normal(angle, speed), SPIN.name: _normal(torch.zeros_like(angle), speed)}
        spin = previous[SPIN.name]
        return {ANGLE.name: _normal(angle + spin, wobble), SPIN.name: _normal(spin, drift)}


class Turned(NamedTuple):
    """The memory of :meth:`Turning.guide`."""

    of: Any  # of the motion
    angle: Tensor  # (..., N) in the last frame
    spin: Tensor  # (..., N)
    age: Tensor  # (..., N) frames that the object has been followed for; 0: its angle is not known


class Turning(RandomWalk):
    """Any motion of objects that also turn: angle_t and spin_t are a chain of their own, see :class:`Angles`.

    The angle is that by which an object's window is turned about its centre; at 0 its look is as described. The guide
    reads it off the frames, given the positions: looks are matched at all angles around the expected one, with the
    chain's own density as the gate, on a floor of clutter. The best angle is then registered on the frame. Of
    an object of which a frame shows little, and of a round one, the angle is the expected one. An object that looks the
    same at several angles, such as a rod after half a turn, is followed by the nearest of them.

    Args:
        config: its configuration.
        of: the motion of the positions.
        angles: the chain.
        shared: whether the chain is another motion's. It is then no submodule: of two parents, it would lose the name
            by which Pyro knows its parameters.
    """

    config: TurningConfig
    angles: Angles

    def __init__(self, config: TurningConfig, of: Motion, angles: Angles, shared: bool = False) -> None:
        super().__init__(of.scale)
        self.config, self.of = config, of
        if shared:
            object.__setattr__(self, "angles", angles)
        else:
            self.angles = angles
        self.M, self.predicts = of.M, of.predicts
        self.sites = (*of.sites, ANGLE, SPIN)

    def _by_age(self, previous: State | None, like: Tensor, age: Tensor | None) -> dict[str, Independent]:
        """The chain's densities in a frame, of objects that have come at different times if these have an age."""
        first = self.angles.first(like)
        if previous is None:
            return first
        if age is None:
            return self.angles.next(previous)
        young = self.angles.next({ANGLE.name: previous[ANGLE.name]})
        old = self.angles.next(previous)
        return {
            name: chosen(
                age > 1, old[name].base_dist, chosen(age > 0, young[name].base_dist, first[name].base_dist)
            ).to_event(1)
            for name in first
        }

    def walking(self) -> "Turning":
        """A random walk that turns by the same chain."""
        return Turning(self.config, self.of.walking(), self.angles, shared=True)

    def model(
        self, t: int, previous: State | None, like: Tensor, warmup: int, age: Tensor | None = None
    ) -> State:
        """Sample the motion's sites, then angle_t and, from the second frame on, spin_t."""
        state = dict(self.of.model(t, previous, like, warmup, **_aged(age)))
        density = self._by_age(previous, like, age)
        for site in (ANGLE, SPIN):
            if age is not None:
                with poutine.mask(mask=age >= (site is SPIN)):
                    state[site.name] = draw(site, t, density[site.name], fused=age >= self.M)
            elif site is ANGLE or previous is not None:
                state[site.name] = draw(site, t, density[site.name])
        return state

    def predict(
        self, t: int, previous: State | None, like: Tensor, warmup: int, age: Tensor | None = None
    ) -> Independent:
        """The motion's density of the position."""
        return self.of.predict(t, previous, like, warmup, **_aged(age))

    def walk(self, position: Tensor | None, like: Tensor) -> Independent:
        """The motion's random walk."""
        return self.of.walk(position, like)

    def transition(self, previous: State) -> dict[str, Independent]:
        """The densities of the next frame's sites, by name."""
        return predictive(self.of).transition(previous) | self.angles.next(previous)

    def static(self, picture: Picture, objects: Objects, found: Detections) -> Tensor:
        """See :meth:`StateSpace.static <vtssi_pyro.model.blocks.mot.StateSpace.static>`."""
        return predictive(self.of).static(picture, objects, found)

    def infer(self, static: Tensor, position: Tensor, memory: Any = None) -> tuple[Independent, Any]:
        """See :meth:`StateSpace.infer <vtssi_pyro.model.blocks.mot.StateSpace.infer>`."""
        return predictive(self.of).infer(static, position, memory)

    def examples(self, paths: Paths) -> Paths:
        """See :meth:`StateSpace.examples <vtssi_pyro.model.blocks.mot.StateSpace.examples>`."""
        return predictive(self.of).examples(paths)

    def scales(self) -> Iterator[nn.Parameter]:
        """The parameters of the motion's scales, and those of the chain."""
        yield from predictive(self.of).scales()
        yield from self.angles.parameters()

    def pose(self, objects: Objects, states: State, presence: Tensor) -> Pose:
        """The motion's pose, turned by the angles; without these, as it is while objects are still searched for."""
        pose, angle = self.of.pose(objects, states, presence), states.get(ANGLE.name)
        return pose if angle is None else pose._replace(angle=angle.squeeze(-1))

    def fused(self, at: Moment, warmup: int) -> bool:
        """Whether a site combines a proposal with a prediction: the chain's do where the position does."""
        if at.site in (ANGLE, SPIN):
            at = Moment(self.of.sites[0], at.t)
        return self.of.fused(at, warmup)

    def weight(self, anneal: Anneal, warmup: int) -> Weight:
        """The motion's weight for its own sites, and one for the chain's."""
        of = self.of.weight(anneal, warmup)
        own = fusion_weight(anneal, "none", lambda at: self.fused(at, warmup))

        def weight(msg: Any) -> Tensor | None:
            at = moment(msg)
            return own(msg) if at and at.site in (ANGLE, SPIN) else of(msg)

        return weight

    def forget(self, memory: Any, new: Tensor, position: Tensor) -> Any:
        """Begin anew for objects that are new, whose angles are not known."""
        before: Turned | None = memory
        if before is None:
            return None
        return before._replace(
            of=self.of.forget(before.of, new, position),
            spin=before.spin.masked_fill(new, 0),
            age=before.age.masked_fill(new, 0),
        )

    def guide(
        self, picture: Picture, objects: Objects, found: Detections, first: int, warmup: int, memory: Any
    ) -> Turned:
        """Propose the motion's sites, and the angles that the frames show at the objects' positions.

        Args:
            picture: draws the objects.
            objects: draws.
            found: positions (..., B, T, N, 2), and their frames.
            first: the number of the first of these T frames.
            warmup: see :meth:`RandomWalk.model`.
            memory: the memory returned for the frames before these.
        """
        before: Turned | None = memory
        of = self.of.guide(picture, objects, found, first, warmup, before and before.of)
        assert found.frames is not None, "angles are read off frames"
        if before is None:
            unknown = torch.zeros_like(found.position[..., 0, :, 0])
            before = Turned(None, unknown, unknown, unknown)
        *_, error, gain = self.angles.scales
        look = Look(picture, objects, found.appearance)
        for index, position in enumerate(found.position.unbind(-3)):
            t, frame = first + index, found.frames[:, index]
            expected = self._expected(before)
            with torch.no_grad():
                read, spread, seen = self._read(look, frame, position, expected, before.age > 0)
            loc = torch.where(seen, read, expected[0])
            scale = torch.where(seen, gain * spread + error, expected[1])
            angle = draw(ANGLE, t, _normal(loc.unsqueeze(-1), scale.unsqueeze(-1))).squeeze(-1)
            spin = angle.detach() - before.angle
            if t > 1 or memory is not None:
                # the difference of two angles
                draw(SPIN, t, _normal(spin.unsqueeze(-1), math.sqrt(2) * scale.unsqueeze(-1)))
            with torch.no_grad():
                before = self._filtered(before, angle, scale, expected)
        return before._replace(of=of)

    def _filtered(
        self, before: Turned, angle: Tensor, scale: Tensor, expected: tuple[Tensor, Tensor]
    ) -> Turned:
        """The memory after angles (..., N) with these scales were read: products of densities, as of a Kalman filter.

        What is expected of the next angles thus hardly depends on readings that are less certain than it, as of objects
        that are nearly round.
        """
        mean, prior = expected
        drift = torch.where(before.age > 1, self.angles.scales[2], self.angles.scales[0]).square()
        new = mean + prior.square() / (prior.square() + scale.square()) * (angle - mean)
        pace = before.spin + drift / (drift + 2 * scale.square()) * (angle - before.angle - before.spin)
        return Turned(None, new, torch.where(before.age > 0, pace, before.spin), before.age + 1)

    def _expected(self, before: Turned) -> tuple[Tensor, Tensor]:
        """Mean and scale (..., N) of the next angle; of an angle that is not known, the scale is that of the first."""
        speed, wobble, *_ = self.angles.scales
        scale = torch.where(before.age > 1, wobble, torch.where(before.age > 0, speed, FIRST))
        return before.angle + before.spin, scale

    def _read(
        self, look: Look, frame: Tensor, position: Tensor, expected: tuple[Tensor, Tensor], known: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Read angles off a frame.

        Args:
            look: the objects.
            frame: (B, C, H, W).
            position: (..., N, 2), frame coordinates.
            expected: mean and scale of the angles, (..., N).
            known: whether anything is expected, bool (..., N).

        Returns:
            angles, their standard errors, and whether the frame tells them, (..., N).
        """
        number, sharpness, size = self.config.angles, self.config.sharpness, look.objects.size
        around, prior = around_expected(*expected, number, -self.config.clutter * sharpness)
        angle, drawn = expected[0], known
        for _ in range(2 if some(~known) else 1):  # the second round knows how all the others are turned
            left = frame.unsqueeze(-4) - look.others(position, angle, drawn)
            share = match_angles(left, look.glimpses, position, size, around)
            best = (sharpness * share + prior * known.unsqueeze(-1)).argmax(-1, keepdim=True)
            angle, drawn = around.gather(-1, best).squeeze(-1), torch.ones_like(known)
        _, angle, error = register_turned(
            frame, look.draw, look.glimpses, position, angle, size, STEPS, still=True
        )
        shown = share.gather(-1, best).squeeze(-1) > self.config.least
        # a round object has no angle: an error of half of the way to the next one that was tried is too large
        return angle, error, shown & (error < math.pi / number)


def _normal(loc: Tensor, scale: Tensor) -> Independent:
    """A normal of numbers (..., 1), whose scale may be one number."""
    return Normal(loc, scale.expand_as(loc)).to_event(1)


def _aged(age: Tensor | None) -> dict[str, Tensor]:
    """The argument for a motion whose objects may come and go; others need not know it."""
    return {} if age is None else {"age": age}
