"""What the slots of a model may hold: every member, with its shape and who calls it.

A block is any Pyro module with these members; its configuration, a frozen dataclass with ``build``, gives it a name
(:func:`~vtssi_pyro.model.kinds.register`), and ``block.config`` is that configuration.
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
from vtssi_pyro.types import Anneal, Appearance, Detections, Objects, Plates, Pose, Scalar, Site, State


class Scene(Protocol):
    """What objects there are, before any frame was seen: p(c), p(s) and p(d)."""

    config: Buildable
    num_objects: int  # N, slots
    count: Callable[..., Independent]  # prior of c: called with the shift of its mean; event (1,)
    size: Callable[[], Independent]  # prior of s, event (2,)
    description: Callable[[], Independent]  # prior of d, event (D,)

    def model(
        self, plates: Plates, anneal: Anneal, known: Objects | None = None
    ) -> AbstractContextManager[Objects]:
        """Sample ``count``, ``size`` and ``description``, or take ``known`` objects; called by the program.

        Within the context plates and mask are open for what the objects do over time.
        """

    def presence(self, objects: Objects) -> Tensor:
        """How far each object is there, in [0, 1], (..., B, N); called by the program for the picture's pose."""


class Attention(Protocol):
    """What one frame says of the objects; called by the consensus. Frames are (..., C, H, W), intensities in [0, 1]."""

    config: Buildable

    def infer_count(self, frames: Tensor) -> Independent:
        """q(c | x): batch (...), event (1,)."""

    def locate(self, frames: Tensor) -> tuple[Independent, Independent]:
        """q(s | x), fractions of the frame, and q(p | x), frame coordinates: batch (..., N), event (2,)."""

    def describe(self, frames: Tensor, position: Tensor, size: Tensor) -> Independent:
        """q(d | x, s, p): frames (..., C, H, W) and places (..., 2) that broadcast, to batch (...), event (D,)."""


