import os
import signal
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from vtssi_pyro.data import MovingDigits, Sprites, moving_digits, read, split_tail, store, write
from vtssi_pyro.errors import DataError, OutOfResources, UsageError

FRAMES = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)
PIXELS = 6 * 44 * 50  # of a sequence of ``data``


@pytest.fixture
def data(shapes: Sprites) -> MovingDigits:
    return moving_digits("linear", shapes, sequences=13, length=6, frame_size=(44, 50))


def saved(folder: Path, **arrays: object) -> Path:
    path = folder / "some.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def same(first: Tensor, second: Tensor) -> bool:
    return torch.equal(first.nan_to_num(-9.0), second.nan_to_num(-9.0))


# Round trip


def test_what_is_written_is_read(data: MovingDigits, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "digits.npz"
    write(path, data)
    video = read(path)
    assert (len(video), video.length, video.frame_size) == (13, 6, (44, 50))
    assert torch.equal(video.frames(slice(None)), (data.frames(slice(None)) * 255).round() / 255)
    index = torch.tensor([12, 0, 7])
    assert torch.equal(video.frames(index, 2, start=3), video.frames(slice(None))[index, 3:5])
    truth = video.truth
    assert truth is not None
    assert truth.box is not None
    assert data.truth.box is not None
    assert video.counts is not None
    assert same(truth.position, data.truth.position)
    assert same(truth.box, data.truth.box)
    assert torch.equal(truth.present, data.truth.present)
    assert torch.equal(video.counts, data.counts)


def test_the_file_is_what_numpy_reads(data: MovingDigits, tmp_path: Path) -> None:
    write(tmp_path / "a.npz", data)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert {name: (x.dtype.name, x.shape) for name, x in arrays.items()} == {
            "frames": ("uint8", (13, 6, 44, 50)),
            "positions": ("float32", (13, 6, 2, 2)),
            "boxes": ("float32", (13, 6, 2, 2)),
            "counts": ("int64", (13,)),
        }


def test_same_data_same_file_whatever_the_chunk(
    data: MovingDigits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, chunk in (("a", 1), ("b", 4), ("c", 100)):
        monkeypatch.setattr(store, "PIXELS", chunk * PIXELS)
        write(tmp_path / name, data)
    contents = {(tmp_path / name).read_bytes() for name in "abc"}
    assert len(contents) == 1


def test_written_from_a_file_without_truth(tmp_path: Path) -> None:
    write(tmp_path / "copy.npz", read(saved(tmp_path, frames=FRAMES)))
    copy = read(tmp_path / "copy.npz")
    assert copy.truth is None
    assert copy.counts is None
    assert torch.equal(copy.frames(slice(None))[:, :, 0], torch.from_numpy(FRAMES).float() / 255)


# Memory


def test_frames_are_mapped_not_loaded(tmp_path: Path) -> None:
    """64 MB in the archive, a few kB in memory."""
    path = tmp_path / "big.npz"
    shape = (1000, 16, 64, 64)
    with zipfile.ZipFile(path, "w") as archive, archive.open("frames.npy", "w", force_zip64=True) as member:
        head = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(member, head)
        block = np.zeros(shape[1:], np.uint8)
        for sequence in range(1000):
            block[...] = sequence % 251
            member.write(block.data)
    tracemalloc.start()
    try:
        frames = read(path).frames(torch.tensor([3, 998]), 2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (frames[:, -1, 0, -1, -1] * 255).round().tolist() == [3, 998 % 251]
    assert peak < 2**21


def test_writing_holds_one_chunk_at_a_time(
    data: MovingDigits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(store, "PIXELS", 4 * PIXELS)

    class Watched(MovingDigits):
        def frames(self, index: Tensor | slice, length: int | None = None, start: int = 0) -> Tensor:
            out = super().frames(index, length, start)
            asked.append(len(out))
            return out

    write(tmp_path / "a.npz", Watched(**vars(data)))
    assert asked == [1, 4, 4, 4, 1]  # the first tells the channels


# Failing half-way


class Breaking(MovingDigits):
    """Fails in the second chunk."""

    def frames(self, index: Tensor | slice, length: int | None = None, start: int = 0) -> Tensor:
        assert isinstance(index, slice)
        if index.start:
            raise KeyboardInterrupt
        return super().frames(index, length, start)


def test_an_interrupted_write_leaves_the_folder_as_it_was(
    data: MovingDigits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PIXELS", 4 * PIXELS)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a.npz", Breaking(**vars(data)))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a.npz").write_text("precious")
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a.npz", Breaking(**vars(data)))
    assert (tmp_path / "a.npz").read_text() == "precious"
    assert len(list(tmp_path.iterdir())) == 1


KILLED = """
import os, signal, sys, torch
from vtssi_pyro.data import read, store, write
store.PIXELS = 1
whole = read(sys.argv[1])
class Killed(type(whole)):
    def frames(self, index, length=None, start=0):
        if index.start or start:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().frames(index, length, start)
whole.__class__ = Killed
write(sys.argv[2], whole)
"""


@pytest.mark.slow
def test_a_killed_write_leaves_no_file_and_the_next_one_tidies_up(tmp_path: Path) -> None:
    source, out = saved(tmp_path, frames=FRAMES), tmp_path / "out" / "a.npz"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, source, out], env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == -signal.SIGKILL
    assert not out.exists()
    write(out, read(source))
    assert [path.name for path in out.parent.iterdir()] == ["a.npz"]


def test_where_nothing_can_be_written(data: MovingDigits, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be made"):
        write(tmp_path / "file" / "a.npz", data)
    (tmp_path / "b.npz").mkdir()
    with pytest.raises(UsageError, match=r"b\.npz: is a folder"):
        write(tmp_path / "b.npz", data)


def test_a_full_disk_is_called_one(data: MovingDigits, tmp_path: Path) -> None:
    class Full(MovingDigits):
        def frames(self, index: Tensor | slice, length: int | None = None, start: int = 0) -> Tensor:
            if length == self.length:  # all of them, to be written
                raise OSError(28, "No space left on device")
            return super().frames(index, length, start)

    with pytest.raises(OutOfResources, match=r"a\.npz: no room left on the disk .*: it takes [\d.]+ kB, "):
        write(tmp_path / "a.npz", Full(**vars(data)))
    assert list(tmp_path.iterdir()) == []


# Users' files


@pytest.mark.parametrize(
    ("dtype", "white"), [("uint8", 255), (">u2", 65535), ("bool", 1), ("float32", 1), ("float64", 255)]
)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
def test_intensities_become_0_to_1(tmp_path: Path, dtype: str, white: int, packed: bool, order: str) -> None:
    pattern = np.random.default_rng(0).random((2, 3, 4, 5)) < 0.5
    frames = np.array(pattern * white, dtype=dtype, order=order)  # type: ignore[call-overload]
    (np.savez_compressed if packed else np.savez)(tmp_path / "a.npz", frames=frames)
    np.save(tmp_path / "a.npy", frames)
    for name in ("a.npz", "a.npy"):
        assert torch.equal(
            read(tmp_path / name).frames(slice(None))[:, :, 0], torch.from_numpy(pattern).float()
        )


def test_three_axes_are_one_sequence(tmp_path: Path) -> None:
    position = np.full((3, 1, 2), 2.0, np.float32)
    video = read(saved(tmp_path, frames=FRAMES[0], positions=position, counts=np.array([1])))
    assert (len(video), video.length) == (1, 3)
    assert video.truth is not None
    assert video.truth.position.shape == (1, 3, 1, 2)


def test_counts_come_from_the_first_frame_when_the_file_has_none(tmp_path: Path) -> None:
    positions = np.full((2, 3, 2, 2), np.nan, np.float32)
    positions[0, 0] = 1
    positions[1, 1:, 0] = 1
    video = read(saved(tmp_path, frames=FRAMES, positions=positions))
    assert video.counts is not None
    assert video.counts.tolist() == [2, 0]


@pytest.mark.parametrize(("total", "held_out"), [(2, 1), (9, 1), (10, 1), (19, 1), (20, 2), (100, 10)])
def test_the_tail_is_held_out(total: int, held_out: int, shapes: Sprites) -> None:
    data = moving_digits("linear-overlap", shapes, sequences=total, length=2)
    train, tail = split_tail(data)
    assert (len(train), len(tail)) == (total - held_out, held_out)
    whole = data.frames(slice(None))
    assert torch.equal(torch.cat([part.frames(slice(None)) for part in (train, tail)]), whole)
    assert torch.equal(tail.frames(torch.tensor([-1, 0]), 1, 1), whole[[total - 1, total - held_out], 1:])
    assert tail.truth is not None
    assert tail.counts is not None
    assert same(tail.truth.position, data.truth.position[-held_out:])
    assert torch.equal(tail.truth.present, data.truth.present[-held_out:])
    assert torch.equal(tail.counts, data.counts[-held_out:])
    assert (tail.length, tail.frame_size) == (2, (50, 50))
    with pytest.raises(IndexError):
        train.frames(torch.tensor([len(train)]))  # never a held-out one


def test_one_sequence_cannot_be_split(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least 2 sequences"):
        split_tail(read(saved(tmp_path, frames=FRAMES[:1])))


def test_one_float_far_above_one_makes_all_of_them_0_to_255(tmp_path: Path) -> None:
    frames = np.array([0.0, 0.5, 150]).reshape(1, 3, 1, 1)
    video = read(saved(tmp_path, frames=frames))
    torch.testing.assert_close(video.frames(slice(None)).flatten(), torch.tensor([0.0, 0.5, 150]) / 255)
