"""Opening of users' frames for a tracker: sequences, or a movie, which is prepared as its training movie was."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from vtssi_pyro.artifacts.loading import Loaded
from vtssi_pyro.artifacts.shipped import PREFIX
from vtssi_pyro.artifacts.sources import parts_of_others
from vtssi_pyro.data import ArrayDataset, Dataset, open_frames
from vtssi_pyro.data.dataset import channels_of, units_of
from vtssi_pyro.data.frames import as_array
from vtssi_pyro.errors import Argument, DataError, UsageError
from vtssi_pyro.movies import Arraylike, Hints, Movie, Stored, array_movie, is_movie, open_movie, thumbnails
from vtssi_pyro.movies.axes import NoMovie
from vtssi_pyro.movies.prepared import PreparedMovie, look, was_kept
from vtssi_pyro.movies.series import in_series
from vtssi_pyro.movies.stored import COLOUR, GREY
from vtssi_pyro.plots.style import Frames
from vtssi_pyro.system.files import is_name
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.tracks.units import NO_UNITS, Units
from vtssi_pyro.train.reporting import Reporter

File = str | Path
Source = File | np.ndarray | Arraylike | Dataset | Movie | PreparedMovie
PART = 64  # sequences of a file that are read at a time: small enough for memory, and full batches
SHOWN = 4  # sequences in an animation, as many as fit a screen
WIDEST, LONGEST = 400, 300  # pixels and frames of a movie in an animation, which bound the size of the GIF


class Opened(NamedTuple):
    """Frames for a model, and the movie from which they were made, if any."""

    data: Dataset
    movie: PreparedMovie | None = None
    in_memory: bool = False  # whether the frames themselves were given, not a file
    said: Units = NO_UNITS  # units that a user says

    @property
    def frame_size(self) -> tuple[int, int]:
        """(H, W) of the stored frames, pixels."""
        return self.movie.size if self.movie else self.data.frame_size

    @property
    def about(self) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
        """What was assumed of the stored frames, ready for JSON and in lines for people; None: they are drawn."""
        if self.movie:
            movie = self.movie.movie
            marks = {"times": movie.times, "numbers": movie.numbers}
            known = {key: list(values[movie.stored.span]) for key, values in marks.items() if values}
            lines = (*self.movie.assumed, *self._of_units(movie.name))
            levels = movie.levels.as_dict()
            missing = movie.units.numbered(np.array(levels["missing_frames"], int)).tolist()
            return {**levels, "missing_frames": missing, **known, "assumed": list(lines)}, lines
        if isinstance(self.data, ArrayDataset):
            lines = (*self.data.lines, *self._of_units(self.data.name))
            return {**self.data.levels.as_dict(), "assumed": list(lines)}, lines
        return None, ()

    @property
    def units(self) -> Units:
        """What pixels and times stand for, as far as it is known."""
        if self.movie:
            return self.movie.movie.units.told(self.said)
        return units_of(self.data).told(self.said)

    def _of_units(self, name: str) -> tuple[str, ...]:
        """The line that tells the units and where they are from; none if nothing is known."""
        known = self.units
        if not known.known:
            return ()
        told = self.movie.movie.stored.units.told(self.said) if self.movie else self.said
        return (f"{name}: {known.line(told)}",)

    def to_source(self, tracks: Tracks) -> Tracks:
        """Convert tracks to pixels of the stored frames."""
        return self.movie.to_source(tracks) if self.movie else tracks

    def lead(self, seen: int) -> int:
        """The first frame to show around the end of the ``seen`` frames: of a long movie a late one."""
        return max(0, seen - LONGEST // 2) if self.movie else 0

    def shown(self, tracks: Tracks, frames: int, first: int = 0) -> tuple[Frames, Tracks]:
        """Sequences worth showing, or a movie's frames from ``first`` on, for a picture, and tracks in its pixels."""
        if self.movie is None:
            chosen = worth_showing(tracks)
            seen = self.data.frames(torch.tensor(chosen), length=min(self.data.length, frames))
            return seen, tracks.part(chosen)
        return _small(self.movie.movie, tracks, frames - first, first)


class Bare(NamedTuple):
    """Frames without a tracker: sequences, or a movie as it is stored."""

    frames: Dataset | Movie

    @property
    def extent(self) -> tuple[int, int | None]:
        """Number of sequences, and of frames of each; None if only reading a movie tells."""
        if isinstance(self.frames, Movie):
            return 1, None
        return len(self.frames), self.frames.length

    def shown(self, tracks: Tracks) -> tuple[Frames, Tracks, list[str] | None]:
        """Frames worth showing, tracks in their pixels, and the names of the sequences; see :meth:`Opened.shown`."""
        if isinstance(self.frames, Movie):
            return *_small(self.frames, tracks), None
        chosen = worth_showing(tracks)
        names = [f"sequence {sequence + 1}" for sequence in chosen]
        return self.frames.frames(torch.tensor(chosen)), tracks.part(chosen), names


