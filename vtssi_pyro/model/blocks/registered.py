"""Registration of positions and looks on the frames, at test time. Not in the paper."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from pyro.distributions import Independent, Normal
from torch import Tensor

from vtssi_pyro.config import Declared, Range
from vtssi_pyro.config.ranges import WINDOW
from vtssi_pyro.model.blocks.template import TemplateConfig
from vtssi_pyro.model.interfaces import Finder, Motion, Picture, Predict, Sight
from vtssi_pyro.model.kinds import FINDERS, Buildable
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.ops.registration import register, sharpen
from vtssi_pyro.types import Appearance, Detections, Objects, Pose, State

STEPS = 2  # steps of a registration; they leave errors of hundredths of a pixel


@FINDERS.register("registered")
@dataclass(frozen=True)
class RegisteredConfig(Declared):
    """See :class:`Registered`."""

    finder: Annotated[Buildable, FINDERS, "The search whose positions are registered."] = field(
        default_factory=TemplateConfig
    )
    rounds: Annotated[int, Range(0, 100), "Rounds in which positions and looks are settled in turn."] = 2
    settled: Annotated[int, WINDOW, "First frames that settle the looks."] = 5

    def build(self, sizes: Sizes) -> "Registered":
        """See :class:`Registered`."""
        return Registered(self.finder.build(sizes), None, self.rounds, self.settled)


@dataclass(frozen=True)
class Registered:
    """A finder whose positions are registered on the frames, with the objects' looks settled on the first frames.

    Args:
        finder: a finder that ``registers``.
        motion: says how objects at positions are posed; None: upright.
        rounds: rounds in which positions and looks are settled in turn.
        settled: number of first frames that settle the looks; all later frames, also in later calls, use these looks.
        bounded: whether tight boxes are resolved on the same frames, too; else they are read off the looks.
    """

    finder: Finder
    motion: Motion | None
    rounds: int
    settled: int
    bounded: bool = True

    registers = False  # its positions are registered already

    @property
    def config(self) -> Buildable:
        """Its configuration, but for the motion."""
        return RegisteredConfig(self.finder.config, self.rounds, self.settled)

    @property
    def K(self) -> int:
        """Frames that the finder needs at once."""
        return self.settled

    def look(
        self, picture: Picture, frames: Tensor, objects: Objects, before: Detections | None = None
    ) -> Sight:
        """See :class:`~vtssi_pyro.model.interfaces.Finder`."""
        sight = self.finder.look(picture, frames, objects, before)
        q: Normal = sight.evidence
        appearance, first = before and before.appearance, slice(self.settled)
        if appearance is None:
            glimpses = self._settled(picture, frames[:, first], objects, q.loc[..., first, :, :])
        else:
            glimpses = appearance.glimpses
        draw = self._drawing(picture, frames, objects, glimpses, q.loc)
        position = register(frames, draw, glimpses, q.loc, objects.size, STEPS)
        scale = self.finder.spread_of(frames, draw, glimpses, position, objects, q.scale)
        if appearance is None:
            box = self._box(picture, frames[:, first], objects, glimpses, position[..., first, :, :])
            appearance = Appearance(glimpses, box)
        return Sight(Normal(position, scale), appearance, sight.memory)

    def step(self, sight: Sight, index: int, previous: State, predict: Predict | None = None) -> Independent:
        """See :class:`~vtssi_pyro.model.interfaces.Finder`."""
        return self.finder.step(sight, index, previous, predict)

    def visible(self, frames: Tensor, glimpses: Tensor, position: Tensor, objects: Objects) -> Tensor:
        """See :class:`~vtssi_pyro.model.interfaces.Finder`."""
        return self.finder.visible(frames, glimpses, position, objects)

    def spread_of(
        self,
        frames: Tensor,
        draw: Callable[[Tensor], Tensor],
        glimpses: Tensor,
        position: Tensor,
        objects: Objects,
        searched: Tensor,
    ) -> Tensor:
        """See :class:`~vtssi_pyro.model.interfaces.Finder`."""
        return self.finder.spread_of(frames, draw, glimpses, position, objects, searched)

    def _settled(self, picture: Picture, frames: Tensor, objects: Objects, position: Tensor) -> Tensor:
        """The objects' glimpses, settled on frames (B, T, C, H, W) in which the objects are near ``position``."""
        size, steps = objects.size, objects.steps * objects.present
        glimpses = picture.decode(objects.description) * steps[..., None, None, None]
        for _ in range(self.rounds):
            draw = self._drawing(picture, frames, objects, glimpses, position)
            position = register(frames, draw, glimpses, position, size, STEPS)
            pose = self._ordered(picture, frames, objects, glimpses, position)
            pose = pose._replace(presence=self.visible(frames, glimpses, position, objects))
            layers = picture.layers(pose, objects)
            drawn, others = picture.compose(layers, pose), picture.others(layers, pose)
            clear = picture.clear(layers, pose)
            glimpses = sharpen(frames, drawn, others, pose.presence, glimpses, position, size, clear)
        return glimpses

    def _box(
        self, picture: Picture, frames: Tensor, objects: Objects, glimpses: Tensor, position: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The tight boxes of objects that were registered at ``position``."""
        pose = self._pose(objects, glimpses, position)
        if not self.bounded or pose.angle is not None:  # a turning object has a box of its own in each frame
            return picture.box(glimpses, objects.size)
        pose = pose._replace(presence=self.visible(frames, glimpses, position, objects))
        return picture.box_within(frames, glimpses, pose)

    def _pose(self, objects: Objects, glimpses: Tensor, position: Tensor) -> Pose:
        """The pose of all objects at positions (..., T, N, 2), with given glimpses."""
        whole = objects.present.to(objects.size)
        pose = Pose(position, objects.size, whole.unsqueeze(-2))
        if self.motion is not None:
            pose = self.motion.pose(objects, {"position": position}, whole)
        return pose._replace(appearance=glimpses.unsqueeze(-5))

    def _ordered(
        self, picture: Picture, frames: Tensor, objects: Objects, glimpses: Tensor, position: Tensor
    ) -> Pose:
        """The pose in the order that the frames show."""
        pose = self._pose(objects, glimpses, position)
        return picture.ordered(frames, picture.layers(pose, objects), pose) if picture.sites else pose

    def _drawing(
        self, picture: Picture, frames: Tensor, objects: Objects, glimpses: Tensor, position: Tensor
    ) -> Callable[[Tensor], Tensor]:
        """Draws frames (..., T, C, H, W) with the objects anywhere, in the order that they have at ``position``."""
        depth = self._ordered(picture, frames, objects, glimpses, position).depth

        def drawn(position: Tensor) -> Tensor:
            return picture.draw(self._pose(objects, glimpses, position)._replace(depth=depth), objects)

        return drawn
