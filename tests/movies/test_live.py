"""Frames that are still being made: a folder that grows, and a pipe."""

import io
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vtssi_pyro.errors import DataError
from vtssi_pyro.movies.live import growing_folder, raw_frames


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
    with pytest.raises(DataError, match=r"2\.png has \(5, 6\) pixels"):
        list(growing_folder(tmp_path, patience=0.1))


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
    whole = list(raw_frames(io.BytesIO(data), (4, 6)))
    np.testing.assert_array_equal(whole, made)


def test_a_pipe_may_give_little_at_a_time() -> None:
    made = np.arange(2 * 4 * 6, dtype=np.uint8).reshape(2, 4, 6)
    np.testing.assert_array_equal(list(raw_frames(Drip(made.tobytes()), (4, 6))), made)


def test_too_few_bytes_are_no_frame() -> None:
    with pytest.raises(DataError, match="3 bytes are no frame of 6x4 pixels"):
        list(raw_frames(io.BytesIO(b"abc"), (4, 6)))
