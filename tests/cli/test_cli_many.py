"""Many movies: one that is bad stops none, what is finished is not done again, and workers may die."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_run import call

from vtssi_pyro import Config, Hints, Run, load_digits, many, moving_digits, track_all
from vtssi_pyro.api import tracking
from vtssi_pyro.data.scenes import scene
from vtssi_pyro.errors import CheckpointError, DataError, UsageError
from vtssi_pyro.many import Many

REAL = many._tracked
# a training of a second or two, of which little is learned
HARDLY = [
    part
    for key in (
        "train.budget=0.0002", "calibration=0", "model.test_time.hypotheses=1", "train.stages.motion.cache=10",
        "train.stages.futures.cache=10",
    )
    for part in ("--set", key)
]  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with movies 2 and 10, and a bad one."""
    monkeypatch.chdir(tmp_path)
    Path("movies").mkdir()
    for number in (2, 10):
        np.save(
            f"movies/m{number}.npy", scene("blobs", length=8, side=64, objects=2, size=12, seed=number).frames
        )
    Path("movies/m3.tif").write_bytes(b"no movie at all " * 50)
    return tmp_path


def contents(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """Files, their times, and what is in them."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def track(*options: object, code: int = 3, pattern: str = "movies/*") -> str:
    return call("track", "untrained", pattern, "--out", "out", *options, code=code).stderr


def test_a_bad_movie_stops_none_and_is_listed_and_none_is_done_twice(place: Path) -> None:
    said = track().splitlines()
    order = [line for line in said if line.startswith(("1 of", "2 of", "3 of"))]
    assert order == ["1 of 3, movies/m2.npy", "2 of 3, movies/m3.tif", "3 of 3, movies/m10.npy"]
    assert said[-3] == "failed:"
    assert "movies/m3.tif is no picture that can be decoded" in said[-2]
    assert said[-1] == "error: 1 of 3 failed, as listed; the others are done"
    rows = list(csv.DictReader(Path("out/summary.csv").read_text().splitlines()))
    assert [(row["movie"], row["particle"], row["last"]) for row in rows] == [
        (name, particle, "7") for name in ("m2", "m10") for particle in "01"
    ]
    tracked = list(csv.DictReader(Path("out/m10/tracks.csv").read_text().splitlines()))
    speeds = [float(row["speed"]) for row in tracked if row["particle"] == "1" and row["speed"]]
    assert float(rows[-1]["speed"]) == pytest.approx(np.mean(speeds), rel=1e-4)

    before = contents(place / "out")
    said_again = track()
    assert "movies/m2.npy: tracked already, in out/m2" in said_again
    after = contents(place / "out")
    table = place / "out" / "summary.csv"
    assert after.pop(table)[1] == before.pop(table)[1]
    assert after == before

    os.utime("movies/m2.npy", (1, 1))  # touched, or copied elsewhere: the same frames
    frames = np.load("movies/m10.npy")
    frames[0, 0, 0] += 1
    np.save("movies/m10.npy", frames)
    said_again = track()
    assert "m2.npy: tracked already" in said_again
    assert "m10.npy: tracked already" not in said_again
    assert "tracked already" not in track("--object-size", 11)
    assert "m2.npy: tracked already" in track("--object-size", 11)


def test_results_that_were_interrupted_are_made_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was written before: the last file is the one that says that all is there."""
    Path("movies/m3.tif").unlink()

    def interrupted(*args: Any) -> list[Path]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tracking, "tracked_pictures", interrupted)
        track(code=130)
    assert not Path("out/m10").exists()
    assert "tracked already" not in track(code=0)
    Path("out/m2/tracks.csv").unlink()
    said = track(code=0)
    assert "m2.npy: tracked already" not in said
    assert "m10.npy: tracked already" in said


