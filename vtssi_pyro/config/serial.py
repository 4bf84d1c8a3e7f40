"""Conversion of configurations to and from plain values, and changes of single keys by name."""

import dataclasses
import difflib
import json
import math
import types
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from vtssi_pyro.config.kinds import Kinds
from vtssi_pyro.errors import Argument, UsageError

C = TypeVar("C")


def to_dict(value: Any) -> Any:
    """Convert a configuration to nested dicts, lists and scalars for JSON.

    A choice among kinds holds its kind, unless that is the default.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        hints = _hints(type(value))
        plain = {}
        for field in dataclasses.fields(value):
            own, kinds = getattr(value, field.name), _kinds(hints[field.name])
            if kinds and own is not None:
                kind = kinds.name(own)
                plain[field.name] = ({"kind": kind} if kind != kinds.default else {}) | to_dict(own)
            else:
                plain[field.name] = to_dict(own)
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
        UsageError: an unknown key or kind, or a value of another type.
    """
    kinds = _kinds(kind)
    if kinds:
        return None if plain is None and _optional(kind) else _chosen(plain, kinds, where)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(plain, dict):
            raise UsageError(f"{where or 'configuration'}: expected keys and values, found {plain!r}")
        hints = _hints(kind)
        for key in plain:
            if key not in hints:
                raise _unknown(f"{where}.{key}".lstrip("."), list(hints))
        return kind(**{k: from_dict(v, hints[k], f"{where}.{k}".lstrip(".")) for k, v in plain.items()})
    if get_origin(kind) is tuple:
        if not isinstance(plain, list | tuple):
            raise UsageError(f"{where}: expected a list such as {_example(kind)}, found {plain!r}")
        inner = get_args(kind)
        item = [inner[0]] * len(plain) if inner[-1] is Ellipsis else list(inner)
        if len(item) != len(plain):
            raise UsageError(f"{where}: expected {len(item)} values, found {len(plain)}")
        return tuple(from_dict(v, k, where) for v, k in zip(plain, item, strict=True))
    return _scalar(plain, kind, where)


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
        UsageError: an unknown key, or a value of another type.
    """
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError(
                Argument("changes"), f" {assignment}: expected KEY=VALUE, such as model.num_objects=3"
            )
        config = _replaced(config, key.strip().split("."), _parse(text.strip()), key.strip())
    return config


def _replaced(node: Any, path: list[str], value: Any, key: str) -> Any:
    head, *rest = path
    if isinstance(node, tuple) and all(dataclasses.is_dataclass(item) for item in node):
        names = [item.name for item in node]
        if head not in names or not rest:
            raise _unknown(
                key, [f"{key.rpartition('.' + head)[0] or 'train.stages'}.{name}" for name in names]
            )
        return tuple(_replaced(e, rest, value, key) if e.name == head else e for e in node)
    hints = _hints(type(node)) if dataclasses.is_dataclass(node) else {}
    if head not in hints:
        prefix = key.split(".")[: len(key.split(".")) - len(path)]
        raise _unknown(key, [".".join([*prefix, name]) for name in hints])
    if rest:
        new = _replaced(getattr(node, head), rest, value, key)
    else:
        new = from_dict(value, hints[head], key)
    return dataclasses.replace(node, **{head: new})


def _unknown(key: str, known: list[str]) -> UsageError:
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    hint = f"; did you mean {close[0]}?" if close else ""
    return UsageError(f"unknown configuration key {key}{hint}")


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return {"true": True, "false": False, "none": None}.get(text.lower(), text)


def _chosen(plain: Any, kinds: Kinds, where: str) -> Any:
    """Restore a value of one of several kinds from its kind's name alone, a number, or all its keys."""
    if kinds.number and isinstance(plain, int | float) and not isinstance(plain, bool):
        return kinds.number(float(plain))
    if isinstance(plain, str) and not kinds.number:
        return kinds.of(plain, where)()
    if kinds.default and isinstance(plain, dict):
        plain = {"kind": kinds.default} | plain
    if not isinstance(plain, dict) or not isinstance(plain.get("kind"), str):
        number = "a number or " if kinds.number else ""
        raise UsageError(
            f'{where}: expected {number}{kinds.what} with its kind, such as {{"kind": "{kinds.names[0]}", ...}} '
            f"({', '.join(kinds.names)}), found {plain!r}"
        )
    rest = {k: v for k, v in plain.items() if k != "kind"}
    return from_dict(rest, kinds.of(plain["kind"], where), where)


def _hints(kind: type) -> dict[str, Any]:
    """Return the fields' types with the kinds that they declare."""
    return get_type_hints(kind, include_extras=True)


def _kinds(hint: Any) -> Kinds | None:
    """Return the kinds that a field's type declares, if any."""
    return next((extra for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, Kinds)), None)


def _optional(hint: Any) -> bool:
    """Whether a field's type, one of several kinds, allows None."""
    return type(None) in get_args(hint.__origin__)


def _scalar(plain: Any, kind: Any, where: str) -> Any:
    kinds = get_args(kind) if get_origin(kind) in (types.UnionType, Union) else (kind,)
    for option in kinds:
        if option is float and isinstance(plain, int | float) and not isinstance(plain, bool):
            return float(plain)
        if isinstance(plain, option) and not (option is int and isinstance(plain, bool)):
            return plain
    names = " or ".join(k.__name__ for k in kinds)
    raise UsageError(f"{where}: expected {names}, found {plain!r}")


def _example(kind: Any) -> str:
    return "[0.3, 0.4]" if float in get_args(kind) else "[64, 64]"
