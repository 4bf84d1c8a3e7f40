"""Speed and memory are measured for every variant and preset, on what a training really does."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from small_model import small
from torch import Tensor

from vtssi_pyro import speed
from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.inference import filter as predict
from vtssi_pyro.model.config import VARIANTS
from vtssi_pyro.model.tracker import Tracker, build
from vtssi_pyro.train.checks import check, check_data
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.presets import PRESETS

CPU = torch.device("cpu")
FRAME = 32  # pixels: embedded digits need more than the small trackers' 20


def tiny_workload(variant: str = "vtssi", preset: str = "paper", **sizes: int) -> Config:
    """A workload with networks as small as their convolutions allow."""
    config = speed.workload(variant, preset, **{"batch": 2, "length": 4, "sequences": 4, **sizes})
    model = small(num_objects=config.model.num_objects)
    return replace(config, model=VARIANTS[variant](replace(model, frame_size=FRAME)))


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "TRACKED", (3, 6))
    monkeypatch.setattr(speed, "FUTURES", (2, 3, 2))
    monkeypatch.setattr(speed, "WARM_UP", 1)


@pytest.mark.slow
def test_every_variant_is_measured(variant: str) -> None:
    found = speed.measure(tiny_workload(variant), CPU, repeats=2)
    assert found["train_sequences_per_second"] == pytest.approx(2 / found["train_step_seconds"])
    assert 0 < found["draw_seconds"] < found["train_step_seconds"]
    assert found["track_frames_per_second"] > 0
    assert found["stream_latency_seconds"] > 0
    assert found["gflops"] > 0
    assert (found["sample_frames_per_second"] is not None) == (variant in ("find-mot", "vtssi"))
    assert (found["variant"], found["batch"], found["length"], found["objects"]) == (variant, 2, 4, 2)
    if sys.platform != "win32":
        memory = [found[f"{which}_memory_bytes"] for which in ("start", "train", "peak")]
        assert 5e7 < memory[0] <= memory[1] <= memory[2] < 1e12


def test_given_weights_track_and_others_are_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    config, tracked = tiny_workload(), []
    given = build("vtssi", config.model).eval()
    before = [parameter.clone() for parameter in given.parameters()]
    track = predict.track
    monkeypatch.setattr(
        predict, "track", lambda tracker, frames: tracked.append(tracker) or track(tracker, frames)
    )
    speed.measure(config, CPU, repeats=1, tracker=given)
    assert tracked
    assert all(tracker is given for tracker in tracked)
    assert all(map(torch.equal, before, given.parameters()))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_has_a_workload(preset: str) -> None:
    config = speed.workload(None, preset, batch=3, length=7, objects=3, sequences=5)
    check(config)
    check_data(config, speed.digits(config, 5, 7))
    assert config.model.frame_size == (64 if preset.endswith("-ddpae") else 50)
    assert config.train.locate(10**9 - 1)[0].objective == "full"
    sampled = {"paper", "paper-ddpae", "paper-sqair"}  # KL terms, as in the paper
    assert config.train.stages[0].analytic == (preset not in sampled)


def test_all_blocks_are_trained_on_the_batch_asked_for() -> None:
    with speed.as_in_training():
        trained = speed.trainer(tiny_workload(), CPU)
        before = {name: p.clone() for name, p in trained.tracker.named_parameters()}
        for _ in range(3):
            trained.advance()
        assert trained.batches(3).shape == (2, 4, 1, FRAME, FRAME)
    moved = {
        name.split(".")[0] for name, p in trained.tracker.named_parameters() if not p.equal(before[name])
    }
    assert moved == {"attention", "picture", "consensus", "finder", "motion"}


def test_another_frame_scales_the_template() -> None:
    model = speed.workload(frame=100).model
    assert (model.frame_size, build(model).finder.kernel_side) == (100, 31)
    standard = PRESETS["standard"]("ours").model
    assert speed.workload().model == speed.workload(frame=50).model == standard


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(DataError, match="2 or more"):
        speed.trainer(tiny_workload(length=1), CPU)
    with pytest.raises(UsageError, match="different digits"):
        speed.trainer(tiny_workload(objects=1000), CPU)


@pytest.mark.skipif(sys.platform != "linux", reason="about Linux's two ways to tell")
def test_peak_memory_is_the_processs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that a large one starts inherits its peak in rusage, so that is only the second choice."""
    import resource

    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=2**40))
    own = speed.peak_memory(CPU)
    assert own is not None
    assert 5e7 < own < 1e12

    def unreadable(path: Path) -> str:
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", unreadable)
    assert speed.peak_memory(CPU) == 2**50  # kilobytes there


class LateStream:
    """Says nothing before the third frame, then the number of frames it has seen."""

    def __init__(self, tracker: Tracker) -> None:
        self.seen = 0

    def push(self, frames: Tensor) -> int | None:
        assert frames.shape == (1, 1, FRAME, FRAME)
        self.seen += 1
        return None if self.seen < 3 else self.seen


def test_frames_up_to_the_first_reading_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every push seems to take as many seconds as frames were seen, those without a reading 100."""

    def timed(step: Callable[[], int | None], device: torch.device) -> tuple[float, int | None]:
        reading = step()
        return float(reading or 100), reading

    monkeypatch.setattr(predict, "Stream", LateStream)
    monkeypatch.setattr(speed, "_timed", timed)
    tracker = build("vtssi", tiny_workload().model)
    assert speed.stream_latency(tracker, torch.rand(1, 6, FRAME, FRAME), 2) == 5.0
