"""A file that says what to train: some keys of a configuration in TOML, or a run's whole ``config.json``."""

import json
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from vtssi_pyro.artifacts.formats import known_format, restored
from vtssi_pyro.artifacts.recorded import Made, record
from vtssi_pyro.errors import CheckpointError, DataError, UsageError
from vtssi_pyro.system.files import regular
from vtssi_pyro.train.config import Config

# Keys at the top of a file that arguments of fit decide, by these.
ARGUMENTS = {"variant": "tracker", "preset": "preset", "data.source": "data"}


class RecipeFile(NamedTuple):
    """What a file says, as the arguments of :func:`vtssi_pyro.fit` that it stands for."""

    arguments: dict[str, str]  # by the names of arguments
    changes: list[str]  # assignments to keys
    whole: Config | None = None  # a run's configuration, which leaves nothing open


def read_recipe(path: str | Path) -> RecipeFile:
    """Read a file.

    Args:
        path: TOML, whose tables are the parts of a configuration, or the ``config.json`` of a run.

    Raises:
        DataError: it cannot be read, or is no TOML.
        CheckpointError: it is a damaged ``config.json``.
        UsageError: a value has a type that no key has.
    """
    path = Path(path)
    try:
        text = regular(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if path.suffix.lower() == ".json":
        return RecipeFile({}, [], _of_run(path, text))
    try:
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise DataError(
            f"{path}: no TOML ({error}); keys are as vtssi-pyro fit --help-keys lists them"
        ) from error
    arguments, changes = {}, []
    for key, value in _keys(path, tables):
        if key in ARGUMENTS:
            if not isinstance(value, str):
                raise UsageError(f"{path}: {key}: expected a text, found {value!r}")
            arguments[ARGUMENTS[key]] = value
        else:
            changes.append(f"{key}={json.dumps(value)}")
    return RecipeFile(arguments, changes)


def _of_run(path: Path, text: str) -> Config:
    made = record(path, text, Made)
    try:
        config, _ = restored(made["config"], known_format(made.get("format", 1), path), path)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, UsageError) as error:
        raise CheckpointError(f"{path}: is no config.json of a run ({error})") from error
    # weights and data are those of the new training
    return replace(config, start=None, data=replace(config.data, movie=False))


def _keys(path: Path, table: dict[str, Any], where: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted keys of a table, in its order; a table of a kind is a value as a whole."""
    for name, value in table.items():
        key = f"{where}{name}"
        if isinstance(value, dict) and "kind" not in value:
            yield from _keys(path, value, f"{key}.")
            continue
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:  # dates and NaN, which TOML has
            raise UsageError(f"{path}: {key}: no key has values such as {value} ({error})") from error
        yield key, value
