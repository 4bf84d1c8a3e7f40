"""Frames that are still being made: a folder that grows, or a pipe."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vtssi_pyro.errors import DataError
from vtssi_pyro.movies.pictures import PICTURES, natural, picture

POLL = 0.02  # seconds between two looks at a folder


def growing_folder(
    path: Path | str, patience: float, sleep: Callable[[float], None] = time.sleep
) -> Iterator[np.ndarray]:
    """The pictures of a folder in natural order, as they come; one is read once it is whole.

    Args:
        path: the folder.
        patience: seconds without a new picture after which no more is waited for.
        sleep: waits so many seconds.

    Raises:
        DataError: no folder, no picture came, one that stays cut off, or one of another size.
    """
    path = Path(path)
    if not path.is_dir():
        raise DataError(f"{path}: no folder to wait for pictures in")
    last: Path | None = None
    size: tuple[int, ...] | None = None
    waited = 0.0
    while True:
        fresh = _after(last, path)
        frame = _whole(fresh[0], patient=waited < patience) if fresh else None
        if fresh and frame is not None:
            if size not in (None, frame.shape[:2]):
                raise DataError(f"{fresh[0]} has {frame.shape[:2]} pixels (H x W), those before {size}")
            last, size, waited = fresh[0], frame.shape[:2], 0.0
            yield frame
        elif waited >= patience:
            break
        else:
            sleep(POLL)
            waited += POLL
    if last is None:
        raise DataError(f"{path}: no picture came within {patience:g} seconds")


def _after(last: Path | None, folder: Path) -> list[Path]:
    files = sorted((file for file in folder.iterdir() if file.suffix.lower() in PICTURES), key=natural)
    return [file for file in files if last is None or natural(file) > natural(last)]


def _whole(file: Path, patient: bool) -> np.ndarray | None:
    """The picture; None while it is still being written."""
    try:
        return picture(file)
    except DataError:
        if patient:
            return None
        raise


def raw_frames(source: BinaryIO, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Frames of 8-bit grey (H, W), row by row and nothing between them, as they come through a pipe.

    What follows the last whole frame is left out.

    Raises:
        DataError: not even one frame came.
    """
    number, missing = 0, bytearray()
    while True:
        read = source.read(size[0] * size[1] - len(missing))
        missing += read
        if len(missing) < size[0] * size[1]:
            if not read:
                break
            continue
        yield np.frombuffer(bytes(missing), np.uint8).reshape(size)
        number, missing = number + 1, bytearray()
    if number == 0:
        raise DataError(
            f"standard input: {len(missing)} bytes are no frame of {size[1]}x{size[0]} pixels (width x height), "
            "8-bit grey"
        )
