"""Frames that users bring as a data set: ``.npz`` and ``.npy``, and movies that fit into memory."""

from pathlib import Path

import numpy as np

from vtssi_pyro.data.store import read
from vtssi_pyro.data.video import VideoFile
from vtssi_pyro.errors import DataError
from vtssi_pyro.movies import open_movie

MAX_PIXELS = 2**31  # of all frames of a movie together; they are held in memory


def open_frames(path: Path | str) -> VideoFile:
    """Open a file or folder of frames; a movie is one sequence, without truth.

    Colour becomes luminance in steps of 1/255, what is transparent becomes black.
    """
    path = Path(path)
    if path.suffix.lower() in (".npz", ".npy"):
        return read(path)
    movie = open_movie(path)
    frames, pixels = [], 0
    for frame in movie.luminance():
        pixels += frame.size
        if pixels > MAX_PIXELS:
            raise DataError(
                f"{path} unpacks to more than {MAX_PIXELS} pixels: make it smaller, or convert it to an "
                "uncompressed .npz, which is not held in memory"
            )
        frames.append((frame * 255).round().clip(0, 255).astype(np.uint8))
    return VideoFile(path, np.stack(frames))
