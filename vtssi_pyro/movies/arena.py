"""The arena: the part of a camera's frames in which objects are, a polygon or the white of a mask picture."""

import base64
import re
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np

from vtssi_pyro.errors import Argument, DataError, UsageError

LEAST = 3  # corners of a polygon
MASK = re.compile(r"mask:(\d+)x(\d+):([A-Za-z0-9+/=]+)")  # rows, columns, and packed bits


def settled(text: str) -> str:
    """An arena as it is kept: corners ``x1,y1,x2,y2,...`` in pixels, or the pixels of a mask themselves.

    Args:
        text: corners, the path of a mask picture, whose black pixels are outside, or what this function returned.

    Raises:
        UsageError: it is none of these, or nothing is inside.
    """
    if MASK.fullmatch(text):
        return text
    numbers = _numbers(text)
    if numbers is not None:
        if len(numbers) < 2 * LEAST or len(numbers) % 2:
            raise UsageError(
                Argument("arena"), f" {text}: expected {LEAST} corners or more, x1,y1,x2,y2,..., in pixels"
            )
        return ",".join(f"{number:g}" for number in numbers)
    return _packed(text)


def inside(arena: str, points: np.ndarray) -> np.ndarray:
    """Whether points (..., 2), (x, y) in pixels of the whole frame, are in an arena that is :func:`settled`."""
    if arena.startswith("mask:"):
        mask = _unpacked(arena)
        column, row = np.floor(np.moveaxis(points, -1, 0)).astype(int)
        within = (row >= 0) & (column >= 0) & (row < mask.shape[0]) & (column < mask.shape[1])
        return within & mask[row.clip(0, mask.shape[0] - 1), column.clip(0, mask.shape[1] - 1)]
    corners = np.array([float(part) for part in arena.split(",")]).reshape(-1, 2)
    x, y = np.moveaxis(points, -1, 0)
    crossed = np.zeros(x.shape, bool)
    # even-odd rule: a ray to the right crosses the outline of what it begins in an odd number of times
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, 0), strict=True):
        if y1 != y2:
            between = (y1 <= y) != (y2 <= y)
            crossed ^= between & (x < x1 + (y - y1) * (x2 - x1) / (y2 - y1))
    return crossed


@lru_cache(maxsize=8)  # of a command's movies, which share one mostly
def pixels(arena: str, name: str, size: tuple[int, int], corner: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Whether the pixels of frames, (H, W), are in an arena, by their centres.

    Args:
        arena: the arena.
        name: the movie, for messages.
        size: (H, W).
        corner: left and top of the frames in the whole ones, of which they are a part.

    Raises:
        DataError: no pixel is, or the mask is smaller than the frames, as one of a reduced picture.
    """
    if arena.startswith("mask:"):
        rows, columns = _unpacked(arena).shape
        if size[0] + corner[1] > rows or size[1] + corner[0] > columns:
            raise DataError(
                f"{name}: the mask has {rows}x{columns} pixels (H x W), less than the frames: draw ",
                Argument("arena"), " on a whole one",
            )  # fmt: skip
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    found = inside(arena, np.stack([x + corner[0], y + corner[1]], -1))
    if not found.any():
        raise DataError(f"{name}: no pixel is within ", Argument("arena"))
    return found


def extent(within: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, width and height of the least part of frames (H, W) that holds all pixels of an arena."""
    rows, columns = (np.flatnonzero(within.any(axis)) for axis in (1, 0))
    left, top = int(columns[0]), int(rows[0])
    return left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top


def _numbers(text: str) -> list[float] | None:
    try:
        return [float(part) for part in text.split(",")] if "," in text else None
    except ValueError:
        return None


def _packed(path: str) -> str:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(Path(path)) as picture:
            mask = np.asarray(picture.convert("L")) > 0
    except (OSError, ValueError, UnidentifiedImageError) as error:
        raise UsageError(
            Argument("arena"), f" {path}: is neither corners, x1,y1,x2,y2,..., nor a picture ({error})"
        ) from error
    if not mask.any():
        raise UsageError(Argument("arena"), f" {path}: is black everywhere, and black is outside")
    bits = base64.b64encode(zlib.compress(np.packbits(mask).tobytes(), 9)).decode()
    return f"mask:{mask.shape[0]}x{mask.shape[1]}:{bits}"


@lru_cache(maxsize=8)
def _unpacked(arena: str) -> np.ndarray:
    found = MASK.fullmatch(arena)
    assert found is not None
    height, width = int(found[1]), int(found[2])
    needed = -(-height * width // 8)
    try:
        bits = zlib.decompressobj().decompress(base64.b64decode(found[3]), needed)
        if len(bits) != needed:  # before memory is asked for
            raise ValueError(f"{len(bits)} bytes of {needed}")
        packed = np.frombuffer(bits, np.uint8)
        return np.unpackbits(packed, count=height * width).astype(bool).reshape(height, width)
    except (ValueError, zlib.error) as error:
        raise DataError(f"the mask of an arena is damaged ({error}): give the picture again") from error
