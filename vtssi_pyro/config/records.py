"""Values in files that anybody may have written: what is declared there conforms, and the rest stays as it is."""

import dataclasses
from typing import Any, get_args, get_origin

from vtssi_pyro.config.declared import Declaration, Range, declarations
from vtssi_pyro.errors import UsageError

# Whole numbers without a range of their own; beyond it not every program reads JSON's exactly.
COUNTABLE = Range(-(2**53), 2**53)


class Complete:
    """The base of a record, a dataclass, whose files hold every key that has no default."""


def refuse_unlike(value: Any, kind: Any, where: str = "") -> None:
    """Refuse a value of JSON that is of another type than its declaration, or out of its range.

    Keys that a file lacks, as one of a former version may, are missed in a :class:`Complete` record alone; keys that
    nobody declares are not looked at.

    Args:
        value: nested dicts, lists and scalars.
        kind: a type: a dataclass stands for a dict of its fields, a tuple for a list.
        where: the key of the value, for messages.

    Raises:
        UsageError: a value is missing, of another type, not finite, or out of its range; it names the key.
    """
    asked = Declaration.of(kind)
    for option in asked.options:
        inner, keyed, listed = get_args(option), get_origin(option) is dict, get_origin(option) is list
        if dataclasses.is_dataclass(option) and isinstance(option, type) and isinstance(value, dict):
            known = declarations(option)
            _refuse_incomplete(value, option, where)
            parts = {key: (each, known[key].annotation) for key, each in value.items() if key in known}
        elif keyed and isinstance(value, dict):
            parts = {key: (each, inner[1]) for key, each in value.items()}
        elif listed and isinstance(value, list):
            parts = {str(number): (each, inner[0]) for number, each in enumerate(value)}
        else:
            continue
        for key, (each, own) in parts.items():
            refuse_unlike(each, own, f"{where}.{key}".lstrip("."))
        return
    if set(asked.options) <= {int, type(None)} and asked.range is None:
        asked = dataclasses.replace(asked, range=COUNTABLE)
    asked.conforming(value, where or "it")


def _refuse_incomplete(value: dict[str, Any], kind: type, where: str) -> None:
    if issubclass(kind, Complete):
        for field in dataclasses.fields(kind):  # type: ignore[arg-type]
            if field.default is dataclasses.MISSING and field.name not in value:
                raise UsageError(f"{where}.{field.name}".lstrip("."), ": is missing")
