"""Tracking frames as they come."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from vtssi_pyro.errors import DataError
from vtssi_pyro.export import TracksWriter
from vtssi_pyro.footage import to_source
from vtssi_pyro.movies import Preparation
from vtssi_pyro.movies.live import growing_folder, raw_frames
from vtssi_pyro.movies.steps import Luminance, Resize, Shrink
from vtssi_pyro.predict import Reading, Stream
from vtssi_pyro.tracker import Tracker
from vtssi_pyro.trained import Trained

from .options import say


class Watch:
    """Passes frames on and notes when each came."""

    def __init__(self, source: Iterator[np.ndarray]) -> None:
        self.came = 0.0
        self._source = source

    def __iter__(self) -> Iterator[np.ndarray]:
        for frame in self._source:
            self.came = time.perf_counter()
            yield frame


def follow(
    trained: Trained, tracker: Tracker, source: str, out: Path, patience: float, pipe: BinaryIO | None = None
) -> Path:
    """Track a live source frame by frame; every frame's rows are in ``tracks.csv`` before the next is read.

    Args:
        trained: whose preparation the frames go through, if it has one.
        tracker: of it.
        source: a folder, or ``-``, standard input.
        out: folder for the results.
        patience: seconds to wait for another picture.
        pipe: in place of standard input.
    """
    side, device = trained.config.model.air.frame_size, next(tracker.parameters()).device
    preparation = trained.preparation or Preparation((Luminance(),))
    size = _stored(preparation) or (side, side)
    frames = raw_frames(pipe or sys.stdin.buffer, size) if source == "-" else growing_folder(source, patience)
    watch, stream, waits = Watch(frames), Stream(tracker), []
    path = out / "tracks.csv"
    with TracksWriter(path) as rows:

        def write(reading: Reading | None) -> None:
            if reading is not None:
                rows.append(to_source(reading.tracks, preparation))

        try:
            for frame in preparation(watch):  # type: ignore[arg-type]
                write(stream.push(_tensor(frame, side).to(device)))
                waits.append(1000 * (time.perf_counter() - watch.came))
        finally:  # Ctrl-C ends a stream as its end does
            write(stream.flush())
            say(_told(waits, stream.needed))
    return path


def _tensor(frame: np.ndarray, side: int) -> Tensor:
    if frame.shape != (side, side):
        height, width = frame.shape
        raise DataError(f"frames have {height}x{width} pixels (H x W), the run's model expects {side}x{side}")
    return torch.from_numpy(np.ascontiguousarray(frame, np.float32))[None, None]


def _stored(preparation: Preparation) -> tuple[int, int] | None:
    """(H, W) of the frames that a preparation was made for; None for any."""
    shrunk = 1
    for step in preparation.steps:
        if isinstance(step, Shrink):
            shrunk *= step.factor
        if isinstance(step, Resize):
            return step.height * shrunk, step.width * shrunk
    return None


def _told(waits: list[float], needed: int) -> str:
    later = waits[needed:]  # the first frames wait for each other
    if not later:
        return f"{len(waits)} frames"
    middle, slow = np.quantile(later, (0.5, 0.95))
    return f"{len(waits)} frames; from a frame's coming to its rows: median {middle:.1f} ms, 95 % within {slow:.1f} ms"
