"""From one movie to tracks and predictions in its own pixels, by the commands alone."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from tiny_run import call, refused
from vtssi_pyro.cli.main import main

from vtssi_pyro import Silent, fit
from vtssi_pyro.artifacts import opening
from vtssi_pyro.artifacts.planning import Plan, gathered, planned
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.data.scenes import Drawn, scene
from vtssi_pyro.errors import UsageError
from vtssi_pyro.inference.filter import Stream, track
from vtssi_pyro.movies import Hints, Preparation
from vtssi_pyro.movies.prepared import PreparedMovie
from vtssi_pyro.train.group import ALONE

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]

FEW_PATHS = ["train.stages.motion.cache=10", "train.stages.futures.cache=10"]  # to find 2,000 takes a minute
# the objects' looks are learned a little, motion hardly: tracks must be right all the same
BRIEF = (
    *(part for key in ("train.budget=0.01", "train.stages.objects.steps=4000", *FEW_PATHS) for part in ("--set", key)),
    "--threads", "1",
)  # fmt: skip
UNITS = ("--pixel-size", 0.5, "--unit", "um", "--frame-rate", 10)
# one hypothesis: four are weighed in every tracking, and most of the time is theirs
HARDLY = ["train.budget=0.0002", "calibration=0", "model.test_time.hypotheses=1", *FEW_PATHS]
TINY = (*(part for key in HARDLY for part in ("--set", key)), "--threads", "1", "--device", "cpu")


def saved(drawn: Drawn, folder: Path) -> Path:
    folder.mkdir()
    for index, frame in enumerate(drawn.frames):
        Image.fromarray(frame).save(folder / f"frame{index}.png")
    return folder


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return scene("blobs", length=40, side=96, objects=2, size=16, seed=4)


@pytest.fixture(scope="module")
def place(drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a movie and a run that was trained on it."""
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("movie")
    saved(drawn, place / "movie")
    done = call("fit", place / "movie", *BRIEF, *UNITS, "--out", place / "run")
    assert "held-out frames: 2 objects of 2 at most explain" in done.stdout
    assert "moving objects: 2 at once, bright before the background" in done.stderr
    return place


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_crowd_is_told_to_take_long(tmp_path: Path) -> None:
    movie = saved(scene("blobs", length=16, side=240, objects=14, size=12, seed=1), tmp_path / "crowd")
    assert "those are many" in call("inspect", movie).stdout
    assert "those are many" not in call("inspect", movie, "--crop", "0,0,80,80").stdout


def test_the_run_tells_all_that_it_is_of(place: Path) -> None:
    run = Run(place / "run")
    data = run.config.data
    assert (data.movie, data.source, data.sequences, data.length) == (True, str(place / "movie"), 40, 16)
    assert isinstance(run.preparation, Preparation)
    assert run.read_summary()["units"] == {"pixel_size": 0.5, "unit": "um", "frame_rate": 10.0}
    held_out = run.read_summary()["held_out"]
    assert held_out["frames"] == 10 == data.validation_sequences
    assert held_out["objects"] == 2
    assert held_out["explained"] > 0.8
    assert held_out["visible"] > 0.9
    assert len(held_out["drift"]) == len(held_out["straight"]) == held_out["ahead"] == 5
    assert (run.figures / "first_tracks.png").exists()
    assert run.calibration is not None  # of held-out clips, without labels
    assert (run.calibration.observed, len(run.calibration.factors)) == (5, 3)
    told = call("info", place / "run").stdout
    assert "10 held-out frames: 2 objects of 2 at most explain" in told
    assert f"temperature {run.calibration.temperature:g}" in told


def test_tracks_are_in_the_movies_own_pixels(place: Path, drawn: Drawn) -> None:
    done = call("track", place / "run", place / "movie", "--out", place / "tracks")
    assert str(place / "tracks" / "tracks.csv") in done.stdout
    found = np.full((40, 2, 2), np.nan)
    for row in rows(place / "tracks" / "tracks.csv"):
        found[int(row["frame"]), int(row["particle"])] = float(row["x"]), float(row["y"])
        assert abs(float(row["width"]) - 14) < 6
        assert float(row["x_um"]) == pytest.approx(0.5 * float(row["x"]), abs=1e-3), "as the run was told"
    told = json.loads((place / "tracks" / "tracks.json").read_text())
    assert (told["height"], told["width"]) == (96, 96)
    assert [len(each["appearance"]) for each in told["sequences"][0]["objects"]] == [20, 20]
    error = np.linalg.norm(drawn.path[:, :, None] - found[:, None], axis=-1)  # (T, N, tracks)
    order = [0, 1] if error[0, 0, 0] < error[0, 0, 1] else [1, 0]
    assert error[:, [0, 1], order].mean() < 1
    with Image.open(place / "tracks" / "overlay.gif") as overlay:
        assert overlay.n_frames == 40


