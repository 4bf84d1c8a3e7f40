"""Files that are broken, lie or attack end in one line."""

import io
import os
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from vtssi_pyro.data import read
from vtssi_pyro.errors import DataError
from vtssi_pyro.movies.stored import GIB, Stored

FRAMES = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)


def saved(folder: Path, **arrays: object) -> Path:
    path = folder / "some.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def refused(path: Path, message: str) -> str:
    """The message with which reading ``path`` is refused: one line that names the file."""
    with pytest.raises(DataError, match=message) as caught:
        read(path)
    text = str(caught.value)
    assert "\n" not in text
    assert path.name in text
    return text


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (FRAMES[0, 0], r"expected \(S, T, H, W\)"),
        (FRAMES[None, None], r"expected \(S, T, H, W\)"),
        (FRAMES.reshape(2, 1, 5, 4, 3), r"with channels last, expected \(S, T, C, H, W\): say axes STHWC"),
        (FRAMES[:0], "no frames"),
        (FRAMES[:, :0], "no frames"),
        (FRAMES.astype(np.complex64), "complex64, expected numbers"),
        (FRAMES.astype(str), "expected numbers"),
        (FRAMES - 100.0, "sequence 0, frame 0 has the intensity -100"),
        (
            np.where(FRAMES == 83, np.nan, FRAMES),
            "sequence 1, frame 1 has the intensity nan at row 0, column 3",
        ),
        (np.where(FRAMES == 119, np.inf, FRAMES), "sequence 1, frame 2 has the intensity inf"),
    ],
)
def test_frames_that_make_no_sense(tmp_path: Path, frames: np.ndarray, message: str) -> None:
    refused(saved(tmp_path, frames=frames), message)


GOOD = np.ones((2, 3, 1, 2), np.float32)


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        ({"positions": GOOD[:, :2]}, "positions have shape"),
        ({"positions": GOOD[:1]}, "positions have shape"),
        ({"positions": GOOD[..., 0]}, "positions have shape"),
        ({"positions": GOOD.astype(int)}, "expected float32"),
        ({"positions": GOOD * [1, np.nan]}, "sequence 0, frame 0, object 0"),
        ({"positions": GOOD * np.inf}, "sequence 0, frame 0, object 0"),
        ({"boxes": GOOD}, "boxes need positions"),
        ({"positions": GOOD, "boxes": np.ones((2, 3, 2, 2))}, "boxes need positions"),
        ({"counts": np.array([1, 1, 1])}, r"expected int64 of shape \(2,\)"),
        ({"counts": np.array([1.0, 1.0])}, "expected int64"),
        ({"counts": np.array([0, -1])}, "sequence 1 counts -1"),
        ({"counts": np.array([2, 0]), "positions": GOOD}, "sequence 0 counts 2 objects, expected 0 to 1"),
        ({"visible": GOOD[..., 0]}, "beside positions"),
        ({"positions": GOOD, "depth": GOOD}, "depth is float32 of shape"),
        ({"positions": GOOD, "angle": GOOD[..., 0].astype(int)}, "angle is int64"),
        (
            {"positions": GOOD, "angle": GOOD[..., 0] * np.nan},
            "angle of sequence 0, frame 0, object 0 is nan",
        ),
        (
            {"positions": GOOD * np.nan, "depth": GOOD[..., 0]},
            "depth of sequence 0, frame 0, object 0 is 1.0",
        ),
        ({"positions": GOOD, "visible": GOOD[..., 0] * 1.5}, "visible goes beyond"),
    ],
)
def test_truth_that_does_not_fit(tmp_path: Path, truth: dict[str, np.ndarray], message: str) -> None:
    refused(saved(tmp_path, frames=FRAMES, **truth), message)


# Hostile files


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.marker),)


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    marker = tmp_path / "sprung"
    trap = np.array([Trap(marker)], dtype=object)
    np.save(tmp_path / "a.npy", trap, allow_pickle=True)
    np.savez(tmp_path / "a.npz", frames=trap)
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Trap(marker)))
    refused(tmp_path / "a.npy", "Python objects")
    refused(tmp_path / "a.npz", "Python objects")
    refused(tmp_path / "b.npz", "no .npz file")
    assert not marker.exists()


