"""Handwritten digits as sprites: tight-cropped, strokes as wide as MNIST's, no image in two splits."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vtssi_pyro.config import checked
from vtssi_pyro.data.mnist import read_mnist
from vtssi_pyro.errors import UsageError

SOURCES = ("embedded", "mnist")
SPLITS = ("train", "validation", "test")
SIDE = 28  # pixels, of the images sprites are cut from

# The conversion of 8x8 digits to 28x28; chosen by eye and by the ink, height, width and stroke of MNIST's digits.
_HEIGHT, _WIDTH = 30, 34  # pixels of 12 cells (8 and a border of 2): digits 20 px tall, and widened a little
_REACH = 3  # pixels around a point whose brightest one counts as its "full ink": about the width of a stroke
_FULL = 0.5  # least full ink: a neighbourhood without brighter ink is background, not a thin stroke
_DARK, _BRIGHT = 0.5, 0.85  # fractions of full ink that become 0 and 1


class Sprites(NamedTuple):
    """Tight-cropped digits or other pictures, each at the top left of its square."""

    # (num, G, G) uint8, as opaque as bright, of digits G = 28; or (num, C + 1, G, G): C colours, each multiplied by the
    # opacity, and the opacity
    images: Tensor
    sizes: Tensor  # (num, 2) int64, width and height of the tight box in pixels
    offsets: Tensor  # (num, 2) int64, columns and rows that were cut off at its left and top


@checked
def load_digits(source: str, split: str, folder: Path | None = None) -> Sprites:
    """Load the sprites of one split; two splits of a source never share an image.

    ``embedded``: the 1,797 8x8 digits of scikit-learn, scaled up; image i belongs to split i mod 3.
    ``mnist``: test is its own test set, validation the last 5,000 of its 60,000 training images.

    Args:
        source: ``embedded`` or ``mnist``.
        split: ``train``, ``validation`` or ``test``.
        folder: the folder of MNIST's IDX files; None: the folder that the environment variable VTSSI_MNIST
            names, else they are downloaded once.

    Returns:
        The sprites.

    Raises:
        UsageError: unknown split or source.
        DataError: MNIST's files are missing or damaged.

    Example:
        >>> from vtssi_pyro import load_digits
        >>> len(load_digits("embedded", "test").images) > 100
        True
    """
    if split not in SPLITS:
        raise UsageError(f"unknown split {split!r}: expected one of {', '.join(SPLITS)}")
    if source == "embedded":
        return tight(_embedded()[SPLITS.index(split) :: 3])
    if source == "mnist":
        images = read_mnist("test" if split == "test" else "train", folder)
        return tight({"train": images[:55_000], "validation": images[55_000:], "test": images}[split])
    raise UsageError(f"unknown digits {source!r}: expected one of {', '.join(SOURCES)}")


def tight(images: np.ndarray) -> Sprites:
    """Cut images (num, 28, 28) uint8 to the rows and columns that span their non-zero pixels.

    Images without any ink are left out.
    """
    pixels = torch.from_numpy(np.array(images))
    pixels = pixels[(pixels > 0).flatten(1).any(1)]
    top, height = _extent((pixels > 0).any(2))
    left, width = _extent((pixels > 0).any(1))
    return Sprites(
        _shifted(pixels, left, top), torch.stack([width, height], -1), torch.stack([left, top], -1)
    )


def stretched(sprites: Sprites) -> Sprites:
    """Convert sprites to SQAIR's templates.

    The brightest pixel of each is 255. A tight box is as large as its number of inked columns and rows, and ends at the
    last of them: an image with an empty column or row in between loses as many at its beginning.
    """
    images, sizes, offsets = sprites
    brightest = images.flatten(1).amax(1)[:, None, None]
    inked = images > 0
    number = torch.stack([inked.any(1).sum(1), inked.any(2).sum(1)], -1)  # (num, 2) columns and rows
    lost = sizes - number
    axis = torch.arange(images.shape[-1])
    kept = (axis >= lost[:, :1])[:, None, :] & (axis >= lost[:, 1:])[:, :, None]
    bright = (images.float() * 255 / brightest + 0.5).byte() * kept
    return Sprites(_shifted(bright, *lost.unbind(-1)), number, offsets + lost)


def _shifted(images: Tensor, left: Tensor, top: Tensor) -> Tensor:
    """Roll images (num, G, G) to the left and upwards, each by numbers of its own, (num,)."""
    side = images.shape[-1]
    rows = (torch.arange(side) + top[:, None]) % side  # (num, G)
    columns = (torch.arange(side) + left[:, None]) % side
    images = images.gather(1, rows[:, :, None].expand_as(images))
    return images.gather(2, columns[:, None, :].expand_as(images))


def _extent(inked: Tensor) -> tuple[Tensor, Tensor]:
    """Find the first inked index, and the number of indices up to the last one, of flags (num, 28)."""
    first = inked.int().argmax(1)
    last = SIDE - 1 - inked.flip(1).int().argmax(1)
    return first, last - first + 1


@cache
def _embedded() -> np.ndarray:
    """Convert scikit-learn's digits to images (1797, 28, 28) uint8 that look like MNIST's.

    Cubic interpolation gives smooth strokes; division by the brightest ink of the neighbourhood keeps thin strokes,
    which are grey in 8x8 cells, from fading; the contrast curve then gives saturated ink on a black background.
    """
    from scipy import ndimage
    from sklearn.datasets import load_digits as load_cells

    cells = np.pad(load_cells().images / 16.0, ((0, 0), (2, 2), (2, 2)))  # (1797, 12, 12)
    factors = (1, _HEIGHT / 12, _WIDTH / 12)
    smooth = ndimage.zoom(cells, factors, order=3, mode="grid-constant", grid_mode=True)
    top, left = (_HEIGHT - SIDE) // 2, (_WIDTH - SIDE) // 2
    smooth = smooth[:, top : top + SIDE, left : left + SIDE].clip(0)
    ink = ndimage.maximum_filter(smooth, (1, 2 * _REACH + 1, 2 * _REACH + 1))
    ink = ndimage.gaussian_filter(ink, (0, _REACH / 2, _REACH / 2)).clip(_FULL)
    sharp = ((smooth / ink - _DARK) / (_BRIGHT - _DARK)).clip(0, 1)
    return np.asarray((sharp * 255).round(), dtype=np.uint8)
