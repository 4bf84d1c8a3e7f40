"""Pictures and animations by Pillow: opened, decoded, and its errors told in one line."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vtssi_pyro.errors import DataError
from vtssi_pyro.system.files import regular

if TYPE_CHECKING:
    from PIL.Image import Image


@contextmanager
def opened_picture(path: Path) -> "Iterator[Image]":
    """Open a picture or an animation.

    Raises:
        DataError: the file is none, or no regular file.
    """
    from PIL import Image

    with decoding(path):
        picture = Image.open(regular(path))
    with picture:
        yield picture


@contextmanager
def decoding(path: Path) -> Iterator[None]:
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


def array_of(picture: "Image") -> np.ndarray:
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
