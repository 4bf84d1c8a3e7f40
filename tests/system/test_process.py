"""Signals that end a process, and its standard descriptors."""

import os
import signal
import subprocess
import sys

import pytest

from vtssi_pyro.system.process import endings

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")


def test_an_ignored_hangup_is_no_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    assert endings() == (signal.SIGTERM, signal.SIGHUP)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert endings() == (signal.SIGTERM,)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_no_file_takes_the_number_of_a_closed_descriptor(closed: tuple[int, ...]) -> None:
    code = (
        f"import os, sys\nfor number in {closed}: os.close(number)\n"
        f"for name in [('stdin', 'stdout', 'stderr')[n] for n in {closed}]: setattr(sys, name, None)\n"
        "from vtssi_pyro.system.process import open_descriptors\nopen_descriptors()\n"
        "print('a'); print('b', file=sys.stderr); assert sys.stdin.read() == ''\n"
        "assert open(os.devnull).fileno() > 2"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("" if 1 in closed else "a\n", "" if 2 in closed else "b\n")
