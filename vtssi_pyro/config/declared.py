"""Declarations: the type, the range and the meaning of a value, at the place where the value is declared.

A key of a configuration declares all three in the annotation of its field, an argument of a function in its own::

    K: Annotated[int, Range(1, 1000), "First frames that decide the objects."] = 5

A string among the annotation's extras is the sentence that documents the key.
"""

import math
import os
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, cached_property, wraps
from inspect import signature
from numbers import Integral, Real
from pathlib import Path
from typing import (
    Any,
    ParamSpec,
    Protocol,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    runtime_checkable,
)

from vtssi_pyro.config.kinds import Kinds
from vtssi_pyro.errors import Argument, UsageError
from vtssi_pyro.system.files import is_name

P = ParamSpec("P")
R = TypeVar("R")
MOST = 100  # entries of a list: layers, filters, names of parts and steps, of which nobody means as many
LONGEST = 80  # characters of a value in a message: a line of a terminal


@dataclass(frozen=True)
class Range:
    """The numbers between two ends; of a tuple it is the range of each entry, of a schedule that of all its values.

    Ranges are wide: they keep out what nobody can mean, not what is unwise.

    Args:
        low: the lower end.
        high: the upper end.
        ends: ``[`` or ``(``, then ``]`` or ``)``: a round one leaves its end out.
    """

    low: float
    high: float
    ends: str = "[]"

    def accepts(self, value: float) -> bool:
        """Whether a number is in the range; NaN is in none."""
        low = value > self.low if self.ends[0] == "(" else value >= self.low
        high = value < self.high if self.ends[1] == ")" else value <= self.high
        return low and high

    def __str__(self) -> str:
        low, high = spelled(self.low), spelled(self.high)
        if self.ends == "[]":
            return f"from {low} to {high}"
        first = "above" if self.ends[0] == "(" else "at least"
        last = "below" if self.ends[1] == ")" else "at most"
        return f"{first} {low} and {last} {high}"


