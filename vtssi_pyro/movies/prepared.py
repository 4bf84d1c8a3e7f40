"""A user's movie, prepared for a model, and tracks in the movie's own pixels."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vtssi_pyro.config import refuse_unlike
from vtssi_pyro.errors import Argument, DataError, UsageError
from vtssi_pyro.movies import (
    Hints,
    Inspection,
    Movie,
    Preparation,
    inspect,
    open_movie,
    suggested_preparation,
)
from vtssi_pyro.movies.movie import tinted
from vtssi_pyro.movies.preparation import FILE
from vtssi_pyro.movies.stored import COLOUR, GREY, Stored
from vtssi_pyro.movies.transforms import Background
from vtssi_pyro.ops.channels import channels_first
from vtssi_pyro.ops.peaks import peaks
from vtssi_pyro.ops.spatial import to_pixels
from vtssi_pyro.system.atomic import write_json
from vtssi_pyro.system.files import regular
from vtssi_pyro.system.plain import parsed
from vtssi_pyro.tracks.tracks import Tracks

# Pixels; rules of thumb, of which no measurement is on record.
WANTED = 10  # size of an object in the model's frames: its shape is seen, and frames stay small
SMALLEST = 64  # side of these frames: near that of the digits, for which the recipes are made
LARGEST = 160  # side of these frames: larger ones take more than minutes
ENLARGED = 32  # by which these frames' side may exceed the movie's own, which has no more detail
MULTIPLE = 8  # of which these sides are: even ones, since the search halves frames, and few different ones
SAMPLED = 64  # frames from which the usual height of peaks is taken: a median of them is steady enough
DIM = 0.01  # least level of a peak, as of a movie whose objects are seldom seen: two and a half grey levels
FOUND = "inspection.json"  # the file of the findings, beside that of the preparation
KEPT = (FOUND, FILE)  # the files of an inspection


@dataclass(frozen=True)
class PreparedMovie:
    """A movie and its frames for a model, which are read when they are first asked for.

    Args:
        movie: the stored movie.
        preparation: the preparation that makes the frames.
        read: makes the frames, or returns them if it has: (T, C, S, S) uint8, and the number of those of each of the
            movies that it consists of, mostly of one.
        found: the inspection of the movie; None for a movie that was prepared like another one.
    """

    movie: Movie
    preparation: Preparation
    read: Callable[[], tuple[Tensor, tuple[int, ...]]]
    found: Inspection | None = None

    @classmethod
    def of(
        cls,
        source: Movie | Path | str,
        preparation: Preparation,
        stored: Stored = Stored(),
        found: Inspection | None = None,
    ) -> "PreparedMovie":
        """Prepare a movie; its frames will be read one by one, and only the prepared ones kept.

        Args:
            source: the movie, its file or folder.
            preparation: the preparation.
            stored: what is known of how this movie's frames are stored; the rest is as the preparation has it.
            found: the inspection of this movie, whose odd frames show nothing.

        Raises:
            DataError: the movie cannot be opened; of :attr:`frames`: it cannot be read, or its size is not that of the
                preparation.
            UsageError: grey is asked of a preparation in colour, or the other way round.
        """
        said = (source.stored if isinstance(source, Movie) else stored).channel
        if said in (GREY, COLOUR) and preparation.channel not in (said, None):
            raise UsageError(
                Argument("channel"), f" {said}: frames are prepared in {preparation.channel}; leave it out"
            )
        if isinstance(source, Movie):
            movie = replace(source, stored=source.stored.like(preparation.stored))
        else:
            movie = open_movie(source, stored.like(preparation.stored))
        own = replace(preparation.stored, arena=movie.stored.arena)  # another place may have another arena
        preparation = replace(preparation, stored=own)
        return cls._to_read(movie, preparation, found)

    @classmethod
    def _to_read(cls, movie: Movie, preparation: Preparation, found: Inspection | None) -> "PreparedMovie":
        return cls(movie, preparation, cache(partial(_prepared, movie, preparation, found)), found)

    @classmethod
    def suggested(
        cls, source: Movie | Path | str, found: Inspection, side: int | None = None
    ) -> "PreparedMovie":
        """Prepare a movie as its inspection suggests, in frames of ``side`` pixels; None: a side that suits it."""
        movie = source if isinstance(source, Movie) else open_movie(source)
        preparation = suggested_preparation(found, side or model_side(found))
        return cls.of(movie, replace(preparation, stored=movie.settled), found=found)

    def save(self, folder: Path | str) -> list[Path]:
        """Write the inspection and the preparation, but no frames; returns the files.

        Args:
            folder: an existing folder.
        """
        paths = [Path(folder) / name for name in KEPT]
        place = Path(self.name)
        movie = str(place.resolve()) if place.exists() else None  # frames in memory have no file
        self.preparation.save(paths[1])
        some = self.movie.stored.frames
        about = {"movie": movie} | ({"frames": some} if some is not None else {})
        write_json(paths[0], about | self.inspected.as_dict())
        return paths

    @classmethod
    def load(
        cls, folder: Path | str, source: Movie | Path | str | None = None, stored: Stored = Stored()
    ) -> "PreparedMovie":
        """Prepare a movie with the preparation in a folder of :meth:`save`.

        Args:
            folder: the folder.
            source: another movie of the same camera; None: the inspected movie.
            stored: what is known of how its frames are stored.

        Raises:
            DataError: the folder holds no preparation, or the movie is missing, of another size, or has changed.
        """
        path = Path(folder) / FOUND
        preparation = Preparation.load(Path(folder) / FILE)
        try:
            kept = parsed(regular(path).read_text())
            place, frames = kept.pop("movie"), kept.pop("frames", None)
            refuse_unlike(frames, str | None, "frames")
            refuse_unlike(place, str | None, "movie")
            refuse_unlike(kept, Inspection)
            sizes = {key: _tuples(value) for key, value in kept.items() if isinstance(value, list)}
            height, width = (side // kept["shrunk"] for side in kept["size"])
            found = Inspection(**(kept | sizes), background_image=_background(preparation, (height, width)))
        except (OSError, ValueError, TypeError, KeyError, AttributeError, UsageError) as error:
            raise DataError(f"{path}: damaged, or not what vtssi-pyro inspect wrote ({error})") from error
        if source is None and place is None:
            raise DataError(f"{path}: is of frames that no file holds: give the movie, too")
        if source is None and stored.frames is None:
            stored = replace(stored, frames=frames)
        movie = cls.of(
            place if source is None else source, preparation, stored, found if source is None else None
        )
        if source is None and len(movie.frames) != found.length:
            raise DataError(
                f"{place}: has {len(movie.frames)} frames, {found.length} when it was inspected: inspect it again"
            )
        return replace(
            movie, found=replace(found, name=movie.name, length=len(movie.frames), rate=movie.rate)
        )

    def sized(self, side: int) -> "PreparedMovie":
        """Return the movie for a model whose frames have ``side`` pixels a side."""
        preparation = self.preparation.sized(side)
        if preparation == self.preparation:
            return self
        return self._to_read(self.movie, preparation, self.found)

    @property
    def frames(self) -> Tensor:
        """Prepared frames (T, C, S, S) uint8, objects bright on black.

        In grey, C = 1; in colours, C = 3; in those brighter and darker than the background, C = 6.
        """
        return self.read()[0]

    @property
    def lengths(self) -> tuple[int, ...]:
        """Frames of each of the movies that it consists of."""
        return self.read()[1]

    @property
    def assumed(self) -> tuple[str, ...]:
        """All that was assumed of the frames, for people."""
        lines = self.movie.assumed
        # of an inspected movie the findings tell
        if self.found is None and self.preparation.channel == GREY and tinted(next(iter(self.movie))):
            return (
                *lines,
                f"{self.name}: has colours, of which the brightness alone is read, as in training",
            )
        return lines

    @property
    def name(self) -> str:
        """The file or folder, the movie's name in error messages."""
        return self.movie.name

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the movie's own frames, px."""
        return self.movie.size

    @property
    def rate(self) -> float | None:
        """Frames per second; None if the rate is not known."""
        return self.movie.rate

    @property
    def ratio(self) -> float:
        """Pixels of a model's frame per pixel of the movie."""
        return self.preparation.ratio

    @property
    def level(self) -> float:
        """Half the usual height of an object's peak."""
        chosen = np.linspace(0, len(self.frames) - 1, min(SAMPLED, len(self.frames))).astype(int)
        return max(float(self._peaks(chosen.tolist())[1].median()) / 2, DIM)

    @property
    def inspected(self) -> Inspection:
        """The inspection of the movie, which must have been inspected."""
        assert self.found is not None, "inspect the movie first"
        return self.found

    def standing_out(self, times: Sequence[int]) -> Tracks:
        """The peaks in some frames, as tracks (1, t, N, 2) in model pixels, without identities."""
        places, heights = self._peaks(times)
        position = to_pixels(places, (self.frames.shape[-1],) * 2).unsqueeze(0)
        present = heights.unsqueeze(0) > self.level
        box = torch.full_like(position, self.inspected.object_size * self.ratio)
        return Tracks(position.where(present.unsqueeze(-1), torch.nan), present, box)

    def through(self, preparation: Preparation) -> Iterator[np.ndarray]:
        """The movie's frames by another preparation, read once more; odd and missing ones are black."""
        for part in _shown(self.movie, preparation, self.found):
            yield from part

    def to_source(self, tracks: Tracks) -> Tracks:
        """Convert tracks to the movie's own pixels; see :func:`to_source`."""
        return to_source(tracks, self.preparation)

    def _peaks(self, times: Sequence[int]) -> tuple[Tensor, Tensor]:
        frames = self.frames[list(times)].float() / 255
        extent = torch.full((2,), self.inspected.object_size * self.ratio / frames.shape[-1])
        return peaks(frames, extent, max(self.inspected.objects, 1))


