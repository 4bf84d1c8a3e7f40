"""Frames tracked as they come, by the command: what is in the file, when, and how it ends."""

import csv
import gc
import io
import os
import signal
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from tiny_run import call, process, refused
from vtssi_pyro.cli.main import main
from vtssi_pyro.cli.options import size_of

from vtssi_pyro.api import track_live
from vtssi_pyro.artifacts.loading import find
from vtssi_pyro.data import load_digits, moving_digits
from vtssi_pyro.errors import UsageError
from vtssi_pyro.inference.filter import Stream, track
from vtssi_pyro.movies import Preparation, live
from vtssi_pyro.movies.transforms import Luminance, Resize, Shrink
from vtssi_pyro.tracks.columns import HEADER
from vtssi_pyro.tracks.export import write_tracks_csv

pytestmark = pytest.mark.slow

RUN, SIDE, LENGTH = "pretrained:moving-mnist", 50, 12


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """Two digits on their ways, (T, S, S) uint8."""
    digits = moving_digits("linear", load_digits("embedded", "test"), sequences=8, seed=3, length=LENGTH)
    assert digits.counts is not None
    chosen = int((digits.counts == 2).nonzero()[0])
    return (255 * digits.frames(torch.tensor([chosen]))[0, :, 0]).round().byte().numpy()


def rows(path: Path) -> np.ndarray:
    """Numbers of a table, NaN where there are none."""
    header, *table = csv.reader(path.read_text().splitlines())
    assert header == HEADER
    return np.array([[float(cell or "nan") for cell in row] for row in table])