def test_predictions_of_several_go_on_where_they_ended(place: Path) -> None:
    data = moving_digits("linear", load_digits("embedded", "test"), sequences=2, length=6)
    for name, frames in zip("ac", data.frames(slice(0, 2)), strict=True):
        np.save(f"{name}.npy", (255 * frames[None, :, 0]).byte().numpy())
    Path("b.npy").write_bytes(b"no array")
    ahead = "predict", "pretrained:moving-mnist", "?.npy", "--observe", 5, "--horizon", 2, "--out", "out"
    said = call(*ahead, code=3).stderr.splitlines()
    assert "b.npy" in said[-2]
    assert said[-1] == "error: 1 of 3 failed, as listed; the others are done"
    assert not [line for line in said if "was calibrated on" in line]
    made = contents(place / "out")
    assert {path.parent.name for path in made if path.name == "predictions.csv"} == {"a", "c"}
    said_again = call(*ahead, code=3).stderr
    assert "a.npy: predicted already, in out/a" in said_again
    assert contents(place / "out") == made
    Path("out/a/predictions.csv").unlink()
    said_again = call(*ahead, code=3).stderr
    assert "a.npy: predicted already" not in said_again
    assert "c.npy: predicted already" in said_again
    assert "predicted already" not in call(*ahead, "--samples", 30, code=3).stderr


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ([DataError("bad"), UsageError("odd")], 3),
        ([UsageError("odd"), None], 2),
        ([RuntimeError("a bug"), CheckpointError("lost")], 1),
        ([None, None], 0),
    ],
)
def test_the_exit_code_is_that_of_the_worst(
    errors: list[Exception | None], code: int, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("movies/m3.tif").unlink()
    waiting = iter(errors)

    def failing(*args: object, **options: object) -> many._Tracked:
        if error := next(waiting):
            raise error
        return many._Tracked(place, {"particle": [0]})

    monkeypatch.setattr(many, "_tracked", failing)
    said = track(code=code)
    assert ("failed:" in said) == bool(code)


def test_what_is_no_movies_fault_is_said_once(place: Path) -> None:
    assert "check the pattern" in track(pattern="none/*.tif")
    Path("movies/m2.tif").touch()
    assert "2 of DATA are called m2" in track(code=2)
    said = call("track", "runs/none/checkpoints/last.pt", "movies/*.npy", "--out", "no", code=4).stderr
    assert said.count("not a run folder") == 1
    assert not Path("no").exists()
    with pytest.raises(UsageError, match="workers: the cluster of scheduler has workers"):
        track_all("untrained", "movies/*.npy", "no", workers=2, scheduler="tcp://127.0.0.1:1")


@pytest.mark.parametrize("address", ["nonsense", "tcp://here", "foo://here:1"])
def test_what_is_no_address_of_a_scheduler_is_refused_at_once(address: str, place: Path) -> None:
    pytest.importorskip("distributed", reason="needs Dask, the extra named dask")
    begun = time.monotonic()
    with pytest.raises(UsageError, match=r"scheduler .*: no Dask cluster answers there"):
        track_all("untrained", "movies/*.npy", place / "out", scheduler=address)
    assert time.monotonic() - begun < 20  # a client of it would take a minute to close


def test_a_folder_of_movies_is_answered_with_their_pattern(place: Path) -> None:
    (place / "movies/m3.tif").unlink()
    said = call("track", "untrained", "movies", code=3).stderr
    assert "no pictures in movies: expected .png" in said
    assert "give these: 'movies/*.npy'" in said


def _dies_once(log: Path, tracker: Any, movie: str, folder: Path, *rest: Any) -> many._Tracked:
    """Track a movie, but the worker of the last one dies when the first one is finished."""
    finished = folder.parent / "m2" / "tracks.json"
    if "m10" in movie and not log.exists():
        while not finished.exists():
            pass
        log.write_text(str(finished.stat().st_mtime_ns))
        os.kill(os.getpid(), signal.SIGKILL)
    return REAL(tracker, movie, folder, *rest)


@pytest.mark.slow
def test_a_killed_workers_movie_is_done_again_and_no_finished_one(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed", reason="needs Dask, the extra named dask")
    alone = track_all("untrained", "movies/*", place / "alone")
    monkeypatch.setattr(many, "_tracked", partial(_dies_once, place / "log"))
    found = track_all("untrained", "movies/*", place / "shared", workers=2)
    assert int((place / "log").read_text()) == (place / "shared/m2/tracks.json").stat().st_mtime_ns
    assert [type(outcome.error) for outcome in found.outcomes] == [type(None), DataError, type(None)]
    assert isinstance(found, Many)
    assert alone.table
    assert found.table
    assert found.table.read_text() == alone.table.read_text()


@pytest.mark.slow
def test_the_workers_of_a_cluster_that_runs_are_taken(place: Path) -> None:
    """With the commands of docs/cluster.md: a scheduler and a worker, processes of their own."""
    pytest.importorskip("distributed", reason="needs Dask, the extra named dask")
    file, end = place / "scheduler.json", time.monotonic() + 120
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with ExitStack() as both:
        for part in (("scheduler", "--port", "0"), ("worker", "--nthreads", "1")):
            command = [sys.executable, "-m", "dask", *part, "--scheduler-file", str(file), "--no-dashboard"]
            process = both.enter_context(subprocess.Popen(command, **silent))
            both.callback(process.terminate)
        while not (file.exists() and file.stat().st_size):
            assert time.monotonic() < end
            time.sleep(0.1)
        said = track("--scheduler", json.loads(file.read_text())["address"])
    assert said.splitlines()[-1] == "error: 1 of 3 failed, as listed; the others are done"
    assert {path.parent.name for path in Path("out").glob("*/tracks.json")} == {"m2", "m10"}


@pytest.fixture
def longer(place: Path) -> Path:
    """Movies that are long enough to learn from, and the bad one."""
    for number, length in ((2, 24), (10, 18)):
        drawn = scene("blobs", length=length, side=64, objects=2, size=12, seed=number)
        np.save(f"movies/m{number}.npy", drawn.frames)
    return place


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_one_tracker_learns_from_several_movies(longer: Path) -> None:
    assert "m3.tif is no picture" in call("fit", "movies/*", *HARDLY, "--out", "run", code=3).stderr
    np.save("movies/wide.npy", np.zeros((20, 64, 72), np.uint8))
    said = call("fit", "movies/m2.npy", "movies/wide.npy", "--out", "run", code=3).stderr
    assert "wide.npy: frames are 64x72 pixels (H x W), those of movies/m2.npy 64x64" in said
    assert not Path("run").exists()
    call("fit", "movies/m*.npy", *HARDLY, "--out", "run")
    run = Run("run")
    assert run.config.data.sequences == 42
    assert run.sources["data"]["movies"] == [str(longer / f"movies/m{number}.npy") for number in (2, 10)]
    (longer / "run/summary.json").unlink()
    call("fit", "--out", "run", "--resume")
    assert run.read_summary()["held_out"]["frames"] == 10
    (longer / "run/summary.json").unlink()
    np.save("movies/m10.npy", np.load("movies/m10.npy")[::-1])
    assert "is not what the run began with" in call("fit", "--out", "run", "--resume", code=3).stderr
    np.save("movies/m2.npy", np.load("movies/m2.npy")[:15])
    said = call("fit", "movies/m2.npy", "movies/m10.npy", "--out", "short", code=3).stderr
    assert "movies/m2.npy: a movie of 15 frames is too short" in said


@pytest.mark.parametrize("made", [4, 5])
def test_what_a_former_run_did_not_record_is_not_held_against_it(
    made: int, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Run.create("runs/m2", Config()).folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"format": made}))
    resumed: list[Run] = []
    monkeypatch.setattr(many, "resume", lambda run, *args, **options: resumed.append(run))
    failed = many.fit_each("movies/m2.npy", "runs", hints=Hints(polarity="dark")).failed
    assert (len(resumed), len(failed)) == ((1, 0) if made < 5 else (0, 1))


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_tracker_learns_from_each_and_only_once(longer: Path) -> None:
    each = ("fit", "movies/*", "--each", *HARDLY, "--threads", 1, "--out", "runs")
    done = call(*each, code=3)
    assert done.stdout.splitlines()[-2:] == ["runs/m2", "runs/m10"]
    assert "movies/m3.tif is no picture" in done.stderr
    Path("runs/m10/summary.json").unlink()  # as if its end was never reached
    before = contents(longer / "runs" / "m2")
    said = call(*each, code=3).stderr
    assert "runs/m2: finished already" in said
    assert "runs/m10: finished already" not in said
    assert contents(longer / "runs" / "m2") == before
    assert Run("runs/m10").read_summary()
    said = call(*each, "--frame-rate", 5, code=3).stderr
    assert "m10: was made with nothing said of how its frames are stored, not frame_rate 5.0" in said
    Path("recipe.toml").write_text("seed = 3\n")
    assert (
        "another configuration than --config seed=3" in call(*each, "--config", "recipe.toml", code=3).stderr
    )
    plain = ("fit", "movies/*", "--each", "--out", "runs", "--config", "runs/m10/config.json")
    assert "runs/m10: finished already" in call(*plain, code=3).stderr
    more = (*plain, "--set", "train.log_every=9", "--objects", 3)
    for again in (False, True):
        said = call(*more[:3], "--out", "more", *more[5:], "--threads", 1, code=3).stderr
        assert ("more/m10: finished already" in said) == again
    other = json.loads(Path("runs/m10/config.json").read_text())
    Path("other.json").write_text(json.dumps(other | {"config": other["config"] | {"observe": 2}}))
    said = call(*plain[:-1], "other.json", code=3).stderr
    assert "runs/m10: was made with another configuration than --config" in said
    (failed,) = many.fit_each(
        "movies/m10.npy", "runs", hints=Hints(polarity="dark"), changes=HARDLY[1::2]
    ).failed
    assert "nothing said of what is known of the movie, not polarity dark" in str(failed.error)
    np.save("movies/m2.npy", np.load("movies/m2.npy")[::-1])
    assert "m2.npy: is not what the run began with" in call(*each, code=3).stderr
    assert "another configuration" in call(*each, "--objects", 7, code=3).stderr
    assert "--each" in call("fit", "movies/m2.npy", "--workers", 2, code=2).stderr
