"""Further logs of a training hold what metrics.jsonl holds, also after a resumption."""

import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from vtssi_pyro import PRESETS
from vtssi_pyro.artifacts import logs
from vtssi_pyro.artifacts.logs import logged, numbers
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.errors import UsageError


def record(step: int, objective: float = 1.0) -> dict[str, Any]:
    own = {"kind": "train", "step": step, "stage": "motion", "bound": True, "objective": objective}
    return {**own, "terms": {"x": objective / 2}}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "run", PRESETS["quick"]("air"))


class Events:
    """As torch's SummaryWriter, with what TensorBoard would show."""

    shown: dict[str, dict[int, float]]

    def __init__(self, folder: str, purge_step: int | None = None) -> None:
        self.folder = Path(folder)
        if purge_step is not None:
            for curve in self.shown.values():
                for step in [step for step in curve if step >= purge_step]:
                    del curve[step]

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.shown[name][step] = value

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_log_follows_the_metrics(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Events, "shown", defaultdict(dict), raising=False)
    monkeypatch.setattr(logs, "_writer_of_events", lambda: Events)
    with logged(run.logs, run.folder, "tensorboard"):
        for step in (5, 10, 15):
            run.append(record(step))
        run.rewind(10)
        run.append(record(14, 3.0))
    run.append(record(20))
    expected = {each["step"]: each["objective"] for each in run.records() if each["step"] < 20}
    assert expected == {5: 1.0, 10: 1.0, 14: 3.0}
    halves = {step: value / 2 for step, value in expected.items()}
    assert Events.shown == {"train/objective": expected, "train/terms/x": halves}


def test_numbers_alone_are_logged() -> None:
    assert dict(numbers(record(3, 2.0))) == {"objective": 2.0, "terms/x": 1.0}
    assert dict(numbers({"kind": "validation", "step": 1, "elbo": 4, "count_accuracy": None})) == {
        "elbo": 4.0
    }


def test_tensorboard_reads_it(run: Run) -> None:
    pytest.importorskip("tensorboard", reason="needs TensorBoard, the extra of that name")
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with logged(run.logs, run.folder, "tensorboard"):
        for step, value in ((5, 1.0), (10, 2.0)):
            run.append(record(step, value))
    events = reading.EventAccumulator(str(run.folder / "tensorboard"))
    events.Reload()
    assert [(each.step, each.value) for each in events.Scalars("train/objective")] == [(5, 1.0), (10, 2.0)]


def test_a_missing_package_is_told_before_a_run_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from vtssi_pyro import fit

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match=r"pip install 'vtssi-pyro\[tensorboard\]'"):
        fit("linear", run=tmp_path / "run", log="tensorboard")
    assert not (tmp_path / "run").exists()
    with pytest.raises(UsageError, match="log: expected tensorboard"):
        fit("linear", log="wandb")
