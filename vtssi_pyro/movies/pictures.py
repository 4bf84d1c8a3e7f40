"""Movies that Pillow reads: animations, TIFF stacks and folders of pictures."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vtssi_pyro.errors import DataError
from vtssi_pyro.movies.movie import Movie

if TYPE_CHECKING:
    from PIL.Image import Image

ANIMATIONS = (".gif", ".webp", ".apng", ".png", ".tif", ".tiff")
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")


def animation(path: Path) -> Movie:
    """A GIF, WebP, APNG or TIFF of several frames."""
    with _decoding(path) as picture:
        size, length = (picture.height, picture.width), getattr(picture, "n_frames", 1)
        pause = picture.info.get("duration")  # milliseconds
    return Movie(str(path), size, length, 1000 / pause if pause else None, lambda: _frames(path))


def folder(path: Path) -> Movie:
    """Pictures of a folder, in natural order (2 before 10)."""
    files = sorted((file for file in path.iterdir() if file.suffix.lower() in PICTURES), key=_natural)
    if not files:
        raise DataError(f"no pictures in {path}: expected {', '.join(PICTURES)}")
    with _decoding(files[0]) as picture:
        size = picture.height, picture.width
    return Movie(str(path), size, len(files), None, lambda: _pictures(files))


def _frames(path: Path) -> Iterator[np.ndarray]:
    with _decoding(path) as picture:
        for number in range(getattr(picture, "n_frames", 1)):
            picture.seek(number)
            yield _array(picture)


def _pictures(files: list[Path]) -> Iterator[np.ndarray]:
    size = None
    for file in files:
        with _decoding(file) as picture:
            size = size or (picture.height, picture.width)
            found = picture.height, picture.width
            if found != size:
                raise DataError(
                    f"{file} has {found[0]}x{found[1]} pixels (H x W), {files[0].name} {size[0]}x{size[1]}: "
                    "expected one size"
                )
            yield _array(picture)


@contextmanager
def _decoding(path: Path) -> "Iterator[Image]":
    from PIL import Image

    bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.filterwarnings("error", "Corrupt EXIF data")  # of a TIFF that is cut off
            with Image.open(path) as picture:
                yield picture
    except (OSError, SyntaxError, ValueError, EOFError, UserWarning, *bombs) as error:
        raise DataError(f"{path} is no picture that can be decoded ({error})") from error


def _array(picture: "Image") -> np.ndarray:
    """The present frame of a picture."""
    mode = picture.mode
    if mode.startswith("I"):  # 16 bits, which Pillow also keeps as 32
        return np.asarray(picture).clip(0, 65535).astype(np.uint16)
    if mode in ("F", "L", "1"):
        return np.asarray(picture)
    if "A" in mode or "transparency" in picture.info:
        return np.asarray(picture.convert("RGBA"))
    return np.asarray(picture.convert("RGB"))


def _natural(path: Path) -> list[tuple[int, str]]:
    """A key that orders numbers inside names by value."""
    pieces = re.split(r"(\d+)", path.name.casefold())
    return [(int(piece), piece) if piece.isdecimal() else (-1, piece) for piece in pieces]