def look(
    source: Movie | Path | str,
    hints: Hints = Hints(),
    side: int | None = None,
    tell: Callable[[str], object] = lambda message: None,
    stored: Stored = Stored(),
) -> PreparedMovie:
    """Inspect a movie, report the findings, and prepare it as they suggest.

    Args:
        source: the movie, its file or folder.
        hints: known properties of the movie.
        side: side of the model's frames, px; None: a side that suits the movie.
        tell: receives the findings, for people.
        stored: what is known of how the movie's frames are stored; of a ``Movie`` its own is used.

    Raises:
        DataError: the movie cannot be read, or nothing moves in it.
        UsageError: a hint is impossible.
    """
    movie = source if isinstance(source, Movie) else open_movie(source, stored)
    if hints.object_size is not None and hints.object_size > max(movie.size) / 2:
        raise UsageError(
            Argument("object_size"),
            f" {hints.object_size:g}: frames are {movie.size[1]}x{movie.size[0]} pixels; expected half or less",
        )
    for line in movie.assumed:
        tell(line)
    if movie.units.unit is not None:  # the rate is among the findings
        tell(f"{movie.name}: {movie.units.line(movie.stored.units)}")
    found = inspect(movie, hints)
    tell("\n".join(found.lines()))
    if found.objects == 0 or found.object_size <= 0:
        raise DataError(
            f"{movie.name}: nothing is seen to move; if there is something, say what: ",
            Argument("objects"),
            " 3 and ",
            Argument("object_size"),
            " 20, or ",
            Argument("background"),
            " smooth where objects stay put",
        )
    prepared = PreparedMovie.suggested(movie, found, side)
    tell("prepared: " + "; ".join(prepared.preparation.lines()))
    return prepared