class OneOf:
    """Some names.

    Args:
        names: the names, or a function that returns them, if their module cannot be imported yet.
    """

    def __init__(self, *names: str | Callable[[], Iterable[str]]) -> None:
        self._names = names

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All names."""
        return tuple(name for some in self._names for name in ((some,) if isinstance(some, str) else some()))

    def accepts(self, value: str) -> bool:
        """Whether a text is one of the names."""
        return value in self.names

    def __str__(self) -> str:
        *most, last = self.names
        return f"{', '.join(most)} or {last}" if most else last


@dataclass(frozen=True)
class Text:
    """A text that is not empty.

    Args:
        what: its description, for messages.
        pattern: the regular expression that the whole text matches; the default is that of paths.
    """

    what: str
    pattern: str = r"[^\0]+"

    def accepts(self, value: str) -> bool:
        """Whether the pattern matches a text."""
        return re.fullmatch(self.pattern, value) is not None

    def __str__(self) -> str:
        return self.what


@runtime_checkable
class Bounded(Protocol):
    """A configuration that stands for many numbers, such as a schedule for its values at all steps."""

    def bounds(self) -> tuple[float, float]:
        """A number below or equal to all of them, and one above or equal; no further away than they can come."""


@dataclass(frozen=True)
class Declaration:
    """An annotation, taken apart.

    Args:
        type: the type.
        kinds: the kinds of configurations that may stand there, if they are several.
        range: the range of its numbers.
        texts: what its texts may be.
        sentence: what it means.
        annotation: the annotation itself.
    """

    type: Any
    kinds: Kinds | None = None
    range: Range | None = None
    texts: OneOf | Text | None = None
    sentence: str = ""
    annotation: Any = None

    @classmethod
    def of(cls, hint: Any) -> "Declaration":
        """Take an annotation apart."""
        extras = getattr(hint, "__metadata__", ())

        def extra(*of: type) -> Any:
            return next((each for each in reversed(extras) if isinstance(each, of)), None)

        kind = hint.__origin__ if extras else hint
        return cls(kind, extra(Kinds), extra(Range), extra(OneOf, Text), extra(str) or "", hint)

    @property
    def options(self) -> tuple[Any, ...]:
        """The types of which a value is one."""
        return get_args(self.type) if get_origin(self.type) in (types.UnionType, Union) else (self.type,)

    @property
    def optional(self) -> bool:
        """Whether a value may be None."""
        return type(None) in self.options

    @property
    def limited(self) -> bool:
        """Whether more than the type is declared."""
        return self.range is not None or self.texts is not None

    @property
    def plain(self) -> bool:
        """Whether a value is a number, a text, a path, several of these, a dataclass, or of an interface."""
        return all(map(_is_plain, self.options))

    def expected(self) -> str:
        """What a value has to be, in words."""
        if self.kinds:
            number = "a number or " if self.kinds.number else ""
            own = f"{number}{self.kinds.what} ({', '.join(self.kinds.names)})"
            own += f", {self.range} at every step" if self.range else ""
            return own + (", or null" if self.optional else "")
        return ", or ".join(map(self._expected, self.options))

    def _expected(self, option: Any) -> str:
        of = f" {self.range}" if self.range else ""
        if option is int:
            return f"a whole number{of}"
        if option is float:
            return f"a number{of}"
        if option is bool:
            return "true or false"
        if option is str:
            return str(self.texts) if self.texts else "a text"
        if option is type(None):
            return "null"
        if is_dataclass(option) or get_origin(option) is dict:
            return "keys and values"
        if get_origin(option) in (tuple, list):
            inner = get_args(option)
            most = f" of at most {MOST}" if self.limited else ""
            open_ = get_origin(option) is list or inner[-1] is Ellipsis
            some = f"a list{most}, each entry" if open_ else f"a list of {len(inner)}, each"
            return f"{some} {Declaration(inner[0], None, self.range, self.texts).expected()}"
        if get_origin(option) is Iterable:
            one = Declaration(get_args(option)[0], None, self.range, self.texts)
            return f"several, each {one.expected()}"
        if (get_origin(option) or option) in _PATHS:
            return "a path"
        return f"a {option.__name__}" if isinstance(option, type) else str(option)

    def conforming(self, value: Any, where: str) -> Any:
        """Return a value of no configuration, in the declared type.

        Args:
            value: the value, perhaps of a similar type, such as a list for a tuple.
            where: its name, for messages: a key, or an :class:`~vtssi_pyro.errors.Argument`.

        Raises:
            UsageError: it is of another type, not finite, or out of its range.
        """
        for option in self.options:
            if get_origin(option) is tuple and isinstance(value, list | tuple):
                inner = get_args(option)
                items = [inner[0]] * len(value) if inner[-1] is Ellipsis else list(inner)
                if len(items) == len(value) <= (MOST if self.limited else math.inf):
                    parts = (Declaration(item, None, self.range, self.texts) for item in items)
                    with self._whole(value, where):
                        return tuple(d.conforming(v, where) for d, v in zip(parts, value, strict=True))
            elif (
                get_origin(option) is Iterable
                and isinstance(value, Iterable)
                and not isinstance(value, str | bytes)
            ):
                one = Declaration(get_args(option)[0], None, self.range, self.texts)
                values = tuple(value)
                with self._whole(values, where):
                    return tuple(one.conforming(each, where) for each in values)
            elif (found := self._scalar(value, option)) is not _OTHER:
                return found
        raise self.refusal(value, where)

    def bounded(self, value: Any, where: str) -> None:
        """Refuse a configuration that stands for numbers of which some are out of the range."""
        if self.range and isinstance(value, Bounded) and not all(map(self.range.accepts, value.bounds())):
            low, high = map(spelled, value.bounds())
            raise self.refusal(value, where, low if low == high else f"{low} to {high}")

    def refusal(self, value: Any, where: str, found: str = "") -> UsageError:
        """The error for a value that the declaration refuses."""
        expected = self.expected()
        if isinstance(where, Argument):  # None is the same as no argument
            expected = expected.removesuffix(", or null")
        return UsageError(where, f": expected {expected}, found {found or shown(value)}")

    @contextmanager
    def _whole(self, value: Any, where: str) -> Iterator[None]:
        """Let the error of an entry tell of the whole."""
        try:
            yield
        except UsageError:
            raise self.refusal(value, where) from None

    def _scalar(self, value: Any, option: Any) -> Any:
        """A value as one of a type, or _OTHER."""
        if option is bool or isinstance(value, bool):
            return value if isinstance(value, bool) and option is bool else _OTHER
        if option is int and isinstance(value, Integral):
            return int(value) if not self.range or self.range.accepts(int(value)) else _OTHER
        if option is float and isinstance(value, Real):
            number = _float(value)
            fine = self.range.accepts(number) if self.range else math.isfinite(number)
            return number if fine else _OTHER
        if option is str and isinstance(value, str):
            if not is_name(value) and any((get_origin(each) or each) in _PATHS for each in self.options):
                return _OTHER
            return value if not self.texts or self.texts.accepts(value) else _OTHER
        if option in (int, float, str):
            return _OTHER
        plain = get_origin(option) or option
        if plain in _PATHS:
            return value if not isinstance(value, str) and is_name(value) else _OTHER
        if plain in (tuple, Iterable):
            return _OTHER
        return value if option is Any or (isinstance(plain, type) and isinstance(value, plain)) else _OTHER


_OTHER = object()  # no value of a type
_PATHS = (Path, os.PathLike)


def _is_plain(option: Any) -> bool:
    """See :attr:`Declaration.plain`."""
    of = get_origin(option) or option
    if of in (tuple, list, Iterable):
        return all(each is Ellipsis or Declaration(each).plain for each in get_args(option))
    scalar = of in (bool, int, float, str, type(None), dict, Mapping, *_PATHS)
    return scalar or (isinstance(of, type) and (is_dataclass(of) or Protocol in of.__bases__))


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf


def spelled(number: float) -> str:
    """A number as people write it, 1000000 as 1,000,000."""
    return f"{number:,.0f}" if number == int(number) and abs(number) >= 1e4 else f"{number:.10g}"


def shown(value: Any) -> str:
    """A value for a message, on one line, however long."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # a whole number of thousands of digits
        text = "a number of thousands of digits"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


