"""A run folder is made once, is one process's at a time, and says what is wrong with it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vtssi_pyro.artifacts.loading import load
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.errors import CheckpointError, UsageError
from vtssi_pyro.model.config import VARIANTS, ModelConfig
from vtssi_pyro.model.tracker import build
from vtssi_pyro.system import checkpoint, machine
from vtssi_pyro.system.machine import available_device, default_threads, physical_cores
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.reporting import Silent

pytestmark = pytest.mark.slow


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "run", Config(seed=3), {"threads": 2})


def test_the_configuration_comes_back(run: Run) -> None:
    assert Run(run.folder).config == Config(seed=3)
    assert run.machine == {"threads": 2}
    assert run.versions["torch"] == torch.__version__


def test_a_run_is_never_replaced(run: Run) -> None:
    before = (run.folder / "config.json").read_bytes()
    with pytest.raises(
        UsageError, match=r"holds a run already; continue it with resume or choose another run$"
    ):
        Run.create(run.folder, Config(seed=4))
    assert (run.folder / "config.json").read_bytes() == before


def test_numbers_count_up_and_fill_no_gap(tmp_path: Path) -> None:
    for number in (1, 2, 7):
        (tmp_path / f"a-{number:04d}").mkdir()
    (tmp_path / "a-b-0100").mkdir()
    names = [Run.numbered("a", Config(), tmp_path).folder.name for _ in range(2)]
    assert names == ["a-0008", "a-0009"]


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        Run.create(tmp_path / "file", Config())
    with pytest.raises(UsageError, match="cannot be written"):
        Run.create(tmp_path / "file" / "below", Config())


def test_one_process_at_a_time(run: Run) -> None:
    with run.lock():
        with pytest.raises(UsageError, match=f"in use by another process .*{os.getpid()}"), run.lock():
            pass
    with run.lock():  # free again
        pass


def test_the_lock_of_a_killed_process_holds_nobody_up(run: Run) -> None:
    code = (
        "import os, signal; from vtssi_pyro.artifacts.run import Run\n"
        f"with Run({str(run.folder)!r}).lock(): os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -9
    assert (run.folder / ".lock").read_text()
    with run.lock():
        pass


def test_half_a_last_line_is_no_record(run: Run) -> None:
    records = [{"kind": "train", "step": step} for step in (2, 4, 6)]
    for record in records:
        run.append(record)
    with run.metrics.open("ab") as file:
        file.write(b'{"kind": "train", "st\xff')
    assert run.records() == records
    (run.folder / "checkpoints" / ".last-01234567.tmp.pt").write_text("left by a kill")
    run.rewind(4)
    assert run.metrics.read_text() == "".join(json.dumps(record) + "\n" for record in records[:2])
    assert not list(run.folder.rglob(".*.tmp*"))


@pytest.mark.parametrize(
    "line",
    [
        b'{"kind": "tr\xff',
        b"[1]",
        b"3",
        b"{}",
        b'{"step": "4"}',
        b'{"step": 4, "elbo": NaN}',
        b'{"step": 4.5}',
        b'{"step": 4, "elbo": "<b>"}',
        b'{"step": 4, "terms": {"x": [1]}}',
    ],
)
def test_a_damaged_line_costs_no_other(line: bytes, run: Run) -> None:
    records = [{"kind": "train", "step": step} for step in (2, 4, 6)]
    run.metrics.write_bytes(b"\n".join([json.dumps(records[0]).encode(), line, b""]))
    for record in records[1:]:
        run.append(record)
    assert run.records() == records
    assert run.damaged() == [2]
    run.rewind(9)
    assert run.damaged() == []
    assert run.records() == records


def test_no_record_holds_a_nan(run: Run) -> None:
    with pytest.raises(ValueError, match="JSON"):
        run.append({"step": 1, "elbo": float("nan")})


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"config": {"sed": 1}}', '{"config": 3}', '{"config": {"seed": "a"}}']
)
def test_a_damaged_configuration(run: Run, text: str) -> None:
    (run.folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json: damaged"):
        _ = run.config


@pytest.mark.parametrize(
    ("key", "value"),
    [("machine", value) for value in (None, [], 3, "x", {"threads": "2"}, {"threads": 1.5}, {"threads": 0},
                                      {"device": 1}, {"threads": True}, {"threads": 10**9}, {"processes": None})]
    + [("versions", value) for value in (None, [], {"torch": 2})]
    + [("sources", value) for value in (1, {"data": 3}, {"data": {"files": [1]}}, {"start": {}}, {"preparation": 1},
                                        {"data": {"files": {"sha256": 3}}}, {"data": {"stored": {"range": [1]}}})]
    + [("run", value) for value in (3, None, ["a"])],
)  # fmt: skip
def test_a_configuration_with_odd_values_beside_it_names_their_key(run: Run, key: str, value: object) -> None:
    path = run.folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(CheckpointError, match=rf"config\.json: damaged \({key}.*: expected .*, found "):
        _ = run.config


def test_a_checkpoint_of_another_run_is_refused(run: Run, tmp_path: Path) -> None:
    """One of the same shape, too; a folder that was copied is the same run, and one of a former version is taken."""
    run.save({"step": 3})
    run.save({"step": 2}, "best")
    other = Run.create(tmp_path / "other", Config(seed=4), {"threads": 2})
    for name in ("last", "best"):
        shutil.copy(run.checkpoint(name), other.checkpoint(name))
        with pytest.raises(CheckpointError, match=rf"{name}\.pt: is a checkpoint of another run"):
            other.load(name)
    checkpoint.save(other.checkpoint(), {"step": 3})  # which bears no name
    with pytest.raises(CheckpointError, match="of another run"):
        other.load()
    copied = Run(shutil.copytree(run.folder, tmp_path / "copy"))
    assert copied.load()["step"] == 3
    made = json.loads((copied.folder / "config.json").read_text())
    del made["run"]
    (copied.folder / "config.json").write_text(json.dumps(made))
    assert copied.load()["step"] == 3
    told = Told()
    copied.say_filled_in(told)
    assert "do not say of which run they are" in told.lines[0]
    run.say_filled_in(told)
    assert len(told.lines) == 1


def test_the_same_training_is_the_same_run_whatever_the_time_of_its_data(tmp_path: Path) -> None:
    data = {"files": {"size": 3, "sha256": "a", "time": 1.0}}
    runs = [Run.create(tmp_path / str(k), Config(), data={"files": data["files"] | change})
            for k, change in enumerate(({}, {"time": 2.0}, {"sha256": "b"}))]  # fmt: skip
    assert runs[0].identity == runs[1].identity != runs[2].identity


class Told(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


def test_no_run_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "none", tmp_path / "file"):
        with pytest.raises(CheckpointError, match="not a run folder"):
            load(path)


def test_load_gives_the_trained_weights(tmp_path: Path, config: ModelConfig) -> None:
    run = Run.create(tmp_path / "run", Config("find", model=VARIANTS["find"](config)))
    tracker = build("find", config)
    run.save({"trained": tracker.state_dict()}, "best")
    loaded = load(run.folder, "best")
    assert not loaded.training
    assert all(torch.equal(a, b) for a, b in zip(tracker.parameters(), loaded.parameters(), strict=True))
    with pytest.raises(CheckpointError, match=r"last\.pt: there is no such checkpoint"):
        load(run.folder)
    run.save({"trained": build("vtssi", config).state_dict()})
    with pytest.raises(CheckpointError, match=r"does not fit the run's config\.json"):
        load(run.folder)


def test_devices_and_threads() -> None:
    assert available_device("cpu") == torch.device("cpu")
    for name in ("nonsense", "cuda:99"):
        with pytest.raises(UsageError, match=f"^device {name}: .*; use device cpu$"):
            available_device(name)
    assert 1 <= default_threads() <= physical_cores() <= (os.cpu_count() or 1)


def test_threads_leave_busy_cores_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many threads as idle cores, within torch's own number, and at least one."""
    monkeypatch.setattr(machine, "physical_cores", lambda: 8)
    monkeypatch.setattr(machine.torch, "get_num_threads", lambda: 6)
    for average, threads in ((0.9, 6), (2.0, 6), (3.7, 5), (7.2, 1), (30.0, 1)):
        monkeypatch.setattr(os, "getloadavg", lambda average=average: (average, 0.0, 0.0))
        assert machine.default_threads() == threads
