"""Frames of a user's read by a tracker, part by part, so that large files need no large memory."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vtssi_pyro.artifacts.loading import Loaded
from vtssi_pyro.data import ArrayDataset, Dataset, open_frames
from vtssi_pyro.data.frames import as_array
from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.inference.filter import Estimate, estimates
from vtssi_pyro.movies import Movie, array_movie, is_movie, open_movie, thumbnails
from vtssi_pyro.movies.prepared import PreparedMovie, was_kept
from vtssi_pyro.plots.style import Frames
from vtssi_pyro.tracks.tracks import Tracks, concatenated
from vtssi_pyro.train.reporting import Reporter

File = str | Path
Source = File | np.ndarray | Tensor | Dataset | Movie | PreparedMovie

PART = 64  # sequences of a file that are read at a time
SHOWN = 4  # sequences in an animation
WIDEST, LONGEST = 400, 300  # pixels and frames of a movie in an animation


class Opened(NamedTuple):
    """Frames as a model sees them, and the movie that they were made of, if they were."""

    data: Dataset
    movie: PreparedMovie | None = None
    in_memory: bool = False  # whether the frames were given, and not a file of them

    @property
    def frame_size(self) -> tuple[int, int]:
        """(H, W) of the frames as they are stored, pixels."""
        return self.movie.size if self.movie else self.data.frame_size

    @property
    def rate(self) -> float | None:
        """Frames per second; None where it is not known."""
        return self.movie.rate if self.movie else None

    def to_source(self, tracks: Tracks) -> Tracks:
        """Tracks in the pixels of the frames as they are stored."""
        return self.movie.to_source(tracks) if self.movie else tracks

    def lead(self, seen: int) -> int:
        """The first frame to show where what comes after the ``seen`` ones matters, of a long movie a late one."""
        return max(0, seen - LONGEST // 2) if self.movie else 0

    def shown(self, tracks: Tracks, frames: int, first: int = 0) -> tuple[Frames, Tracks]:
        """The first sequences, or frames of a movie from ``first`` on, for a picture; and tracks, in its pixels."""
        if self.movie is None:
            seen = self.data.frames(slice(0, SHOWN), length=min(self.data.length, frames))
            return seen, tracks.part(slice(SHOWN))
        small = thumbnails(self.movie.movie, WIDEST, min(frames - first, LONGEST), first)
        tracks = tracks.part(frames=slice(first, first + LONGEST))
        return small.frames[None, :, None], tracks.moved(lambda points: points * small.ratio, small.ratio)


def brought(source: Source) -> Source:
    """The movie itself, prepared, where a source is a folder that :func:`vtssi_pyro.inspect` wrote; others stay."""
    kept = isinstance(source, str | os.PathLike) and was_kept(source)
    return PreparedMovie.load(source) if kept else source  # type: ignore[arg-type]


def as_movie(source: Source) -> Movie | None:
    """One movie, where a source is one: a file or folder of one, or an array (T, H, W) or (T, H, W, 3)."""
    if isinstance(source, str | os.PathLike):
        return open_movie(source) if is_movie(source) else None
    try:
        return movie_of(source)
    except DataError:
        return None


def movie_of(source: Source) -> Movie:
    """The movie that a source is.

    Raises:
        DataError: it is none.
    """
    source = brought(source)
    if isinstance(source, Movie | PreparedMovie):
        return source if isinstance(source, Movie) else source.movie
    if isinstance(source, str | os.PathLike):
        return open_movie(source)
    if isinstance(source, np.ndarray | Tensor):
        return array_movie("frames", as_array(source) if isinstance(source, Tensor) else source)
    raise DataError("sequences are no movie: expected a file, or an array (T, H, W)")


def dataset_of(source: Source) -> Dataset:
    """The sequences that a source is.

    Raises:
        DataError: it is none.
    """
    if isinstance(source, str | os.PathLike | np.ndarray | Tensor):
        return open_frames(source)
    if isinstance(source, Movie | PreparedMovie):
        raise DataError(f"{source.name}: a movie is no sequences: give its frames as an array (1, T, H, W)")
    return source


def opened(source: Source, loaded: Loaded) -> Opened:
    """Frames for a tracker: sequences, or, where it learned from a movie, a movie prepared as that one was.

    Args:
        source: sequences or a movie; one that is prepared already, by itself, may be of another camera or place.
        loaded: the tracker.
    """
    source = brought(source)
    preparation = loaded.preparation
    if isinstance(source, PreparedMovie):
        if loaded.source and preparation is None:
            raise UsageError(
                f"{loaded.name} did not learn from a movie, and prepares none: give frames of its own size"
            )
        return _of_movie(source.sized(loaded.side))
    if preparation is None:
        return Opened(sequences(source, loaded), None, not isinstance(source, str | os.PathLike))
    movie = as_movie(source)
    if movie is None:
        raise _sequences_for_a_movie(source, loaded)
    return _of_movie(PreparedMovie.of(movie, preparation))


def sequences(source: Source, loaded: Loaded) -> Dataset:
    """Frames of the size that a tracker reads."""
    if loaded.preparation:
        raise _sequences_for_a_movie(source, loaded)
    data, side = dataset_of(source), loaded.side
    if data.frame_size != (side, side):
        name, (height, width) = called(source), data.frame_size
        raise DataError(
            f"{name}: frames are {height}x{width} pixels (H x W), the run's model expects {side}x{side}:"
            f" resize them, or train on such frames with vtssi-pyro fit {name}"
        )
    return data


def _of_movie(movie: PreparedMovie) -> Opened:
    return Opened(ArrayDataset(movie.name, movie.frames[None].numpy()), movie)


def called(source: Source) -> str:
    """As errors call it."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    return source.name if isinstance(source, Movie | PreparedMovie | ArrayDataset) else "frames"


