"""Data sets of users' frames: arrays, ``.npz`` and ``.npy``, and movies that fit into memory."""

import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vtssi_pyro.config import checked
from vtssi_pyro.data.array import ArrayDataset
from vtssi_pyro.data.store import read
from vtssi_pyro.errors import DataError
from vtssi_pyro.movies import Arraylike, Movie, Stored, luminance, open_movie
from vtssi_pyro.movies.axes import letters, named
from vtssi_pyro.movies.movie import colours
from vtssi_pyro.movies.stored import COLOUR
from vtssi_pyro.ops.channels import channels_first

_SMALLER = ", make it smaller, or convert it to an uncompressed .npz, which is not held in memory"


@checked
def open_frames(
    source: str | os.PathLike[str] | np.ndarray | Arraylike, stored: Stored = Stored()
) -> ArrayDataset:
    """Open an array, or a file or folder of frames; a movie is one sequence, without truth.

    Arrays keep their channels. Movies are grey, unless ``stored`` says that they are read in colour: colours and more
    than 8 bits become luminance in steps of 1/255, and transparent pixels black. Black and white are as
    :mod:`vtssi_pyro.movies.levels` decides.

    Args:
        source: frames in grey, (S, T, H, W) or (T, H, W), or in C channels, (S, T, C, H, W), in an
            array of NumPy, Dask, zarr or the like, or in a tensor; or the path of a file or folder.
        stored: how the frames are stored, as far as it is known; axes that an array does not name are named there.

    Returns:
        The data set.

    Raises:
        DataError: the source cannot be read as frames, or is too large for memory.

    Example:
        >>> import numpy as np
        >>> from vtssi_pyro import open_frames
        >>> open_frames(np.zeros((2, 9, 50, 50), np.uint8)).length
        9
    """
    if isinstance(source, Arraylike):
        if not isinstance(source, Tensor | np.ndarray):  # which is read now
            stored.refuse_more("frames", math.prod(source.shape) * np.dtype(source.dtype).itemsize)
        if stored.axes is None and (names := named(source)):
            stored = replace(stored, axes=letters(names))
        return ArrayDataset("frames", as_array(source), stored=stored)
    if not isinstance(source, str | os.PathLike):
        raise DataError(
            f"a {type(source).__name__} is no array of frames: numpy.stack(frames) makes one of a list"
        )
    path = Path(source)
    if path.suffix.lower() in (".npz", ".npy"):
        return read(path, stored)
    return of_movie(open_movie(path, stored))


def of_movie(movie: Movie) -> ArrayDataset:
    """One sequence of a movie's frames, (1, T, C, H, W), in steps of 1/255 unless they are floats.

    They are grey, C = 1, unless the movie is to be read in colour.
    """
    made = ArrayDataset(movie.name, _stack(movie)[None])
    made.lines, made.units = movie.assumed, movie.units
    made.levels = replace(made.levels, missing=movie.levels.missing)
    return made


def as_array(frames: Arraylike) -> np.ndarray:
    """Convert a tensor to an array; types that numpy lacks, such as bfloat16, become single precision.

    What a masked array masks becomes NaN.

    Raises:
        DataError: a tensor without numbers, as one on the device ``meta``.
    """
    if isinstance(frames, np.ma.MaskedArray):
        return np.ma.filled(frames.astype(np.float64), np.nan) if np.any(frames.mask) else frames.data
    if not isinstance(frames, Tensor):
        return np.asarray(frames)
    try:
        frames = frames.detach().cpu()
        if frames.layout != torch.strided:
            frames = frames.to_dense()
        frames = frames.resolve_conj().resolve_neg()
        try:
            return frames.numpy()
        except TypeError:
            return frames.float().numpy()
    except (RuntimeError, NotImplementedError, TypeError) as error:
        raise DataError(
            f"frames: a tensor of {frames.dtype}, {frames.layout}, on {frames.device}, whose numbers cannot be read: "
            "give a plain one, of a quantised one dequantize()"
        ) from error


def _stack(movie: Movie) -> np.ndarray:
    """Read all frames (T, C, H, W)."""
    frames: list[np.ndarray] = []
    exact = movie.levels.dtype.startswith("float")
    read, channels = (colours, 3) if movie.stored.channel == COLOUR else (luminance, 1)
    pixels = channels * movie.size[0] * movie.size[1] * (4 if exact else 1)
    movie.stored.refuse_more(movie.name, pixels * (movie.length or 1), _SMALLER)
    for frame in movie:
        movie.stored.refuse_more(movie.name, pixels * (len(frames) + 1), _SMALLER)
        shown = channels_first(read(frame))
        frames.append(shown if exact else (shown * 255).round().clip(0, 255).astype(np.uint8))
    return np.stack(frames)
