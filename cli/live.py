"""Tracking frames as they come."""

import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from vtssi_pyro.artifacts.loading import Trained
from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.inference.filter import Reading, Stream
from vtssi_pyro.model.program import Tracker
from vtssi_pyro.movies import Preparation
from vtssi_pyro.movies.live import growing_folder, raw_frames
from vtssi_pyro.movies.prepared import to_source
from vtssi_pyro.movies.transforms import Background, Contrast, Luminance, Polarity, Resize
from vtssi_pyro.tracks.export import TracksWriter

from .options import say, warn

LAST = 10_000  # frames whose times are remembered


class Watch:
    """Passes frames on until Ctrl-C, and notes how long each takes from its coming to :meth:`done`.

    Ctrl-C ends the wait for a frame at once, but lets what is done with one be finished; a second one does not.
    """

    def __init__(self, source: Iterator[np.ndarray]) -> None:
        self.number = 0
        self.stopped = False
        self._source = source
        self._waiting = False
        self._came = 0.0
        self._times: deque[float] = deque(maxlen=LAST)  # ms
        self._before: Any = None

    def __iter__(self) -> Iterator[np.ndarray]:
        while (frame := self._next()) is not None:
            self.number, self._came = self.number + 1, time.perf_counter()
            yield frame

    def done(self) -> None:
        """The last frame's rows are written."""
        self._times.append(1000 * (time.perf_counter() - self._came))

    def told(self) -> str:
        """How many frames came and how long they took."""
        lines = [f"{self.number} frames" + (", then Ctrl-C" if self.stopped else "")]
        if self._times:
            middle, slow = np.quantile(self._times, (0.5, 0.95))
            lines.append(
                f"from a frame's coming to its rows: median {middle:.1f} ms, 95 % within {slow:.1f} ms"
            )
        return "; ".join(lines)

    def __enter__(self) -> "Watch":
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _next(self) -> np.ndarray | None:
        try:
            self._waiting = True
            return None if self.stopped else next(self._source, None)
        except KeyboardInterrupt:
            return None
        finally:
            self._waiting = False

    def _interrupt(self, number: int, frame: Any) -> None:
        again, self.stopped = self.stopped, True
        if self._waiting or again:
            raise KeyboardInterrupt


def follow(
    trained: Trained,
    tracker: Tracker,
    source: str,
    out: Path,
    patience: float,
    size: str | None = None,
    pipe: BinaryIO | None = None,
) -> Path:
    """Track a live source frame by frame; every frame's rows are in ``tracks.csv`` before the next is read.

    Args:
        trained: whose preparation the frames go through, if it has one.
        tracker: of it.
        source: a folder, or ``-``, standard input.
        out: folder for the results.
        patience: seconds to wait for another picture.
        size: of frames on standard input, WIDTHxHEIGHT; None: what the preparation says.
        pipe: in place of standard input.
    """
    side, device = trained.config.model.air.frame_size, next(tracker.parameters()).device
    preparation = trained.preparation or Preparation((Luminance(),))
    if source == "-":
        frames = _piped(pipe or sys.stdin.buffer, _size(size) or _stored(preparation, side))
    elif size is not None:
        raise UsageError("--size is of frames on standard input: leave it out, pictures tell their own")
    else:
        frames = growing_folder(source, patience)
    stream, path = Stream(tracker), out / "tracks.csv"
    with Watch(frames) as watch, TracksWriter(path) as rows:

        def write(reading: Reading | None) -> None:
            if reading is not None:
                rows.append(to_source(reading.tracks, preparation))

        try:
            for frame in preparation(watch):
                reading = stream.push(_tensor(frame, side).to(device))
                write(reading)
                if watch.number > stream.needed:  # the first frames wait for each other
                    watch.done()
        finally:  # whatever ends the stream, its first frames may still wait
            write(stream.flush())
            say(watch.told())
    return path


def _piped(pipe: BinaryIO, size: tuple[int, int]) -> Iterator[np.ndarray]:
    if pipe.isatty():
        raise UsageError("- is standard input, which is a terminal: pipe frames into it")
    height, width = size

    def cut(count: int) -> None:
        warn(
            f"standard input ended {count} bytes into a frame: cut off, or not of {width}x{height} pixels (width x "
            "height), 8-bit grey"
        )

    return raw_frames(pipe, size, cut)


def _tensor(frame: np.ndarray, side: int) -> Tensor:
    """A frame (1, 1, S, S) in steps of 1/255, as frames of files are kept."""
    if frame.shape != (side, side):
        height, width = frame.shape
        raise DataError(f"frames have {height}x{width} pixels (H x W), the run's model expects {side}x{side}")
    if not (0 <= frame.min() and frame.max() <= 1):
        raise DataError(f"a frame has intensities from {frame.min()} to {frame.max()}: expected [0, 1]")
    return torch.from_numpy(np.round(255 * frame).astype(np.float32) / 255)[None, None]


def _size(text: str | None) -> tuple[int, int] | None:
    """(H, W) of WIDTHxHEIGHT."""
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise UsageError(f"--size {text}: expected WIDTHxHEIGHT, such as 640x480")
    return int(height), int(width)


def _stored(preparation: Preparation, side: int) -> tuple[int, int]:
    """(H, W) of the frames that a preparation was made for; where it takes any, of the model's."""
    for step in preparation.steps:
        if isinstance(step, Resize):
            return step.height, step.width
        if not isinstance(step, Luminance | Background | Polarity | Contrast):  # which change no size
            raise UsageError(
                "standard input does not tell the size of its frames, nor does the run, which shrinks or crops "
                "them: --size WIDTHxHEIGHT"
            )
    return side, side
