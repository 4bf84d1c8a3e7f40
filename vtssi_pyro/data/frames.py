"""Frames that users bring: ``.npz``, ``.npy``, GIF, or a folder of PNGs."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vtssi_pyro.data.store import read
from vtssi_pyro.data.video import VideoFile
from vtssi_pyro.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 2**31  # of all pictures of a sequence together; they are held in memory


def open_frames(path: Path | str) -> VideoFile:
    """Open a file or folder of frames; a GIF or a folder of PNGs is one sequence, without truth.

    Colour becomes luminance, what is transparent becomes black. PNGs come in natural order (2 before 10).
    """
    path = Path(path)
    if path.is_dir():
        return VideoFile(path, _folder(path))
    if not path.exists():
        raise DataError(f"no file or folder {path}: check the path")
    if path.suffix.lower() == ".gif":
        return VideoFile(path, _gif(path))
    if path.suffix.lower() in (".npz", ".npy"):
        return read(path)
    raise DataError(f"{path} is of no known kind: expected .npz, .npy, .gif or a folder of .png files")


def _folder(path: Path) -> np.ndarray:
    """Pictures (T, H, W) uint8 of a folder."""
    files = sorted((file for file in path.iterdir() if file.suffix.lower() == ".png"), key=_natural)
    if not files:
        raise DataError(f"no .png files in {path}")
    frames: list[np.ndarray] = []
    for file in files:
        with _decoding(file) as picture:
            _check_room(picture, len(files), path)
            frames.append(_luminance(picture))
        if frames[-1].shape != frames[0].shape:
            first, this = (f"{x.shape[0]}x{x.shape[1]}" for x in (frames[0], frames[-1]))
            raise DataError(f"{file} has {this} pixels (H x W), {files[0].name} {first}: expected one size")
    return np.stack(frames)


def _gif(path: Path) -> np.ndarray:
    """Pictures (T, H, W) uint8 of a GIF."""
    with _decoding(path) as picture:
        number = getattr(picture, "n_frames", 1)
        _check_room(picture, number, path)
        frames = []
        for time in range(number):
            picture.seek(time)
            frames.append(_luminance(picture))
        return np.stack(frames)


@contextmanager
def _decoding(path: Path) -> "Iterator[Image]":
    from PIL import Image

    bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                yield picture
    except (OSError, SyntaxError, ValueError, EOFError, *bombs) as error:
        raise DataError(f"{path} is no picture that can be decoded ({error})") from error


def _check_room(picture: "Image", number: int, path: Path) -> None:
    pixels = picture.width * picture.height * number
    if pixels > MAX_PIXELS:
        raise DataError(
            f"{path} unpacks to {pixels} pixels, more than {MAX_PIXELS}: make it smaller, or convert it to "
            "an uncompressed .npz, which is not held in memory"
        )


def _luminance(picture: "Image") -> np.ndarray:
    """Grey values (H, W) uint8."""
    from PIL import Image

    if picture.mode.startswith("I;16") or picture.mode == "I":  # 16 bits: Pillow would cut them off at 255
        return np.asarray((np.asarray(picture) / 257.0).round().clip(0, 255), dtype=np.uint8)
    if "A" in picture.mode or "transparency" in picture.info:
        colours = picture.convert("RGBA")
        black = Image.new("RGBA", colours.size, (0, 0, 0, 255))
        return np.asarray(Image.alpha_composite(black, colours).convert("L"))
    return np.asarray(picture.convert("L"))


def _natural(path: Path) -> list[tuple[int, str]]:
    """A key that orders numbers inside names by value."""
    pieces = re.split(r"(\d+)", path.name.casefold())
    return [(int(piece), piece) if piece.isdecimal() else (-1, piece) for piece in pieces]
