"""From generated data to predictions, by the commands alone; what every file holds."""

import csv
import json
import os
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_run import FRAME, ON_DIGITS, ON_FILE, STAGES, STEPS, call, on_file, refused, sets

from vtssi_pyro import evaluate, forecast, judge, track
from vtssi_pyro.artifacts.loading import load
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.data import open_frames
from vtssi_pyro.errors import DataError
from vtssi_pyro.evaluation.judge import find
from vtssi_pyro.evaluation.mot_metrics import mot_metrics
from vtssi_pyro.inference.model_tracker import ModelTracker
from vtssi_pyro.system import checkpoint
from vtssi_pyro.system.checkpoint import digest
from vtssi_pyro.tracks.columns import HEADER
from vtssi_pyro.tracks.export import PREDICTIONS_HEADER

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and a run trained on digits."""
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("flow")
    made = ("--frame-size", FRAME, "--sequences", 9, "--length", 8)
    call("generate", "linear-overlap", "--out", place / "data.npz", *made)
    assert "fit --out" not in call("fit", *ON_DIGITS, "--out", place / "run").stderr
    return place


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def mot_files(out: Path) -> list[Path]:
    return sorted((out / "mot" / "trackers" / "vtssi-pyro" / "data").iterdir())


def picture(path: Path, kind: str) -> int:
    """Number of frames of a picture that is of the kind its name says."""
    with Image.open(path) as image:
        assert image.format == kind
        image.load()
        return getattr(image, "n_frames", 1)


def test_generate(place: Path) -> None:
    data = open_frames(place / "data.npz")
    assert (len(data), data.length, data.frame_size) == (9, 8, (FRAME, FRAME))
    assert data.truth is not None
    assert data.truth.box is not None
    assert data.counts is not None
    again = ("generate", "linear-overlap", "--frame-size", FRAME, "--sequences", 9, "--length", 8, "--out")
    call(*again, place / "again.npz")
    assert (place / "again.npz").read_bytes() == (place / "data.npz").read_bytes()
    assert "replace it with --force" in refused(2, *again, place / "again.npz")
    assert (place / "again.npz").read_bytes() == (place / "data.npz").read_bytes()
    (place / "again.npz").unlink()
    call(*again, place / "again.npz", "--seed", 1)
    assert (place / "again.npz").read_bytes() != (place / "data.npz").read_bytes()
    assert ".npz" in refused(2, *again, place / "again.zip")


def test_the_run_folder_is_complete(place: Path) -> None:
    run = Run(place / "run")
    assert run.config.data.source == "linear-overlap"
    assert run.machine == {"threads": 1, "device": "cpu", "processes": 1}
    names = {str(p.relative_to(run.folder)) for p in run.folder.rglob("*") if p.is_file()} - {".lock"}
    figures = {
        f"figures/{n}"
        for n in (
            "film_strip.png",
            "held_out.gif",
            "held_out.json",
            "learning_curves.png",
            "error_curves.png",
        )
    }
    files = {"config.json", "metrics.jsonl", "summary.json", "checkpoints/last.pt", "checkpoints/best.pt"}
    assert names == figures | files
    assert picture(run.figures / "held_out.gif", "GIF") == 8
    for name in ("film_strip", "learning_curves", "error_curves"):
        assert picture(run.figures / f"{name}.png", "PNG") == 1
    summary = json.loads(run.summary.read_text())
    assert summary["steps"] == STEPS
    assert summary["metrics"]["sequences"] == 6
    assert {"minutes", "versions", "seed"} < summary.keys()
    assert run.records()[-1]["step"] == STEPS


def test_a_former_run_goes_on(place: Path, tmp_path: Path) -> None:
    """A run that was named after the paper's blocks resumes, and is used, under the name of its own."""
    run = Run(shutil.copytree(place / "run", tmp_path / "vtssi-linear-overlap-0001"))
    made = json.loads((run.folder / "config.json").read_text())
    made["config"]["variant"], made["format"] = "vtssi", 2
    (run.folder / "config.json").write_text(json.dumps(made))
    assert run.config == Run(place / "run").config
    before = checkpoint.load(run.checkpoint())["trained"]
    run.summary.unlink()
    assert "leave that out" in refused(2, "fit", "--out", run.folder, "--resume", "--variant", "vtssi")
    call("fit", "--out", run.folder, "--resume", "--variant", "ours")
    after = checkpoint.load(run.checkpoint())["trained"]
    assert all(torch.equal(value, before[name]) for name, value in after.items())
    assert json.loads(run.summary.read_text())["variant"] == "ours"
    lines = call("info", run.folder).stdout.splitlines()
    assert "variant            ours" in lines
    blocks = "counted, strided-air, additive, count-rect, template, residual-mot"
    assert f"blocks             {blocks}" in lines


