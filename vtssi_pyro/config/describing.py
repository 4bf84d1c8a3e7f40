"""The keys of a configuration for people: name, value, range and sentence, as their declarations have them."""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from vtssi_pyro.config.declared import Declaration, declarations
from vtssi_pyro.config.kinds import Kinds
from vtssi_pyro.config.serial import to_dict


class Key(NamedTuple):
    """A key."""

    name: str  # dotted; NAME is that of any stage
    value: str | None  # with the names of stages if these differ; None: the key has no default
    declaration: Declaration


def keys(config: Any) -> list[Key]:
    """All keys of a configuration, with their values there."""
    return list(_rows([("", config)], ""))


def kinds(config: Any) -> dict[str, dict[str, list[Key]]]:
    """The keys of the other kinds of a configuration's parts, with their defaults.

    Returns:
        by the key of the part, the first one of several that may be of these kinds, and the name of the kind. Whole
        models have commands of their own, and are left out.
    """
    found: dict[str, dict[str, list[Key]]] = {}
    told: list[Kinds] = []
    for key in keys(config):
        choice = key.declaration.kinds
        if choice is None or choice.default or choice in told:
            continue
        told.append(choice)
        others = {name: choice.of(name) for name in choice.names if name != key.value}
        prefix = "" if choice.number else f"{key.name}."
        found[key.name] = {name: _defaults(kind, prefix) for name, kind in others.items()}
    return found


def _rows(parts: list[tuple[str, Any]], where: str) -> Iterator[Key]:
    """The keys of configurations of one class, by the names of their stages, which are empty but for stages."""
    kind: type = type(parts[0][1])
    for name, asked in declarations(kind).items():
        key, values = f"{where}{name}", [(stage, getattr(part, name)) for stage, part in parts]
        first = values[0][1]
        if isinstance(first, tuple) and first and dataclasses.is_dataclass(first[0]):
            yield from _rows([(stage.name, stage) for stage in first], f"{key}.NAME.")
            continue
        part = dataclasses.is_dataclass(first)
        if asked.kinds or not part:
            yield Key(key, _merged(values, asked), asked)
        if part and not (asked.kinds and asked.kinds.number) and len(parts) == 1:
            yield from _rows([("", first)], f"{key}.")


def _defaults(kind: type, where: str) -> list[Key]:
    """The keys of a kind, with their defaults."""
    without = [field for field in dataclasses.fields(kind) if _missing(field)]
    if not without:
        return list(_rows([("", kind())], where))
    return [Key(f"{where}{name}", None, asked) for name, asked in declarations(kind).items()]


def _missing(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _merged(values: list[tuple[str, Any]], asked: Declaration) -> str:
    """The value of a key, or the values of several stages with their names."""
    texts: dict[str, list[str]] = {}
    for stage, value in values:
        texts.setdefault(_text(value, asked), []).append(stage)
    if len(texts) == 1:
        return next(iter(texts))
    return "; ".join(f"{text} ({', '.join(stages)})" for text, stages in texts.items())


def _text(value: Any, asked: Declaration) -> str:
    """A value as ``--set`` takes it, but for schedules, whose names and values it takes as JSON."""
    if asked.kinds and value is not None:
        kind = asked.kinds.name(value)
        if not asked.kinds.number:
            return kind
        numbers = list(to_dict(value).values())
        return (
            json.dumps(numbers[0]) if len(numbers) == 1 else f"{kind}({', '.join(map(json.dumps, numbers))})"
        )
    return value if isinstance(value, str) else json.dumps(to_dict(value))
