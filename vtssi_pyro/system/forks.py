"""Worker processes that need not import what they use: a fork server imports it once, and they are its forks."""

import multiprocessing
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import forkserver

# Elsewhere the system's own libraries, as macOS's, do not bear a fork, and each worker imports all by itself.
METHOD = "forkserver" if sys.platform == "linux" else "spawn"
# A library that starts threads when it is imported would start them for each worker; workers ask torch for theirs.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def ready(modules: Iterable[str]) -> None:
    """Begin to import modules in the process's fork server, and do not wait for it; the first call counts.

    Args:
        modules: what the workers will need; one that is missing is left out.
    """
    if METHOD != "forkserver":
        return
    multiprocessing.set_forkserver_preload(list(modules))
    with _variables(ONE_THREAD):
        forkserver.ensure_running()


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