def test_evaluate(place: Path) -> None:
    result = call("evaluate", place / "run", place / "data.npz", "--json", "--observe", 4)
    metrics = json.loads(result.stdout)
    assert metrics.pop("made")["weights"] == digest(load(place / "run").state_dict())
    assert metrics.pop("units") == {"pixel_size": None, "unit": None, "frame_rate": None}
    issue = {"count_accuracy", "inference_error", "prediction_error", "inference_error_by_frame",
             "prediction_error_by_frame", "sequences", "counted_right"}  # fmt: skip
    assert issue <= metrics.keys()
    assert metrics == judge(load(place / "run"), open_frames(place / "data.npz"), 4).as_dict()
    assert len(metrics["prediction_error_by_frame"]) == 4
    assert metrics["count_frames"] == 8
    table = call("evaluate", place / "run", place / "data.npz").stdout
    assert "frames 4 to 8 after observing 3" in table  # the run's own number of frames
    assert re.search(
        r"^count accuracy +[\d.]+ % on all 8 frames, [\d.]+ % on the first 3 ", table, re.MULTILINE
    )
    assert [line.split()[0] for line in table.splitlines()[-8:]] == [str(t) for t in range(1, 9)]


def test_evaluate_settles(place: Path) -> None:
    """The first frames decide the objects; the registration of this run needs five."""
    args = ("evaluate", place / "run", place / "data.npz")
    metrics = json.loads(call(*args, "--json", "--settle", 6).stdout)
    del metrics["made"], metrics["units"]
    data = open_frames(place / "data.npz")
    assert metrics == judge(load(place / "run"), data, 3, settle=6).as_dict()
    assert metrics["count_frames"] == 6
    assert "% on 6 of 8 frames, " in call(*args, "--settle", 6).stdout
    assert "% on the first 5 frames  (" in call(*args, "--settle", 2, "--observe", 5).stdout
    call("track", *args[1:], "--out", place / "settled")
    assert "decides by itself" in refused(
        2, "evaluate", place / "settled" / "tracks.csv", args[2], "--settle", 5
    )


def test_evaluate_boxes(place: Path, tmp_path: Path) -> None:
    pytest.importorskip("trackeval", reason="needs TrackEval, the extra named mot")
    out = tmp_path / "challenge"
    args = ("evaluate", place / "run", place / "data.npz", "--mot")
    metrics = json.loads(call(*args, "--json").stdout)["mot"]
    assert metrics == evaluate(place / "run", place / "data.npz", mot=True, export=out).metrics["mot"]
    data = open_frames(place / "data.npz")
    assert metrics == mot_metrics(data.truth, find(ModelTracker(load(place / "run")), data).tracks)
    assert (out / "gt" / "sequence-0000" / "seqinfo.ini").read_text().count("=") == 7
    assert len((out / "seqmap.txt").read_text().split()) == 1 + len(data)
    assert f"IDF1               {metrics['idf1']:.4f}" in call(*args).stdout


def test_evaluate_without_mot(place: Path) -> None:
    data = place / "data.npz"
    with_mot = json.loads(call("evaluate", place / "run", data, "--json").stdout)
    tracker = load(place / "run")
    tracker.motion = tracker.walk()
    without = evaluate(tracker, data, observe=Run(place / "run").config.observe).metrics
    assert without["prediction_error"] is None
    assert without["prediction_error_by_frame"] == []
    assert with_mot["prediction_error"] is not None
    assert with_mot["count_accuracy"] == without["count_accuracy"]
    assert with_mot["inference_error"] != without["inference_error"]


def test_evaluate_tracks(place: Path) -> None:
    """Tracks that ``track`` wrote are as good as the tracker that they are of, but predict nothing."""
    call("track", place / "run", place / "data.npz", "--out", place / "judged")
    boxes = ["--mot"] if find_spec("trackeval") else []
    args = (place / "data.npz", "--json", "--observe", 4, *boxes)
    whole = json.loads(call("evaluate", place / "run", *args).stdout)
    for name in ("tracks.csv", "mot", "mot/trackers/vtssi-pyro/data"):
        found = json.loads(call("evaluate", place / "judged" / name, *args).stdout)
        assert found["prediction_error"] is None
        assert found["prediction_error_by_frame"] == []
        for key in ("count_accuracy", "counted_right", "identity_switches"):
            assert found[key] == whole[key]
        for key in (
            "inference_error",
            "inference_error_median",
            "inference_error_by_frame",
            *("mot" for _ in boxes),
        ):
            assert found[key] == pytest.approx(whole[key], abs=2e-4), key
    table = call("evaluate", place / "judged" / "tracks.csv", place / "data.npz").stdout
    assert [line.split()[0] for line in table.splitlines()[-8:]] == [str(t) for t in range(1, 9)]


