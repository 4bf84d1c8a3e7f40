"""JSON from files that anybody may have written."""

import json
from collections.abc import Callable
from typing import Any


def parsed(text: str | bytes, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """Parse JSON; the one error of a text that is none, or is nested beyond all reason, is a ValueError.

    Args:
        text: the text.
        pairs: makes an object of its keys and values; None: a dict.
    """
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A dict of keys and values, each of which is there once."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, _ in pairs if [name for name, _ in pairs].count(key) > 1)
        raise ValueError(f"{twice!r} is there twice")
    return found
