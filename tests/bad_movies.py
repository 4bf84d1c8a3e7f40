"""Movies that are broken, lie or attack; of 32x32 pixels where they say anything true."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SIDE = 32
HUGE = 60_000  # pixels a side, of which a few hundred bytes tell
RNG = np.random.default_rng(0)
FRAMES = RNG.integers(0, 256, (12, SIDE, SIDE)).astype(np.uint8)


def animation(path: Path, frames: np.ndarray = FRAMES) -> None:
    first, *others = [Image.fromarray(frame) for frame in frames]
    first.save(path, save_all=True, append_images=others)


def pictures(path: Path, frames: np.ndarray = FRAMES) -> None:
    path.mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(path / f"{number}.png")


def film(path: Path, frames: np.ndarray = FRAMES) -> None:
    av = pytest.importorskip("av", reason="needs PyAV, the extra named video")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        container.start_encoding()  # without a frame, too
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "gray")))
        container.mux(stream.encode(None))


def cut(write: Callable[[Path], None], keep: float = 0.5, of: str = "") -> Callable[[Path], None]:
    """Only the first part of what was written, or of a file within it."""

    def made(path: Path) -> None:
        write(path)
        file = path / of if of else path
        content = file.read_bytes()
        file.write_bytes(content[: int(keep * len(content))])

    return made


def nonsense(path: Path) -> None:
    if path.suffix == ".mp4":
        pytest.importorskip("av", reason="needs PyAV, the extra named video")
    path.write_bytes(b"no movie at all " * 50)


def folder_of_nonsense(path: Path) -> None:
    pictures(path)
    nonsense(path / "3.png")


def sizes_in_folder(path: Path) -> None:
    pictures(path)
    Image.fromarray(FRAMES[0, :20]).save(path / "7.png")


def sizes_in_tiff(path: Path) -> None:
    Image.fromarray(FRAMES[0]).save(path, save_all=True, append_images=[Image.fromarray(FRAMES[0, :20])])


def array(values: np.ndarray) -> Callable[[Path], None]:
    return lambda path: np.save(path, values, allow_pickle=True)


def lying(path: Path) -> None:
    """A header of many more frames than follow."""
    np.save(path, FRAMES)
    content = path.read_bytes()
    lie = content.replace(b"(12, 32, 32), }" + 7 * b" ", b"(999999999, 32, 32), }")
    assert (len(lie), lie == content) == (len(content), False)
    path.write_bytes(lie)


def huge_png(path: Path) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", HUGE, HUGE, 8, 0, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes(100_000), 9)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + data)


def folder_with_huge_png(path: Path) -> None:
    pictures(path)
    huge_png(path / "5.png")


def huge_gif(path: Path) -> None:
    screen = struct.pack("<6sHHBBB", b"GIF89a", HUGE, HUGE, 0x80, 0, 0) + bytes(6)
    picture = struct.pack("<BHHHHB", 0x2C, 0, 0, HUGE, HUGE, 0) + b"\x02\x02\x4c\x01\x00"
    path.write_bytes(screen + picture + b";")


def huge_tiff(path: Path) -> None:
    tags = [
        (256, HUGE),
        (257, HUGE),
        (258, 8),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, HUGE),
        (279, 100),
    ]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    path.write_bytes(struct.pack("<2sHI", b"II", 42, 8) + directory)


# Name, how it is made, and what must be said of it.
BAD: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "an mp4 of nonsense": ("a.mp4", nonsense, "cannot be decoded"),
    "an mp4 that is cut off": ("a.mp4", cut(film), "cannot be decoded"),
    "a GIF of nonsense": ("a.gif", nonsense, "no picture that can be decoded"),
    "a GIF that is cut off": ("a.gif", cut(animation), "no picture that can be decoded"),
    "a TIFF of nonsense": ("a.tif", nonsense, "no picture that can be decoded"),
    "a TIFF that is cut off": ("a.tif", cut(animation), "is cut off: copy the file again"),
    "a folder with nonsense": ("a", folder_of_nonsense, "3.png is no picture"),
    "a folder with a cut off PNG": ("a", cut(pictures, of="4.png"), "4.png is no picture"),
    "an empty folder": ("a", Path.mkdir, "no pictures in"),
    "an empty file": ("a.gif", Path.touch, "no picture that can be decoded"),
    "an empty film": ("a.mp4", lambda path: film(path, FRAMES[:0]), "holds no video"),
    "a film without a frame": ("a.avi", lambda path: film(path, FRAMES[:0]), "no frames"),
    "no frames": ("a.npy", array(FRAMES[:0]), "no frames"),
    "no such file": ("a.gif", lambda path: None, "check the path"),
    "sizes that change in a folder": ("a", sizes_in_folder, r"7.png has 20x32 pixels \(H x W\), 0.png 32x32"),
    "sizes that change in a TIFF": ("a.tif", sizes_in_tiff, r"2 series of pictures, of 20x32, 32x32 pixels \(H x W\)"),
    "NaN": ("a.npy", array(np.where(FRAMES == FRAMES[3, 4, 5], np.nan, FRAMES / 255)), "intensity nan"),
    "objects": ("a.npy", array(np.array([[[object()] * 32] * 32] * 4)), "holds Python objects"),
    "a header that lies": ("a.npy", lying, "the header promises"),
    "a huge PNG": ("a.png", huge_png, "no picture that can be decoded.*bomb"),
    "a folder with a huge PNG": ("a", folder_with_huge_png, "5.png is no picture that can be decoded.*bomb"),
    "a huge GIF": ("a.gif", huge_gif, "no picture that can be decoded.*bomb"),
    "a huge TIFF": ("a.tif", huge_tiff, "frames are 60000x60000 pixels .* more than"),
}  # fmt: skip
