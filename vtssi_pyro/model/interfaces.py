"""The interfaces of the blocks in a model's slots: every member with its shape and its caller.

A block is any Pyro module with these members. Its configuration, a frozen dataclass with ``build``, gives it a name
(:func:`~vtssi_pyro.model.kinds.register`); ``block.config`` is that configuration.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, cast

from pyro.distributions import Distribution, Independent
from torch import Tensor, nn

from vtssi_pyro.errors import UsageError
from vtssi_pyro.model.handlers import Weight
from vtssi_pyro.model.kinds import Buildable
from vtssi_pyro.model.sites import Moment
from vtssi_pyro.types import Anneal, Appearance, Detections, Objects, Paths, Plates, Pose, Scalar, Site, State

SCALES = "motion.scales"  # the part of a tracker that is the :meth:`Predictive.scales` of its motion, by name


class Sized(Protocol):
    """The sizes of any tracker."""

    @property
    def num_objects(self) -> int:
        """Number of object slots N."""

    @property
    def frame_size(self) -> int:
        """Side of its frames, pixels."""

    @property
    def channels(self) -> int:
        """Number of channels C of its frames."""


Predict = Callable[[], Independent]  # makes a density of the position, batch (..., B, N), event (2,)


class Scene(Protocol):
    """The prior of the objects: p(c), p(s) and p(d)."""

    config: Buildable
    num_objects: int  # N, slots
    count: Callable[..., Independent]  # prior of c: called with the shift of its mean; event (1,)
    size: Callable[[], Independent]  # prior of s, event (2,)
    description: Callable[[], Independent]  # prior of d, event (D,)

    def model(
        self, plates: Plates, anneal: Anneal, known: Objects | None = None
    ) -> AbstractContextManager[Objects]:
        """Sample ``count``, ``size`` and ``description``, or take ``known`` objects; called by the program.

        Within the context plates and mask are open for the sites of the frames.
        """

    @property
    def changes(self) -> bool:
        """Whether objects come and go, so that every frame has objects of its own; see :class:`Changing`."""

    def frame(
        self,
        t: int,
        objects: Objects,
        previous: State | None,
        picture: "Picture",
        predict: Predict | None = None,
    ) -> AbstractContextManager[State]:
        """Sample who is there in frame t, 1-based, given the state of the frame before; called by the prior.

        Within the context, the mask of the present objects is open for the motion's sites of the frame. The values join
        the state; a scene whose objects are the same in all frames has none, and opens the mask in ``model``.
        ``picture`` tells how far objects reach. ``predict`` makes the density that the motion gives the positions of
        the objects of the frame before.
        """

    def single(self) -> "Scene":
        """The scene of frames that are sequences of their own; called by training on single frames."""

    def counted(self, objects: Objects) -> Objects:
        """The objects with ``steps`` and ``present``; called by the program for those that a consensus proposes."""

    def count_of(self, number: Tensor) -> Tensor:
        """The count (..., 1) at which ``number`` (...,) objects count; called by hypotheses about their number."""


class Changing(Scene, Protocol):
    """A scene in which objects come and go; :class:`~vtssi_pyro.model.blocks.presence.PresenceScene` is one."""

    def nobody(self, plates: Plates) -> Objects:
        """Empty slots (B, N); called by the guide before the first frame."""

    def beginning(self, objects: Objects) -> State:
        """The state before the first frame, of empty slots; called by the guide."""

    def seen(self, state: State) -> Objects:
        """The objects of a frame's state, or of several frames; called by the guide, the likelihood and inference."""

    def guide(
        self, t: int, frame: Tensor, before: State, predict: Predict | None, found: Independent,
        attention: "Attention", picture: "Picture", motion: "Motion",
    ) -> tuple[State, Tensor]:  # fmt: skip
        """Propose the scene's sites and the positions of frame t from the frame (B, C, H, W).

        ``before``: the state of the frame before. ``predict``: makes the motion's density of the positions; None in the
        first frame. ``found``: the finder's, batch (..., B, N), event (2,), of the objects of the frame before. Returns
        the scene's part of the proposed state, and positions (..., B, N, 2).
        """