def test_evaluate_refuses_tracks_that_do_not_fit(place: Path, tmp_path: Path) -> None:
    (tmp_path / "tracks.csv").write_text("sequence,frame,object,x,y\n0,0,0,1,1\n9,0,0,1,1\n")
    args = ("evaluate", tmp_path / "tracks.csv", place / "data.npz")
    assert "tracks.csv, line 3: sequence is '9', expected a whole number from 0 to 8" in refused(3, *args)
    assert f"--device: {tmp_path / 'tracks.csv'} holds tracks" in refused(2, *args, "--device", "cpu")
    (tmp_path / "tracks.csv").write_text("sequence,frame,object,x,y\n0,0,0,1,1\n")
    assert json.loads(call(*args, "--json").stdout)["sequences"] == 9
    with pytest.raises(DataError, match="export needs boxes"):
        evaluate(*args[1:], export=tmp_path / "challenge")
    assert not (tmp_path / "challenge").exists()
    np.save(tmp_path / "bare.npy", np.zeros((9, 8, FRAME, FRAME), np.uint8))
    assert "positions" in refused(3, *args[:2], tmp_path / "bare.npy")


def test_evaluate_needs_positions(place: Path) -> None:
    np.save(place / "bare.npy", np.zeros((2, 8, FRAME, FRAME), np.uint8))
    assert "positions" in refused(3, "evaluate", place / "run", place / "bare.npy")


def test_track(place: Path) -> None:
    out = place / "tracks"
    result = call("track", place / "run", place / "data.npz", "--out", out)
    assert result.stdout.split() == [
        str(out / name) for name in ("tracks.csv", "tracks.json", "mot", "overlay.gif")
    ]
    table = rows(out / "tracks.csv")
    assert table[0] == HEADER
    present = load_tracks(place)
    assert len(table) == 1 + int(present.sum())
    assert "imWidth=32" in (out / "mot" / "gt" / "sequence-0000" / "seqinfo.ini").read_text()
    mot = mot_files(out)
    assert [path.name for path in mot] == [f"sequence-{s:04d}.txt" for s in range(9)]
    lines = [row for path in mot for row in rows(path)]
    assert len(lines) == len(table) - 1
    assert all(len(row) == 10 and row[7:] == ["-1"] * 3 for row in lines)
    assert {int(row[0]) for row in lines} == set(range(1, 9))
    assert picture(out / "overlay.gif", "GIF") == 8


def load_tracks(place: Path) -> torch.Tensor:
    return track(load(place / "run"), open_frames(place / "data.npz").frames(slice(None))).tracks.present


def test_tracks_do_not_depend_on_truth(place: Path) -> None:
    """Frames alone, and frames with false positions, give the same files."""
    data = open_frames(place / "data.npz")
    frames = (data.frames(slice(None)) * 255).round().byte().numpy()
    assert data.truth is not None
    np.save(place / "frames.npy", frames)
    np.savez(place / "false.npz", frames=frames, positions=np.full(data.truth.position.shape, 3, np.float32))
    found = set()
    for name in ("data.npz", "frames.npy", "false.npz"):
        call("track", place / "run", place / name, "--out", place / name[:4])
        found.add((place / name[:4] / "tracks.csv").read_bytes())
    assert len(found) == 1


def test_predict(place: Path) -> None:
    out, horizon = place / "predictions", 12  # beyond the frames there are
    args = (
        "predict",
        place / "run",
        place / "data.npz",
        "--observe",
        4,
        "--horizon",
        horizon,
        "--samples",
        3,
    )
    call(*args, "--out", out)
    table = rows(out / "predictions.csv")
    assert table[0] == PREDICTIONS_HEADER
    assert {int(row[1]) for row in table[1:]} == set(range(4, 4 + horizon))
    low, x, high = (PREDICTIONS_HEADER.index(name) for name in ("x_90_low", "x_50_low", "x_90_high"))
    assert all(float(row[low]) <= float(row[x]) <= float(row[high]) for row in table[1:])
    seen = rows(out / "tracks.csv")
    assert seen[0] == HEADER
    assert {int(row[1]) for row in seen[1:]} == set(range(4))
    assert picture(out / "overlay.gif", "GIF") == 4 + horizon
    assert picture(out / "futures.png", "PNG") == 1
    call(*args, "--out", place / "same")
    assert (place / "same" / "predictions.csv").read_bytes() == (out / "predictions.csv").read_bytes()
    forecast(place / "run", place / "data.npz", horizon, 3, observe=4, seed=1, out=place / "other")
    assert (place / "other" / "predictions.csv").read_bytes() != (out / "predictions.csv").read_bytes()


