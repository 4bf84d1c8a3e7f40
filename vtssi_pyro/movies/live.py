"""Live frames: a folder that grows, or a pipe."""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from vtssi_pyro.errors import Argument, DataError, UsageError
from vtssi_pyro.movies.pictures import is_picture, picture
from vtssi_pyro.movies.preparation import Preparation
from vtssi_pyro.movies.transforms import Background, Contrast, Luminance, Polarity, Resize
from vtssi_pyro.system.naming import natural

POLL = 0.02  # seconds between two listings of a folder: half the 40 ms of a frame at 25 frames per second
# Frames whose times are kept for the median and the 95 % quantile, so that memory stays constant.
LAST = 10_000
WATCHED = 100  # last pictures whose changes are told of; to look at as many takes a tenth of a millisecond
END = "end"  # the file that marks a folder as complete


def growing_folder(
    path: Path | str,
    patience: float,
    sleep: Callable[[float], None] = time.sleep,
    warn: Callable[[str], object] = lambda message: None,
) -> Iterator[np.ndarray]:
    """Yield the pictures of a folder in natural order as they appear, until a file ``end`` appears or patience ends.

    A picture is read once it can be decoded as a whole. Names with a dot in front are left out, so that pictures can be
    written under such names and renamed. Only names are kept in memory, and the times of the last pictures.

    Args:
        path: the folder.
        patience: seconds without a new picture after which the wait ends.
        sleep: a function that waits for a number of seconds.
        warn: called with a message, once a picture, if one of the last that were read has changed since.

    Yields:
        frames (H, W), (H, W, 3) or (H, W, 4).

    Raises:
        DataError: no folder, no picture in time, a picture that stays cut off, one of another size, or one whose name
            precedes that of a picture that was read already.
    """
    names, size, since = _Names(Path(path), warn), None, time.monotonic()
    while True:
        over = names.look()
        late = time.monotonic() - since >= patience
        frame = _whole(names.waiting[0], patient=not late) if names.waiting else None
        if frame is not None:
            size = size or frame.shape[:2]
            if size != frame.shape[:2]:
                found, expected = (f"{height}x{width}" for height, width in (frame.shape[:2], size))
                raise DataError(
                    f"{names.waiting[0]} has {found} pixels (H x W), those before {expected}: all must have one size"
                )
            names.take()
            yield frame
            since = time.monotonic()  # the time of the frame's processing does not count as a wait
        elif late or (over and not names.waiting):
            break
        else:
            sleep(POLL)
    if size is None:
        raise DataError(f"{path}: no picture came within {patience:g} seconds")


_State = tuple[int, int] | None


class _Names:
    """The unread pictures of a folder, which is listed again every POLL seconds at most."""

    def __init__(self, folder: Path, warn: Callable[[str], object]) -> None:
        if not folder.is_dir():
            raise DataError(f"{folder}: no folder to wait for pictures in")
        self.waiting: deque[Path] = deque()
        self._folder = folder
        self._known: set[str] = set()
        self._last: Path | None = None
        self._looked = -POLL
        self._warn = warn
        self._read: deque[tuple[Path, _State]] = deque(maxlen=WATCHED)

    def look(self) -> bool:
        """List the unread pictures; return whether no more will come.

        Raises:
            DataError: a picture came too late.
        """
        if self.waiting and time.monotonic() - self._looked < POLL:
            return False
        over = (self._folder / END).exists()  # before names are read: all pictures precede it
        names = set(os.listdir(self._folder))
        if names != self._known:
            fresh = [self._folder / name for name in names - self._known if is_picture(name)]
            for file in fresh:
                if self._last is not None and natural(file) <= natural(self._last):
                    raise DataError(
                        f"{file}: came when {self._last.name}, which is behind it, had been read already: "
                        "give pictures names in their order"
                    )
            old = [file for file in self.waiting if file.name in names]
            self.waiting = deque(sorted(old + fresh, key=natural))
            self._known = names
        self._tell_of_changes()
        self._looked = time.monotonic()
        return over

    def take(self) -> None:
        """Mark the first unread picture as read."""
        self._last = self.waiting.popleft()
        self._read.append((self._last, _state(self._last)))

    def _tell_of_changes(self) -> None:
        """Tell of pictures that have changed since they were read; that they are removed is usual."""
        for number, (file, before) in enumerate(self._read):
            now = _state(file)
            if now is not None and now != before:
                self._warn(f"{file}: changed after it had been read; its tracks are those of what was read")
                self._read[number] = (file, now)


