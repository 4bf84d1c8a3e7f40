"""Tracks of any program from one format to another, judged, and shown on their frames."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_run import blobs, call, refused

from vtssi_pyro import Tracks, read_tracks, write_tracks
from vtssi_pyro.data.store import read

RUN = "pretrained:moving-mnist"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blobs(tmp_path_factory.mktemp("data") / "blobs.npz", sequences=3)


@pytest.fixture(scope="module")
def truth(data: Path) -> Tracks:
    found = read(data).truth
    assert found is not None
    return found._replace(box=(0 * found.position + 6.0))


@pytest.mark.parametrize("name", ["csv", "geff", "trackmate", "ctc", "mot"])
def test_tracks_of_any_format_are_judged_and_shown(
    name: str, data: Path, truth: Tracks, tmp_path: Path
) -> None:
    if name == "geff":
        pytest.importorskip("geff", reason="the extra named formats")
    path = tmp_path / ("tracks.csv" if name == "csv" else name)
    write_tracks(truth, path, name, frame_size=(32, 32))
    metrics = json.loads(call("evaluate", path, data, "--json").stdout)
    assert metrics["count_accuracy"] == 1.0
    assert metrics["inference_error"] < (0.75 if name == "ctc" else 1e-3), "a mask has whole pixels"
    call("overlay", path, data, "--out", tmp_path / "o")
    with Image.open(tmp_path / "o" / "overlay.gif") as picture:
        assert picture.n_frames == truth.present.shape[1]
        colours = {tuple(c) for c in np.asarray(picture.convert("RGB")).reshape(-1, 3)}
    assert any(max(c) - min(c) > 100 for c in colours), "boxes are coloured, frames are grey"


def test_a_movies_tracks_are_shown_on_it(tmp_path: Path) -> None:
    frames = np.zeros((6, 40, 60), np.uint8)
    np.save(tmp_path / "movie.npy", frames)
    (tmp_path / "t.csv").write_text("frame,particle,x,y\n0,a,5,5\n5,a,9,9\n")
    done = call("overlay", tmp_path / "t.csv", tmp_path / "movie.npy", "--out", tmp_path / "o")
    assert done.stdout.strip() == str(tmp_path / "o" / "overlay.gif")
    assert "cannot read" in refused(3, "overlay", tmp_path / "none.csv", tmp_path / "movie.npy")


def test_one_format_becomes_another_with_its_units(truth: Tracks, tmp_path: Path) -> None:
    write_tracks(truth.part(slice(1)), tmp_path / "tracks.csv")
    (tmp_path / "tracks.json").write_text(json.dumps({
        "height": 32, "width": 33, "sequences": [],
            "units": {"pixel_size": 0.5, "unit": "um", "frame_rate": 4.0},
    }))  # fmt: skip
    call("convert", tmp_path / "tracks.csv", tmp_path / "a.xml")
    text = (tmp_path / "a.xml").read_text()
    for part in ('spatialunits="um"', 'pixelwidth="0.5"', 'timeinterval="0.25"', 'width="33"', 'height="32"'):
        assert part in text
    call("convert", tmp_path / "a.xml", tmp_path / "01_RES", "--format", "ctc", "--size", "40x32")
    with Image.open(tmp_path / "01_RES" / "mask000.tif") as mask:
        assert mask.size == (40, 32)
    found = read_tracks(tmp_path / "a.xml")
    np.testing.assert_allclose(found.position, truth.position[:1], atol=1e-4)
    assert "is what is read" in refused(2, "convert", tmp_path / "a.xml", tmp_path / "a.xml")
    assert "expected a name that ends in" in refused(2, "convert", tmp_path / "a.xml", tmp_path / "b")
    assert "01_RES/x: is what is read, or in it" in refused(
        2, "convert", tmp_path / "01_RES", tmp_path / "01_RES" / "x", "--format", "mot"
    )
    for end in ("csv", "xml"):  # beneath a file
        said = refused(2, "convert", tmp_path / "a.xml", tmp_path / "tracks.csv" / f"b.{end}")
        assert "tracks.csv: cannot be made" in said
    assert "error: --size: expected" in refused(
        2, "convert", tmp_path / "a.xml", tmp_path / "b.csv", "--size", "99999x1"
    )
    (tmp_path / "tracks.json").write_text("{}")
    assert "tracks.json: damaged" in refused(3, "convert", tmp_path / "tracks.csv", tmp_path / "b.xml")


def test_a_tracking_writes_further_formats(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 5, 50, 50), np.uint8))
    out = tmp_path / "a"
    done = call("track", RUN, tmp_path / "a.npy", "--format", "trackmate", "--format", "ctc", "--out", out)
    assert str(out / "trackmate") in done.stdout
    assert sorted(path.name for path in (out / "ctc").iterdir() if path.is_dir()) == ["01_RES", "02_RES"]
    assert read_tracks(out / "trackmate").present.shape[0] == 2
