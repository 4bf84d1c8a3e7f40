"""Two real processes train together, are killed and stopped, and go on."""

import re
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_run import ON_FILE, STAGES, STEPS, blobs, call, process, sets

from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.system import checkpoint

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="needs torch's gloo"),
]

IN_PAIRS = [*ON_FILE, *sets(train__stages=[{**stage, "batch": 4} for stage in STAGES])]
BEFORE_STEP_10 = """import os, signal, time; from vtssi_pyro.train.trainer import Trainer; real = Trainer.advance
def advance(self):
    if self.step == 10 and os.environ['RANK'] == '{rank}':
        {do}
    return real(self)
Trainer.advance = advance
"""
# the signal to torchrun comes back to its processes: wait for it
STOP = "os.kill(os.getppid(), signal.SIGTERM)\n        while not seen: time.sleep(0.01)"
SEES = """import signal; seen = []; set_signal = signal.signal
def noticed(number, handle):
    return set_signal(number, lambda *args: (seen.append(number), handle(*args)) if callable(handle) else handle)
signal.signal = noticed
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blobs(tmp_path_factory.mktemp("data") / "blobs.npz")


def together(*args: object, before: str = "", processes: int = 2) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of torchrun."""
    child = process("fit", *args, before=before, processes=processes)
    out, messages = child.communicate(timeout=240)
    return child.returncode, out, messages


def exit_codes(messages: str) -> list[int]:
    """Of the processes that failed, from torchrun's report."""
    return [int(code) for code in re.findall(r"exitcode +: (-?\d+)", messages)]


def records(run: Run) -> list[dict[str, Any]]:
    return [{k: v for k, v in record.items() if k != "seconds"} for record in run.records()]


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run that nothing stopped; what one process writes and says is there once."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    saves = (
        "import os; real_replace = os.replace\n"
        "def replace(source, target):\n"
        "    real_replace(source, target)\n"
        f"    with open({str(folder.parent / 'log')!r}, 'a') as log: log.write(f'{{target}}\\n')\n"
        "os.replace = replace"
    )
    code, out, messages = together(data, *IN_PAIRS, "--out", folder, before=saves)
    assert code == 0, messages
    written = (folder.parent / "log").read_text().split()
    assert [Path(path).name for path in written].count("last.pt") == 4  # after steps 4, 8, 12, 15
    for name in ("config.json", "summary.json"):
        assert [Path(path).name for path in written].count(name) == 1
    assert out.count("trained in") == 1
    assert messages.count("2 processes, each on cpu") == messages.count(f"step {STEPS} of {STEPS}") == 1
    return Run(folder)


def test_one_run_comes_of_two_processes(whole: Run) -> None:
    assert list(whole.folder.parent.glob("run*")) == [whole.folder]
    assert whole.machine["processes"] == 2
    assert [r["step"] for r in records(whole) if r["kind"] == "train"] == [5, 9, 10, 13, 15]
    assert checkpoint.load(whole.checkpoint())["step"] == STEPS


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_run(rank: int, whole: Run, data: Path, tmp_path: Path) -> None:
    run = Run(tmp_path / "a run")
    kill = BEFORE_STEP_10.format(rank=rank, do="os.kill(os.getpid(), signal.SIGKILL)")
    code, _, messages = together(data, *IN_PAIRS, "--out", run.folder, before=kill)
    assert code != 0
    codes = exit_codes(messages)
    assert -signal.SIGKILL in codes, messages
    again = f"torchrun --nproc-per-node=2 -m vtssi_pyro.cli fit --out '{run.folder}' --resume"
    lines = [line for line in messages.splitlines() if "error: " in line]
    if 7 in codes:  # unless torchrun, which ends whoever is left, was faster than the exchange that fails
        assert len(lines) == 1
        assert lines[0].startswith(f"error: process {2 - rank} of 2 lost contact with another")
        assert lines[0].endswith(f"with: {again}")
    assert checkpoint.load(run.checkpoint())["step"] == 8
    if rank == 1:
        return  # as after the other
    code, _, messages = together("--out", run.folder, "--resume")
    assert code == 0, messages
    assert "warning: results" not in messages
    assert records(run) == records(whole)
    expected = checkpoint.load(whole.checkpoint())["trained"]
    found = checkpoint.load(run.checkpoint())["trained"]
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_signal_stops_all_after_the_same_step(whole: Run, data: Path, tmp_path: Path) -> None:
    """Then one process goes on alone."""
    run = Run(tmp_path / "run")
    stop = SEES + BEFORE_STEP_10.format(rank=1, do=STOP)
    code, _, messages = together(data, *IN_PAIRS, "--out", run.folder, before=stop)
    assert code != 0
    assert messages.count("stopped by SIGTERM after step 11, saved; continue with: torchrun ") == 1, messages
    assert messages.count("stopped by") == 1
    assert checkpoint.load(run.checkpoint())["step"] == 11
    result = call("fit", "--out", run.folder, "--resume")
    assert "differ in noise from an uninterrupted run (processes 2 before, 1 now)" in result.stderr
    assert [r["step"] for r in records(run)] == [r["step"] for r in records(whole)]
    assert records(run)[:4] == records(whole)[:4]


def test_a_batch_that_cannot_be_shared_is_refused(data: Path, tmp_path: Path) -> None:
    code, out, messages = together(data, *ON_FILE, "--out", tmp_path / "run")
    assert (code != 0, out) == (True, "")
    codes = exit_codes(messages)  # torchrun may end the second process before it has ended itself
    assert 2 in codes
    assert set(codes) <= {2, -signal.SIGTERM}
    line = "error: train.stages.objects.batch: expected a multiple of 2, the number of processes, found 3"
    assert messages.count("error: train") == messages.count(line) == 1
    assert not (tmp_path / "run").exists()
