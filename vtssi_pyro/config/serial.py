"""Conversion of configurations to and from plain values, and changes of single keys by name."""

import dataclasses
import difflib
import math
from typing import Any, TypeVar, get_args, get_origin

from vtssi_pyro.config.declared import MOST, Declaration, Declared, declarations, shown
from vtssi_pyro.errors import Argument, UsageError
from vtssi_pyro.system.plain import once, parsed

C = TypeVar("C")


def to_dict(value: Any) -> Any:
    """Convert a configuration to nested dicts, lists and scalars for JSON.

    A choice among kinds holds its kind, unless that is the default.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain = {}
        for name, asked in declarations(type(value)).items():
            own, kinds = getattr(value, name), asked.kinds
            if kinds and own is not None:
                kind = kinds.name(own)
                plain[name] = ({"kind": kind} if kind != kinds.default else {}) | to_dict(own)
            else:
                plain[name] = to_dict(own)
        return plain
    return [to_dict(item) for item in value] if isinstance(value, tuple) else value


def from_dict(plain: Any, kind: Any, where: str = "") -> Any:
    """Restore a value of a type from the output of :func:`to_dict`.

    Args:
        plain: nested dicts, lists and scalars.
        kind: the type.
        where: the key of the value, for messages.

    Returns:
        The value.

    Raises:
        UsageError: an unknown key or kind, a value of another type or out of its range, or values that make no sense
            beside each other.
    """
    return _restored(plain, Declaration.of(kind), where)


def checked_config(config: C) -> C:
    """Return a configuration that was made in Python as a file would give it, through the same checks.

    Raises:
        UsageError: see :func:`from_dict`.
    """
    return from_dict(to_dict(config), type(config))


def absent(plain: Any, whole: Any, where: str = "") -> dict[str, Any]:
    """The keys that a configuration in plain values lacks, and the values by which they were filled in.

    Args:
        plain: nested dicts, lists and scalars, as a file holds them.
        whole: the output of :func:`to_dict` for the configuration restored from them.
        where: the key of the value.

    Returns:
        values by dotted key, in which an entry of a tuple, such as a stage, goes by its name.
    """
    found: dict[str, Any] = {}
    if isinstance(whole, dict) and isinstance(plain, dict):
        for key, value in whole.items():
            if key not in plain:
                found |= {} if key == "kind" else {f"{where}{key}": value}
            else:
                found |= absent(plain[key], value, f"{where}{key}.")
    elif isinstance(whole, list) and isinstance(plain, list | tuple):
        for index, (part, value) in enumerate(zip(plain, whole, strict=False)):
            name = value.get("name", index) if isinstance(value, dict) else index
            found |= absent(part, value, f"{where}{name}.")
    return found


def not_finite(plain: Any, where: str = "") -> list[str]:
    """The dotted keys of the numbers in plain values that are NaN or infinite."""
    if isinstance(plain, dict):
        return [key for name, value in plain.items() for key in not_finite(value, f"{where}{name}.")]
    if isinstance(plain, list):
        return [key for index, value in enumerate(plain) for key in not_finite(value, f"{where}{index}.")]
    lost = isinstance(plain, float) and not math.isfinite(plain)
    return [where.removesuffix(".")] if lost else []


def override(config: C, assignments: list[str]) -> C:
    """Change single keys: ``model.num_objects=3``, ``train.stages.motion.learning_rate=1e-4``.

    An entry of a tuple, such as a stage, goes by its name; a number stands for a constant schedule.

    Raises:
        UsageError: an unknown key, a value of another type or out of its range, or values that, after all changes, make
            no sense beside each other.
    """
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError(
                Argument("changes"), f" {assignment}: expected KEY=VALUE, such as model.num_objects=3"
            )
        config = _replaced(config, key.strip().split("."), _parse(text.strip()), key.strip())
    _relate(config)
    return config


def _relate(node: Any, where: str = "") -> None:
    """Refuse values that make no sense beside each other, in a configuration and all its parts."""
    if isinstance(node, tuple):
        for index, item in enumerate(node):
            _relate(item, f"{where}{_entry(item, index)}.")
    elif dataclasses.is_dataclass(node):
        for field in dataclasses.fields(node):
            _relate(getattr(node, field.name), f"{where}{field.name}.")
        if isinstance(node, Declared):
            node.relate(where)


def _entry(item: Any, index: int) -> Any:
    """The name by which an entry of a tuple goes in keys."""
    named = item.get("name", index) if isinstance(item, dict) else getattr(item, "name", index)
    return shown(named).strip("'")


def _restored(plain: Any, asked: Declaration, where: str) -> Any:
    """Restore a value of a declaration; ``where`` is its key."""
    kind = asked.type
    if asked.kinds:
        if plain is None and asked.optional:
            return None
        made = _chosen(plain, asked, where)
        asked.bounded(made, where)
        return made
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(plain, dict):
            raise UsageError(f"{where or 'configuration'}: expected keys and values, found {shown(plain)}")
        known = declarations(kind)
        for key in plain:
            if key not in known:
                raise _unknown(f"{where}.{key}".lstrip("."), list(known))
        made = _made(
            kind, {k: _restored(v, known[k], f"{where}.{k}".lstrip(".")) for k, v in plain.items()}, where
        )
        if isinstance(made, Declared):
            made.relate(f"{where}.".lstrip("."))
        return made
    inner = get_args(kind)
    if get_origin(kind) is tuple and inner[-1] is Ellipsis and dataclasses.is_dataclass(inner[0]):
        if not isinstance(plain, list | tuple):
            raise UsageError(f"{where}: expected a list of keys and values, found {shown(plain)}")
        if len(plain) > MOST:
            raise UsageError(f"{where}: expected at most {MOST} entries, found {len(plain):,}")
        item = Declaration.of(inner[0])
        return tuple(_restored(v, item, f"{where}.{_entry(v, index)}") for index, v in enumerate(plain))
    return asked.conforming(plain, where)


def _made(kind: type, values: dict[str, Any], where: str) -> Any:
    """Make a dataclass of restored values."""
    without = [
        field.name
        for field in dataclasses.fields(kind)
        if field.name not in values
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if without:
        raise UsageError(f"{where or 'configuration'}: expected the keys {', '.join(without)}, too")
    return kind(**values)


def _replaced(node: Any, path: list[str], value: Any, key: str) -> Any:
    head, *rest = path
    if isinstance(node, tuple) and all(dataclasses.is_dataclass(item) for item in node):
        names = [item.name for item in node]
        if head not in names or not rest:
            raise _unknown(
                key, [f"{key.rpartition('.' + head)[0] or 'train.stages'}.{name}" for name in names]
            )
        return tuple(_replaced(e, rest, value, key) if e.name == head else e for e in node)
    known: dict[str, Declaration] = {}
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        known = declarations(type(node))
    if head not in known:
        prefix = key.split(".")[: len(key.split(".")) - len(path)]
        raise _unknown(key, [".".join([*prefix, name]) for name in known])
    if rest:
        new = _replaced(getattr(node, head), rest, value, key)
        known[head].bounded(new, key.removesuffix("." + ".".join(rest)))
    else:
        new = _restored(value, known[head], key)
    return dataclasses.replace(node, **{head: new})


def _unknown(key: str, known: list[str]) -> UsageError:
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    hint = f"; did you mean {close[0]}?" if close else ""
    return UsageError(f"unknown configuration key {key}{hint}")


def _parse(text: str) -> Any:
    try:
        return parsed(text, once)
    except (ValueError, RecursionError):  # no JSON, thousands of digits, or as many brackets: a text
        return {"true": True, "false": False, "none": None}.get(text.lower(), text)


def _chosen(plain: Any, asked: Declaration, where: str) -> Any:
    """Restore a value of one of several kinds from its kind's name alone, a number, or all its keys."""
    kinds = asked.kinds
    assert kinds is not None
    if kinds.number and isinstance(plain, int | float) and not isinstance(plain, bool):
        return kinds.number(Declaration(float).conforming(plain, where))
    if isinstance(plain, str) and not kinds.number:
        return _restored({}, Declaration(kinds.of(plain, where)), where)
    if kinds.default and isinstance(plain, dict):
        plain = {"kind": kinds.default} | plain
    if not isinstance(plain, dict) or not isinstance(plain.get("kind"), str):
        number = "a number or " if kinds.number else ""
        raise UsageError(
            f'{where}: expected {number}{kinds.what} with its kind, such as {{"kind": "{kinds.names[0]}", ...}} '
            f"({', '.join(kinds.names)}), found {shown(plain)}"
        )
    rest = {k: v for k, v in plain.items() if k != "kind"}
    return _restored(rest, Declaration(kinds.of(plain["kind"], where)), where)