class Picture(Protocol):
    """How objects look in frames; called by the likelihood, and by whoever compares objects with frames."""

    config: Buildable
    frame_size: int  # H = W, pixels
    channels: int  # C
    noise: float  # sigma_L, of full scale: what a squared error costs in the evidence

    def decode(self, description: Tensor) -> Tensor:
        """Glimpses (..., C, G, G) in [0, 1] from descriptions (..., D)."""

    def render(self, objects: Objects, pose: Pose, flatness: Scalar = 1.0) -> Tensor:
        """Mean of the likelihood, (..., T, C, H, W), as training sees it: ``flatness`` is annealed to 1."""

    def draw(self, pose: Pose, objects: Objects) -> Tensor:
        """The same as ``compose(layers(pose, objects), pose)``, (..., T, C, H, W), as fast as may be."""

    def layers(self, pose: Pose, objects: Objects) -> Tensor:
        """Each object by itself, (..., T, N, C, H, W)."""

    def compose(self, layers: Tensor, pose: Pose) -> Tensor:
        """Frames (..., T, C, H, W) of layers."""

    def others(self, layers: Tensor, pose: Pose) -> Tensor:
        """Frames as they would be without each object, (..., T, N, C, H, W); called by confidence and refinement."""

    def likelihood(self, mean: Tensor) -> Distribution:
        """p(x | mean), batch (...), event (C, H, W)."""

    def appearance(self, objects: Objects) -> Appearance:
        """Glimpses and tight boxes by the objects' descriptions; called where frames have not told them better."""

    def box(self, glimpses: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
        """Tight boxes of glimpses (..., N, C, G, G) in windows (..., N, 2).

        Returns:
            offset of the centre, frame coordinates, and width and height, fractions of the frame, (..., N, 2) each.
        """


class Consensus(Protocol):
    """What the objects of a sequence are, from what attention says of its frames; called by the program."""

    @property
    def config(self) -> Buildable:
        """Its configuration, a registered one."""

    @property
    def K(self) -> int:
        """Frames that it looks at."""

    def guide(self, attention: Attention, frames: Tensor, plates: Plates) -> tuple[Objects, Tensor | None]:
        """Propose ``count``, ``size`` and ``description`` from frames (B, T, C, H, W).

        Returns:
            draws; and the first position (..., B, N, 2), proposed too, or None where that is left to the finder.
        """


class Sight(NamedTuple):
    """What a finder makes of frames by themselves; ``step`` turns it into proposals."""

    evidence: Any  # whatever step reads, all frames at once
    appearance: Appearance | None = None  # what objects look like, where the finder has settled it on frames
    memory: Any = None  # to go on from with the frames behind these


class Finder(Protocol):
    """Where known objects are: all frames at once (``look``), then one by one (``step``); called by the program."""

    @property
    def K(self) -> int:
        """Frames that must be seen at once."""

    def look(
        self, picture: Picture, frames: Tensor, objects: Objects, before: Detections | None = None
    ) -> Sight:
        """All that frames (B, T, C, H, W) say by themselves; ``before``: detections of the frames before these."""

    def step(self, sight: Sight, index: int, previous: Tensor) -> Independent:
        """q(p_t | p_{t-1}, x_t, s, d), batch (..., B, N), event (2,), frame coordinates.

        Args:
            sight: of the frames at hand.
            index: of the frame among these, from 0.
            previous: position (..., B, N, 2) of the frame before: proposed, or final where proposals are made frame by
                frame; 0 before the first.
        """

    @property
    def registers(self) -> bool:
        """Whether ``look`` gives q(p_t) of all frames at once, as a normal, so that test time can refine it."""

    def spread_of(
        self,
        frames: Tensor,
        draw: Callable[[Tensor], Tensor],
        glimpses: Tensor,
        position: Tensor,
        objects: Objects,
        searched: Tensor,
    ) -> Tensor:
        """Scales (..., B, T, N, 2) of refined positions; called by refinement where the finder ``registers``.

        Args:
            frames: (B, T, C, H, W).
            draw: frames (..., B, T, C, H, W) with all objects at positions; drawn only where that is needed.
            glimpses: (..., B, N, C, G, G).
            position: refined, (..., B, T, N, 2), frame coordinates.
            objects: draws.
            searched: scales before, (..., B, T, N, 2).
        """

    def visible(self, frames: Tensor, glimpses: Tensor, position: Tensor, objects: Objects) -> Tensor:
        """Visibility of each object in each frame, in [0, 1], (..., B, T, N); called by the evidence of hypotheses."""


class Motion(Protocol):
    """How objects move: the transition prior, and what it infers from positions."""

    config: Buildable
    sites: tuple[Site, ...]  # sampled in every frame, position first
    M: int  # frames before the transition prior takes over
    predicts: bool  # whether the transition says anything of frames that nobody has seen
    interacts: bool  # whether an object's transition depends on others; then training sees whole scenes
    scale: float  # of the random walk before M, frame coordinates

    def model(self, t: int, previous: State | None, like: Tensor, warmup: int) -> State:
        """Sample the sites of frame t, 1-based, beyond ``warmup`` by the transition; called by the prior.

        ``like``: sizes (..., B, N, 2), for shape, dtype and device.
        """

    def walk(self, position: Tensor | None, like: Tensor) -> Independent:
        """The random walk's density of a position after another (..., B, N, 2), or of the first; for the evidence."""

    def pose(self, objects: Objects, states: State, presence: Tensor) -> Pose:
        """What the picture needs of states (..., T, N, dims) and of the objects' ``presence``, (..., N)."""

    def guide(
        self, picture: Picture, objects: Objects, found: Detections, first: int, warmup: int, memory: Any
    ) -> Any:
        """Propose what positions tell, for T frames from number ``first`` on; returns what to remember of them."""

    def fused(self, at: Moment, warmup: int) -> bool:
        """Whether a site combines a proposal with the transition's prediction in a frame."""

    def weight(self, anneal: Anneal, warmup: int) -> Weight:
        """The weight of the prediction at a sample statement, by its message: (..., B, N), or None for no fusion."""


class Predictive(Motion, Protocol):
    """A motion that predicts, as training calls it; :class:`~vtssi_pyro.model.blocks.mot.StateSpace` is its base."""

    def transition(self, previous: State) -> dict[str, Independent]:
        """The densities of the next frame's sites, by name."""

    def static(self, picture: Picture, objects: Objects, found: Detections) -> Tensor:
        """What ``infer`` sees of objects that does not change, (..., N, F)."""

    def infer(self, static: Tensor, position: Tensor, memory: Any = None) -> tuple[Independent, Any]:
        """q(m_t | p^_1:t), batch (..., T, N), from positions (..., T, N, 2); and what to remember."""

    def scales(self) -> Iterable[nn.Parameter]:
        """The parameters on which only the widths of densities depend: all that a recipe's last stage trains."""


def predictive(motion: Motion) -> Predictive:
    """A motion, as one that predicts.

    Raises:
        UsageError: it does not.
    """
    if not motion.predicts:
        raise UsageError("this tracker has no model of motion: variants find-mot and vtssi predict")
    return cast(Predictive, motion)