def _sequences_for_a_movie(source: Source, loaded: Loaded) -> DataError:
    return DataError(
        f"{called(source)}: {loaded.name} learned from a movie, whose frames it prepares, and reads no sequences: "
        "track and predict take one movie at a time, be it an array (T, H, W); fit has judged the run by frames "
        "held out"
    )


def warn_if_short(loaded: Loaded, length: int, report: Reporter) -> None:
    """Fewer frames than the consensus of objects looks at are read, but less surely."""
    wanted = loaded.tracker.consensus.K
    if length < wanted:
        report.warn(
            f"{length} frames a sequence, the model looks for objects in {wanted}: counts will be less sure"
        )


def read_movie(loaded: Loaded, movie: PreparedMovie, rendered: bool) -> Estimate:
    """Read one movie from end to end, in its own pixels; on the CPU.

    Args:
        loaded: the tracker.
        movie: prepared.
        rendered: whether to keep the rendered frames, which the memory then has to hold.
    """
    parts, frames, looks = [], [], torch.empty(0)
    for reading in estimates(loaded.tracker, movie.frames[None].to(loaded.device)):
        parts.append(reading.tracks.cpu())
        frames.append(reading.frames[: int(rendered)].cpu())
        looks = reading.appearance.cpu()
    return Estimate(movie.to_source(concatenated(parts, 1)), torch.cat(frames, 1), looks)


def read_all(
    opened: Opened,
    length: int,
    loaded: Loaded,
    report: Reporter,
    read: Callable[[Tensor, int], Estimate],
    rendered: int | None,
) -> Estimate:
    """Read the first ``length`` frames of every sequence; on the CPU.

    Args:
        opened: whose frames are looked at, and nothing else.
        length: frames.
        loaded: the tracker.
        report: told how far it is.
        read: what to do with frames (b, length, C, H, W), the first of which is of the sequence of that number.
        rendered: sequences whose rendered frames are kept; None: all.
    """
    tracks: list[Tracks] = []
    looks: list[Tensor] = []
    frames: list[Tensor] = []
    total, weights = len(opened.data), next(loaded.tracker.parameters())
    with report.watched(opened.data, "reading") as data:
        # what is in memory already need not be read in parts
        for index in torch.arange(total).split(total if opened.in_memory else PART):
            reading = read(data.frames(index, length=length).to(weights), int(index[0]))
            tracks.append(reading.tracks.cpu())
            looks.append(reading.appearance.cpu())
            left = total if rendered is None else max(0, rendered - int(index[0]))
            frames.append(reading.frames[:left].cpu())
    return Estimate(concatenated(tracks), torch.cat(frames), torch.cat(looks))


def live_frame(frame: np.ndarray, side: int) -> Tensor:
    """A frame (1, 1, 1, S, S) in steps of 1/255, as frames of files are kept."""
    if frame.shape != (side, side):
        height, width = frame.shape
        raise DataError(f"frames have {height}x{width} pixels (H x W), the run's model expects {side}x{side}")
    if not (0 <= frame.min() and frame.max() <= 1):
        raise DataError(f"a frame has intensities from {frame.min()} to {frame.max()}: expected [0, 1]")
    return torch.from_numpy(np.round(255 * frame).astype(np.float32) / 255)[None, None, None]