def test_predictions_are_too(place: Path) -> None:
    call(
        "predict",
        place / "run",
        place / "movie",
        "--observe",
        20,
        "--horizon",
        6,
        "--samples",
        8,
        "--out",
        place / "p",
    )
    told = rows(place / "p" / "predictions.csv")
    assert {int(row["frame"]) for row in told} == set(range(20, 26))
    at_once = [row for row in told if row["frame"] == "20"]
    seen = {row["particle"]: row for row in rows(place / "p" / "tracks.csv") if row["frame"] == "19"}
    for row in at_once:
        before = seen[row["particle"]]
        assert np.hypot(*(float(row[f"{a}_median"]) - float(before[a]) for a in "xy")) < 20
    assert (place / "p" / "futures.png").exists()


def test_of_a_long_movie_what_leads_to_the_futures_is_shown(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "LONGEST", 8)
    what = ("predict", place / "run", place / "movie", "--observe", 20, "--horizon", 3, "--samples", 4)
    call(*what, "--out", tmp_path / "p")
    with Image.open(tmp_path / "p" / "overlay.gif") as overlay:
        assert overlay.n_frames == 7  # four that were seen, and three
    assert (tmp_path / "p" / "futures.png").exists()


def test_another_movie_is_prepared_alike(place: Path, tmp_path: Path) -> None:
    other = scene("blobs", length=24, side=96, objects=2, size=16, seed=9)
    np.save(tmp_path / "other.npy", other.frames)
    run = place / "run"
    done = call("track", run, tmp_path / "other.npy", "--out", tmp_path / "tracks")
    # as the movie that was learned from: nothing is looked for, and its pixels stand for the same
    told = "a pixel is 0.5 um (as told), 10 frames a second (as told)"
    said = (
        f"{tmp_path / 'other.npy'}: {told}\n{tmp_path / 'other.npy'}: 2 objects in 24 frames, seen in 100.0 %"
    )
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 2
    assert len(rows(tmp_path / "tracks" / "tracks.csv")) == 48
    looked = tmp_path / "looked"
    assert "moving objects: 2" in call("inspect", tmp_path / "other.npy", "--out", looked).stdout
    call("track", run, looked, "--out", tmp_path / "anew")
    assert len(rows(tmp_path / "anew" / "tracks.csv")) == 48
    np.save(tmp_path / "smaller.npy", other.frames[:, :80, :80])
    message = refused(3, "track", run, tmp_path / "smaller.npy", "--out", tmp_path / "no")
    assert "96x96 pixels (H x W), found 80x80: prepare this movie anew" in message
    call("inspect", tmp_path / "smaller.npy", "--out", tmp_path / "looked smaller")
    call("track", run, tmp_path / "looked smaller", "--out", tmp_path / "small")
    call("predict", run, tmp_path / "looked smaller", "--samples", 0, "--out", tmp_path / "small ahead")
    message = refused(2, "track", "pretrained:moving-mnist", looked, "--out", tmp_path)
    assert "pretrained:moving-mnist did not learn from a movie" in message


@pytest.mark.parametrize("command", ["track", "predict", "evaluate", "calibrate"])
def test_sequences_are_not_taken_for_movies(command: str, place: Path, drawn: Drawn, tmp_path: Path) -> None:
    """Their frames would not be prepared."""
    several = tmp_path / "several.npz"
    np.savez(several, frames=np.stack([drawn.frames] * 2), positions=np.zeros((2, 40, 2, 2), np.float32))
    options = {
        "track": ("--out", tmp_path / "no"),
        "predict": ("--observe", "5", "--horizon", "3", "--out", tmp_path / "no"),
        "calibrate": ("--fit-on", place / "movie"),
    }
    message = refused(3, command, place / "run", several, *options.get(command, ()))
    assert "learned from a movie" in message
    assert not (tmp_path / "no").exists()


