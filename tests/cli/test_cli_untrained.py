"""First tracks of a movie without any training."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from tiny_run import blobs, call, refused

from vtssi_pyro import Hints, evaluate, forecast, inspect, sample_movie, track
from vtssi_pyro.data.scenes import Drawn, scene
from vtssi_pyro.errors import UsageError
from vtssi_pyro.movies import array_movie


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return scene("blobs", length=30, side=96, objects=3, size=16, seed=3)


def errors(drawn: Drawn, position: np.ndarray) -> np.ndarray:
    """Distances (T, N) of objects to the tracks (T, N, 2) that they are assigned to throughout, px."""
    distance = np.linalg.norm(drawn.path[:, :, None] - position[:, None], axis=-1)  # (T, N, tracks)
    rows, columns = linear_sum_assignment(distance.mean(0))
    return distance[:, rows, columns]


def test_a_movie_is_tracked_without_a_run(
    drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("movie.npy", drawn.frames)
    done = call("track", "movie.npy", "--out", "tracks")
    assert "untrained, for there is no run yet" in done.stderr
    assert "moving objects: 3 at once" in done.stderr
    assert "vtssi-pyro fit movie.npy" in done.stderr
    written = {"tracks.csv", "tracks.json", "mot", "overlay.gif", "contact_sheet.png"}
    assert {path.name for path in Path("tracks").iterdir() if not path.name.startswith(".")} == written
    rows = list(csv.DictReader(Path("tracks/tracks.csv").read_text().splitlines()))
    position = np.array([[float(row["x"]), float(row["y"])] for row in rows]).reshape(30, 3, 2)
    assert errors(drawn, position).mean() < 0.5  # they cross, 16 px large in frames of 96
    assert json.loads(Path("tracks/tracks.json").read_text())


@pytest.mark.parametrize("kind", ["rings", "digits"])
def test_looks_of_any_kind_are_settled_on_the_frames(kind: str) -> None:
    """Rings are no bumps, and digits differ from each other."""
    drawn = scene(kind, length=30, side=100, objects=2, size=24, seed=1)
    found = track("untrained", drawn.frames).tracks
    assert found.position.shape == (1, 30, 2, 2)
    assert errors(drawn, found.position[0].numpy()).mean() < 2.5


def test_a_black_first_frame_shows_nothing_and_spoils_nothing(drawn: Drawn) -> None:
    frames = drawn.frames.copy()
    frames[0] = 0
    found = track("untrained", frames).tracks
    assert found.position.shape[2] == 3
    assert found.confidence is not None
    assert found.present[0].all(-1).tolist() == [False, *[True] * 29], "no row is at a made-up place"
    assert float(found.confidence[0, 1:].min()) > 0.8
    shown = drawn._replace(path=drawn.path[1:])  # they cross, 16 px large in frames of 96
    assert errors(shown, found.position[0, 1:].numpy()).mean() < 0.5


def test_hints_correct_what_was_found(drawn: Drawn) -> None:
    found = track("untrained", drawn.frames, hints=Hints(objects=2, object_size=12)).tracks
    assert found.position.shape[2] == 2
    prepared = inspect(array_movie("movie", drawn.frames), Hints(objects=2, object_size=12))
    again = track("untrained", prepared).tracks
    torch.testing.assert_close(again.position, found.position, rtol=0, atol=0, equal_nan=True)


def test_hints_are_of_untrained_tracks_alone(drawn: Drawn, tmp_path: Path) -> None:
    np.save(tmp_path / "movie.npy", drawn.frames)
    said = refused(2, "track", "pretrained:moving-mnist", tmp_path / "movie.npy", "--objects", "2")
    assert "--objects: is of a movie that is tracked untrained" in said
    with pytest.raises(UsageError, match="is prepared already"):
        track("untrained", inspect(array_movie("movie", drawn.frames)), hints=Hints(objects=2))


def test_the_word_is_no_folder_of_that_name(
    drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("movie.npy", drawn.frames[:8])
    for _ in range(2):  # the second time there is such a folder, of pictures
        call("track", "untrained", "movie.npy", "--out", "untrained")
        assert (Path("untrained") / "tracks.csv").is_file()
    assert "nothing is learned yet" in refused(2, "predict", "untrained", "movie.npy")
    assert "nothing is learned yet" in refused(2, "report", "untrained")


def test_each_of_several_movies_is_told_of(
    drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", drawn.frames[:16])
    np.save("b.npy", drawn.frames[16:24])
    said = call("track", "untrained", "a.npy", "b.npy", "--out", "tracks").stderr
    for name in "ab":
        sheet = f"tracks/{name}/contact_sheet.png"
        assert f"if {sheet} shows" in said
        assert Path(sheet).is_file()
    assert "vtssi-pyro fit a.npy" in said
    assert "8 frames are too few for vtssi-pyro fit, which needs 16" in said
    assert "vtssi-pyro fit b.npy" not in said


def test_what_is_no_data_is_said_to_be_that(tmp_path: Path) -> None:
    assert "none.npy: check the path" in refused(3, "track", "untrained", tmp_path / "none.npy")
    with pytest.raises(UsageError, match="formats: expected several, each csv, geff"):
        track("untrained", np.zeros((8, 20, 20)), formats=("x",))


def test_nothing_is_learned_for_anything_else(drawn: Drawn, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="sequences need a tracker that has learned"):
        track("untrained", blobs(tmp_path / "some.npz"))
    with pytest.raises(UsageError, match="untrained: nothing is learned yet"):
        forecast("untrained", drawn.frames)


def crossing(length: int = 36, side: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """A movie of three bumps that cross it one after another, and their paths (T, N, 2), NaN where none is within."""
    time = np.arange(length)[:, None, None]
    begin = np.array([[0.0, 30.0], [96.0, 62.0], [40.0, 96.0]])
    velocity = np.array([[4.0, 0.5], [-5.0, 0.0], [0.5, -4.0]])
    elapsed = time - np.array([-6, 8, 12])[:, None]
    path = begin + velocity * elapsed
    path = np.where((elapsed >= 0) & (path >= 0).all(-1, keepdims=True) & (path <= side).all(-1, keepdims=True),
                    path, np.nan)  # fmt: skip
    return bumps(path), path


def test_objects_that_come_and_go_have_a_track_each_and_no_other_rows() -> None:
    frames, path = crossing()
    found = track("untrained", frames).tracks
    again = track("untrained", frames).tracks  # whatever random numbers were drawn
    torch.testing.assert_close(again.position, found.position, rtol=0, atol=0, equal_nan=True)
    there = np.isfinite(path).all(-1)
    assert found.present.shape[2] == 3
    position = np.where(found.present[0, ..., None], found.position[0], np.nan)
    distance = np.linalg.norm(path[:, :, None] - position[:, None], axis=-1)  # (T, N, tracks)
    rows, columns = linear_sum_assignment(np.nan_to_num(np.nanmean(distance, 0), nan=1e3))
    own = found.present[0].numpy()[:, columns]
    assert (own != there[:, rows]).sum() <= 3  # a frame for each, in which it is at an edge
    assert np.nanmedian(distance[:, rows, columns]) < 0.5


def test_who_comes_as_another_leaves_has_a_track_of_its_own() -> None:
    """One leaves to the right, another comes from the left in the next frames, a third from above."""
    time = np.arange(32)[:, None]
    path = np.stack(
        [
            np.concatenate([40 + 4.0 * time, 60 + 0.0 * time], 1),
            np.concatenate([-4 + 4.0 * (time - 14), 30 + 0.0 * time], 1),
            np.concatenate([56 + 0.0 * time, -4 + 4.0 * (time - 16)], 1),
        ],
        1,
    )
    found = track("untrained", bumps(path)).tracks
    position = np.where(found.present[0, ..., None], found.position[0], np.nan)
    inside = ((path > 2) & (path < 94)).all(-1)
    distance = np.linalg.norm(path[:, :, None] - position[:, None], axis=-1)  # (T, N, tracks)
    for n in range(3):
        near = (distance[inside[:, n], n] < 3).sum(0)
        assert near.max() >= inside[:, n].sum() - 1, "it has a track"
        assert (near > 0).sum() == 1, "and one alone"
    assert position.shape[1] == 3


def bumps(path: np.ndarray, side: int = 96) -> np.ndarray:
    """A noisy movie of bumps on paths (T, N, 2), none where a path is NaN."""
    y, x = np.mgrid[0.5:side, 0.5:side]
    distance = np.hypot(x - path[..., 0, None, None], y - path[..., 1, None, None])  # (T, N, H, W)
    frames = np.nan_to_num(0.7 * np.exp(-0.5 * (distance / 3) ** 2)).sum(1)
    frames += 0.02 * np.random.default_rng(0).standard_normal(frames.shape) + 0.1
    return (255 * frames.clip(0, 1)).round().astype(np.uint8)


def test_objects_that_touch_are_not_taken_for_some_that_go() -> None:
    drawn = scene(
        "blobs", length=60, side=96, objects=3, size=16, seed=4
    )  # they cross in a fifth of the frames
    looked = inspect(array_movie("movie", drawn.frames)).inspected
    assert (looked.fewest, looked.objects, looked.changes) == (3, 3, False)
    looked = inspect(array_movie("movie", crossing()[0])).inspected
    assert looked.changes
    assert f"{looked.fewest} to {looked.objects} at once" in "\n".join(looked.lines())


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/movies.md"])
def test_the_sample_is_tracked_as_well_as_the_pages_say(page: str, tracked_sample: float) -> None:
    text = (Path(__file__).parents[2] / page).read_text()
    (told,) = re.findall(r"(?:of the sample alone:|Untrained ones are) (\d\.\d+) px off", text)
    assert float(told) == pytest.approx(tracked_sample, abs=0.011)  # rounded, and on another machine


@pytest.fixture(scope="module")
def tracked_sample(tmp_path_factory: pytest.TempPathFactory) -> float:
    """The mean error of untrained tracks of the sample movie, px."""
    folder = tmp_path_factory.mktemp("sample")
    movie = sample_movie("beads", folder / "beads.npz")
    track("untrained", movie, out=folder / "tracks")
    found = evaluate(folder / "tracks" / "tracks.csv", movie).evaluation.inference_error
    assert found is not None
    return found