def bare(source: Source, stored: Stored = Stored()) -> Bare:
    """Open frames without a tracker: a movie, or sequences."""
    source = brought(source)
    refuse_unheard(source, stored)
    if isinstance(source, PreparedMovie):
        return Bare(source.movie)
    movie = None if isinstance(source, Arraylike | Dataset) else as_movie(source, stored)
    return Bare(movie or dataset_of(source, stored))


def _small(movie: Movie, tracks: Tracks, frames: int = LONGEST, first: int = 0) -> tuple[Frames, Tracks]:
    """A movie's frames from ``first`` on, as many as a picture holds, and tracks in its pixels."""
    small = thumbnails(movie, WIDEST, min(frames, LONGEST), first)
    tracks = tracks.part(frames=slice(first, first + LONGEST))
    return small.frames[None], tracks.moved(lambda points: points * small.ratio, small.ratio)


def brought(source: Source) -> Source:
    """Load the prepared movie of a folder that :func:`vtssi_pyro.inspect` wrote; other sources stay unchanged."""
    kept = isinstance(source, str | os.PathLike) and was_kept(source)
    return PreparedMovie.load(source) if kept else source  # type: ignore[arg-type]


def as_movie(source: Source, stored: Stored = Stored()) -> Movie | None:
    """Open a source as one movie: a file or folder, or an array (T, H, W) or (T, H, W, 3); None if it is none.

    Raises:
        DataError: a movie that cannot be read, or of which a depth or a channel is to be chosen.
    """
    if isinstance(source, str | os.PathLike):
        return open_movie(source, stored) if is_movie(source, stored) else None
    try:
        return movie_of(source, stored)
    except NoMovie:
        return None


def movies_of(sources: Sequence[File], stored: Stored = Stored()) -> Movie:
    """Open several movies of one camera as one.

    Raises:
        DataError: one is no movie, or frames have several sizes.
        UsageError: the paths of several movies are expected.
    """
    if not sources:
        raise DataError("no movies: expected their paths")
    for source in sources:
        if not is_name(source) or not os.fspath(source):
            raise UsageError(
                Argument("data"), f": expected paths of movies, found a {type(source).__name__} among them"
            )
        if was_kept(source) or not (is_movie(source, stored) or not Path(source).exists()):
            raise DataError(
                f"{source}: is no movie's file or folder, of which several can be learned from together"
            )
    for part, whole in parts_of_others([os.fspath(source) for source in sources]).items():
        raise DataError(f"{part}: is a part of the movie {whole}, and no other: leave it out")
    return in_series([open_movie(source, stored) for source in sources])


def movie_of(source: Source, stored: Stored = Stored()) -> Movie:
    """Open a source as one movie.

    Args:
        source: the source.
        stored: how its frames are stored, as far as it is known; a ``Movie`` has its own.

    Raises:
        NoMovie: the source holds sequences.
        DataError: the source is no movie, or cannot be read.
    """
    source = brought(source)
    if isinstance(source, Movie | PreparedMovie):
        return source if isinstance(source, Movie) else source.movie
    if isinstance(source, str | os.PathLike):
        return open_movie(source, stored)
    if isinstance(source, Arraylike):
        in_memory = isinstance(source, np.ndarray | Tensor)
        return array_movie("frames", as_array(source) if in_memory else source, stored)
    raise NoMovie("sequences are no movie: expected a file, or an array (T, H, W)")


def inspected(source: Source, hints: Hints, stored: Stored, report: Reporter) -> PreparedMovie:
    """Open a source as one movie, prepared as its inspection suggests, or as the folder of an inspection says.

    Args:
        source: the source.
        hints: known properties of the movie, unless it is prepared already.
        stored: how its frames are stored, as far as it is known.
        report: receives the findings.

    Raises:
        DataError: nothing moves in the movie.
        UsageError: the source is no movie, or hints about a movie that is prepared already.
    """
    source = brought(source)
    refuse_unheard(source, stored)
    if isinstance(source, PreparedMovie):
        if hints.said:
            raise UsageError(f"{source.name}: is prepared already; say what is known of it to inspect")
        return source
    movie = as_movie(source, stored)
    if movie is None:
        dataset_of(source, stored)  # which says what is wrong with what is no data at all
        raise UsageError(
            f"{called(source)}: is no movie; sequences need a tracker that has learned from sequences, such as "
            f"{PREFIX}moving-mnist"
        )
    return look(movie, hints, tell=report.say)


