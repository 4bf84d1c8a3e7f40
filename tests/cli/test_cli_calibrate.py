"""Predictions are judged and mended, and the mended ones are what predict writes."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_run import FRAME, ON_DIGITS, ON_FILE, blobs, call, refused

from vtssi_pyro.runs import Run
from vtssi_pyro.train import checkpoint

OBSERVE = 3


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs on digits and on a file whose trackers see two objects wherever they look, and sequences with truth."""
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("calibrate")
    blobs(place / "data.npz", sequences=24)
    for name, given in (("digits", ON_DIGITS), ("file", [place / "data.npz", *ON_FILE])):
        call("fit", *given, "--out", place / name)
        path = Run(place / name).checkpoint()
        state = checkpoint.load(path)
        bias = next(
            key for key in state["trained"] if key.startswith("air.counter") and key.endswith("loc.0.bias")
        )
        state["trained"][bias].fill_(9.0)
        checkpoint.save(path, state)
    return place


def test_it_is_fitted_kept_and_used(place: Path, tmp_path: Path) -> None:
    run = Run(place / "digits")
    assert run.calibration is None
    to = ("--observe", OBSERVE, "--samples", 10, "--sequences", 30)
    result = call("calibrate", run.folder, *to)
    lines = result.stdout.splitlines()
    assert lines[0].split()[:2] == ["horizon", "objects"]
    assert len(lines) == 1 + 8 - OBSERVE
    assert lines[1].count(" -> ") == 4
    assert "predict uses it" in result.stderr
    calibration = run.calibration
    assert calibration is not None
    assert len(calibration.factors) == 8 - OBSERVE
    with Image.open(run.figures / "reliability.png") as image:
        assert image.format == "PNG"

    again = json.loads(call("calibrate", run.folder, place / "data.npz", *to, "--json").stdout)
    assert again["before"]["objects"] == again["after"]["objects"]
    assert run.calibration == calibration  # the same seed, the same sequences to fit on
    ends = {}
    for name, raw in (("raw", ["--raw"]), ("mended", [])):
        out = tmp_path / name
        call("predict", run.folder, place / "data.npz", "--observe", OBSERVE, "--horizon", 5, "--samples", 10,
             "--out", out, *raw)  # fmt: skip
        with (out / "predictions.csv").open(newline="") as file:
            table = list(csv.DictReader(file))
        ends[name] = np.array([float(row["x_90_high"]) - float(row["x_90_low"]) for row in table])
    assert not np.allclose(ends["raw"], ends["mended"])


def test_a_run_on_a_file_is_told_what_to_fit_on(place: Path) -> None:
    run = Run(place / "file")
    assert "--fit-on FILE.npz" in refused(2, "calibrate", run.folder, "--samples", 10)
    to = ("--fit-on", place / "other.npz", "--samples", 10, "--observe", OBSERVE)
    blobs(place / "other.npz", sequences=25)
    assert "also judges" in refused(2, "calibrate", run.folder, place / "other.npz", *to)
    call("calibrate", run.folder, place / "data.npz", *to)
    assert run.calibration is not None
    np.savez(place / "bare.npz", frames=np.zeros((2, 8, FRAME, FRAME), np.uint8))
    assert "no positions" in refused(3, "calibrate", run.folder, place / "bare.npz", *to)
    np.savez(place / "short.npz", frames=np.zeros((2, 3, FRAME, FRAME), np.uint8),
             positions=np.zeros((2, 3, 1, 2), np.float32))  # fmt: skip
    assert "none is left to predict" in refused(3, "calibrate", run.folder, place / "short.npz", *to)


def test_a_damaged_calibration_is_named(place: Path) -> None:
    run = Run(place / "file")
    run.calibration_file.write_text("{}")
    to = ("--observe", OBSERVE, "--horizon", 2, "--out", place / "out")
    assert "calibration.json: damaged" in refused(4, "predict", run.folder, place / "data.npz", *to)


def test_more_training_removes_it(place: Path) -> None:
    run = Run(place / "file")
    run.calibration_file.write_text("{}")
    run.rewind(10**6)
    assert run.calibration is None
