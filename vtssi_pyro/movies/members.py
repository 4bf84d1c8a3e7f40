"""Arrays inside ``.npy`` and ``.npz`` files, mapped or read only after their headers proved to be honest."""

import math
import struct
import tokenize
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np

from vtssi_pyro.errors import DataError
from vtssi_pyro.movies.stored import Stored
from vtssi_pyro.system.files import regular

SHOWN = 4  # names of arrays in a message
_PIECE = 2**24  # bytes that are unpacked at a time
_LOCAL_HEADER = 30  # bytes of a zip member's local header before its name
_DAMAGED = (
    *(OSError, EOFError, ValueError, SyntaxError, struct.error, zipfile.BadZipFile, zlib.error),
    *(NotImplementedError, RuntimeError),  # of zipfile: unknown packing, a password
    tokenize.TokenError,  # of numpy, which filters headers of Python 2
)


class _Header(NamedTuple):
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    dtype: np.dtype
    size: int  # bytes of the header itself

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def npy_array(path: Path) -> np.ndarray:
    """Map the array of a ``.npy`` file into memory."""
    with _opened(path) as stream:
        header = _header(stream, str(path))
        room = path.stat().st_size - header.size
    return _mapped(path, header, 0, room, str(path))


def npz_frames(path: Path, others: tuple[str, ...] = (), stored: Stored = Stored()) -> dict[str, np.ndarray]:
    """Read the array ``frames`` of a ``.npz`` file, or its only array, whatever its name, and those of other names.

    Args:
        path: the file.
        others: names of further arrays, which it may hold.
        stored: see :func:`npz_arrays`.

    Raises:
        DataError: there is no array of that name, and not one alone.
    """
    with _archive(path) as (_, held):
        names = [name.removesuffix(".npy") for name in held]
    own = names[0] if len(names) == 1 else "frames"
    arrays = npz_arrays(path, (own, *others), stored)
    if own not in arrays:
        shown = f"several, {', '.join(names[:SHOWN])}, but" if names else "no arrays, and"
        raise DataError(
            f"{path} holds {shown} none called frames: write it with numpy.savez(path, frames=...)"
        )
    return {"frames": arrays.pop(own), **arrays}


def npz_arrays(path: Path, names: tuple[str, ...], stored: Stored = Stored()) -> dict[str, np.ndarray]:
    """Read those of the named arrays that a ``.npz`` file holds; uncompressed ones are memory-mapped.

    Args:
        path: the file.
        names: of the arrays.
        stored: says how much memory the compressed ones may take together.
    """
    with _archive(path) as (archive, held):
        found = [name for name in names if f"{name}.npy" in held]
        packed = [held[f"{name}.npy"] for name in found]
        total = sum(info.file_size for info in packed if info.compress_type != zipfile.ZIP_STORED)
        stored.refuse_more(str(path), total, ", or write it with numpy.savez, which does not compress")
        return {name: _member(path, archive, held[f"{name}.npy"]) for name in found}


@contextmanager
def _archive(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    """A ``.npz`` file, and its members by their names."""
    with _opened(path) as stream:
        try:
            archive = zipfile.ZipFile(stream)
        except _DAMAGED as error:
            raise DataError(f"{path} is no .npz file ({error}): write one with numpy.savez") from error
        with archive:
            held = {info.filename: info for info in archive.infolist()}
            if len(held) < len(archive.infolist()):
                twice = Counter(info.filename for info in archive.infolist()).most_common(1)[0][0]
                raise DataError(f"{path}: holds {twice} more than once: write the file anew")
            yield archive, held


def _opened(path: Path) -> IO[bytes]:
    try:
        return regular(path).open("rb")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    where = f"{info.filename} in {path}"
    try:
        with archive.open(info) as stream:
            header = _header(stream, where)
            room = info.file_size - header.size
            if info.compress_type != zipfile.ZIP_STORED:
                return _unpacked(stream, header, room, where)
        return _mapped(path, header, _offset(path, info), room, where)
    except _DAMAGED as error:
        raise DataError(f"{where} is damaged ({error}): write the file anew") from error


def _header(stream: IO[bytes], where: str) -> _Header:
    try:
        version = np.lib.format.read_magic(stream)
        reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = reader[version](stream)
    except (*_DAMAGED, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{where} is no NumPy array ({reason})") from error
    if dtype.hasobject or dtype.names is not None:
        raise DataError(f"{where} holds Python objects or records ({dtype}): expected plain numbers")
    if any(extent < 0 for extent in shape):
        raise DataError(f"{where} claims the impossible shape {shape}")
    return _Header(shape, "F" if fortran else "C", dtype, stream.tell())


def _offset(path: Path, info: zipfile.ZipInfo) -> int:
    """Find where a member's bytes start; only its local header tells, since the directory's may differ in length."""
    with path.open("rb") as stream:
        stream.seek(info.header_offset)
        name, extra = struct.unpack("<HH", stream.read(_LOCAL_HEADER)[26:30])
    return info.header_offset + _LOCAL_HEADER + int(name) + int(extra)


def _mapped(path: Path, header: _Header, offset: int, room: int, where: str) -> np.ndarray:
    _fits(header, room, where)
    start = offset + header.size
    if start + header.nbytes > path.stat().st_size:
        raise DataError(f"{where} ends too early: the file is cut off, copy or write it anew")
    if header.nbytes == 0:  # nothing to map
        return np.empty(header.shape, header.dtype, header.order)
    return np.memmap(path, header.dtype, "r", start, header.shape, header.order)


def _unpacked(stream: Any, header: _Header, room: int, where: str) -> np.ndarray:
    _fits(header, room, where)
    content, came = np.empty(header.nbytes, np.uint8), 0  # read() would need twice the memory
    while came < len(content) and (count := stream.readinto(content[came : came + _PIECE].data)):
        came += count
    if came != len(content):
        raise DataError(f"{where} unpacks to {came} bytes, its header promises {header.nbytes}")
    return content.view(header.dtype).reshape(header.shape, order=header.order)


def _fits(header: _Header, room: int, where: str) -> None:
    if header.nbytes != room:
        raise DataError(
            f"{where}: the header promises {header.dtype} of shape {header.shape}, {header.nbytes} bytes, "
            f"but {room} follow: the file is damaged, write it anew"
        )
