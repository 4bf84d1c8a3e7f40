"""``vtssi-pyro benchmark`` prints one object, or a table of the same."""

import json

import pytest
import torch
from tiny_run import call, refused

from vtssi_pyro import benchmark

KEYS = {
    "train_step_seconds", "train_sequences_per_second", "draw_seconds", "track_frames_per_second",
    "stream_latency_seconds", "sample_frames_per_second", "start_memory_bytes", "train_memory_bytes",
    "peak_memory_bytes", "gflops", "variant", "preset", "batch", "length", "frame", "objects", "device",
    "threads", "torch", "repeats",
}  # fmt: skip
FAST = ("--batch", 1, "--length", 2, "--frame", 32, "--repeats", 1, "--threads", 1, "--device", "cpu")


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "TRACKED", (1, 6))
    monkeypatch.setattr(benchmark, "FUTURES", (1, 2, 1))
    monkeypatch.setattr(benchmark, "WARM_UP", 1)


def test_one_object() -> None:
    found = json.loads(call("benchmark", "--json", *FAST, "--objects", 3).stdout)
    assert set(found) == KEYS
    asked = {"variant": "vtssi", "preset": "standard", "batch": 1, "length": 2, "frame": 32, "objects": 3}
    asked |= {"device": "cpu", "threads": 1, "torch": torch.__version__, "repeats": 1}
    assert asked.items() <= found.items()


def test_a_table() -> None:
    lines = call("benchmark", *FAST, "--variant", "air").stdout.splitlines()
    assert lines[0] == "air, preset standard: batch 1, 2 frames of 32x32 px, at most 2 objects"
    assert lines[1].startswith("cpu, 1 thread, ")
    rows = {line.split("  ")[0]: line for line in lines[3:]}
    assert rows["sampled futures"].split()[-2:] == ["-", "frames/s"]
    assert "ms a step" in rows["training"]
    assert "GFLOP/s" in rows["matrix products"]


def test_the_default_variant_is_the_presets() -> None:
    found = json.loads(call("benchmark", "--json", *FAST, "--preset", "paper-sqair").stdout)
    assert (found["variant"], found["preset"]) == ("find-mot", "paper-sqair")


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["--length", 1], 3, "needs 2 or more"),
        (["--objects", 1000], 2, "different digits"),
        (["--device", "cuda:77"], 2, "--device cuda:77"),
    ],
)
def test_what_makes_no_sense(args: list[object], code: int, words: str) -> None:
    assert words in refused(code, "benchmark", *FAST, *args)


@pytest.mark.parametrize("option", ["--batch", "--length", "--frame", "--objects", "--threads", "--repeats"])
def test_numbers_out_of_range(option: str) -> None:
    assert f"Invalid value for '{option}'" in call("benchmark", option, 0, code=2).stderr
