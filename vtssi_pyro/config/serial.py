"""Configurations to and from plain values, and single keys changed by name."""

import dataclasses
import difflib
import json
import types
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from vtssi_pyro.config.schedules import KINDS, Constant, Schedule
from vtssi_pyro.errors import UsageError

C = TypeVar("C")


def to_dict(value: Any) -> Any:
    """A configuration as nested dicts, lists and scalars, fit for JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain = {f.name: to_dict(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"kind": type(value).__name__, **plain} if isinstance(value, Schedule) else plain
    return [to_dict(item) for item in value] if isinstance(value, tuple) else value


def from_dict(plain: Any, kind: Any, where: str = "") -> Any:
    """The value of a kind from :func:`to_dict`'s output; an unknown key is a :class:`UsageError`."""
    if kind is Schedule:
        return _schedule(plain, where)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(plain, dict):
            raise UsageError(f"{where or 'configuration'}: expected keys and values, found {plain!r}")
        hints = get_type_hints(kind)
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


def override(config: C, assignments: list[str]) -> C:
    """Change single keys: ``model.air.num_objects=3``, ``train.stages.joint.learning_rate=1e-4``.

    An entry of a tuple goes by its name, as a stage does; a schedule may be given as a number.
    """
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError(f"--set {assignment}: expected KEY=VALUE, such as model.air.num_objects=3")
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
    hints = get_type_hints(type(node)) if dataclasses.is_dataclass(node) else {}
    if head not in hints:
        prefix = key.split(".")[: len(key.split(".")) - len(path)]
        raise _unknown(key, [".".join([*prefix, name]) for name in hints])
    if rest:
        new = _replaced(getattr(node, head), rest, value, key)
    else:
        new = from_dict(value, hints[head], key)
    return dataclasses.replace(node, **{head: new})


def _unknown(key: str, known: list[str]) -> UsageError:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    hint = f"; did you mean {near[0]}?" if near else ""
    return UsageError(f"unknown configuration key {key}{hint}")


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return {"true": True, "false": False, "none": None}.get(text.lower(), text)


def _schedule(plain: Any, where: str) -> Schedule:
    if isinstance(plain, int | float) and not isinstance(plain, bool):
        return Constant(float(plain))
    if not isinstance(plain, dict) or plain.get("kind") not in KINDS:
        raise UsageError(
            f"{where}: expected a number or a schedule such as {to_dict(Constant(1.0))}, found {plain!r}"
        )
    values = {k: v for k, v in plain.items() if k != "kind"}
    return from_dict(values, KINDS[plain["kind"]], where)


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
