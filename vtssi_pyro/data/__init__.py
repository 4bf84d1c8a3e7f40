"""Data sets, frames with their truth if it is known: generated digits, files, folders of pictures.

Each data set has the interface of :class:`Dataset`. Positions are centres of tight boxes in pixels of the
continuous image plane: the frame spans [0, W] x [0, H], the centre of its top-left pixel is (0.5, 0.5).
"""

from vtssi_pyro.data.array import ArrayDataset
from vtssi_pyro.data.dataset import Dataset, Part, split_tail
from vtssi_pyro.data.digits import SOURCES, SPLITS, Sprites, load_digits
from vtssi_pyro.data.flavours import FLAVOURS, Flavour
from vtssi_pyro.data.frames import open_frames
from vtssi_pyro.data.moving_mnist import MovingDigits, moving_digits
from vtssi_pyro.data.store import read, write

__all__ = [
    "FLAVOURS",
    "SOURCES",
    "SPLITS",
    "ArrayDataset",
    "Dataset",
    "Flavour",
    "MovingDigits",
    "Part",
    "Sprites",
    "load_digits",
    "moving_digits",
    "open_frames",
    "read",
    "split_tail",
    "write",
]
