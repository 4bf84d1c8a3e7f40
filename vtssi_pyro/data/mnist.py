"""MNIST's images from their IDX files, found in a folder or downloaded once, checked by hash."""

import gzip
import hashlib
import os
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vtssi_pyro.errors import DataError

MIRROR = "https://storage.googleapis.com/cvdf-datasets/mnist/"
FOLDER_VARIABLE = "VTSSI_MNIST"
_HEADER = 16  # bytes: magic number, images, rows, columns


class _File(NamedTuple):
    name: str
    images: int
    sha256: str  # of the unpacked bytes: archives are re-packed, their contents stay


FILES = {
    "train": _File(
        "train-images-idx3-ubyte",
        60_000,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "test": _File(
        "t10k-images-idx3-ubyte",
        10_000,
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
}


def read_mnist(part: str, folder: Path | None = None) -> np.ndarray:
    """Read the images (num, 28, 28) uint8 of MNIST's ``train`` or ``test`` set.

    Args:
        part: ``train`` or ``test``.
        folder: the folder of the IDX file, gzipped or not; None: the folder that VTSSI_MNIST names, else the cache,
            into which the file is downloaded once.
    """
    file = FILES[part]
    named = folder or os.environ.get(FOLDER_VARIABLE)
    if named:
        return _images(_unpack(_find(Path(named), file), file), file, Path(named))
    path = _download(file)
    try:
        return _images(_unpack(path, file), file, path)
    except DataError:
        path.unlink(missing_ok=True)  # the next call downloads it anew
        raise


def _find(folder: Path, file: _File) -> Path:
    for name in (file.name, f"{file.name}.gz"):
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"no {file.name} or {file.name}.gz in {folder}: put MNIST's IDX files into that folder")


def _unpack(path: Path, file: _File) -> bytes:
    """Read the file's bytes, at most one more than expected, so that no archive can fill the memory."""
    limit = _HEADER + file.images * 28 * 28 + 1
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as stream:
                return stream.read(limit)
        with path.open("rb") as plain:
            return plain.read(limit)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {error}. {_by_hand(file)}") from error


def _images(content: bytes, file: _File, where: Path) -> np.ndarray:
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise DataError(
            f"{file.name} in {where} is not MNIST's: its unpacked bytes have SHA-256 {found}, "
            f"expected {file.sha256}. {_by_hand(file)}"
        )
    return np.frombuffer(content, np.uint8, offset=_HEADER).reshape(file.images, 28, 28)


def _download(file: _File) -> Path:
    import pooch

    name, cache = f"{file.name}.gz", pooch.os_cache("vtssi_pyro")
    try:
        path = pooch.retrieve(MIRROR + name, known_hash=None, fname=name, path=cache)
    except (OSError, ValueError) as error:  # requests' errors are OSErrors
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"cannot download MNIST ({reason}). {_by_hand(file)}") from error
    return Path(path)


def _by_hand(file: _File) -> str:
    return (
        f"To place the files by hand: put {' and '.join(f'{f.name}.gz' for f in FILES.values())} into one "
        f"folder and name it with the environment variable {FOLDER_VARIABLE}; "
        "or use the embedded digits, which need no download"
    )