def test_a_lost_preparation_is_told(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "run", tmp_path / "run")
    (tmp_path / "run" / "preparation.npz").unlink()
    message = refused(4, "track", tmp_path / "run", place / "movie", "--out", tmp_path / "no")
    assert "preparation.npz: is missing" in message


def test_a_movie_that_changed_is_not_gone_on_with(place: Path, drawn: Drawn, tmp_path: Path) -> None:
    movie = tmp_path / "movie.npy"
    np.save(movie, drawn.frames)
    run = tmp_path / "run"
    call("fit", movie, *TINY, "--out", run)
    (run / "summary.json").unlink()
    np.save(movie, drawn.frames[:-3])
    assert "is not what the run began with" in refused(3, "fit", "--out", run, "--resume")
    np.save(movie, drawn.frames)
    movie = movie.rename(tmp_path / "moved.npy")
    assert "movie.npy" in refused(3, "fit", "--out", run, "--resume")
    call("fit", movie, "--out", run, "--resume")
    assert (run / "summary.json").exists()


def positions(path: Path) -> np.ndarray:
    found = np.full((40, 2, 2), np.nan)
    for row in rows(path):
        found[int(row["frame"]), int(row["particle"])] = float(row["x"]), float(row["y"])
    return found


def test_frames_are_tracked_as_they_come(place: Path, drawn: Drawn, tmp_path: Path) -> None:
    done = call("live", place / "run", place / "movie", "--patience", 0.1, "--out", tmp_path / "folder")
    assert "40 frames; from a frame's coming to its rows: median" in done.stderr
    from_folder = positions(tmp_path / "folder" / "tracks.csv")
    for row in rows(tmp_path / "folder" / "tracks.csv"):
        assert float(row["time"]) == pytest.approx(int(row["frame"]) / 10)
    error = np.linalg.norm(drawn.path[:, :, None] - from_folder[:, None], axis=-1).min(-1)
    assert error.mean() < 1
    bytes_ = drawn.frames.tobytes() + bytes(100)  # the last frame is cut off
    piped = CliRunner().invoke(
        main, ["live", str(place / "run"), "-", "--out", str(tmp_path / "pipe")], input=bytes_
    )
    assert piped.exit_code == 0, piped.output
    np.testing.assert_allclose(positions(tmp_path / "pipe" / "tracks.csv"), from_folder)
    run = Run(place / "run")
    movie, tracker = PreparedMovie.of(place / "movie", run.preparation), run.tracker()
    found = track(tracker, movie.frames[None].float() / 255, settle=Stream(tracker).needed).tracks
    offline = movie.to_source(found).position[0].numpy()
    np.testing.assert_allclose(from_folder, offline, atol=2e-3)


def test_what_is_seen_can_be_said(place: Path, tmp_path: Path) -> None:
    done = call(
        "inspect", place / "movie", "--objects", 3, "--object-size", 12.5, "--out", tmp_path / "looked"
    )
    assert f"fit with: vtssi-pyro fit --prepared {tmp_path / 'looked'}" in done.stdout
    assert "40 frames of 96x96 pixels" in done.stdout
    assert "prepared: luminance; background kind=static" in done.stdout
    found = json.loads((tmp_path / "looked" / "inspection.json").read_text())
    assert (found["objects"], found["object_size"], found["length"]) == (3, 12.5, 40)
    with Image.open(tmp_path / "looked" / "contact_sheet.png") as sheet:
        assert sheet.width > 8 * 64


@pytest.mark.timeout(900)  # six short trainings of a movie
def plan(data: Path, tracker: Run | None = None, objects: int | None = None) -> Plan:
    """What fit would train, and on which frames."""
    changes = gathered(HARDLY)
    return planned(data, tracker, None, Hints(), objects, changes, None, torch.device("cpu"), ALONE, Silent())


