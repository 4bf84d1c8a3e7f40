"""Movies that Pillow reads: animations, TIFF stacks and folders of pictures."""

import math
import os
import re
import struct
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtssi_pyro.errors import DataError
from vtssi_pyro.movies.metadata import Resolution, noted
from vtssi_pyro.movies.movie import Movie
from vtssi_pyro.movies.stacks import announced, described
from vtssi_pyro.movies.stored import Stored
from vtssi_pyro.system.files import regular
from vtssi_pyro.system.naming import natural
from vtssi_pyro.tracks.units import Units

if TYPE_CHECKING:
    from PIL.Image import Image

# Tags of a TIFF.
SUBFILE, BITS, COMPRESSION, IMAGE_DESCRIPTION, STRIPS, SAMPLE_FORMAT = 254, 258, 259, 270, 273, 339
RESOLUTION_X, RESOLUTION_Y, RESOLUTION_UNIT, INCH = 282, 283, 296, 2  # an inch unless a file says otherwise
# Bytes of pixels for one of a file from which pictures count as a bomb if they exceed the memory, too: cameras' own
# pictures take a tenth of that at most.
PACKED = 200
ANIMATIONS = (".gif", ".webp", ".apng", ".png", ".tif", ".tiff")
MULTIPLE = ("GIF", "PNG", "TIFF", "WEBP")  # formats of pictures whose files may hold a movie
SHOWN = 3  # series that are named, of more the first
PICTURES = (".png", ".apng", ".gif", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")


def animation(path: Path, stored: Stored = Stored()) -> Movie:
    """Open a GIF, WebP, APNG or TIFF of several frames."""
    with _opened(path) as opened:
        with _decoding(path):
            pages, first = getattr(opened, "n_frames", 1), _first(opened)
            opened.seek(first)
            size = _array(opened).shape[:2]
            description = str(getattr(opened, "tag_v2", {}).get(IMAGE_DESCRIPTION, ""))
            units, doubts = _units(path, opened)
            colours = len(opened.getbands())
        block = _block(path, opened, announced(description)) if pages < announced(description) else None
        pause = opened.info.get("duration")  # milliseconds, of the first frame; WebP tells once it is decoded
    pages = pages - first if block is None else len(block)
    _refuse_bomb(path, [path], math.prod(size) * colours * pages, stored)
    stack = described(str(path), description, pages, colours, stored)
    wanted = [[first + page for page in planes] for planes in stack.numbers(str(path), stored)]

    def read() -> Iterator[np.ndarray]:
        for planes, shown in zip(wanted, _grouped(block, path, wanted), strict=True):
            assert len(planes) == len(shown)
            yield stored.projected(shown)

    rate = 1000 / pause if pause else units.frame_rate
    return Movie(str(path), size, len(wanted), rate, read, stored, (*stack.lines, *doubts), noted=units)


def _units(path: Path, opened: "Image") -> tuple[Units, tuple[str, ...]]:
    """What a TIFF notes of its pixels and frames, and lines about notes that are not used; see :func:`noted`."""
    tags: Any = getattr(opened, "tag_v2", {})
    x, y = (float(tags.get(tag, 0) or 0) for tag in (RESOLUTION_X, RESOLUTION_Y))
    resolution = Resolution(x, y, int(tags.get(RESOLUTION_UNIT, INCH))) if x and y else None
    return noted(str(path), str(tags.get(IMAGE_DESCRIPTION, "")), resolution)


def _grouped(block: np.ndarray | None, path: Path, wanted: list[list[int]]) -> Iterator[np.ndarray]:
    """The pages (Z, H, W) or (Z, H, W, C) of each frame."""
    if block is not None:
        yield from (np.asarray(block[planes]) for planes in wanted)
        return
    with _opened(path) as opened:
        for planes in wanted:
            shown = []
            for number in planes:
                with _decoding(path):
                    opened.seek(number)
                    shown.append(_array(opened))
            yield np.stack(shown)


def _first(opened: "Image") -> int:
    """The first frame that is one: an APNG may have a picture in front for programs that show no animations."""
    return int(getattr(opened, "default_image", False))


def _block(path: Path, opened: "Image", pages: int) -> np.ndarray:
    """Map the pages (n, H, W) of a stack whose first page alone has a directory, as ImageJ writes beyond 4 GB."""
    tags: Any = opened.tag_v2  # type: ignore[attr-defined]
    form = {1: "u", 2: "i", 3: "f"}.get(tags.get(SAMPLE_FORMAT, (1,))[0])
    bits, start = tags.get(BITS, (0,)), tags.get(STRIPS, (0,))[0]
    if form is None or tags.get(COMPRESSION, 1) != 1 or len(bits) != 1 or bits[0] not in (8, 16, 32):
        raise DataError(f"{path}: announces {pages} pages, but has 1: save it anew, uncompressed")
    dtype = np.dtype(f"{'<' if tags.prefix == b'II' else '>'}{form}{bits[0] // 8}")
    shape = (pages, opened.height, opened.width)
    if start + math.prod(shape) * dtype.itemsize > path.stat().st_size:
        raise DataError(f"{path}: announces {pages} pages, but ends before the last: copy the file again")
    return np.memmap(path, dtype, "r", start, shape)


def _refuse_bomb(path: Path, files: list[Path], pixels: int, stored: Stored) -> None:
    """Refuse pictures that unpack to far more than they take on the disk, and to more than the memory."""
    if pixels > PACKED * sum(file.stat().st_size for file in files):
        stored.refuse_more(str(path), pixels)


def folder(path: Path, stored: Stored = Stored()) -> Movie:
    """Open the pictures of a folder as a movie, in natural order (2 before 10).

    Raises:
        DataError: there are none, they are of several series, or, while they are read, one is itself a movie.
    """
    try:
        files = sorted((file for file in path.iterdir() if is_picture(file.name)), key=natural)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    if not files:
        raise DataError(f"no pictures in {path}: expected {', '.join(PICTURES)}")
    _refuse_series(path, files)
    first = picture(files[0])
    with _opened(files[0]) as opened, _decoding(files[0]):
        units, doubts = _units(files[0], opened)
    stored.refuse_for_pictures(str(path), 1 if first.ndim == 2 else first.shape[-1])
    _refuse_bomb(path, files, first.size * len(files), stored)
    lines, numbers = _gaps(path, files)
    return Movie(
        str(path), first.shape[:2], len(files), units.frame_rate, lambda: _pictures(files), stored,
        (*lines, *doubts), numbers=numbers, noted=units,
    )  # fmt: skip


def _refuse_series(path: Path, files: list[Path]) -> None:
    """Refuse pictures of several series: names that differ in more than their numbers, such as a_1, a_2, b_1."""
    series = Counter(re.sub(r"\d+", "#", file.name) for file in files)
    if len(series) == 1 or max(series.values()) == 1:  # no two names have anything in common
        return
    named = ", ".join(f"{name} ({count})" for name, count in list(series.items())[:SHOWN])
    more = f" and {len(series) - SHOWN} more" if len(series) > SHOWN else ""
    raise DataError(
        f"{path}: holds {len(series)} series of pictures, {named}{more}, and a folder stands for one movie: move each "
        "into a folder of its own"
    )


def _gaps(path: Path, files: list[Path]) -> tuple[tuple[str, ...], tuple[int, ...] | None]:
    """Tell of pictures that several numbers count, and of numbers that are left out; also these, if there are such."""
    numbers = [[int(number) for number in re.findall(r"\d+", file.stem)] for file in files]
    if len({len(each) for each in numbers}) > 1:
        return (), None
    counters = [each for each in zip(*numbers, strict=True) if len(set(each)) > 1]  # numbers that change
    if any(b < a for each in counters for a, b in pairwise(each)):  # one counts anew within another
        told = (
            f"{path}: names have {len(counters)} numbers that change, from {files[0].name} to {files[-1].name}: read "
            "as one movie in that order; if they are several series, move each into a folder of its own"
        )
        return (told,), None
    if len(counters) != 1:
        return (), None
    counter = counters[0]
    gaps = [(a + 1, b - 1) for a, b in pairwise(counter) if b > a + 1]
    steps = {b - a for a, b in pairwise(counter)}
    if not gaps or len(steps) == 1:  # every tenth picture is no gap
        return (), None
    shown = ", ".join(f"{a} to {b}" if b > a else str(a) for a, b in gaps[:3])
    more = f" and {len(gaps) - 3} more gaps" if len(gaps) > 3 else ""
    told = f"{path}: numbers {shown}{more} are missing; frames count on without them, tracks.json has the numbers"
    return (told,), counter


def is_picture(name: str) -> bool:
    """Tell whether a file's name is a picture's; a dot in front marks files that programs keep or still write."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in PICTURES


def picture(path: Path) -> np.ndarray:
    """Read one picture, upright.

    Raises:
        DataError: the picture cannot be decoded, is cut off, or is one of several in its file.
    """
    with _opened(path) as opened, _decoding(path):
        several, found = _is_movie(opened), _array(opened)
    if several:
        raise DataError(
            f"{path}: is itself a movie, of several pictures, and each file of a folder stands for one frame: give "
            "this file alone, or save its pictures as files of their own"
        )
    return found


def _is_movie(opened: "Image") -> bool:
    """Whether a file holds several pictures; thumbnails beside a TIFF's picture, and previews in a JPEG, are none."""
    if opened.format not in MULTIPLE:
        return False
    count, own = getattr(opened, "n_frames", 1), 0
    tags: Any = getattr(opened, "tag_v2", None)
    if tags is None or count == 1:
        return count > 1 or announced(str((tags or {}).get(IMAGE_DESCRIPTION, ""))) > 1
    for number in range(count):
        opened.seek(number)
        own += not opened.tag_v2.get(SUBFILE, 0) & 1  # type: ignore[attr-defined]
        if own > 1:
            break
    opened.seek(0)
    return own > 1


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