def test_predictions_see_no_later_frame(place: Path) -> None:
    frames = open_frames(place / "data.npz").frames(slice(None)).numpy()
    frames[:, 4:] = 0.5
    np.save(place / "later.npy", frames)
    found = set()
    for name in ("data.npz", "later.npy"):
        args = ("--observe", 4, "--horizon", 2, "--samples", 2, "--out", place / "blind")
        call("predict", place / "run", place / name, *args)
        found.add((place / "blind" / "predictions.csv").read_bytes())
    assert len(found) == 1


def test_few_frames_are_warned_of_and_read(place: Path) -> None:
    np.save(place / "short.npy", np.zeros((1, 2, FRAME, FRAME), np.uint8))
    assert (
        "warning: 2 frames" in call("track", place / "run", place / "short.npy", "--out", place / "s").stderr
    )
    args = ("--observe", 5, "--horizon", 2, "--samples", 0, "--out", place / "s")
    assert "fewer than the 5 to observe" in call("predict", place / "run", place / "short.npy", *args).stderr


def test_fewer_sequences_leave_no_old_files(place: Path) -> None:
    np.save(place / "two.npy", np.zeros((2, 4, FRAME, FRAME), np.uint8))
    call("track", place / "run", place / "data.npz", "--out", place / "reused")
    call("track", place / "run", place / "two.npy", "--out", place / "reused")
    assert len(mot_files(place / "reused")) == 2


def test_overlays_as_films(place: Path) -> None:
    av = pytest.importorskip("av", reason="needs PyAV, the extra named video")
    np.save(place / "few.npy", np.zeros((1, 4, FRAME, FRAME), np.uint8))
    seen = ("--observe", 4, "--horizon", 3, "--samples", 0)
    for command, more, frames in (("track", (), 4), ("predict", seen, 7)):
        out = place / f"film of {command}"
        assert (
            "overlay.mp4"
            in call(command, place / "run", place / "few.npy", "--out", out, "--mp4", *more).stdout
        )
        with av.open(str(out / "overlay.mp4")) as film:
            assert sum(1 for _ in film.decode(video=0)) == frames


def test_gif_and_folder_are_one_sequence(place: Path) -> None:
    pictures = [Image.fromarray(np.full((FRAME, FRAME), 10 * t, np.uint8)) for t in range(4)]
    pictures[0].save(place / "movie.gif", save_all=True, append_images=pictures[1:])
    (place / "stills").mkdir()
    for t, image in enumerate(pictures):
        image.save(place / "stills" / f"{t}.png")
    for name in ("movie.gif", "stills"):
        call("track", place / "run", place / name, "--out", place / f"of {name}")
        assert [path.name for path in mot_files(place / f"of {name}")] == ["sequence-0000.txt"]


def test_frames_of_another_size(place: Path) -> None:
    np.save(place / "large.npy", np.zeros((1, 4, 40, 48), np.uint8))
    line = refused(3, "track", place / "run", place / "large.npy", "--out", place / "x")
    assert "40x48" in line
    assert f"{FRAME}x{FRAME}" in line
    assert not (place / "x").exists()