@cache
def declarations(kind: type) -> dict[str, Declaration]:
    """The declarations of a dataclass's fields, in their order."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: Declaration.of(hints[field.name]) for field in fields(kind)}


class Declared:
    """The base of a configuration whose values keep to their declarations, however it is made.

    A number of another library becomes Python's own, a list a tuple.

    Raises:
        UsageError: a value is of another type than its declaration, or out of its range.
    """

    def __post_init__(self) -> None:
        kind: type = type(self)
        for name, asked in declarations(kind).items():
            where = f"{kind.__name__}.{name}"
            if asked.kinds:
                asked.bounded(getattr(self, name), where)
            elif asked.limited or asked.plain:
                # not self.name = ...: the dataclass may be frozen
                object.__setattr__(self, name, asked.conforming(getattr(self, name), where))

    def relate(self, where: str) -> None:
        """Refuse values that make no sense beside each other, when all changes have been made.

        Args:
            where: the key of the configuration, and a dot behind it; empty for the whole.

        Raises:
            UsageError: two keys contradict each other.
        """


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function refuse arguments of other types and ranges than their annotations declare, before it begins.

    Its error names the argument, which the command line spells as the option. Arguments of richer types, as of anything
    that frames are made from, the function checks itself.
    """
    asked = signature(function)

    @cache
    def limits() -> dict[str, Declaration]:
        hints = get_type_hints(function, include_extras=True)
        every = {name: Declaration.of(hints[name]) for name in asked.parameters if name in hints}
        return {name: each for name, each in every.items() if each.limited or each.plain}

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        given = asked.bind(*args, **kwargs)
        for name, each in limits().items():
            if name in given.arguments:
                given.arguments[name] = each.conforming(given.arguments[name], Argument(name))
        return function(*given.args, **given.kwargs)

    return guarded
