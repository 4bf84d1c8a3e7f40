"""One movie of a user's, prepared for a model, and tracks in the movie's own pixels."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.movies import (
    Hints,
    Inspection,
    Movie,
    Preparation,
    inspect,
    open_movie,
    suggested_preparation,
)
from vtssi_pyro.movies.preparation import FILE
from vtssi_pyro.movies.transforms import Background
from vtssi_pyro.ops.peaks import peaks
from vtssi_pyro.ops.spatial import to_pixels
from vtssi_pyro.system.atomic import write_json
from vtssi_pyro.tracks.tracks import Tracks

WANTED, SMALLEST, LARGEST = 10, 64, 160  # px: of an object in the model's frames; of these frames
SAMPLED = 64  # frames that tell how high peaks are
FOUND = "inspection.json"  # what was found in a movie, beside its preparation


@dataclass(frozen=True)
class PreparedMovie:
    """A movie as a model sees it.

    Args:
        movie: as it is stored.
        frames: (T, C, S, S) uint8 in grey, objects bright on black.
        preparation: made them.
        found: what was seen in the movie before it was prepared; None where it was prepared as another one was.
    """

    movie: Movie
    frames: Tensor
    preparation: Preparation
    found: Inspection | None = None

    @classmethod
    def of(cls, source: Movie | Path | str, preparation: Preparation) -> "PreparedMovie":
        """A movie, prepared; its frames are read one by one, and kept small.

        Raises:
            DataError: it cannot be read, or is not of the size that the preparation is for.
        """
        movie = source if isinstance(source, Movie) else open_movie(source)
        return cls(movie, _prepared(movie, preparation), preparation)

    @classmethod
    def suggested(
        cls, source: Movie | Path | str, found: Inspection, side: int | None = None
    ) -> "PreparedMovie":
        """A movie prepared as what was found in it suggests, in frames of ``side`` pixels; None: what suits it."""
        preparation = suggested_preparation(found, side or model_side(found))
        return replace(cls.of(source, preparation), found=found)

    def save(self, folder: Path | str) -> list[Path]:
        """Keep what was found in the movie and its preparation, but no frames; returns the files.

        Args:
            folder: that exists.
        """
        paths = [Path(folder) / FOUND, Path(folder) / FILE]
        place = Path(self.name)
        movie = str(place.resolve()) if place.exists() else None  # frames in memory are nowhere
        self.preparation.save(paths[1])
        write_json(paths[0], {"movie": movie, **self.inspected.as_dict()})
        return paths

    @classmethod
    def load(cls, folder: Path | str, source: Movie | Path | str | None = None) -> "PreparedMovie":
        """A movie prepared as :meth:`save` has kept it.

        Args:
            folder: that :meth:`save` wrote to.
            source: another movie of the same camera; None: the one that was inspected.

        Raises:
            DataError: the folder is none of these; the movie is gone, of another size, or has changed.
        """
        path = Path(folder) / FOUND
        preparation = Preparation.load(Path(folder) / FILE)
        try:
            kept = json.loads(path.read_text())
            place = kept.pop("movie")
            sizes = {key: tuple(kept[key]) for key in ("size", "crop") if kept[key]}
            height, width = (side // kept["shrunk"] for side in kept["size"])
            found = Inspection(**(kept | sizes), background_image=_background(preparation, (height, width)))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(f"{path}: damaged, or not what vtssi-pyro inspect wrote ({error})") from error
        if source is None and place is None:
            raise DataError(f"{path}: is of frames that no file holds: give the movie, too")
        movie = cls.of(place if source is None else source, preparation)
        if source is None and len(movie.frames) != found.length:
            raise DataError(
                f"{place}: has {len(movie.frames)} frames, {found.length} when it was inspected: inspect it again"
            )
        return replace(
            movie, found=replace(found, name=movie.name, length=len(movie.frames), rate=movie.rate)
        )

    def sized(self, side: int) -> "PreparedMovie":
        """The same for a model whose frames have ``side`` pixels a side; the movie is read again where it differs."""
        preparation = self.preparation.sized(side)
        if preparation == self.preparation:
            return self
        return replace(self, frames=_prepared(self.movie, preparation), preparation=preparation)

    @property
    def name(self) -> str:
        """The file or folder, as errors call it."""
        return self.movie.name

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the movie's own frames, px."""
        return self.movie.size

    @property
    def rate(self) -> float | None:
        """Frames per second; None where nobody knows."""
        return self.movie.rate

    @property
    def ratio(self) -> float:
        """Pixels of a model's frame for one of the movie's."""
        zero, one = self.preparation.to_model(np.array([[0.0, 0.0], [1.0, 1.0]]))
        return float((one - zero).max())

    @property
    def level(self) -> float:
        """Half the usual height of an object's peak."""
        chosen = np.linspace(0, len(self.frames) - 1, min(SAMPLED, len(self.frames))).astype(int)
        return max(float(self._peaks(chosen.tolist())[1].median()) / 2, 0.01)

    @property
    def inspected(self) -> Inspection:
        """What was found in the movie, where that was looked for."""
        assert self.found is not None, "inspect the movie first"
        return self.found

    def standing_out(self, times: Sequence[int]) -> Tracks:
        """Whatever stands out in some frames, as tracks (1, t, N, 2) in model pixels, without identities."""
        places, heights = self._peaks(times)
        position = to_pixels(places, (self.frames.shape[-1],) * 2).unsqueeze(0)
        present = heights.unsqueeze(0) > self.level
        box = torch.full_like(position, self.inspected.object_size * self.ratio)
        return Tracks(position.where(present.unsqueeze(-1), torch.nan), present, box)

    def to_source(self, tracks: Tracks) -> Tracks:
        """Tracks in the movie's own pixels; see :func:`to_source`."""
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
) -> PreparedMovie:
    """Inspect a movie, tell the findings, and prepare it as they suggest.

    Args:
        source: the movie, its file or folder.
        hints: what is known of it.
        side: of the model's frames, px; None: what suits the movie.
        tell: takes the findings, for people.

    Raises:
        DataError: it cannot be read, or nothing moves in it.
        UsageError: a hint that cannot be.
    """
    movie = source if isinstance(source, Movie) else open_movie(source)
    if hints.object_size is not None and hints.object_size > max(movie.size) / 2:
        raise UsageError(
            f"--object-size {hints.object_size:g}: frames are {movie.size[1]}x{movie.size[0]} pixels; "
            "expected half or less"
        )
    found = inspect(movie, hints)
    tell("\n".join(found.lines()))
    if found.objects == 0 or found.object_size <= 0:
        raise DataError(
            f"{movie.name}: nothing is seen to move (colours count by their brightness alone); if there is something, "
            "say what: --objects 3 --object-size 20, or --background smooth where objects stay put"
        )
    prepared = PreparedMovie.suggested(movie, found, side)
    tell("prepared: " + "; ".join(prepared.preparation.lines()))
    return prepared


