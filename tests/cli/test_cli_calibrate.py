"""Predictions are judged and mended, and the mended ones are what predict writes."""

import csv
import json
import re
from inspect import unwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_run import FRAME, ON_DIGITS, ON_FILE, blobs, call, refused

from vtssi_pyro import Silent, api
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.data import open_frames
from vtssi_pyro.evaluation.assessment import assess
from vtssi_pyro.evaluation.calibration import calibrate
from vtssi_pyro.evaluation.futures import TEMPERATURES
from vtssi_pyro.inference import filter as predict
from vtssi_pyro.inference.filter import forecast
from vtssi_pyro.system import checkpoint
from vtssi_pyro.system.checkpoint import digest
from vtssi_pyro.tracks.tracks import Tracks

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]

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
            key
            for key in state["trained"]
            if key.startswith("attention.counter") and key.endswith("loc.0.bias")
        )
        state["trained"][bias].fill_(9.0)
        checkpoint.save(path, state)
    return place


TO = ("--observe", OBSERVE)
SAMPLES = 10


class Heard(Silent):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def futures(run: Run, data: Path, seed: int, temperature: float = 1.0) -> tuple[Tracks, Tracks]:
    """The truth of a file, and the futures of it that the command draws with a seed."""
    video = open_frames(data)
    tracker, frames = run.tracker(), video.frames(slice(None), length=OBSERVE)
    drawn = forecast(tracker, frames, video.length - OBSERVE, 10, seed=seed, temperature=temperature)
    return video.truth, drawn.tracks


def test_its_numbers_are_those_of_the_library(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The printed values, and the kept ones, are those of futures that the test draws itself."""
    run, fit_on, data = Run(place / "file"), place / "fit.npz", place / "data.npz"
    blobs(fit_on, sequences=25)

    def score(temperature: float) -> float:
        return sum(assess(*futures(run, fit_on, 0, temperature), OBSERVE).crps)

    best = min(TEMPERATURES, key=score)
    calibration = calibrate(*futures(run, fit_on, 0, best), OBSERVE, digest(run.tracker().state_dict()), best)
    truth, drawn = futures(run, data, 1)
    before = assess(truth, drawn, OBSERVE)
    _, drawn = futures(run, data, 1, best)
    after = assess(truth, calibration(drawn, OBSERVE), OBSERVE)

    monkeypatch.setitem(unwrap(api.calibrate).__kwdefaults__, "samples", SAMPLES)  # fifty of them take long
    result = call("calibrate", run.folder, data, "--fit-on", fit_on, *TO, "--json")
    assert json.loads(result.stdout) == json.loads(
        json.dumps({"before": before.as_dict(), "after": after.as_dict()})
    )
    assert run.calibration == calibration
    tables = call("calibrate", run.folder, data, "--fit-on", fit_on, *TO).stdout.split("\n\n")
    regions, intervals = (table.splitlines() for table in tables[:2])
    assert regions[0].split()[:2] == intervals[0].split()[:2] == ["horizon", "objects"]
    half, most = before.levels.index(0.5), before.levels.index(0.9)
    for h, (first, second) in enumerate(zip(regions[1:], intervals[1:], strict=True)):
        shown = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", first.replace("->", ""))]
        expected = [h + 1, before.objects[h]]
        expected += [100 * found.coverage[h][level] for level in (half, most) for found in (before, after)]
        expected += [
            score[h] for key in ("crps", "nll") for score in (getattr(before, key), getattr(after, key))
        ]
        assert shown == pytest.approx(expected, abs=0.051)
        shown = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", second.replace("->", ""))]
        expected = expected[:2] + [
            100 * share[h][level]
            for axis in ("coverage_x", "coverage_y")
            for level in (half, most)
            for share in (getattr(before, axis), getattr(after, axis))
        ]
        assert shown == pytest.approx(expected, abs=0.051)
    assert h + 1 == 8 - OBSERVE
    assert before != after
    assert len(tables) == 2  # without boxes nobody is known to meet


def test_it_is_fitted_kept_and_used(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("samples", SAMPLES), ("count", 30)):
        monkeypatch.setitem(unwrap(api.calibrate).__kwdefaults__, name, value)
    run, data = Run(place / "digits"), place / "data.npz"
    assert run.calibration is None
    result = call("calibrate", run.folder, *TO)
    assert "predict uses it" in result.stderr
    calibration = run.calibration
    assert calibration is not None
    assert len(calibration.factors) == 8 - OBSERVE
    with Image.open(run.figures / "reliability.png") as image:
        assert image.format == "PNG"
    call("calibrate", run.folder, data, *TO)
    assert run.calibration == calibration  # the same seed, the same sequences to fit on

    to = (data, "--observe", OBSERVE, "--horizon", 5, "--samples", 10)
    tables, messages = {}, {}

    def predicted(name: str, checkpoint: str = "last", raw: bool = False) -> None:
        if raw:
            heard = Heard()
            api.forecast(run, data, 5, SAMPLES, observe=OBSERVE, out=tmp_path / name, checkpoint=checkpoint,
                         raw=True, report=heard)  # fmt: skip
            messages[name] = "".join(f"warning: {line}" for line in heard.warnings)
        else:
            file = run.checkpoint(checkpoint)
            messages[name] = call("predict", file, *to, "--out", tmp_path / name).stderr
        with (tmp_path / name / "predictions.csv").open(newline="") as file:
            tables[name] = list(csv.DictReader(file))

    predicted("raw", raw=True)
    predicted("mended")
    _, drawn = futures(run, data, 0, calibration.temperature)
    expected = calibration(drawn, OBSERVE).samples.quantile(0.95, 0)  # (B, T, N, 2)
    for row in tables["mended"]:
        place_of = tuple(int(row[key]) for key in ("sequence", "frame", "particle"))
        assert float(row["y_90_high"]) == pytest.approx(float(expected[place_of][1]), abs=2e-3)
    assert tables["raw"] != tables["mended"]

    other = checkpoint.load(run.checkpoint())
    next(iter(other["trained"].values())).add_(1e-6)
    run.save(other, "best")
    predicted("other", "best")
    assert messages["other"].count("warning:") == 1
    assert "its calibration is of other weights than checkpoint best" in messages["other"]
    assert f"vtssi-pyro calibrate {run.checkpoint('best')} makes one" in messages["other"]
    predicted("other raw", "best", raw=True)
    assert tables["other"] == tables["other raw"]
    assert "warning" not in messages["mended"] + messages["other raw"]


def nothing_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*args: object, **settings: object) -> None:
        raise AssertionError("this has taken minutes")

    monkeypatch.setattr(predict, "forecast", late)


def test_what_cannot_be_is_refused_at_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing_is_computed(monkeypatch)
    run = Run(place / "digits")
    assert "missing.npz" in refused(3, "calibrate", run.folder, place / "missing.npz", *TO)
    assert "missing.npz" in refused(3, "calibrate", run.folder, "--fit-on", place / "missing.npz", *TO)
    with run.lock():
        assert "in use by another process" in refused(2, "calibrate", run.folder, *TO)
    lock = run.folder / ".lock"
    lock.unlink()
    lock.mkdir()  # as good as a folder that may not be written
    try:
        assert "cannot be written" in refused(2, "calibrate", run.folder, *TO)
    finally:
        lock.rmdir()


def test_a_run_on_a_file_is_told_what_to_fit_on(place: Path) -> None:
    run = Run(place / "file")
    assert refused(2, "calibrate", run.folder).endswith(
        "give sequences with positions, DATA.npz and --fit-on"
    )
    to = ("--fit-on", place / "other.npz", "--observe", OBSERVE)
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