def test_what_is_not_said(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a run, the newest; without --out, a folder of the results' name; several DATA, a folder each."""
    monkeypatch.chdir(tmp_path)
    data = (place / "data.npz").resolve()
    for command in ("track", "predict"):
        assert "pretrained:moving-mnist" in refused(2, command, data)
        assert "what to track" in refused(2, command, place / "run")
    for number, name in enumerate(("later", "earlier", "untrained")):
        shutil.copytree(place / "run", tmp_path / "runs" / name)
        os.utime(tmp_path / "runs" / name / "config.json", (10**9 - number, 10**9 - number))
    (tmp_path / "runs" / "untrained" / "checkpoints" / "last.pt").unlink()
    os.utime(tmp_path / "runs" / "untrained" / "config.json")
    said = call("track", data).stderr.splitlines()
    assert said[0] == "with runs/later, the newest run"
    assert [line.partition(":")[0] for line in said[1:]] == [str(data)], "what was found"
    call("track", place / "run", data, "--out", "said")
    assert Path("tracks", "tracks.csv").read_bytes() == Path("said", "tracks.csv").read_bytes()
    told = [json.loads(Path(folder, "tracks.json").read_text()) for folder in ("tracks", "said")]
    assert [Path(each["made"].pop("tracker")).name for each in told] == ["later", "run"]
    assert told[0] == told[1]
    assert "with runs/later" in call("predict", data, "--observe", 4, "--samples", 2).stderr
    assert {int(row[1]) for row in rows(Path("predictions", "predictions.csv"))[1:]} <= set(range(4, 34))
    shutil.copy(data, tmp_path / "more.npz")
    call("track", place / "run", data, "more.npz")
    for name in ("data", "more"):
        assert Path("tracks", name, "tracks.csv").read_bytes() == Path("said", "tracks.csv").read_bytes()
    shutil.copy(data, tmp_path / "data.npz")
    assert "called data" in refused(2, "track", place / "run", data, "data.npz")


def test_a_checkpoint_is_named_by_its_file(place: Path, tmp_path: Path) -> None:
    data, found = place / "data.npz", {}
    assert track(place / "run", data, checkpoint="best").tracks.position.shape[:2] == (9, 8)
    for name in ("last", "best"):
        call("track", place / "run" / "checkpoints" / f"{name}.pt", data, "--out", tmp_path / name)
        track(place / "run", data, checkpoint=name, out=tmp_path / "door")
        found[name] = (tmp_path / name / "tracks.csv").read_bytes()
        assert found[name] == (tmp_path / "door" / "tracks.csv").read_bytes()
    other = place / "run" / "checkpoints" / "none.pt"
    assert "none.pt" in refused(4, "track", other, data, "--out", tmp_path / "none")
    assert "none.pt" in refused(4, "evaluate", other, data)


def test_report(place: Path) -> None:
    path = place / "run" / "figures" / "learning_curves.png"
    path.unlink()
    written = call("report", place / "run").stdout.splitlines()
    assert str(path) in written
    assert written[-1] == str(place / "run" / "report.html")
    assert picture(path, "PNG") == 1
    assert "not a run folder" in refused(4, "report", place)
    assert not (place / "report.html").exists()


def test_fit_on_a_file(place: Path, tmp_path: Path) -> None:
    """The last tenth judges; the path is kept absolute, and a file that is gone or was changed is named."""
    shutil.copy(place / "data.npz", tmp_path / "data.npz")
    out = tmp_path / "run"
    result = call("fit", tmp_path / "data.npz", *ON_FILE, "--out", out)
    config = Run(out).config
    assert config.data.source == str(tmp_path / "data.npz")
    assert (config.data.sequences, config.data.test_sequences, config.data.length) == (8, 1, 8)
    assert json.loads((out / "summary.json").read_text())["metrics"]["sequences"] == 1
    assert "finished already" in call("fit", "--out", out, "--resume").stderr
    (out / "summary.json").unlink()
    (tmp_path / "data.npz").unlink()
    call("generate", "linear", "--out", tmp_path / "data.npz", "--sequences", 9, "--length", 7)
    assert "put the old file back" in refused(3, "fit", "--out", out, "--resume")
    (tmp_path / "data.npz").unlink()
    assert "neither a file" in refused(3, "fit", "--out", out, "--resume")
    assert "evaluate" in result.stderr


def test_fit_on_frames_alone(tmp_path: Path) -> None:
    """Without positions there are no metrics, but pictures; without MOT no prediction."""
    random = np.random.default_rng(0)
    np.save(tmp_path / "frames.npy", random.integers(0, 255, (4, 5, 33, 33), np.uint8))
    keys = ["--variant", "template-search", *sets(train__stages=STAGES[:2], train__budget=0.2)]
    result = call(
        "fit", tmp_path / "frames.npy", *on_file("template-search")[2:], *keys, "--out", tmp_path / "run"
    )
    assert "no metrics" in result.stdout
    assert "held_out.gif" in result.stdout
    assert "evaluate" not in result.stderr
    assert "predict" not in result.stderr
    args = ("--observe", 2, "--horizon", 2, "--out", tmp_path / "p")
    assert "no model of motion" in refused(2, "predict", tmp_path / "run", tmp_path / "frames.npy", *args)
