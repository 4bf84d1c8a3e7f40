"""Real kills of real processes."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_run import ON_FILE, blobs, call, process

from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.system import checkpoint

pytestmark = pytest.mark.slow

AT = "import os, signal; from vtssi_pyro.train.trainer import Trainer; real = Trainer.advance\n"


def at_step(step: int, number: int) -> str:
    """Code that sends the process a signal in the middle of a step."""
    return (
        f"{AT}def advance(self):\n    if self.step == {step}: os.kill(os.getpid(), {number})\n"
        "    return real(self)\nTrainer.advance = advance"
    )


IN_SAVE = """import os, signal
real = os.replace
def replace(source, target):
    if str(target).endswith('last.pt') and os.path.exists(target): os.kill(os.getpid(), signal.SIGKILL)
    real(source, target)
os.replace = replace"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blobs(tmp_path_factory.mktemp("data") / "blobs.npz")


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("whole") / "run"
    call("fit", data, *ON_FILE, "--out", folder)
    return Run(folder)


def outcome(run: Run) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
    records = [{k: v for k, v in record.items() if k != "seconds"} for record in run.records()]
    return records, checkpoint.load(run.checkpoint())["trained"]


def check_equal(run: Run, whole: Run) -> None:
    (records, weights), (expected, wanted) = outcome(run), outcome(whole)
    assert records == expected
    assert weights.keys() == wanted.keys()
    assert all(torch.equal(weights[k], wanted[k]) for k in wanted)


@pytest.mark.parametrize("before", [at_step(10, signal.SIGKILL), IN_SAVE], ids=["in a step", "in a save"])
def test_kill_9(before: str, whole: Run, data: Path, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    child = process("fit", data, *ON_FILE, "--out", run.folder, before=before)
    child.communicate(timeout=120)
    assert child.returncode == -signal.SIGKILL
    assert checkpoint.load(run.checkpoint())["step"] == (8 if before != IN_SAVE else 4)
    assert bool(list(run.folder.rglob(".*.tmp*"))) == (before == IN_SAVE)
    call("fit", "--out", run.folder, "--resume")
    check_equal(run, whole)
    assert not list(run.folder.rglob(".*.tmp*"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_save_and_say_how_to_go_on(
    number: int, code: int, whole: Run, data: Path, tmp_path: Path
) -> None:
    run = Run(tmp_path / "a run")
    child = process("fit", data, *ON_FILE, "--out", run.folder, before=at_step(6, number))
    _, messages = child.communicate(timeout=120)
    assert child.returncode == code
    assert messages.splitlines()[-1].endswith(f"continue with: vtssi-pyro fit --out '{run.folder}' --resume")
    assert checkpoint.load(run.checkpoint())["step"] == 7
    call("fit", "--out", run.folder, "--resume")
    check_equal(run, whole)


def test_sigterm_while_writing_leaves_no_half_file(tmp_path: Path) -> None:
    """Enough sequences that the signal comes while frames are drawn."""
    before = (
        "import os, signal; from vtssi_pyro.data import store; real = store._pixels\n"
        "def pixels(dataset, chunk):\n"
        "    for part in real(dataset, chunk):\n        yield part\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "store._pixels = pixels"
    )
    child = process("generate", "linear", "--out", tmp_path / "data.npz", before=before)
    _, messages = child.communicate(timeout=60)
    assert child.returncode == 143
    assert messages.splitlines()[-1] == "stopped by SIGTERM"
    assert not list(tmp_path.iterdir())


def on_a_terminal(columns: int, *args: object, **environment: str) -> str:
    """What a command shows on a terminal; it ends well."""
    here, there = pty.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    child = subprocess.Popen(
        [sys.executable, "-m", "vtssi_pyro.cli", *(str(arg) for arg in args)],
        stderr=there, stdout=subprocess.DEVNULL, env={**os.environ, **environment},
    )  # fmt: skip
    os.close(there)
    shown = b""
    while select.select([here], [], [], 120)[0]:
        try:
            shown += os.read(here, 65536)
        except OSError:  # the other end is closed
            break
    os.close(here)
    assert child.wait() == 0
    return shown.decode()


def test_a_bar_on_a_terminal(whole: Run, data: Path, tmp_path: Path) -> None:
    """Stage, step, length, ELBO with its terms, speed and remaining time; validation lines stay above."""
    text = on_a_terminal(150, "fit", data, *ON_FILE, "--out", tmp_path / "run", TERM="xterm")
    assert "step 15 of 15" in text
    assert " left" in text
    assert "sequences/s" in text
    assert "places, 4 frames: ELBO" in text
    assert "(count " in text
    assert "held-out sequences after step 10: ELBO" in text
    assert "count accuracy" in text
    check_equal(Run(tmp_path / "run"), whole)


def test_a_poor_terminal_gets_plain_lines(whole: Run, data: Path, tmp_path: Path) -> None:
    """Without a code that it would not obey, in 20 columns, too."""
    poor = {"TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "20"}
    text = on_a_terminal(20, "fit", data, *ON_FILE, "--out", tmp_path / "run", **poor)
    plain = text.replace("\r\n", "\n")  # a terminal's own end of a line
    assert "step 15 of 15, joint" in plain
    assert all(c.isprintable() or c == "\n" for c in plain)
    check_equal(Run(tmp_path / "run"), whole)


def test_the_order_of_sets_changes_nothing(whole: Run, data: Path, tmp_path: Path) -> None:
    """It follows from PYTHONHASHSEED, another number in every process."""
    kept = []
    for seed in ("1", "2"):
        run = Run(tmp_path / seed)
        child = process("fit", data, *ON_FILE, "--out", run.folder, PYTHONHASHSEED=seed)
        child.communicate(timeout=120)
        assert child.returncode == 0
        check_equal(run, whole)
        state = checkpoint.load(run.checkpoint())
        state["seconds"] = 0.0
        checkpoint.save(tmp_path / "state.pt", state)
        kept.append((tmp_path / "state.pt").read_bytes())
    assert kept[0] == kept[1]
