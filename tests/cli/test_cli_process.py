"""Signals, descriptors and threads: a command runs wherever it is started, and ends as it is told."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_run import blobs, call, process, refused
from vtssi_pyro.cli.main import COMMANDS

from vtssi_pyro.data import open_frames

pytestmark = pytest.mark.slow

MAIN = [sys.executable, "-m", "vtssi_pyro.cli"]


def shell(redirection: str, *args: object) -> subprocess.CompletedProcess[str]:
    """Call the command line with a shell's redirection of its descriptors."""
    command = ["sh", "-c", f'exec "$@" {redirection}', "sh", *MAIN, *(str(arg) for arg in args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("redirection", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
def test_closed_descriptors(redirection: str, tmp_path: Path) -> None:
    """A daemon has none; the files that are written must not get their numbers, and then their messages."""
    out = tmp_path / "data.npz"
    done = shell(redirection, "generate", "linear", "--sequences", 2, "--out", out)
    assert (done.returncode, done.stderr if "2>" not in redirection else "") == (0, done.stderr)
    assert "Error" not in done.stdout + done.stderr
    assert len(open_frames(out)) == 2
    assert (
        shell(redirection, "track", "pretrained:moving-mnist", out, "--out", tmp_path / "tracks").returncode
        == 0
    )
    assert (tmp_path / "tracks" / "tracks.csv").read_text().startswith("sequence,frame,particle")


def test_a_closed_input_has_no_frames(tmp_path: Path) -> None:
    done = shell("<&-", "live", "pretrained:moving-mnist", "-", "--out", tmp_path)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("error: standard input: 0 bytes are no frame")


LOST = """
import os, signal
from vtssi_pyro.data import store
real = store._pixels
def pixels(dataset, chunk):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except BaseException as error:
        {}
    yield from real(dataset, chunk)
store._pixels = pixels
"""


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
@pytest.mark.parametrize("fate", ["raise SystemError('a callback set an exception') from error", "pass"])
def test_a_signal_that_a_library_swallows_still_ends_the_command(
    fate: str, name: str, code: int, tmp_path: Path
) -> None:
    args = ("generate", "linear", "--sequences", 2, "--out", tmp_path / "data.npz")
    child = process(*args, before=LOST.replace("SIGTERM", name).format(fate))
    _, messages = child.communicate(timeout=60)
    assert (child.returncode, messages.splitlines()[-1]) == (code, f"stopped by {name}")


AMID = """
import os, signal, time
from vtssi_pyro.evaluation import judge
real = judge.compare
def compare(*args):
    print(time.time(), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    return real(*args)
judge.compare = compare
"""


def test_a_signal_during_an_evaluation_ends_it_within_seconds(tmp_path: Path) -> None:
    data = tmp_path / "data.npz"
    call("generate", "linear", "--sequences", 2, "--out", data)
    args = ("evaluate", "pretrained:moving-mnist", data, "--device", "cpu")
    child = process(*args, before=AMID)
    began, messages = child.communicate(timeout=120)
    assert time.time() - float(began) < 5
    assert (child.returncode, messages.splitlines()[-1]) == (143, "stopped by SIGTERM")
    assert list(tmp_path.iterdir()) == [data]


def test_help_is_readable_in_twenty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("COLUMNS", "20"), ("TERM", "dumb"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
    for command in COMMANDS:
        text = call(command, "--help").output
        assert "Examples" in text
        assert all(c.isprintable() or c == "\n" for c in text)


@pytest.mark.parametrize(("ignored", "code"), [(False, 129), (True, 0)])
def test_a_hangup_ends_it_unless_it_is_ignored(ignored: bool, code: int, tmp_path: Path) -> None:
    """Under nohup it is."""
    ignore = "signal.signal(signal.SIGHUP, signal.SIG_IGN)" if ignored else ""
    hang_up = LOST.replace("SIGTERM", "SIGHUP").format("raise")
    args = ("generate", "linear", "--sequences", 2, "--out", tmp_path / "data.npz")
    child = process(*args, before=f"{hang_up}\n{ignore}")
    child.communicate(timeout=60)
    assert child.returncode == code
    assert (tmp_path / "data.npz").exists() == ignored


def test_the_suite_does_not_inherit_ignored_signals() -> None:
    """A shell starts ``nohup ... &`` with them; tests send them to themselves and to their children."""
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL


def test_too_many_threads_are_refused(tmp_path: Path) -> None:
    data = blobs(tmp_path / "blobs.npz")
    for command in (("fit", data), ("track", "pretrained:moving-mnist", data)):
        line = refused(2, *command, "--threads", 100000)
        assert (
            found := re.fullmatch(r"error: --threads 100000: expected 1 or more, and (\d+) or fewer", line)
        )
        assert int(found[1]) >= (os.cpu_count() or 1)
    call("info")
