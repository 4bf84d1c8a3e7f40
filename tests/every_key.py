"""All keys of all configurations of the package, and values that none of them takes."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

from vtssi_pyro.config import OneOf
from vtssi_pyro.config.declared import Declaration, declarations
from vtssi_pyro.config.describing import keys
from vtssi_pyro.train.baseline_presets import BASELINES
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.presets import PRESETS

RECIPES = {name: preset() for name, preset in PRESETS.items()} | {
    f"{model}/{name}": make() for model, own in BASELINES.items() for name, make in own.items()
}


def classes(kind: Any, found: dict[type, None]) -> dict[type, None]:
    """All dataclasses that a configuration may hold, of all kinds of this package."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind not in found:
        found[kind] = None
        for asked in declarations(kind).values():
            chosen = asked.kinds and map(asked.kinds.of, asked.kinds.names)
            for part in chosen or (asked.type, *getattr(asked.type, "__args__", ())):
                if getattr(part, "__module__", "").startswith("vtssi_pyro."):
                    classes(part, found)
    return found


FIELDS = [(kind, name, asked) for kind in classes(Config, {}) for name, asked in declarations(kind).items()]


def base_of(option: Any) -> Any:
    """The type of the entries of a tuple, of whatever depth, or the type itself."""
    while getattr(option, "__origin__", None) is tuple:
        option = option.__args__[0]
    return option


def wrong(asked: Declaration) -> Iterator[Any]:
    """Values just outside a declaration, and of other types."""
    if asked.kinds and not asked.kinds.number:
        yield from ("no-such-kind", 3, {"kind": "no-such-kind"})
        return
    if dataclasses.is_dataclass(base_of(asked.type)):
        yield 3
        return
    one = filled(asked)
    if asked.range:
        whole = all(base_of(option) is not float for option in asked.options) and not asked.kinds
        for end, at, beyond in ((asked.range.low, 0, -math.inf), (asked.range.high, 1, math.inf)):
            if asked.range.ends[at] in "()":
                yield one(end)
            else:
                yield one(int(end) + (1 if at else -1) if whole else math.nextafter(end, beyond))
        yield from map(one, (math.nan, math.inf, -math.inf, 10**400, True))
    else:
        yield one(3)
    if asked.texts:
        yield from map(one, ("", "no\0such"))
        if isinstance(asked.texts, OneOf):
            yield one("no-such-name")
    elif not asked.kinds:
        yield one("no-such-name")
    yield {"no": "such"}


def filled(asked: Declaration) -> Any:
    """A function that puts a value into the tuples of a declaration."""

    def fill(option: Any, value: Any) -> Any:
        if getattr(option, "__origin__", None) is not tuple:
            return value
        number = 1 if option.__args__[-1] is Ellipsis else len(option.__args__)
        return [fill(option.__args__[0], value)] * number

    return lambda value: fill(asked.options[0], value)


def typed(recipe: str) -> Iterator[tuple[str, Any]]:
    """Keys of a recipe, and a value outside of each, as ``--set`` has them."""
    config = RECIPES[recipe]
    stage = config.train.stages[-1].name
    for key in keys(config):
        if key.name not in ("variant", "preset", "data.source", "start", "model"):
            yield key.name.replace("NAME", stage), next(wrong(key.declaration))
