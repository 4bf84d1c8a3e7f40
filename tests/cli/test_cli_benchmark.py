"""``vtssi-pyro benchmark`` prints one object, or a table of the same."""

import json

import pytest
import torch
from tiny_run import call, refused, sets

from vtssi_pyro import benchmark, speed

pytestmark = pytest.mark.slow

KEYS = {
    "train_step_seconds", "train_sequences_per_second", "draw_seconds", "track_frames_per_second",
    "stream_latency_seconds", "sample_frames_per_second", "start_memory_bytes", "train_memory_bytes",
    "peak_memory_bytes", "gflops", "variant", "preset", "batch", "length", "frame", "objects", "device",
    "threads", "torch", "repeats", "weights",
}  # fmt: skip
SMALL = sets(model__frame_size=32, data__length=2, train__stages__benchmark__batch=1,
             train__stages__benchmark__length={"kind": "Constant", "value": 2})  # fmt: skip
FAST = (*SMALL, "--threads", 1, "--device", "cpu")


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "TRACKED", (1, 6))
    monkeypatch.setattr(speed, "FUTURES", (1, 2, 1))
    monkeypatch.setattr(speed, "WARM_UP", 1)


def test_one_object() -> None:
    found = json.loads(call("benchmark", "--json", *FAST, "--set", "model.num_objects=3").stdout)
    assert set(found) == KEYS
    asked = {"variant": "ours", "preset": "standard", "batch": 1, "length": 2, "frame": 32, "objects": 3}
    asked |= {"device": "cpu", "threads": 1, "torch": torch.__version__, "repeats": 10}
    assert asked.items() <= found.items()


def test_it_is_one_call_in_python() -> None:
    found = benchmark("air", changes=[part for part in SMALL if part != "--set"], device="cpu", threads=1)
    assert set(found) == KEYS
    assert (found["variant"], found["frame"], found["batch"], found["threads"]) == ("air", 32, 1, 1)


def test_a_table() -> None:
    lines = call("benchmark", *FAST, "--set", "model.motion=random-walk").stdout.splitlines()
    assert (
        lines[0]
        == "count-rect-template-search, preset standard: batch 1, 2 frames of 32x32 px, at most 2 objects"
    )
    assert lines[1].startswith("cpu, 1 thread, ")
    rows = {line.split("  ")[0]: line for line in lines[3:]}
    assert rows["sampled futures"].split()[-2:] == ["-", "frames/s"]
    assert "ms a step" in rows["training"]
    assert "GFLOP/s" in rows["matrix products"]


def test_the_default_variant_is_the_presets() -> None:
    found = json.loads(call("benchmark", "--json", *FAST, "--preset", "paper-sqair").stdout)
    assert (found["variant"], found["preset"]) == ("find-mot", "paper-sqair")


def test_trained_weights_are_timed_by_their_own_sizes() -> None:
    short = sets(data__length=2, train__stages__benchmark__batch=1,
                 train__stages__benchmark__length={"kind": "Constant", "value": 2})  # fmt: skip
    line = call("benchmark", "--from", "pretrained:moving-mnist", *short, "--threads", 1).stdout.splitlines()[
        0
    ]
    assert line == "ours, pretrained:moving-mnist: batch 1, 2 frames of 50x50 px, at most 2 objects"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["pretrained:moving-mnist", "--set", "model.num_objects=3"], "weights are of another model"),
        (["pretrained:ddpae"], "reads sequences as a whole"),
        (["nowhere"], "nowhere"),
    ],
)
def test_weights_that_cannot_be_timed(args: list[str], words: str) -> None:
    assert words in refused(4 if args == ["nowhere"] else 2, "benchmark", "--from", *args)


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["--set", "data.length=1"], 3, "needs 2 or more"),
        (["--set", "model.num_objects=1000"], 2, "different digits"),
        (["--device", "cuda:77"], 2, "--device cuda:77"),
    ],
)
def test_what_makes_no_sense(args: list[object], code: int, words: str) -> None:
    assert words in refused(code, "benchmark", *FAST, *args)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("train.stages.benchmark.batch", "batch: expected a whole number from 1"),
        ("data.length", "length: expected a whole number from 1"),
        ("model.frame_size", "model.frame_size: expected a whole number from 1"),
        ("model.num_objects", "objects: expected a whole number from 1"),
    ],
)
def test_numbers_out_of_range(key: str, words: str) -> None:
    assert words in refused(2, "benchmark", *FAST, "--set", f"{key}=0")
    assert "Invalid value for '--threads'" in call("benchmark", "--threads", 0, code=2).stderr
