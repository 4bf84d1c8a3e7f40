"""The slots of a model, and the kinds of blocks that each may hold."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

from vtssi_pyro.config import Kinds
from vtssi_pyro.errors import UsageError
from vtssi_pyro.model.sizes import Sizes

C = TypeVar("C", bound=type)


class Buildable(Protocol):
    """The configuration of a block: a frozen dataclass that builds it."""

    def build(self, sizes: Sizes) -> Any:
        """Build a block for a model of these sizes."""


@runtime_checkable
class Suitable(Buildable, Protocol):
    """The configuration of a motion that changes with a movie's speed; any other stays as it is (:func:`suited`)."""

    def suited(self, speed: float) -> Buildable:
        """Return the configuration for objects that usually move by ``speed``, frame coordinates a frame."""


def suited(motion: Buildable, speed: float) -> Buildable:
    """Return a motion's configuration for a movie; see :class:`Suitable`."""
    return motion.suited(speed) if isinstance(motion, Suitable) else motion


SCENES = Kinds("a scene")
ATTENTIONS = Kinds("an attention")
PICTURES = Kinds("a picture")
CONSENSUSES = Kinds("a consensus")
FINDERS = Kinds("a finder")
MOTIONS = Kinds("a motion")
# The slots in the order in which blocks are built, which determines the initial weights of a seed.
SLOTS = {
    "scene": SCENES,
    "attention": ATTENTIONS,
    "picture": PICTURES,
    "consensus": CONSENSUSES,
    "finder": FINDERS,
    "motion": MOTIONS,
}
MODELS = Kinds("a model", default="blocks")  # whole models: that of six slots, and others


def register(slot: str, kind: str) -> Callable[[C], C]:
    """Register a block of your own under a name for ``--set``, run folders and :func:`load`.

    Decorate its configuration, a frozen dataclass with a ``build(sizes)``::

        @register("motion", "glide")
        @dataclass(frozen=True)
        class GlideConfig:
            noise: float = 0.02

            def build(self, sizes: Sizes) -> Glide:
                return Glide(self)

    Args:
        slot: a key of :data:`SLOTS`, or ``model`` for a whole tracker's configuration, a
            :class:`~vtssi_pyro.inference.standalone.StandaloneConfig`.
        kind: the name; a run that holds the block can be loaded where the registering module was imported first.

    Raises:
        UsageError: there is no such slot.

    Example:
        >>> from dataclasses import dataclass
        >>> from vtssi_pyro import RandomWalk, register
        >>> @dataclass(frozen=True)
        ... class SlowWalk:
        ...     def build(self, sizes):
        ...         return RandomWalk(0.02)
        >>> register("motion", "slow-walk")(SlowWalk)  # doctest: +SKIP
    """
    known = {**SLOTS, "model": MODELS}
    if slot not in known:
        raise UsageError(f"slot {slot!r}: expected one of {', '.join(known)}")
    return known[slot].register(kind)
