"""Movies that Pillow reads: animations, TIFF stacks and folders of pictures."""

import os
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vtssi_pyro.errors import DataError
from vtssi_pyro.movies.movie import Movie
from vtssi_pyro.system.files import regular
from vtssi_pyro.system.naming import natural

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_DESCRIPTION = 270  # the tag of a TIFF
ANIMATIONS = (".gif", ".webp", ".apng", ".png", ".tif", ".tiff")
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")


def animation(path: Path) -> Movie:
    """Open a GIF, WebP, APNG or TIFF of several frames."""
    with _opened(path) as opened:
        with _decoding(path):
            size, length = _array(opened).shape[:2], getattr(opened, "n_frames", 1)
            _one_stack(path, opened)
        pause = opened.info.get("duration")  # milliseconds, of the first frame; WebP tells once it is decoded
    return Movie(str(path), size, length, 1000 / pause if pause else None, lambda: _frames(path))


def _one_stack(path: Path, opened: "Image") -> None:
    """Refuse a stack of ImageJ with several channels or depths, stored one after another like frames."""
    description = str(getattr(opened, "tag_v2", {}).get(IMAGE_DESCRIPTION, ""))
    if not description.startswith("ImageJ="):
        return
    count = {
        key: int(value)
        for key, value in re.findall(r"^(channels|slices|frames)=(\d+)", description, re.MULTILINE)
    }
    for key in ("channels", "slices"):
        if count.get(key, 1) > 1 and (key == "channels" or count.get("frames", 1) > 1):
            raise DataError(f"{path}: an ImageJ stack of {count[key]} {key}: save one of them by itself")


def folder(path: Path) -> Movie:
    """Open the pictures of a folder as a movie, in natural order (2 before 10)."""
    try:
        files = sorted((file for file in path.iterdir() if is_picture(file.name)), key=natural)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    if not files:
        raise DataError(f"no pictures in {path}: expected {', '.join(PICTURES)}")
    size = picture(files[0]).shape[:2]
    return Movie(str(path), size, len(files), None, lambda: _pictures(files))


def is_picture(name: str) -> bool:
    """Tell whether a file's name is a picture's; a dot in front marks files that programs keep or still write."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in PICTURES


def picture(path: Path) -> np.ndarray:
    """Read one picture, upright.

    Raises:
        DataError: the picture cannot be decoded, or is cut off.
    """
    with _opened(path) as opened, _decoding(path):
        return _array(opened)


def _frames(path: Path) -> Iterator[np.ndarray]:
    with _opened(path) as opened:
        with _decoding(path):
            length = getattr(opened, "n_frames", 1)
        for number in range(length):
            with _decoding(path):
                opened.seek(number)
                frame = _array(opened)
            yield frame


def _pictures(files: list[Path]) -> Iterator[np.ndarray]:
    size = None
    for file in files:
        frame = picture(file)
        size = size or frame.shape[:2]
        if frame.shape[:2] != size:
            found, expected = (f"{shape[0]}x{shape[1]}" for shape in (frame.shape, size))
            raise DataError(
                f"{file} has {found} pixels (H x W), {files[0].name} {expected}: expected one size"
            )
        yield frame


@contextmanager
def _opened(path: Path) -> "Iterator[Image]":
    from PIL import Image

    with _decoding(path):
        picture = Image.open(regular(path))
    with picture:
        yield picture


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """Turn Pillow's errors and warnings into a :class:`DataError`; it surrounds Pillow's own work alone."""
    from PIL import Image

    bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    damaged = (OSError, SyntaxError, ValueError, EOFError, TypeError, KeyError, IndexError, UserWarning)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.filterwarnings("error", "Corrupt EXIF data")  # of a TIFF that is cut off
            yield
    except (*damaged, struct.error, zlib.error, *bombs) as error:
        if str(error).startswith("Corrupt EXIF data"):
            raise DataError(f"{path} is cut off: copy the file again") from error
        raise DataError(f"{path} is no picture that can be decoded ({error})") from error


def _array(picture: "Image") -> np.ndarray:
    """Return the present frame of a picture, upright."""
    from PIL import ImageOps

    if not getattr(picture, "is_animated", False):
        picture = ImageOps.exif_transpose(picture)
    mode = picture.mode
    if mode.startswith("I"):  # 16 bits, which Pillow also keeps as 32
        values = np.asarray(picture)
        return values.astype(np.uint16) if 0 <= values.min() and values.max() <= 65535 else values
    if mode in ("F", "L", "1"):
        return np.asarray(picture)
    if "A" in mode or "transparency" in picture.info:
        return np.asarray(picture.convert("RGBA"))
    return np.asarray(picture.convert("RGB"))
