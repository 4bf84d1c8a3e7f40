"""Whatever a movie is, and wherever it ends: one line, the documented exit code, nothing half-written, and at once."""

import errno
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bad_movies import BAD, FRAMES, SIDE, animation, film
from small_model import small
from tiny_run import blobs, call, refused

from vtssi_pyro import evaluate
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.evaluation import judge as evaluation
from vtssi_pyro.inference import filter as predict
from vtssi_pyro.model.tracker import build
from vtssi_pyro.system import atomic
from vtssi_pyro.train.config import Config, DataConfig

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never trained, which no refusal needs."""
    model = small("template")
    model = replace(model, frame_size=SIDE)
    config = Config("vtssi", "test", 7, 3, DataConfig(source="/none.npz"), model)
    run = Run.create(tmp_path_factory.mktemp("bad") / "run", config)
    run.save({"trained": build(config.model).state_dict()})
    return run.folder


def uses(run: Path, movie: Path, out: Path) -> dict[str, tuple[object, ...]]:
    """Commands that take a movie."""
    return {
        "track": ("track", run, movie, "--out", out),
        "predict": ("predict", run, movie, "--observe", 3, "--horizon", 2, "--samples", 2, "--out", out),
        "fit": ("fit", movie, "--out", out),
    }


@pytest.mark.parametrize("command", ["track", "predict", "fit"])
@pytest.mark.parametrize("kind", BAD)
def test_bad_movies(kind: str, command: str, run: Path, tmp_path: Path) -> None:
    name, make, _ = BAD[kind]
    make(tmp_path / name)
    before = sorted(tmp_path.iterdir())
    line = refused(3, *uses(run, tmp_path / name, tmp_path / "out")[command])
    assert str(tmp_path / name) in line
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("command", ["track", "predict", "fit"])
def test_without_pyav(command: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film(tmp_path / "a.mp4")
    monkeypatch.setitem(sys.modules, "av", None)
    assert "vtssi-pyro[video]" in refused(2, *uses(run, tmp_path / "a.mp4", tmp_path / "out")[command])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("frames", [FRAMES[:1], 0 * FRAMES, FRAMES], ids=["one frame", "black", "noise"])
def test_poor_movies_are_tracked_all_the_same(frames: np.ndarray, run: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", frames)
    call("track", run, tmp_path / "a.npy", "--out", tmp_path / "out")
    assert (tmp_path / "out" / "tracks.csv").read_text().startswith("sequence,frame,particle")


@pytest.mark.parametrize("whole", range(5))
@pytest.mark.parametrize("command", ["track", "predict"])
def test_a_full_disk(
    whole: int, command: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are written until there is no room left; those that are there are whole."""
    animation(tmp_path / "a.gif")
    args = uses(run, tmp_path / "a.gif", tmp_path / "full")[command]
    call(*uses(run, tmp_path / "a.gif", tmp_path / "empty")[command])
    flush, left = atomic._flush, [whole]

    def full(path: Path) -> None:
        if path.is_file():
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
        flush(path)

    monkeypatch.setattr(atomic, "_flush", full)
    files = {
        path.relative_to(tmp_path / "empty") for path in (tmp_path / "empty").rglob("*") if path.is_file()
    }
    assert len(files) >= 3
    if whole >= len(files):
        call(*args)
    else:
        result = call(*args, code=6)
        assert len(re.findall("^error: ", result.stderr, re.MULTILINE)) == 1
        assert "no room left on the disk" in result.stderr
    written = [path for path in (tmp_path / "full").rglob("*") if path.is_file()]
    assert len(written) == min(whole, len(files))
    for path in written:
        assert path.read_bytes() == (tmp_path / "empty" / path.relative_to(tmp_path / "full")).read_bytes()


def test_a_full_disk_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    data = blobs(tmp_path / "blobs.npz")
    monkeypatch.setattr(atomic, "_flush", full)
    assert "no room left on the disk" in refused(6, "fit", data, "--out", tmp_path / "run")
    left = [path.name for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert left == [".lock"]


def late(*args: object, **settings: object) -> None:
    raise AssertionError("this has taken minutes")


@pytest.fixture
def nothing_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((predict, "forecast"), (predict, "track"), (evaluation, "find")):
        monkeypatch.setattr(module, name, late)


@pytest.mark.usefixtures("nothing_computed")
@pytest.mark.parametrize("command", ["track", "predict"])
def test_a_film_that_cannot_be_written_is_refused_at_once(
    command: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    av = pytest.importorskip("av", reason="needs PyAV, the extra named video")
    animation(tmp_path / "a.gif")
    args = uses(run, tmp_path / "a.gif", tmp_path / "out")[command]
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    assert "cannot write H.264" in refused(2, *args, "--mp4")
    monkeypatch.setitem(sys.modules, "av", None)
    assert "vtssi-pyro[video]" in refused(2, *args, "--mp4")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("nothing_computed")
@pytest.mark.parametrize("command", ["track", "predict"])
def test_a_folder_that_cannot_be_written_is_refused_at_once(command: str, run: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    data = boxed(tmp_path / "data.npz")
    places = [file, file / "within", *([Path("/proc")] if Path("/proc/self").exists() else [])]
    for place in places:  # the last is a folder in which nobody may write, root neither
        line = refused(2, *uses(run, data, place)[command])
        assert line.startswith(f"error: --out {place}: cannot be ")
        with pytest.raises(UsageError, match=f"export {place}: cannot be "):
            evaluate(run, data, export=place)


def boxed(path: Path) -> Path:
    """Sequences with positions and boxes."""
    blobs(path)
    with np.load(path) as held:
        arrays = dict(held)
    np.savez(path, **arrays, boxes=np.full_like(arrays["positions"], 8.0))
    return path


@pytest.mark.usefixtures("nothing_computed")
def test_what_cannot_be_judged_is_refused_at_once(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = blobs(tmp_path / "data.npz"), tmp_path / "out"
    assert "missing.npz" in refused(3, "evaluate", run, tmp_path / "missing.npz")
    with pytest.raises(DataError, match=r"missing\.npz"):
        evaluate(run, tmp_path / "missing.npz", export=out)
    assert "mot needs boxes" in refused(3, "evaluate", run, data, "--mot")
    with pytest.raises(DataError, match="export needs boxes"):
        evaluate(run, data, export=out)
    monkeypatch.setitem(sys.modules, "trackeval", None)
    assert "vtssi-pyro[mot]" in refused(2, "evaluate", run, boxed(data), "--mot")
    assert not out.exists()