def dataset_of(source: Source, stored: Stored = Stored()) -> Dataset:
    """Open a source as sequences.

    Args:
        source: the source.
        stored: how its frames are stored, as far as it is known; a data set has its own.

    Raises:
        DataError: the source holds no sequences.
    """
    if isinstance(source, str | os.PathLike | Arraylike):
        return open_frames(source, stored)
    if isinstance(source, Movie | PreparedMovie):
        raise DataError(f"{source.name}: a movie is no sequences: give its frames as an array (1, T, H, W)")
    if not isinstance(source, Dataset):
        return open_frames(source, stored)  # which says what is expected
    return source


def opened(source: Source, loaded: Loaded, stored: Stored = Stored()) -> Opened:
    """Open frames for a tracker: sequences, or a movie, prepared as the tracker's training movie.

    Args:
        source: sequences or a movie; a movie of another camera or place must be prepared already.
        loaded: the tracker.
        stored: how the frames are stored, as far as it is known.
    """
    source = brought(source)
    refuse_unheard(source, stored)
    return _opened(source, loaded, stored)._replace(said=stored.units)


def _opened(source: Source, loaded: Loaded, stored: Stored) -> Opened:
    preparation = loaded.preparation
    if isinstance(source, PreparedMovie):
        if loaded.source and preparation is None:
            raise UsageError(
                f"{loaded.name} did not learn from a movie, and prepares none: give frames of its own size"
            )
        return _of_movie(source.sized(loaded.side), loaded)
    if preparation is None:
        return Opened(sequences(source, loaded, stored), None, not isinstance(source, str | os.PathLike))
    stored = stored.like(preparation.stored)
    movie = as_movie(source, stored)
    if movie is None:
        raise _sequences_for_a_movie(source, loaded)
    return _of_movie(PreparedMovie.of(movie, preparation), loaded)


def sequences(source: Source, loaded: Loaded, stored: Stored = Stored()) -> Dataset:
    """Open sequences and check that their frames have the tracker's size and channels."""
    if loaded.preparation:
        raise _sequences_for_a_movie(source, loaded)
    data, side = dataset_of(source, stored), loaded.side
    if data.frame_size != (side, side):
        name, (height, width) = called(source), data.frame_size
        raise DataError(
            f"{name}: frames are {height}x{width} pixels (H x W), the run's model expects {side}x{side}:"
            f" resize them, or train on such frames with vtssi-pyro fit {name}"
        )
    _check_channels(called(source), channels_of(data), loaded)
    return data


def _of_movie(movie: PreparedMovie, loaded: Loaded) -> Opened:
    _check_channels(movie.name, movie.frames.shape[1], loaded)
    return Opened(ArrayDataset(movie.name, movie.frames[None].numpy()), movie)


def _check_channels(name: str, found: int, loaded: Loaded) -> None:
    """Refuse frames of another number of channels than the tracker's."""
    if found == loaded.channels:
        return
    other = {(3, 1): GREY, (1, 3): COLOUR}.get((found, loaded.channels))
    raise DataError(
        f"{name}: frames have C = {found} channels, the run's model expects C = {loaded.channels}: train on such "
        f"frames with vtssi-pyro fit {name}",
        *((", or, if they have colours, say ", Argument("channel"), f" {other}") if other else ()),
    )


def called(source: Source) -> str:
    """The name of a source in error messages."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    return source.name if isinstance(source, Movie | PreparedMovie | ArrayDataset) else "frames"


def _sequences_for_a_movie(source: Source, loaded: Loaded) -> DataError:
    return DataError(
        f"{called(source)}: {loaded.name} learned from a movie, whose frames it prepares, and reads no sequences: "
        "track and predict take one movie at a time, be it an array (T, H, W); fit has judged the run by frames "
        "held out"
    )


def refuse_unheard(source: Source, stored: Stored) -> None:
    """Refuse to be told how frames are stored that have been read already; units change none."""
    stored = stored.frames_alone
    if stored != Stored() and not isinstance(source, str | os.PathLike | Arraylike):
        said = next(key for key, value in vars(stored).items() if value != vars(Stored())[key])
        raise UsageError(
            Argument(said), f": {called(source)} is opened or prepared already; say it where it is opened"
        )


def worth_showing(tracks: Tracks, most: int = SHOWN) -> list[int]:
    """Choose the first sequences in which an object is tracked; of sequences without any, the first."""
    seen = tracks.present[:PART].flatten(1).any(1).nonzero()[:, 0].tolist()
    return (seen or list(range(len(tracks.present))))[:most]


def known_sequences(source: Source, loaded: Loaded, seen: int) -> Dataset:
    """Sequences with true positions, and with frames to predict after the ``seen`` ones.

    Raises:
        DataError: they have no positions, or no further frame.
    """
    found = sequences(source, loaded)
    if found.truth is None:
        raise DataError(f"{called(source)}: has no positions to judge by; expected positions (S, T, N, 2)")
    if found.length <= seen:
        raise DataError(
            f"{found.length} frames a sequence, of which {seen} are seen: none is left to predict"
        )
    return found
