"""Packages of extras, which are imported where they are used; the error for a missing one says what to install."""

from importlib import import_module
from typing import Any

from vtssi_pyro.errors import UsageError


def extra(module: str, name: str, what: str) -> Any:
    """Import a module of an extra.

    Args:
        module: the module.
        name: the extra that installs it.
        what: what needs it, and its package, as the beginning of a sentence: ``movie files need PyAV``.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise UsageError(f"{what}: pip install 'vtssi-pyro[{name}]'") from error
