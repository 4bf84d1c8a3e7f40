"""Frames that are still being made: a folder that grows, and a pipe."""

import io
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vtssi_pyro.errors import DataError
from vtssi_pyro.movies import live, open_movie
from vtssi_pyro.movies.live import growing_folder, raw_frames
from vtssi_pyro.system.naming import natural


def picture(value: int, size: tuple[int, int] = (4, 6)) -> Image.Image:
    return Image.fromarray(np.full(size, value, np.uint8))


def test_pictures_are_taken_as_they_come_in_natural_order(tmp_path: Path) -> None:
    for number in (0, 1):
        picture(number).save(tmp_path / f"{number}.png")

    def add() -> None:
        for number in range(2, 12):
            time.sleep(0.01)
            picture(number).save(tmp_path / "hidden.tmp", "PNG")
            (tmp_path / "hidden.tmp").rename(tmp_path / f"{number}.png")

    adding = threading.Thread(target=add)
    adding.start()
    seen = [int(frame[0, 0]) for frame in growing_folder(tmp_path, patience=1.0)]
    adding.join()
    assert seen == list(range(12))


def test_a_picture_is_read_once_it_is_whole(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60), np.uint8)).save(buffer, "PNG")
    data, path, waits = buffer.getvalue(), tmp_path / "0.png", []
    path.write_bytes(data[:300])

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            path.write_bytes(data)

    frames = list(growing_folder(tmp_path, patience=0.2, sleep=sleep))
    assert len(frames) == 1
    assert frames[0].shape == (40, 60)
    path.write_bytes(data[:300])
    with pytest.raises(DataError, match="no picture that can be decoded"):
        list(growing_folder(tmp_path, patience=0.1, sleep=lambda seconds: None))


def test_what_does_not_come_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no picture came within 0\.1 seconds"):
        list(growing_folder(tmp_path, patience=0.1, sleep=lambda seconds: None))
    with pytest.raises(DataError, match="no folder"):
        list(growing_folder(tmp_path / "none", patience=0.1))
    picture(1).save(tmp_path / "1.png")
    picture(2, (5, 6)).save(tmp_path / "2.png")
    with pytest.raises(DataError, match=r"2\.png has 5x6 pixels \(H x W\), those before 4x6"):
        list(growing_folder(tmp_path, patience=0.1))


def values(folder: Path, patience: float = 0.05) -> list[int]:
    return [int(frame[0, 0]) for frame in growing_folder(folder, patience)]


def test_a_file_called_end_ends_it(tmp_path: Path) -> None:
    """At once, but not before all pictures that came with it are read."""
    for number in range(3):
        picture(number).save(tmp_path / f"{number}.png")
    (tmp_path / "end").touch()
    began = time.monotonic()
    assert values(tmp_path, patience=60) == [0, 1, 2]
    assert time.monotonic() - began < 5


def test_a_picture_that_changes_after_it_was_read_is_told_of_once(tmp_path: Path) -> None:
    told: list[str] = []
    for number in range(3):
        picture(number).save(tmp_path / f"{number}.png")
    frames = growing_folder(tmp_path, patience=0.2, warn=told.append)
    assert int(next(frames)[0, 0]) == 0
    picture(77, (4, 8)).save(tmp_path / "0.png")
    assert int(next(frames)[0, 0]) == 1
    (tmp_path / "1.png").unlink()  # which cameras' programs do
    assert [int(frame[0, 0]) for frame in frames] == [2]
    (line,) = told
    assert "0.png: changed after it had been read" in line


def test_hidden_pictures_are_left_out(tmp_path: Path) -> None:
    """Half written, or whole and about to be renamed: they would be read twice."""
    picture(1).save(tmp_path / ".1.tmp.png")
    frames = growing_folder(tmp_path, 0.5)
    reader = threading.Timer(0.1, (tmp_path / ".1.tmp.png").rename, (tmp_path / "1.png",))
    reader.start()
    assert [int(frame[0, 0]) for frame in frames] == [1]
    picture(9).save(tmp_path / "._1.png")
    assert open_movie(tmp_path).length == 1


def test_a_picture_waits_for_the_one_before_it(tmp_path: Path) -> None:
    picture(1).save(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes((tmp_path / "1.png").read_bytes()[:40])
    picture(3).save(tmp_path / "3.png")

    def sleep(seconds: float) -> None:
        picture(2).save(tmp_path / "2.png")

    assert [int(f[0, 0]) for f in growing_folder(tmp_path, 0.2, sleep)] == [1, 2, 3]


def test_what_comes_too_late_is_told(tmp_path: Path) -> None:
    picture(2).save(tmp_path / "2.png")
    frames = growing_folder(tmp_path, 0.2)
    next(frames)
    picture(1).save(tmp_path / "1.png")
    with pytest.raises(DataError, match=r"1\.png: came when 2\.png, which is behind it, had been read"):
        next(frames)


def test_pictures_may_be_removed_once_they_are_read(tmp_path: Path) -> None:
    for number in range(4):
        picture(number).save(tmp_path / f"{number}.png")
    seen = []
    for frame in growing_folder(tmp_path, 0.05):
        seen.append(int(frame[0, 0]))
        (tmp_path / f"{seen[-1]}.png").unlink()
    assert seen == [0, 1, 2, 3]


def test_a_full_folder_is_not_looked_through_for_every_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = []
    monkeypatch.setattr(live, "natural", lambda path: keys.append(path) or natural(path))
    for number in range(60):
        picture(number).save(tmp_path / f"{number}.png")
    assert values(tmp_path) == list(range(60))
    assert len(keys) == 60


class Drip(io.RawIOBase):
    """A pipe that gives a few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, 5))


@pytest.mark.parametrize("cut", [0, 7])
def test_raw_frames_come_whole(cut: int) -> None:
    made = np.arange(3 * 4 * 6, dtype=np.uint8).reshape(3, 4, 6)
    data = made.tobytes() + bytes(cut)
    told: list[int] = []
    whole = list(raw_frames(io.BytesIO(data), (4, 6), told.append))
    np.testing.assert_array_equal(whole, made)
    assert told == ([cut] if cut else [])


def test_a_pipe_may_give_little_at_a_time() -> None:
    made = np.arange(2 * 4 * 6, dtype=np.uint8).reshape(2, 4, 6)
    np.testing.assert_array_equal(list(raw_frames(Drip(made.tobytes()), (4, 6))), made)


def test_too_few_bytes_are_no_frame() -> None:
    with pytest.raises(DataError, match="3 bytes are no frame of 6x4 pixels"):
        list(raw_frames(io.BytesIO(b"abc"), (4, 6)))