def changing(scene: Scene) -> Changing:
    """Return the scene if objects come and go in it.

    Raises:
        UsageError: they do not.
    """
    if not scene.changes:
        raise UsageError("the objects of this scene are there in all frames")
    return cast(Changing, scene)


class Attention(Protocol):
    """Inference of the objects from one frame, (..., C, H, W), intensities in [0, 1]; called by the consensus."""

    config: Buildable

    def infer_count(self, frames: Tensor) -> Independent:
        """q(c | x): batch (...), event (1,)."""

    def locate(self, frames: Tensor) -> tuple[Independent, Independent]:
        """q(s | x), fractions of the frame, and q(p | x), frame coordinates: batch (..., N), event (2,)."""

    def describe(self, frames: Tensor, position: Tensor, size: Tensor) -> Independent:
        """q(d | x, s, p): frames (..., C, H, W) and places (..., 2) that broadcast, to batch (...), event (D,)."""


class Picture(Protocol):
    """The rendering of objects; called by the likelihood, by finders, by confidence and by refinement."""

    config: Buildable
    frame_size: int  # H = W, pixels
    channels: int  # C
    box_error: float  # standard deviation of the centre of a tight box in x and y, px; called by tracks
    sites: tuple[Site, ...]  # its own sites of every frame, such as depth

    def decode(self, description: Tensor) -> Tensor:
        """Glimpses (..., C, G, G) in [0, 1] from descriptions (..., D)."""

    def planes(self, description: Tensor) -> Tensor:
        """Glimpses, and behind the C planes of intensities those that layers have, too; an appearance may be either."""

    def render(self, objects: Objects, pose: Pose, flatness: Scalar = 1.0) -> Tensor:
        """Mean of the likelihood, (..., T, C, H, W); training anneals ``flatness`` to 1."""

    def draw(self, pose: Pose, objects: Objects) -> Tensor:
        """The same as ``compose(layers(pose, objects), pose)``, (..., T, C, H, W), possibly faster."""

    def layers(self, pose: Pose, objects: Objects) -> Tensor:
        """Each object by itself, (..., T, N, C, H, W), perhaps with further planes behind the C of intensities.

        To weigh a layer by a share is to draw its object present by that share.
        """

    def compose(self, layers: Tensor, pose: Pose) -> Tensor:
        """Frames (..., T, C, H, W) of layers."""

    def others(self, layers: Tensor, pose: Pose) -> Tensor:
        """Rendered frames without each object, (..., T, N, C, H, W); called by confidence and refinement."""

    def shown(self, layers: Tensor, pose: Pose) -> Tensor:
        """What each object changes in the frame, (..., T, N, C, H, W); called by confidence."""

    def clear(self, layers: Tensor, pose: Pose) -> Tensor | None:
        """The share of each object that nothing hides, by pixels, (..., T, N, 1, H, W); called by finders.

        None if no object is ever hidden.
        """

    def model(self, t: int, previous: State | None, like: Tensor, age: Tensor | None = None) -> State:
        """Sample ``sites`` of frame t, 1-based, given the state of the frame before; called by the prior.

        ``like`` and ``age`` are those of :meth:`Motion.model`.
        """

    def guide(
        self, frames: Tensor, objects: Objects, pose: Pose, first: int, previous: State | None,
        age: Tensor | None = None,
    ) -> None:  # fmt: skip
        """Propose ``sites`` in frames (B, T, C, H, W) from number ``first`` on.

        ``pose``: with the proposed positions. ``previous``: the state of the frame before these; None of the first.
        """

    def ordered(self, frames: Tensor, layers: Tensor, pose: Pose, previous: State | None = None) -> Pose:
        """The pose with the modes of the depths that the guide would propose, each frame by itself; called by finders.

        ``layers``: of the pose. ``previous``: the state of the frame before all of these, if there is one.
        """

    def likelihood(self, mean: Tensor) -> Distribution:
        """p(x | mean), batch (...), event (C, H, W); called by the program and by the evidence of hypotheses."""

    def appearance(self, objects: Objects) -> Appearance:
        """Glimpses and tight boxes by the objects' descriptions; called if frames have not settled the looks."""

    def box(self, glimpses: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
        """Tight boxes of glimpses (..., N, C, G, G) in windows (..., N, 2).

        Returns:
            offset of the centre, frame coordinates, and width and height, fractions of the frame, (..., N, 2) each.
        """

    def box_within(self, frames: Tensor, glimpses: Tensor, pose: Pose) -> tuple[Tensor, Tensor]:
        """Tight boxes of the objects as frames (B, K, C, H, W) show them; called by refinement.

        ``glimpses``: settled looks, (..., N, C, G, G). ``pose``: upright, with places right to some hundredths of a
        pixel, and who is visible.

        Returns:
            see :meth:`box`.
        """


class Consensus(Protocol):
    """Inference of a sequence's objects from the attention's inferences of its frames; called by the program."""

    @property
    def config(self) -> Buildable:
        """Its configuration, a registered one."""

    @property
    def K(self) -> int:
        """Number of frames that it uses."""

    def guide(self, attention: Attention, frames: Tensor, plates: Plates) -> tuple[Objects, Tensor | None]:
        """Propose ``count``, ``size`` and ``description`` from frames (B, T, C, H, W).

        Returns:
            draws, and the proposed first position (..., B, N, 2), or None to leave it to the finder.
        """


class Sight(NamedTuple):
    """A finder's evidence from all frames, which ``step`` turns into proposals."""

    evidence: Any  # the input of step, all frames at once
    appearance: Appearance | None = None  # the objects' looks, if the finder has settled them on frames
    memory: Any = None  # the finder's memory for the next frames


class Finder(Protocol):
    """The search for known objects: all frames at once (``look``), then each (``step``).

    It is called by the program, and by the evidence of hypotheses.
    """

    @property
    def config(self) -> Buildable:
        """Its configuration, a registered one."""

    @property
    def K(self) -> int:
        """Number of frames that it needs at once."""

    def look(
        self, picture: Picture, frames: Tensor, objects: Objects, before: Detections | None = None
    ) -> Sight:
        """Evidence of frames (B, T, C, H, W); ``before``: detections of the frames before these."""

    def step(self, sight: Sight, index: int, previous: State, predict: Predict | None = None) -> Independent:
        """q(p_t | p_{t-1}, x_t, s, d), batch (..., B, N), event (2,), frame coordinates.

        Args:
            sight: the evidence of these frames.
            index: the frame's index among these, from 0.
            previous: state of the frame before, by site: the proposed position, or all final variables in the
                frame-by-frame order; position 0 before the first frame.
            predict: makes the density that the motion gives the position, given ``previous``; None if the proposals
                of all frames come before the first final variable.
        """

    @property
    def registers(self) -> bool:
        """Whether ``look`` returns q(p_t) of all frames at once, as a normal, which test time can refine."""

    def spread_of(
        self,
        frames: Tensor,
        draw: Callable[[Tensor], Tensor],
        glimpses: Tensor,
        position: Tensor,
        objects: Objects,
        searched: Tensor,
    ) -> Tensor:
        """Scales (..., B, T, N, 2) of refined positions; called by refinement if the finder ``registers``.

        Args:
            frames: (B, T, C, H, W).
            draw: renders frames (..., B, T, C, H, W) with all objects at given positions.
            glimpses: (..., B, N, C, G, G).
            position: refined positions (..., B, T, N, 2), frame coordinates.
            objects: draws.
            searched: scales before the refinement, (..., B, T, N, 2).
        """

    def visible(self, frames: Tensor, glimpses: Tensor, position: Tensor, objects: Objects) -> Tensor:
        """Visibility of each object in each frame, in [0, 1], (..., B, T, N); called by the evidence of hypotheses."""


class Motion(Protocol):
    """The motion of objects: the transition prior, and its proposals from positions."""

    config: Buildable
    sites: tuple[Site, ...]  # the sites of every frame, position first
    M: int  # number of frames before the transition prior takes over
    predicts: bool  # whether the transition predicts unobserved frames
    scale: float  # scale of the random walk before M, frame coordinates

    def model(
        self, t: int, previous: State | None, like: Tensor, warmup: int, age: Tensor | None = None
    ) -> State:
        """Sample the sites of frame t, 1-based, from the transition beyond ``warmup``; called by the prior.

        ``like``: sizes (..., B, N, 2), for shape, dtype and device. ``age``: if objects come and go, how many frames
        ago each has come, (..., B, N), below 0 of empty slots; it then stands in for the frame's number.
        """

    def predict(
        self, t: int, previous: State | None, like: Tensor, warmup: int, age: Tensor | None = None
    ) -> Independent:
        """The density from which :meth:`model` draws the position of frame t; for finders, frame by frame."""

    def forget(self, memory: Any, new: Tensor, position: Tensor) -> Any:
        """The memory of :meth:`guide` without what it knows of the objects before those that are ``new``, (..., N).

        ``position``: (..., N, 2), where all are now. Called only if objects come and go.
        """

    def walking(self) -> "Motion":
        """The motion without its transition: a random walk, with all else that it says of poses; called by training."""

    def walk(self, position: Tensor | None, like: Tensor) -> Independent:
        """The random walk's density of a position given the one before, (..., B, N, 2), or of the first."""

    def pose(self, objects: Objects, states: State, presence: Tensor) -> Pose:
        """The objects' pose for the picture, from states (..., T, N, dims) and ``presence`` (..., N).

        While objects are still searched for, the states hold positions alone: the pose then leaves out the fields that
        other sites decide. Called by the likelihood, hypotheses, refinement, confidence and tracks.
        """

    def guide(
        self, picture: Picture, objects: Objects, found: Detections, first: int, warmup: int, memory: Any
    ) -> Any:
        """Propose the sites that positions determine, for T frames from number ``first`` on; returns the memory."""

    def fused(self, at: Moment, warmup: int) -> bool:
        """Whether a site combines a proposal with the transition's prediction in a frame."""

    def weight(self, anneal: Anneal, warmup: int) -> Weight:
        """The prediction's weight at a sample statement, given its message: (..., B, N), or None for no fusion."""


class Predictive(Motion, Protocol):
    """A motion that predicts, for training; :class:`~vtssi_pyro.model.blocks.mot.StateSpace` is its base class."""

    def transition(self, previous: State) -> dict[str, Independent]:
        """The densities of the next frame's sites, by name."""

    def static(self, picture: Picture, objects: Objects, found: Detections) -> Tensor:
        """The constant features of objects for ``infer``, (..., N, F)."""

    def infer(self, static: Tensor, position: Tensor, memory: Any = None) -> tuple[Independent, Any]:
        """q(m_t | p^_1:t), batch (..., T, N), from positions (..., T, N, 2); and the memory."""

    def examples(self, paths: Paths) -> Paths:
        """The training examples in the paths of whole scenes: as many scenes, or objects by themselves, as it likes.

        Called once by a recipe's stage that trains the motion on paths; its batches are drawn among the examples.
        """

    def scales(self) -> Iterable[nn.Parameter]:
        """The parameters on which only the scales of densities depend, so that a stage can train these alone."""


def predictive(motion: Motion) -> Predictive:
    """Return the motion if it predicts.

    Raises:
        UsageError: the motion does not predict.
    """
    if not motion.predicts:
        raise UsageError(
            "this tracker has no model of motion, so it predicts nothing; build('vtssi') and build('ours') have"
        )
    return cast(Predictive, motion)


def looks(picture: Picture, objects: Objects, settled: Appearance | None) -> Appearance:
    """Glimpses and tight boxes of the objects: as the finder has ``settled`` them, or else by their descriptions."""
    return settled or picture.appearance(objects)
