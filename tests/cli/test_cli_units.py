"""Pixels and frames in other units: from the file, or as told, and in every file of a tracking."""

import csv
import json
import shlex
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_run import call, refused

from vtssi_pyro import Units, __version__, load, load_digits, moving_digits
from vtssi_pyro.data import write
from vtssi_pyro.system.checkpoint import digest
from vtssi_pyro.system.provenance import command
from vtssi_pyro.tracks.export import write_results

RUN = "pretrained:moving-mnist"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stack as ImageJ writes it: 0.106 um a pixel, 25 frames a second."""
    path = tmp_path_factory.mktemp("film") / "digits.tif"
    digits = moving_digits("linear", load_digits("embedded", "test"), sequences=1, seed=3, length=8)
    frames = (255 * digits.frames(slice(0, 1))[0, :, 0]).byte().numpy()
    pages = [Image.fromarray(frame) for frame in frames]
    note = "ImageJ=1.53\nimages=8\nframes=8\nunit=um\nfinterval=0.04\n"
    sides = {"x_resolution": 1 / 0.106, "y_resolution": 1 / 0.106, "resolution_unit": 1}
    pages[0].save(path, save_all=True, append_images=pages[1:], description=note, **sides)
    return path


def rows(path: Path) -> dict[str, np.ndarray]:
    with path.open(newline="") as file:
        header, *table = csv.reader(file)
    numbers = np.array([[float(cell or "nan") for cell in row] for row in table])
    return dict(zip(header, numbers.T, strict=True))


def test_units_are_read_told_and_kept(film: Path, tmp_path: Path) -> None:
    said = call("track", RUN, film, "--out", tmp_path / "a").stderr
    assert f"{film}: a pixel is 0.106 um (from the file), 25 frames a second (from the file)" in said
    table, told = (
        rows(tmp_path / "a" / "tracks.csv"),
        json.loads((tmp_path / "a" / "tracks.json").read_text()),
    )
    np.testing.assert_allclose(table["x_um"], 0.106 * table["x"], atol=1e-4)
    np.testing.assert_allclose(table["time"], table["frame"] / 25)
    np.testing.assert_allclose(table["speed_um_per_s"], 0.106 * 25 * table["speed"], atol=1e-3)
    assert told["units"] == {"pixel_size": pytest.approx(0.106), "unit": "um", "frame_rate": 25.0}
    assert told["rate"] == 25.0
    assert any("a pixel is 0.106 um" in line for line in told["read"]["assumed"])
    assert {"x_um", "time", "speed_um_per_s"} <= set(told["sequences"][0]["objects"][0])
    info = (tmp_path / "a" / "mot" / "gt" / "sequence-0000" / "seqinfo.ini").read_text()
    assert "frameRate=25.0" in info


def test_a_result_says_what_made_it(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tracker, by the hash of its weights, the command, and the versions, beside predictions, too."""
    args = ["predict", RUN, str(film), "--horizon", "2", "--samples", "0", "--out", str(tmp_path / "a b")]
    monkeypatch.setattr(sys, "argv", ["/bin/vtssi-pyro", *args])
    call(*args)
    made = json.loads((tmp_path / "a b" / "tracks.json").read_text())["made"]
    assert made["command"] == "vtssi-pyro " + shlex.join(args)
    assert made["tracker"] == RUN
    assert made["weights"] == digest(load(RUN).state_dict())
    assert made["versions"]["vtssi-pyro"] == __version__
    monkeypatch.setattr(sys, "argv", ["/bin/a-notebook"])
    assert command() is None
    monkeypatch.setattr(sys, "argv", ["/x/vtssi_pyro/cli/__main__.py", "info"])
    assert command() == "vtssi-pyro info"


def test_what_is_told_wins(film: Path, tmp_path: Path) -> None:
    options = ("--pixel-size", 2, "--unit", "mm", "--frame-rate", 100)
    said = call("track", RUN, film, *options, "--out", tmp_path / "a").stderr
    assert "a pixel is 2 mm (as told), 100 frames a second (as told)" in said
    table = rows(tmp_path / "a" / "tracks.csv")
    np.testing.assert_allclose(table["x_mm"], 2 * table["x"], atol=2e-4)
    assert "x_um" not in table
    call("predict", RUN, film, "--frame-rate", 50, "--horizon", 2, "--samples", 3, "--out", tmp_path / "p")
    table = rows(tmp_path / "p" / "predictions.csv")
    np.testing.assert_allclose(table["time"], table["frame"] / 50)
    np.testing.assert_allclose(table["x_90_low_um"], 0.106 * table["x_90_low"], atol=1e-4)


def test_errors_are_told_in_units_too(tmp_path: Path) -> None:
    """As options say, else as the results beside the tracks do."""
    data = moving_digits("linear", load_digits("embedded", "test"), sequences=2, length=3, seed=1)
    assert data.truth is not None
    write(tmp_path / "data.npz", data)
    moved = data.truth._replace(position=data.truth.position + torch.tensor([1.0, 0.0]))
    out, um = tmp_path / "kept", Units(0.5, "um")
    out.mkdir()
    write_results(out, moved, (50, 50), um)
    judged = "evaluate", out / "tracks.csv", tmp_path / "data.npz"
    for options, side, unit in (((), 0.5, "um"), (("--pixel-size", 3, "--unit", "mm"), 3, "mm")):
        said = call(*judged, *options).stdout
        assert f"inference error    1.00 px ({side} {unit})  (1.00 px ({side} {unit}) where the count" in said
        header, first = next(pair for pair in pairwise(said.splitlines()) if pair[0].startswith("frame"))
        assert header.endswith(f"prediction error, px  inference  prediction error, {unit}")
        assert first.split() == ["1", "1.00", "-", str(side), "-"]
    assert json.loads(call(*judged, "--json").stdout)["units"] == um.as_dict()
    paced = json.loads(call(*judged, "--frame-rate", 25, "--json").stdout)["units"]
    assert paced == Units(0.5, "um", 25.0).as_dict(), "what is said of time leaves lengths as they are"


def test_units_that_mean_nothing_are_refused(film: Path) -> None:
    assert refused(2, "track", RUN, film, "--unit", "um") == (
        "error: --unit: means nothing alone; say --pixel-size, too"
    )
    assert "expected a word of letters" in refused(2, "track", RUN, film, "--pixel-size", 1, "--unit", "px")


def test_without_units_there_are_no_columns_of_them(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((1, 5, 50, 50), np.uint8))
    call("track", RUN, tmp_path / "a.npy", "--out", tmp_path / "a")
    assert json.loads((tmp_path / "a" / "tracks.json").read_text())["units"] == {
        "pixel_size": None, "unit": None, "frame_rate": None,
    }  # fmt: skip
    assert "time" not in (tmp_path / "a" / "tracks.csv").read_text()