def _state(file: Path) -> "_State":
    """The time and the size of a file; None if it is gone."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _whole(file: Path, patient: bool) -> np.ndarray | None:
    """Read a picture; None while it is still being written."""
    try:
        return picture(file)
    except DataError:
        if patient:
            return None
        raise


def raw_frames(
    source: BinaryIO, size: tuple[int, int], cut: Callable[[int], None] | None = None
) -> Iterator[np.ndarray]:
    """Yield frames (H, W) of 8-bit grey from a pipe, row by row without anything between them.

    Args:
        source: the pipe.
        size: (H, W), pixels.
        cut: called at the end with the number of bytes behind the last whole frame, if any.

    Yields:
        frames (H, W) uint8.

    Raises:
        DataError: not even one frame came.
    """
    number, came, whole = 0, bytearray(), size[0] * size[1]
    while read := source.read(whole - len(came)):
        came += read
        if len(came) == whole:
            yield np.frombuffer(bytes(came), np.uint8).reshape(size)
            number, came = number + 1, bytearray()
    if number == 0:
        raise DataError(
            f"standard input: {len(came)} bytes are no frame of {size[1]}x{size[0]} pixels (width x height), "
            "8-bit grey"
        )
    if came and cut is not None:
        cut(len(came))


def piped_frames(
    pipe: BinaryIO, size: tuple[int, int], warn: Callable[[str], object]
) -> Iterator[np.ndarray]:
    """Yield frames (H, W) of 8-bit grey from standard input; see :func:`raw_frames`.

    Args:
        pipe: the standard input.
        size: (H, W), pixels.
        warn: called with a message if the last frame is cut off.

    Raises:
        UsageError: the pipe is a terminal.
    """
    if pipe.isatty():
        raise UsageError("- is standard input, which is a terminal: pipe frames into it")
    height, width = size

    def cut(count: int) -> None:
        warn(
            f"standard input ended {count} bytes into a frame: cut off, or not of {width}x{height} pixels (width x "
            "height), 8-bit grey"
        )

    return raw_frames(pipe, size, cut)


def stored_size(preparation: Preparation, side: int) -> tuple[int, int]:
    """Return (H, W) of the frames that a preparation was made for, or that of the model's if it takes any size."""
    for transform in preparation.transforms:
        if isinstance(transform, Resize):
            return transform.height, transform.width
        if not isinstance(transform, Luminance | Background | Polarity | Contrast):  # which change no size
            raise UsageError(
                "standard input does not tell the size of its frames, nor does the run, which shrinks or crops "
                "them: give their ",
                Argument("size"),
            )
    return side, side


class Watch:
    """Pass frames on until Ctrl-C, and time each from its arrival to :meth:`done`.

    Ctrl-C ends the wait for a frame at once, but lets the processing of a frame finish; a second Ctrl-C does not.

    Args:
        source: the frames.
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
        """Note that the last frame's rows are written."""
        self._times.append(1000 * (time.perf_counter() - self._came))

    def findings(self) -> dict[str, Any]:
        """The number of frames and, if there are any, quantiles of their times, ms; ready for JSON."""
        middle, slow = np.quantile(self._times, (0.5, 0.95)).tolist() if self._times else (None, None)
        return {"frames": self.number, "stopped": self.stopped, "median_ms": middle, "within_ms": slow}

    def summary(self) -> str:
        """The :meth:`findings` for people."""
        found = self.findings()
        told = f"{self.number} frames" + (", then Ctrl-C" if self.stopped else "")
        if not self._times:
            return told
        times = "median {median_ms:.1f} ms, 95 % within {within_ms:.1f} ms".format_map(found)
        return f"{told}; from a frame's coming to its rows: {times}"

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