def npy(shape: tuple[int, ...], content: bytes, descr: object = "|u1") -> bytes:
    """A ``.npy`` file that claims ``shape``."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": descr, "fortran_order": False, "shape": shape})
    return out.getvalue() + content


@pytest.mark.parametrize(
    "shape", [(10**12, 1, 1, 1), (2**40, 2**40, 2**40, 1), (1, 1, 5, 5), (-1, 1, 1, -24)]
)
@pytest.mark.parametrize("packing", [None, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_header_that_lies_about_the_size(
    tmp_path: Path, shape: tuple[int, ...], packing: int | None
) -> None:
    content = npy(shape, bytes(24))
    path = tmp_path / ("a.npy" if packing is None else "a.npz")
    if packing is None:
        path.write_bytes(content)
    else:
        with zipfile.ZipFile(path, "w", packing) as archive:
            archive.writestr("frames.npy", content)
    tracemalloc.start()
    try:
        refused(path, "header promises|impossible shape")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**21


def test_members_of_an_archive_are_not_written(tmp_path: Path) -> None:
    """Whatever their names and kinds are: only arrays of known names are read, in memory."""
    folder = tmp_path / "inner"
    folder.mkdir()
    link = zipfile.ZipInfo("positions.npy")
    link.external_attr = 0o120777 << 16  # a symbolic link, for programs that unpack
    content = npy((1, 3, 4, 5), bytes(60))
    with zipfile.ZipFile(folder / "a.npz", "w") as archive:
        archive.writestr("frames.npy", content)
        for name in ("../evil.npy", "/tmp/../evil.npy", "..\\evil.npy", "frames.npy/../../evil.npy"):
            archive.writestr(name, content)
    assert read(folder / "a.npz").frame_size == (4, 5)
    with zipfile.ZipFile(folder / "a.npz", "a") as archive:
        archive.writestr(link, "/etc/passwd")
    refused(folder / "a.npz", "positions.npy")
    assert [path.name for path in tmp_path.rglob("*")] == ["inner", "a.npz"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_that_are_there_twice_are_refused(tmp_path: Path) -> None:
    """One of them would be read, and nobody could tell which."""
    path = saved(tmp_path, frames=FRAMES)
    with zipfile.ZipFile(path) as archive:
        content = archive.read("frames.npy")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("frames.npy", content)
    refused(path, "holds frames.npy more than once")


def test_a_directory_that_lies_about_the_size(tmp_path: Path) -> None:
    """The zip's own directory claims a terabyte, in step with the array's header."""
    path = tmp_path / "a.npz"
    content = npy((2**30, 1, 1, 1), bytes(24))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("frames.npy", content)
    raw = path.read_bytes()
    claimed = struct.pack("<II", 2**30 + 128, 2**30 + 128)
    path.write_bytes(raw.replace(struct.pack("<II", len(content), len(content)), claimed))
    refused(path, "cut off|damaged")


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """The limit is on all arrays together, and unpacking needs no more memory than they have bytes."""
    path = tmp_path / "bomb.npz"
    frames, positions = np.zeros((16, 16, 256, 256), np.uint8), np.zeros((16, 16, 2**15, 2), np.float32)
    np.savez_compressed(path, frames=frames, positions=positions)
    size = frames.nbytes + positions.nbytes
    tracemalloc.start()
    try:
        for memory in (1e-3, frames.nbytes / GIB, (size - 1) / GIB):
            with pytest.raises(
                DataError, match=r"bomb.npz: unpacks to .* GiB, more than .* memory 1, or write it with"
            ):
                read(path, Stored(memory=memory))
        assert tracemalloc.get_traced_memory()[1] < 2**21
        assert read(path, Stored(memory=1.1 * size / GIB)).frame_size == (256, 256)
        assert tracemalloc.get_traced_memory()[1] < 2.2 * size
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("keep", [0, 1, 20, 100, 200, 300, -1])
@pytest.mark.parametrize("kind", ["npz", "npy", "packed"])
def test_cut_off_files(tmp_path: Path, kind: str, keep: int) -> None:
    path = tmp_path / ("a.npy" if kind == "npy" else "a.npz")
    if kind == "npy":
        np.save(path, FRAMES)
    else:
        (np.savez if kind == "npz" else np.savez_compressed)(path, frames=FRAMES)
    whole = path.read_bytes()
    path.write_bytes(whole[:keep])
    if keep < len(whole):
        refused(path, ".")


def test_a_flipped_byte_in_a_packed_file(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", frames=FRAMES)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[150] ^= 255
    (tmp_path / "a.npz").write_bytes(content)
    refused(tmp_path / "a.npz", "damaged|no NumPy array")


def test_other_things_that_are_no_frames(tmp_path: Path) -> None:
    refused(saved(tmp_path, video=FRAMES, other=FRAMES), "none called frames")
    (tmp_path / "text.npz").write_text("hello")
    refused(tmp_path / "text.npz", "no .npz file")
    (tmp_path / "text.npy").write_text("hello")
    refused(tmp_path / "text.npy", "no NumPy array")
    (tmp_path / "records.npy").write_bytes(npy((3,), bytes(24), [("a", "<f8")]))
    refused(tmp_path / "records.npy", "records")
    refused(tmp_path / "missing.npz", "no file")


# Holding out
