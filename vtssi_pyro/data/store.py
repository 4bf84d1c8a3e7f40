"""The file format: an uncompressed ``.npz`` that is written in chunks and mapped when read.

It holds ``frames`` uint8, (S, T, H, W) in grey or (S, T, C, H, W) in C channels, and, if they are known, ``positions``
float32 (S, T, N, 2) as (x, y) in pixels with NaN for an absent object, ``boxes`` float32 (S, T, N, 2), ``counts``
int64 (S,), and ``visible``, ``depth`` and ``angle``, float32 (S, T, N), see :class:`~vtssi_pyro.tracks.tracks.Tracks`.
"""

import glob
import math
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from vtssi_pyro.data.array import ArrayDataset
from vtssi_pyro.data.dataset import Dataset, channels_of
from vtssi_pyro.errors import DataError
from vtssi_pyro.movies.members import npy_array, npz_frames
from vtssi_pyro.movies.stored import Stored
from vtssi_pyro.system.atomic import atomic_write, make_parent
from vtssi_pyro.system.files import sweep

PIXELS = 2**22  # of frames that are held in memory at a time; drawing them takes some 100 MB
# Arrays of the truth, by the fields of tracks.
TRUTH = {
    "positions": "position", "boxes": "box", "visible": "visible", "depth": "depth", "angle": "angle",
}  # fmt: skip
# Zip's earliest date, not the time of writing: the same data give the same bytes.
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


def write(path: Path | str, dataset: Dataset) -> None:
    """Write a data set as ``.npz``; ``path`` appears when it is complete, or not at all.

    Args:
        path: the file; a missing parent folder is created, an existing file replaced.
        dataset: the data set; intensities are rounded to multiples of 1/255.

    Raises:
        OutOfResources: the disk is full, or has too little room.
        UsageError: the file cannot be written.
    """
    path, truth, counts = Path(path), dataset.truth, dataset.counts
    channels = channels_of(dataset)
    shape = (len(dataset), dataset.length, *((channels,) if channels > 1 else ()), *dataset.frame_size)
    known = {} if truth is None else {name: getattr(truth, field) for name, field in TRUTH.items()}
    arrays = {
        name: values.cpu().numpy().astype(np.float32) for name, values in known.items() if values is not None
    }
    if counts is not None:
        arrays["counts"] = counts.cpu().numpy().astype(np.int64)
    make_parent(path)
    sweep(path.parent, glob.escape(path.name))
    size = math.prod(shape) + sum(values.nbytes for values in arrays.values())
    with atomic_write(path, size) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, "frames", shape, np.dtype(np.uint8), _pixels(dataset, math.prod(shape[2:])))
        for name, values in arrays.items():
            _add(archive, name, values.shape, values.dtype, [values])


def read(path: Path | str, stored: Stored = Stored()) -> ArrayDataset:
    """Open a ``.npz`` or ``.npy`` file; its frames stay on disk until they are read.

    Args:
        path: the file.
        stored: how its frames are stored, as far as it is known.

    Raises:
        DataError: the file is missing, damaged, or holds no frames.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"no file {path}: check the path")
    if path.suffix.lower() == ".npy":
        return ArrayDataset(path, npy_array(path), stored=stored)
    arrays = npz_frames(path, ("counts", *TRUTH), stored)
    frames, position = arrays.pop("frames"), arrays.pop("positions", None)
    return ArrayDataset(path, frames, position, **arrays, stored=stored)


def _pixels(dataset: Dataset, each: int) -> Iterator[np.ndarray]:
    """All frames, of ``each`` numbers, in order: some sequences at a time, or of a long sequence some frames."""
    total = dataset.length
    length = min(total, max(PIXELS // each, 1))
    number = max(PIXELS // (each * total), 1)
    for first in range(0, len(dataset), number):
        for start in range(0, total, length):
            frames = dataset.frames(slice(first, first + number), min(length, total - start), start)
            yield frames.mul_(255).round_().byte().cpu().numpy()


def _add(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: np.dtype, chunks: Iterable[np.ndarray]
) -> None:
    """Append an array in C order, piece by piece."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with archive.open(zipfile.ZipInfo(f"{name}.npy", _LONG_AGO), "w", force_zip64=True) as member:
        np.lib.format.write_array_header_1_0(member, header)
        for values in chunks:
            member.write(np.ascontiguousarray(values).data)