def was_kept(folder: Path | str) -> bool:
    """Whether :meth:`PreparedMovie.save` has written to a folder."""
    return all((Path(folder) / name).is_file() for name in KEPT)


def inspected_movie(folder: Path | str) -> str | None:
    """The path of the movie that the folder of an inspection is of; None if no file holds it, or nothing tells."""
    try:
        place = parsed(regular(Path(folder) / FOUND).read_text())["movie"]
    except (OSError, ValueError, TypeError, KeyError):  # which loading the folder will report
        return None
    return place if isinstance(place, str) else None


def to_source(tracks: Tracks, preparation: Preparation) -> Tracks:
    """Convert tracks in the prepared frames to the movie's own pixels."""
    return tracks.moved(preparation.to_source, 1 / preparation.ratios)


def to_prepared(tracks: Tracks, preparation: Preparation) -> Tracks:
    """Convert tracks in the movie's own pixels to the prepared frames."""
    return tracks.moved(preparation.to_model, preparation.ratios)


def model_side(found: Inspection) -> int:
    """Choose the side of a model's frames, pixels, so that objects are neither lost nor larger than needed."""
    wanted = WANTED * max(found.size) / max(found.object_size, 1.0)
    largest = min(LARGEST, max(found.size, default=LARGEST) + ENLARGED)
    return int(min(max(wanted, SMALLEST), largest)) // MULTIPLE * MULTIPLE


def _tuples(value: Any) -> Any:
    """Lists, as JSON has them, as tuples, also within others."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _background(preparation: Preparation, shape: tuple[int, int]) -> np.ndarray:
    """The background that a preparation subtracts, (h, w); black if it subtracts none."""
    taken = (t.image for t in preparation.transforms if isinstance(t, Background))
    return next(taken, np.zeros(shape, np.float32))


def _shown(
    movie: Movie, preparation: Preparation, found: Inspection | None
) -> Iterator[Iterator[np.ndarray]]:
    """Frames through a preparation, those of each movie that it consists of; odd and missing ones are black.

    Each is prepared by itself, as it will be tracked: a background that follows the light starts anew.
    """
    unseen, numbers = {*movie.levels.missing, *(found.odd if found else ())}, count()
    for part in movie.whole:
        frames = zip(preparation(part), numbers, strict=False)
        yield (np.zeros_like(frame) if number in unseen else frame for frame, number in frames)


def _prepared(
    movie: Movie, preparation: Preparation, found: Inspection | None
) -> tuple[Tensor, tuple[int, ...]]:
    """Prepared frames (T, C, S, S), and the number of those of each movie that it consists of."""
    # grows in place; a list of frames would need twice the memory
    pixels, shape, lengths = bytearray(), (1, 0, 0), []
    for part in _shown(movie, preparation, found):
        lengths.append(0)
        for frame in part:
            planes = channels_first(np.round(255 * frame).astype(np.uint8))
            pixels += planes.tobytes()
            movie.stored.refuse_more(f"{movie.name}, prepared,", len(pixels))
            shape, lengths[-1] = planes.shape, lengths[-1] + 1
    return torch.frombuffer(pixels, dtype=torch.uint8).view(-1, *shape), tuple(lengths)
