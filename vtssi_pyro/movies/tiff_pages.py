"""The pictures of a TIFF's pages: white is large, samples of a pixel are last, colours of palettes are looked up.

Pages that a camera does not write (YCbCr, CMYK, grey with opacity) are Pillow's, and so are packed ones whose method
tifffile leaves to imagecodecs, where that is not installed.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.movies.notes import bits_of
from vtssi_pyro.movies.pillow import array_of, decoding, opened_picture

if TYPE_CHECKING:
    from PIL.Image import Image
    from tifffile import TiffFrame, TiffPage, TiffPageSeries

    Page = TiffPage | TiffFrame

CUT = "is cut off: copy the file again"
# Photometric interpretations that are read here.
WHITE_IS_0, BLACK_IS_0, RGB, PALETTE = range(4)
GREY = (WHITE_IS_0, BLACK_IS_0)
OPACITY = {1, 2}  # kinds of a further sample of a pixel that mean it
ORIENTATION = 274  # a tag
# What makes a picture of another orientation than 1 upright: quarter turns, anticlockwise, and then a mirror beside it.
TURNS = {
    2: (0, True), 3: (2, False), 4: (2, True), 5: (-1, True), 6: (-1, False), 7: (1, True), 8: (1, False),
}  # fmt: skip
WHOLE = (1, 8, 16, 32, 64)  # bits of numbers that numpy has, or unpacks


@contextmanager
def pictures_of(path: Path, series: "TiffPageSeries") -> Iterator[Callable[[int], np.ndarray]]:
    """What reads the pictures (H, W, C) of a series, by their numbers in it."""
    page = series.keyframe
    clear = page.photometric in GREY and set(page.extrasamples) & OPACITY  # grey with opacity
    ours = page.photometric in (*GREY, RGB, PALETTE) and not clear
    if ours and series.dataoffset is not None and not series.is_multifile:
        # one block, which is mapped; of a long one ImageJ describes the first page alone
        block = (math.prod(series.shape) // math.prod(page.shape), *page.shape)
        dtype = np.dtype(series.dtype).newbyteorder(page.parent.byteorder)
        if series.dataoffset + math.prod(block) * dtype.itemsize > page.parent.filehandle.size:
            raise DataError(f"{path} {CUT}")
        mapped = np.memmap(path, dtype, "r", series.dataoffset, block)
        yield lambda number: _shown(page, mapped[number])
        return
    with ExitStack() as stack:
        opened: dict[str, Image] = {}  # by Pillow, of files that need it

        def by_pillow(one: "Page") -> np.ndarray:
            place = one.parent.filehandle.path
            try:
                if place not in opened:
                    opened[place] = stack.enter_context(opened_picture(Path(place)))
                with decoding(Path(place)):
                    opened[place].seek(one.index)
                    found = _with_channels(array_of(opened[place]))
            except DataError as error:
                raise _missing(path, page) or error from error
            if not ours or page.dtype is None:
                return found
            # of "I", 32 bits, only numbers become narrower that fit
            if found.dtype.itemsize < page.dtype.itemsize and opened[place].mode != "I":
                raise _missing(path, page) or DataError(f"{path}: pixels of {page.dtype} lose bits")
            if page.photometric == WHITE_IS_0 and page.bitspersample > 8:  # others Pillow inverts
                return _inverted(page, found.astype(page.dtype))
            return found

        def picture(number: int) -> np.ndarray:
            one = series[number]
            assert one is not None
            if not ours or _packed_otherwise(page):
                return by_pillow(one)
            try:
                with _open(one):
                    return _shown(page, one.asarray(maxworkers=1).reshape(page.shape))
            except NotImplementedError:  # numbers of an odd number of bits, without imagecodecs
                return by_pillow(one)

        yield picture


def has_colours(page: "TiffPage") -> bool:
    """Whether the samples of a page's pixels are colours, or grey and opacity, which becomes colours."""
    return page.photometric not in GREY or bool(set(page.extrasamples) & OPACITY)


@contextmanager
def _open(page: "Page") -> Iterator[None]:
    """The file of a page, which may be another than that of the first, is open meanwhile."""
    handle = page.parent.filehandle
    closed = handle.closed
    if closed:
        handle.open()
    try:
        yield
    finally:
        if closed:
            handle.close()


def _missing(path: Path, page: "TiffPage") -> UsageError | None:
    """The error for pixels that nothing installed reads, but imagecodecs would; None: it would not help."""
    import tifffile

    if not _packed_otherwise(page) and page.bitspersample in WHOLE:
        return None
    try:
        kind = tifffile.COMPRESSION(page.compression).name
    except ValueError:
        kind = f"method {page.compression}"
    return UsageError(
        f"{path}: pixels of {page.bitspersample} bits, packed by {kind}, need imagecodecs: "
        "pip install 'vtssi-pyro[tiff]'"
    )


def _packed_otherwise(page: "TiffPage") -> bool:
    """Whether pixels are packed in a way that tifffile, as it is installed, does not read."""
    from tifffile import TIFF

    return page.compression not in TIFF.DECOMPRESSORS or (
        page.predictor != 1 and page.predictor not in TIFF.UNPREDICTORS
    )


def _shown(page: "TiffPage", pixels: np.ndarray) -> np.ndarray:
    """A page's numbers as a picture (H, W, C): upright, white is large, and colours of a palette are looked up."""
    if page.photometric == PALETTE and page.colormap is not None:
        shown = np.moveaxis(page.colormap[:, pixels] >> 8, 0, -1).astype(np.uint8)
    else:
        if page.photometric == WHITE_IS_0 and pixels.dtype.kind in "bu":
            pixels = _inverted(page, pixels)
        shown = _samples_last(page, pixels)
    if page.photometric == RGB and shown.shape[-1] == 4 and not set(page.extrasamples) & OPACITY:
        shown = shown[..., :3]
    turns, mirrored = TURNS.get(page.tags.valueof(ORIENTATION, 1), (0, False))
    shown = np.rot90(shown, turns)
    return shown[:, ::-1] if mirrored else shown


def _inverted(page: "TiffPage", pixels: np.ndarray) -> np.ndarray:
    """Numbers of which 0 is white, about the white of the camera's bits, unless they prove that wrong."""
    bits = bits_of(page)
    white = None if bits is None else pixels.dtype.type(2**bits - 1)
    return ~pixels if white is None or pixels.max() > white else white - pixels


def _samples_last(page: "TiffPage", pixels: np.ndarray) -> np.ndarray:
    """A page (H, W), (H, W, C) or (C, H, W) as (H, W, C)."""
    return _with_channels(np.moveaxis(pixels, page.axes.index("S"), -1) if "S" in page.axes else pixels)


def _with_channels(frame: np.ndarray) -> np.ndarray:
    return frame[..., None] if frame.ndim == 2 else frame
