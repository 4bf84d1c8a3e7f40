"""Kinds: a configuration names the kind of a part, and holds the keys of that kind alone."""

from collections.abc import Callable
from typing import Any, TypeVar

from vtssi_pyro.errors import UsageError

C = TypeVar("C", bound=type)


class Kinds:
    """The dataclasses that one field of a configuration may hold, by the name of their kind.

    A field declares them in its type, ``finder: Annotated[Buildable, FINDERS]``; then files, ``--set`` and
    checkpoints read and write ``{"kind": NAME, ...}``, and a name alone stands for the kind with its defaults.

    Args:
        what: the name of the choice, for messages.
        number: makes a configuration of a bare number; None: a number is refused.
        default: the kind of a configuration that names none, which also is written without it; None: all name theirs.
    """

    def __init__(
        self, what: str, number: Callable[[float], Any] | None = None, default: str | None = None
    ) -> None:
        self.what, self.number, self.default = what, number, default
        self._known: dict[str, type] = {}

    def register(self, kind: str) -> Callable[[C], C]:
        """Register a frozen dataclass as a kind; an earlier one of the same name is replaced."""

        def keep(made: C) -> C:
            self._known[kind] = made
            return made

        return keep

    @property
    def names(self) -> tuple[str, ...]:
        """All kinds, in the order in which they were registered."""
        return tuple(self._known)

    def of(self, kind: str, where: str = "") -> type:
        """Return the dataclass of a kind.

        Raises:
            UsageError: the kind is not registered.
        """
        if kind not in self._known:
            raise UsageError(
                f"{where or self.what}: unknown kind {kind!r}: expected one of {', '.join(self._known)}; import the "
                "module that registers your own first"
            )
        return self._known[kind]

    def name(self, value: Any) -> str:
        """Return the kind of a configuration.

        Raises:
            UsageError: its class is not registered, so that no file could name it.
        """
        for kind, known in self._known.items():
            if type(value) is known:
                return kind
        raise UsageError(
            f"{type(value).__name__} is no registered kind of {self.what}: decorate its configuration with "
            "vtssi_pyro.register"
        )