def was_kept(folder: Path | str) -> bool:
    """Whether :meth:`PreparedMovie.save` has written to a folder."""
    return (Path(folder) / FOUND).is_file() and (Path(folder) / FILE).is_file()


def to_source(tracks: Tracks, preparation: Preparation) -> Tracks:
    """Tracks in the frames that a model sees as tracks in the movie's own pixels."""
    zero, one = preparation.to_source(np.array([[0.0, 0.0], [1.0, 1.0]]))
    return tracks.moved(preparation.to_source, one - zero)


def model_side(found: Inspection) -> int:
    """Pixels a side that a model's frames should have, so that objects are neither lost nor larger than needed."""
    wanted = WANTED * max(found.size) / max(found.object_size, 1.0)
    return int(min(max(wanted, SMALLEST), LARGEST, max(found.size, default=LARGEST) + 32)) // 8 * 8


def _background(preparation: Preparation, shape: tuple[int, int]) -> np.ndarray:
    """What a preparation takes away, (h, w); black where that is nothing."""
    taken = (t.image for t in preparation.transforms if isinstance(t, Background))
    return next(taken, np.zeros(shape, np.float32))


def _prepared(movie: Movie, preparation: Preparation) -> Tensor:
    pixels, side = bytearray(), 0  # grows in place, where a list of frames would be held twice
    for frame in preparation(movie):
        pixels += np.round(255 * frame).astype(np.uint8).tobytes()
        side = frame.shape[-1]
    return torch.frombuffer(pixels, dtype=torch.uint8).view(-1, 1, side, side)
