"""``torch.compile`` for the functions whose many small passes it fuses; off unless asked for."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

import torch

_ON = ContextVar("compiled", default=False)


@contextmanager
def compiled(on: bool = True) -> Iterator[None]:
    """Run :func:`compilable` functions compiled within the block; the first call of each takes half a minute."""
    token = _ON.set(on)
    try:
        yield
    finally:
        _ON.reset(token)


def compilable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a pure function of tensors as one that may be compiled; if that fails, it warns once and runs uncompiled."""
    fast: Callable[..., Any] | None = None

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal fast
        if not _ON.get():
            return function(*args, **kwargs)
        if fast is None:
            fast = torch.compile(function)
        try:
            return fast(*args, **kwargs)
        except torch._dynamo.exc.TorchDynamoException as error:  # no C++ compiler, mostly
            fast = function
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            warnings.warn(f"{function.__name__} is not compiled: {reason}", stacklevel=2)
            return function(*args, **kwargs)

    return call
