"""Movies that PyAV reads and writes: mp4, mov, avi, mkv, webm. PyAV is an extra; errors tell if it is missing."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.movies.movie import Movie
from vtssi_pyro.movies.pace import paced
from vtssi_pyro.movies.stored import Stored
from vtssi_pyro.system.atomic import atomic_write
from vtssi_pyro.system.extras import extra
from vtssi_pyro.system.files import regular

SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".ogv")
# FFmpeg's filter that makes one frame of the two fields of an interlaced one, of which each shows half of the lines, by
# motion-adaptive interpolation; frames that are not marked as interlaced pass.
DEINTERLACE = ("bwdif", "mode=send_frame:deint=interlaced")
SLACK = 5  # frames, or a fiftieth, by which the announced length of an intact film may exceed its frames


def film(path: Path, stored: Stored = Stored()) -> Movie:
    """Open a movie file."""
    with _opened(path) as stream:
        size, colours = (stream.codec_context.height, stream.codec_context.width), 1
        first = next(stream.container.decode(stream), None)
        bits, combed = None, first is not None and first.interlaced_frame
        if first is not None:
            upright = _upright(first)
            size, colours = upright.shape[:2], 1 if upright.ndim == 2 else upright.shape[-1]
            bits = 8 * upright.itemsize  # to which a film's own are scaled
        rate = float(stream.average_rate) if stream.average_rate else None
        length = stream.frames or None  # 0: the container does not say
        lossy = bool(stream.codec_context.codec.lossy)
        times = _times(stream)
    stored.refuse_for_pictures(str(path), colours)
    uneven, lines = paced(str(path), times)
    if combed:
        lines = (
            *lines,
            f"{path}: is interlaced: the lines between those of the first field are interpolated",
        )
    return Movie(
        str(path), size, length, rate, lambda: _frames(path, combed), stored, lines, bits, uneven, lossy=lossy
    )


def _times(stream: Any) -> list[float]:
    """The times of a film's frames in seconds, from its packets, which need no decoding; none if they do not tell."""
    container, base = stream.container, float(stream.time_base or 0)
    try:
        container.seek(0)
        found = sorted(packet.pts * base for packet in container.demux(stream) if packet.pts is not None)
    except (OSError, EOFError, ValueError):  # reading the frames will report it
        return []
    return found if base else []


def write_film(path: Path | str, frames: Iterable[np.ndarray], rate: float) -> None:
    """Write an H.264 film that plays everywhere; ``path`` appears when it is complete, or not at all.

    Args:
        path: the file, .mp4 by name.
        frames: (H, W, 3) uint8, all of one size; an odd side gets another line of pixels, as the format requires.
        rate: frames per second.

    Raises:
        UsageError: PyAV is not installed, or it has no encoder.
        DataError: no frames, or frames of several sizes.
    """
    av = writer()
    with (
        atomic_write(path) as temporary,
        av.open(str(temporary), "w", options={"movflags": "faststart"}) as file,
    ):
        stream, size = None, None
        for frame in frames:
            height, width = frame.shape[:2]
            size = size or (height, width)
            if (height, width) != size:
                raise DataError(
                    f"{path}: frames of {size[0]}x{size[1]} and of {height}x{width} pixels (H x W): "
                    "all must have one size"
                )
            even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            if stream is None:
                stream = file.add_stream("libx264", rate=Fraction(rate).limit_denominator(1000))
                stream.height, stream.width, stream.pix_fmt = *even.shape[:2], "yuv420p"
            file.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        if stream is None:
            raise DataError(f"{path}: no frames to write")
        file.mux(stream.encode(None))


def _frames(path: Path, interlaced: bool) -> Iterator[np.ndarray]:
    with _opened(path) as stream:
        stream.thread_type = "AUTO"
        number, last = 0, 0.0
        decoded = stream.container.decode(stream)
        for frame in _deinterlaced(stream, decoded) if interlaced else decoded:
            number += 1
            last = frame.time or last
            yield _upright(frame)
        if number < stream.frames - max(SLACK, stream.frames // 50):
            raise DataError(f"{path}: ends after {number} of {stream.frames} frames: copy the file again")
        whole = (stream.container.duration or 0) / 1e6  # seconds, of all streams
        if len(stream.container.streams) == 1 and whole - last > max(1.0, whole / 10):
            raise DataError(f"{path}: ends after {last:.1f} of {whole:.1f} seconds: copy the file again")


def _deinterlaced(stream: Any, frames: Iterator[Any]) -> Iterator[Any]:
    """Frames without combs at the edges of what moves, as many as there are."""
    av = pyav()
    graph = av.filter.Graph()
    graph.link_nodes(graph.add_buffer(template=stream), graph.add(*DEINTERLACE), graph.add("buffersink"))
    graph.configure()
    for frame in frames:
        graph.vpush(frame)
        yield from _pulled(graph)
    graph.vpush(None)
    yield from _pulled(graph)


def _pulled(graph: Any) -> Iterator[Any]:
    """The frames that a filter has ready."""
    try:
        while True:
            yield graph.vpull()
    except (BlockingIOError, EOFError):  # it waits for further ones, or has seen the last
        return


def _upright(frame: Any) -> np.ndarray:
    """Turn a frame upright, as the camera's note of its rotation demands."""
    turns = round((getattr(frame, "rotation", 0) or 0) / 90)
    return np.rot90(frame.to_ndarray(format=_format(frame.format)), turns)


def _format(stored: Any) -> str:
    """Choose the pixel format to decode to: grey for a grey film, 16 bits for more than 8."""
    deep = any(component.bits > 8 for component in stored.components)
    if len(stored.components) < 3:
        return "gray16le" if deep else "gray"
    return "rgb48le" if deep else "rgb24"


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    av = pyav()
    try:
        with av.open(str(regular(path))) as container:
            if not container.streams.video:
                raise DataError(f"{path}: holds no video")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise DataError(f"{path}: PyAV has no decoder for its video; convert it to H.264")
            yield stream
    # a UnicodeDecodeError: PyAV decodes the notes of a film when it opens it
    except (av.error.FFmpegError, OSError, EOFError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"{path}: cannot be decoded ({reason}): copy the file again, or convert it"
        ) from error


def writer() -> Any:
    """Import PyAV and check that it can write; a long computation calls this before it starts."""
    av = pyav()
    if "libx264" not in av.codecs_available:
        raise UsageError("this PyAV cannot write H.264: pip install --force-reinstall 'vtssi-pyro[video]'")
    return av


def pyav() -> Any:
    """Import PyAV; the error tells how to install it."""
    return extra("av", "video", "movie files need PyAV")