@pytest.fixture(scope="module")
def offline(frames: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """The tracks of all frames at once, if the first ones settle the objects."""
    torch.set_num_threads(1)
    tracker, path = find(RUN).tracker(), tmp_path_factory.mktemp("offline") / "tracks.csv"
    seen = torch.from_numpy(frames)[None].float() / 255
    write_tracks_csv(path, track(tracker, seen, settle=Stream(tracker).needed).tracks)
    return rows(path)


def piped(data: bytes, out: Path, *more: str) -> Result:
    done = CliRunner().invoke(main, ["live", RUN, "-", "--out", str(out), *more], input=data)
    assert done.exit_code == 0, done.output
    return done


def save(frame: np.ndarray, folder: Path, number: int) -> None:
    """As this package's own files are written: under a hidden name first."""
    Image.fromarray(frame).save(folder / f".{number}.tmp.png")
    (folder / f".{number}.tmp.png").rename(folder / f"{number}.png")


def test_a_pipe_is_read_as_a_file(frames: np.ndarray, offline: np.ndarray, tmp_path: Path) -> None:
    done = piped(frames.tobytes(), tmp_path)
    assert done.stdout == f"{tmp_path / 'tracks.csv'}\n"
    assert f"{LENGTH} frames; from a frame's coming to its rows: median" in done.stderr
    assert "warning" not in done.stderr
    np.testing.assert_allclose(rows(tmp_path / "tracks.csv"), offline, atol=2e-3)
    assert [path.name for path in tmp_path.iterdir()] == ["tracks.csv"]


def test_a_frame_that_is_cut_off_is_told_of(frames: np.ndarray, offline: np.ndarray, tmp_path: Path) -> None:
    done = piped(frames.tobytes()[:-700], tmp_path)
    assert f"warning: standard input ended {SIDE**2 - 700} bytes into a frame" in done.stderr
    np.testing.assert_allclose(rows(tmp_path / "tracks.csv"), offline[offline[:, 1] < LENGTH - 1], atol=2e-3)


def test_a_movie_shorter_than_what_is_waited_for(frames: np.ndarray, tmp_path: Path) -> None:
    piped(frames[:2].tobytes(), tmp_path)
    assert set(rows(tmp_path / "tracks.csv")[:, 1]) == {0, 1}


def test_rows_are_there_before_the_next_frame(
    frames: np.ndarray, offline: np.ndarray, tmp_path: Path
) -> None:
    """Each picture comes when the rows of the one before are there: rows kept back would end it too early."""
    folder, table = tmp_path / "pictures", tmp_path / "out" / "tracks.csv"
    folder.mkdir()
    needed, late = Stream(find(RUN).tracker()).needed, []

    def there(number: int) -> bool:
        return table.exists() and f"\n0,{number},0," in table.read_text()

    def add() -> None:
        for number, frame in enumerate(frames):
            until = time.monotonic() + 30
            while number >= needed and not there(number - 1) and time.monotonic() < until:
                time.sleep(0.005)
            late.extend([number] * (time.monotonic() >= until))
            save(frame, folder, number)
        (folder / "end").touch()

    adding = threading.Thread(target=add)
    adding.start()
    call("live", RUN, folder, "--patience", 100, "--out", tmp_path / "out")
    adding.join()
    assert late == []
    np.testing.assert_allclose(rows(table), offline, atol=2e-3)


class Endless(io.RawIOBase):
    """Many frames, and how much memory is in use when some of them are asked for."""

    def __init__(self, frames: np.ndarray, looks: tuple[int, ...]) -> None:
        self.used: list[int] = []
        self._frames, self._looks, self._number = frames, looks, 0

    def read(self, size: int = -1) -> bytes:
        self._number += 1
        if self._number in self._looks:
            gc.collect()
            self.used.append(tracemalloc.get_traced_memory()[0])
        return b"" if self._number > self._looks[-1] else self._frames[self._number % 2].tobytes()


def test_memory_does_not_grow(frames: np.ndarray, tmp_path: Path) -> None:
    pipe = Endless(frames, (90, 140))  # by then whatever is made once has been made
    tracker = find(RUN).tracker()
    tracemalloc.start()
    try:
        track_live(tracker, pipe, tmp_path)
    finally:
        tracemalloc.stop()
    before, after = pipe.used
    assert after - before < 50 * frames[0].size / 4  # a frame kept has a byte a pixel at least


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_ctrl_c_ends_it_well(frames: np.ndarray, offline: np.ndarray, tmp_path: Path) -> None:
    folder, out = tmp_path / "pictures", tmp_path / "out"
    folder.mkdir()
    for number, frame in enumerate(frames):
        save(frame, folder, number)
    child = process("live", RUN, folder, "--patience", 100, "--out", out)
    until = time.monotonic() + 100
    while not ((out / "tracks.csv").exists() and f"\n0,{LENGTH - 1}," in (out / "tracks.csv").read_text()):
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    _, messages = child.communicate(timeout=60)
    assert child.returncode == 0, messages
    assert f"{LENGTH} frames, then Ctrl-C; from a frame's coming" in messages
    np.testing.assert_allclose(rows(out / "tracks.csv"), offline, atol=2e-3)


def impatient(watch: live.Watch) -> None:
    """Someone who does not want to wait for the frame that is worked on."""
    with watch:
        for _ in watch:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_ctrl_c_while_a_frame_is_worked_on_waits_for_it() -> None:
    def source(interrupted: int) -> Iterator[np.ndarray]:
        for number in range(9):
            if number == interrupted:
                os.kill(os.getpid(), signal.SIGINT)
            yield np.full((2, 2), number)

    before, finished = signal.getsignal(signal.SIGINT), []  # a shell's background processes ignore it
    with live.Watch(source(99)) as watch:
        for frame in watch:
            if frame[0, 0] == 3:
                os.kill(os.getpid(), signal.SIGINT)
            finished.append(int(frame[0, 0]))
    assert finished == [0, 1, 2, 3]
    with live.Watch(source(4)) as watch:  # while it is waited for
        assert [int(frame[0, 0]) for frame in watch] == [0, 1, 2, 3]
    assert watch.summary() == "4 frames, then Ctrl-C"
    with pytest.raises(KeyboardInterrupt):
        impatient(live.Watch(source(99)))
    assert signal.getsignal(signal.SIGINT) is before


def test_the_size_of_frames_in_a_pipe() -> None:
    shrunk = Preparation((Luminance(), Shrink(2), Resize(240, 320, 64)))  # of 480 or 481 rows
    with pytest.raises(UsageError, match=r"give their size$"):
        live.stored_size(shrunk, 64)
    assert live.stored_size(Preparation((Luminance(), Resize(240, 320, 64))), 64) == (240, 320)
    assert live.stored_size(Preparation((Luminance(),)), 64) == (64, 64)
    assert size_of("641x481") == (481, 641)


def test_what_cannot_be_streamed(frames: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(frames[0][:40]).save(tmp_path / "0.png")
    asked = ("live", RUN, tmp_path, "--patience", 0.1, "--out", tmp_path / "out")
    assert "frames have 40x50 pixels (H x W), the run's model expects 50x50" in refused(3, *asked)
    assert "pictures tell their own" in refused(2, *asked, "--size", "50x40")
    for option in ("--appearance", "--mp4"):  # of whole sequences
        assert option in call(*asked, option, code=2).stderr
    assert "vtssi-pyro live" in refused(2, "track", RUN, tmp_path, "--size", "5x5", "--out", tmp_path)
    Image.fromarray(np.full((SIDE, SIDE), np.inf, np.float32)).save(tmp_path / "0.tif")
    (tmp_path / "0.png").unlink()
    assert "has the intensity inf at row 0, column 0: expected finite numbers" in refused(3, *asked)
    line = refused(2, "live", RUN, "-", "--size", "50", "--out", tmp_path / "out")
    assert "--size 50: expected WIDTHxHEIGHT" in line