def test_what_was_said_to_inspect_is_not_said_to_fit(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of inspect, the movie with it, and hints in Python make the same run."""
    movie, looked = place / "movie", tmp_path / "looked"
    hints = Hints(objects=3, object_size=14.0, background="smooth", crop=(4, 8, 80, 72))
    said = ("--objects", 3, "--object-size", 14, "--background", "smooth", "--crop", "4,8,80,72")
    call("inspect", movie, *said, "--out", looked)
    call("fit", "--prepared", looked, *TINY, "--out", tmp_path / "alone")
    monkeypatch.chdir(place)
    call("fit", "movie", "--prepared", looked, *TINY, "--out", tmp_path / "with it")
    fit(
        movie,
        hints=hints,
        changes=HARDLY,
        device="cpu",
        run=tmp_path / "told",
    )
    told = Run(tmp_path / "told")
    for name in ("alone", "with it"):
        run = Run(tmp_path / name)
        assert run.config == told.config
        assert (run.folder / "preparation.npz").read_bytes() == (told.folder / "preparation.npz").read_bytes()
        one, other = run.tracker().state_dict(), told.tracker().state_dict()
        assert all(torch.equal(one[key], other[key]) for key in other)
    assert told.config.model.num_objects == 3
    assert plan(looked, objects=4).config.model.num_objects == 4
    assert plan(looked, told).config.model == told.config.model  # in frames of the run's size
    assert "keeps how its movie is prepared" in refused(
        2, "fit", "--prepared", looked, "--out", told.folder, "--resume"
    )
    call("fit", looked, "--out", told.folder, "--resume")
    assert "cannot read" in refused(3, "fit", "--prepared", place, "--out", tmp_path / "no")


def test_a_movie_is_looked_at_as_it_is_said_to_be(place: Path, tmp_path: Path) -> None:
    given = ("--crop", "4,8,80,72", "--background", "smooth", "--polarity", "both")
    done = call("inspect", place / "movie", *given, "--out", tmp_path)
    assert "prepared: crop left=4 top=8 width=80 height=72; luminance; background kind=smooth" in done.stdout
    said = "--crop 4,8,80,72 --background smooth --polarity both --out looked"
    kept = f"fit with: vtssi-pyro inspect {place / 'movie'} {said} && vtssi-pyro fit --prepared looked\n"
    assert kept in call("inspect", place / "movie", *given).stdout
    assert f"fit with: vtssi-pyro fit {place / 'movie'}\n" in call("inspect", place / "movie").stdout
    part = f"fit with: vtssi-pyro fit {place / 'movie'} --objects 2 --frames 0:20\n"
    assert part in call("inspect", place / "movie", "--frames", "0:20", "--objects", 2).stdout
    assert json.loads((tmp_path / "inspection.json").read_text())["crop"] == [4, 8, 80, 72]
    for bad in ("1,2,3", "a,b,c,d", "0,0,0,5"):
        assert f"'{bad}'" in call("inspect", place / "movie", "--crop", bad, code=2).stderr
    assert "not within" in refused(
        3, "inspect", place / "movie", "--crop", "90,0,20,20", "--out", tmp_path / "looked"
    )
    with pytest.raises(UsageError, match=r"^polarity: is of a movie"):
        fit("linear", hints=Hints(polarity="dark"))


def test_what_can_be_told_at_once_is_told_before_a_movie_is_read(place: Path, tmp_path: Path) -> None:
    message = refused(2, "fit", place / "movie", "--set", "train.budgt=1", "--out", tmp_path / "run")
    assert "budgt" in message
    assert "moving objects" not in message
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    message = refused(2, "fit", place / "movie", "--out", tmp_path / "run")
    assert "holds a run already" in message
    assert "moving objects" not in message


def test_what_cannot_be_learned_from(place: Path, tmp_path: Path) -> None:
    still = np.full((20, 64, 64), 90, np.uint8)
    still[:, 20:30, 20:30] = 200
    np.save(tmp_path / "still.npy", still)
    line = refused(3, "fit", tmp_path / "still.npy", "--out", tmp_path / "run")
    assert "nothing is seen to move" in line
    assert "say what: --objects 3 and inspect --object-size 20, or inspect --background smooth" in line
    seen = call("inspect", tmp_path / "still.npy", "--background", "smooth").stdout
    assert "moving objects: 1 at once, bright" in seen
    np.save(tmp_path / "short.npy", scene("blobs", length=9, side=64, objects=1, size=12).frames)
    assert "9 frames is too short" in refused(3, "fit", tmp_path / "short.npy", "--out", tmp_path / "run")
    with pytest.raises(UsageError, match=r"^object_size: is of a movie"):
        fit("linear", hints=Hints(object_size=5), run=tmp_path / "run")
    assert not (tmp_path / "run").exists()
