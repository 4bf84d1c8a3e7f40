"""Some frames of a movie are tracked as a movie of these alone would be, under the movie's own numbers."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_run import blobs, call, refused

from vtssi_pyro import Hints, Stored, inspect, read_tracks, track
from vtssi_pyro.artifacts.planning import gathered, planned
from vtssi_pyro.data.scenes import scene
from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.movies import array_movie
from vtssi_pyro.tracks.units import Units
from vtssi_pyro.train.group import ALONE
from vtssi_pyro.train.reporting import Silent

SPAN = "4:26:3"
NUMBERS = np.arange(30)[4:26:3]


@pytest.fixture
def frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Of a movie, and of one of some of them alone."""
    monkeypatch.chdir(tmp_path)
    drawn: np.ndarray = scene("blobs", length=30, side=64, objects=2, size=12, seed=2).frames
    np.save("movie.npy", drawn)
    np.save("some.npy", drawn[4:26:3])
    return drawn


def rows(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path).read_text().splitlines()))


def test_they_keep_their_numbers_and_are_tracked_as_if_they_were_alone(frames: np.ndarray) -> None:
    formats = [part for name in ("csv", "trackmate", "mot") for part in ("--format", name)]
    call("track", "untrained", "movie.npy", "--frames", SPAN, "--frame-rate", 10, *formats, "--out", "part")
    call("track", "untrained", "some.npy", "--out", "alone")
    found, alone = rows("part/tracks.csv"), rows("alone/tracks.csv")
    assert [int(row["frame"]) for row in found] == [int(NUMBERS[int(row["frame"])]) for row in alone]
    for one, other in zip(found, alone, strict=True):
        assert [one[key] for key in ("particle", "x", "y", "width", "confidence", "x_std")] == [
            other[key] for key in ("particle", "x", "y", "width", "confidence", "x_std")
        ]
        assert float(one["time"]) == pytest.approx(int(one["frame"]) / 10)
        if other["speed"]:
            assert float(one["speed"]) == pytest.approx(float(other["speed"]) / 3, abs=1e-4)
            assert float(one["speed_px_per_s"]) == pytest.approx(10 * float(one["speed"]), abs=1e-3)
    told = json.loads(Path("part/tracks.json").read_text())
    assert told["sequences"][0]["objects"][0]["frame"] == NUMBERS.tolist()
    for name in ("tracks.csv", "tracks.xml", "mot"):
        read = read_tracks(f"part/{name}")
        assert read.present[0].any(-1).nonzero()[:, 0].tolist() == NUMBERS.tolist(), name
    call("overlay", "part/tracks.csv", "movie.npy", "--out", "shown")


def test_tables_and_arrays_have_the_numbers_too(frames: np.ndarray) -> None:
    pytest.importorskip("pandas", reason="needs pandas, the extra named tables")
    found = track("untrained", frames, stored=Stored(frames=SPAN), hints=Hints(objects=2))
    assert sorted(set(found.to_dataframe()["frame"])) == NUMBERS.tolist()
    assert found.to_xarray()["frame"].values.tolist() == NUMBERS.tolist()
    whole = found.summary()
    assert set(zip(whole["first"], whole["last"], strict=True)) == {(NUMBERS[0], NUMBERS[-1])}
    speeds = found.to_dataframe().groupby("particle")["speed"].mean()
    np.testing.assert_allclose(whole["speed"], speeds)
    np.testing.assert_allclose(whole["seen"], 1.0)


def test_a_table_of_many_has_them(frames: np.ndarray) -> None:
    call("track", "untrained", "m*.npy", "--frames", "5::2", "--out", "out")
    (row, _) = rows("out/summary.csv")
    assert (row["movie"], row["first"], row["last"], row["frames"], row["seen"]) == (
        "movie",
        "5",
        "29",
        "13",
        "1.0",
    )
    assert row["speed"]


def test_an_inspections_folder_keeps_them_and_a_run_of_others_not(frames: np.ndarray) -> None:
    call("inspect", "movie.npy", "--frames", "10:", "--out", "looked")
    prepared = inspect("movie.npy", stored=Stored(frames="10:"))
    assert len(prepared.frames) == 20
    assert prepared.preparation.stored.frames is None  # other movies of the camera are read as a whole
    call("track", "untrained", "looked", "--out", "tracks")
    assert min(int(row["frame"]) for row in rows("tracks/tracks.csv")) == 10
    plan = planned(
        "movie.npy", None, None, Hints(), None, gathered([]), None, torch.device("cpu"), ALONE,
        Silent(), stored=Stored(frames="10:"),
    )  # fmt: skip
    assert plan.config.data.sequences == 20
    assert plan.data is not None
    assert plan.data["stored"]["frames"] == "10:"


@pytest.mark.parametrize("text", ["5", "a:b", "5:5", "7:3", "::0", "-3:", "1:2:3:4", ""])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=f"frames {text}: expected START:STOP:STEP"):
        Stored(frames=text)


def test_there_must_be_such_frames(frames: np.ndarray) -> None:
    assert "movie.npy: has no frames --frames 40:" in refused(
        3, "track", "untrained", "movie.npy", "--frames", "40:"
    )
    said = refused(2, "track", "pretrained:moving-mnist", blobs(Path("s.npz")), "--frames", "1:")
    assert "--frames 1:: is of one movie; s.npz is read as sequences" in said
    broken = frames.astype(np.float32) / 255
    broken[13, 0, 0] = np.inf
    with pytest.raises(DataError, match="intensity inf"):
        list(array_movie("m", broken, Stored(frames="10::3")))
    assert len(list(array_movie("m", broken, Stored(frames="10::2")))) == 10


def test_uneven_times_are_those_of_the_movie() -> None:
    units = Units(frame_rate=10.0, times=(0.0, 0.1, 0.5, 0.6, 1.6), first=1, step=2)
    frame = units.numbered(np.arange(2))
    np.testing.assert_allclose(units.time(frame), [0.1, 0.6])
    np.testing.assert_allclose(
        np.asarray(units.factor(0, -1, frame))[1], 2 / 0.5
    )  # two frames in half a second
    assert Units.from_dict(units.as_dict()) == Units(frame_rate=10.0, first=1, step=2)
    assert not Units(first=3).known
