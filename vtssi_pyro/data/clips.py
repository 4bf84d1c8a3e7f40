"""Clips of one movie, which overlap in time and are turned and mirrored."""

import copy
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Self

import torch
from torch import Tensor

from vtssi_pyro.data.dataset import Index, rows, span, spread
from vtssi_pyro.errors import DataError
from vtssi_pyro.movies.prepared import PreparedMovie
from vtssi_pyro.tracks.units import NO_UNITS, Units

SYMMETRIES = 8  # of a square: four quarter turns, each mirrored or not
OBLONG = (0, 2, 4, 6)  # those of other rectangles


class Clips:
    """Every clip of a movie, in every symmetry of its frames; a :class:`~vtssi_pyro.data.dataset.Dataset`.

    Clip ``i`` begins at place ``i mod C`` of the C possible ones, and is turned and mirrored by symmetry number ``i div
    C`` of those.

    Args:
        name: the movie's name in error messages.
        movie: frames (T, C, S, S), uint8 or floats in [0, 1].
        length: frames of a clip.
        turned: whether clips come in all symmetries; False: only as they are.
        pixel: width of a pixel in pixels of the stored movie.
        units: what pixels and frames of the stored movie stand for.
        cuts: frames at which another movie begins, across which no clip reaches.
        oblong: whether the stored frames are no squares: a quarter turn would move their edges, where objects turn.
    """

    truth = None
    counts = None

    def __init__(
        self,
        name: str,
        movie: Tensor,
        length: int,
        turned: bool = True,
        pixel: float = 1.0,
        units: Units = NO_UNITS,
        cuts: Sequence[int] = (),
        oblong: bool = False,
    ) -> None:
        self.name, self.length, self.pixel, self.units = name, length, pixel, units
        self._movie, self._cuts, self._oblong = movie, tuple(cuts), oblong
        self._symmetries = torch.tensor((OBLONG if oblong else range(SYMMETRIES)) if turned else (0,))
        begins = torch.arange(len(movie) - length + 1, device=movie.device)
        for cut in self._cuts:
            begins = begins[(begins >= cut) | (begins + length <= cut)]
        if not len(begins):
            raise DataError(
                f"{name}: {len(movie)} frames are too few for clips of {length}: shorten data.length"
            )
        self._begins = begins

    def __len__(self) -> int:
        """Number of clips in all symmetries."""
        return len(self._begins) * len(self._symmetries)

    def cut(self, length: int, places: int) -> Self:
        """Cut clips of at most ``length`` frames from ``places`` evenly spread places, in every symmetry."""
        made = type(self)(
            self.name, self._movie, min(length, len(self._movie)), pixel=self.pixel, units=self.units,
            cuts=self._cuts, oblong=self._oblong,
        )  # fmt: skip
        made._begins = made._begins[spread(len(made._begins), places).to(made._begins.device)]
        return made

    @property
    def disjoint(self) -> Tensor:
        """Indices (n,) of clips without a common frame, one after another, neither turned nor mirrored."""
        chosen, end = [], 0
        for index, begin in enumerate(self._begins.tolist()):
            if begin >= end:
                chosen.append(index)
                end = begin + self.length
        return torch.tensor(chosen)

    @property
    def frame_size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self._movie.shape[-2], self._movie.shape[-1]

    def to(self, device: torch.device | str) -> Self:
        """Copy the movie of the clips to a device's memory."""
        made = copy.copy(self)
        made._movie, made._begins = self._movie.to(device), self._begins.to(device)
        return made

    @property
    def movie(self) -> Tensor:
        """The frames (T, C, S, S) from which the clips are cut, as they are kept."""
        return self._movie

    @property
    def pieces(self) -> list[slice]:
        """The frames of each of the movies that are joined; of one movie all."""
        ends = [0, *self._cuts, len(self._movie)]
        return [slice(first, end) for first, end in pairwise(ends)]

    def place(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """The first frames (b,) of some clips in the movie, and their symmetries (b,)."""
        chosen = index.to(self._begins.device)
        return self._begins[chosen % len(self._begins)], self._symmetries.to(chosen.device)[
            chosen // len(self._begins)
        ]

    def frames(self, index: Index, length: int | None = None, start: int = 0) -> Tensor:
        """Frames (b, t, C, H, W) in [0, 1] of some clips; see :meth:`Dataset.frames`."""
        chosen, times = rows(index, len(self)).to(self._movie.device), span(length, start, self.length)
        (first, how), ahead = self.place(chosen), torch.arange(times.start, times.stop)
        when = first[:, None] + ahead.to(first.device)
        frames = self._movie[when].float()
        if self._movie.dtype == torch.uint8:
            frames /= 255
        for symmetry in range(1, SYMMETRIES):
            some = how == symmetry
            if some.any():
                frames[some] = turned(frames[some], symmetry)
        return frames


def movie_clips(movie: PreparedMovie, length: int, held_out: int) -> tuple[Clips, Clips]:
    """Split a movie into clips for training, in all symmetries, and held-out clips of the last frames.

    Args:
        movie: a prepared movie.
        length: frames of a clip.
        held_out: number of held-out frames at the movie's end.

    Returns:
        The training clips and the held-out ones.
    """
    begin, pixel, units = len(movie.frames) - held_out, 1 / movie.ratio, movie.movie.units
    oblong = movie.preparation.oblong
    cuts = list(accumulate(movie.lengths))[:-1]
    late = [cut - begin for cut in cuts if cut > begin]
    return (
        Clips(
            movie.name,
            movie.frames[:begin],
            length,
            pixel=pixel,
            units=units,
            cuts=cuts,
            oblong=oblong,
        ),
        Clips(movie.name, movie.frames[begin:], min(length, held_out), False, pixel, units, late, oblong),
    )


def turned(frames: Tensor, symmetry: int) -> Tensor:
    """Turn and mirror square frames (..., S, S) by one of the :data:`SYMMETRIES`; 0 leaves them as they are."""
    frames = torch.rot90(frames, symmetry % 4, (-2, -1))
    return frames.flip(-1) if symmetry >= 4 else frames


def turned_places(places: Tensor, symmetry: int) -> Tensor:
    """Places (..., 2), in frame coordinates, in frames that :func:`turned` has turned and mirrored."""
    x, y = places.unbind(-1)
    for _ in range(symmetry % 4):
        x, y = y, -x
    return torch.stack([-x if symmetry >= 4 else x, y], -1)


def turned_extents(extents: Tensor, symmetry: int) -> Tensor:
    """Extents in x and y (..., 2) in frames that :func:`turned` has turned and mirrored."""
    return extents.flip(-1) if symmetry % 2 else extents
