"""The interface of every source of frames for training, evaluation and export."""

from typing import Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from vtssi_pyro.errors import DataError
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.tracks.units import NO_UNITS, Units

Index = Tensor | slice


@runtime_checkable
class Dataset(Protocol):
    """Sequences of frames of one size and length, and their truth if it is known."""

    def __len__(self) -> int:
        """Number of sequences S."""
        ...

    @property
    def length(self) -> int:
        """Number of frames T of each sequence."""
        ...

    @property
    def frame_size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        ...

    @property
    def truth(self) -> Tracks | None:
        """True tracks, position (S, T, N, 2) in pixels; None if they are not known."""
        ...

    @property
    def counts(self) -> Tensor | None:
        """Number of objects (S,) int64; None if it is not known."""
        ...

    def frames(self, index: Index, length: int | None = None, start: int = 0) -> Tensor:
        """Read frames ``start`` to ``start + length`` of some sequences.

        Args:
            index: the sequences, (b,) int64 or a slice.
            length: number of frames t; None: all from ``start`` on.
            start: the first frame, counted from 0.

        Returns:
            frames (b, t, C, H, W) float32 in [0, 1]; C is 1 for grey.
        """
        ...

    def to(self, device: torch.device | str) -> Self:
        """Return the same data with frames that are kept or drawn in a device's memory."""
        ...


class Part:
    """Some consecutive sequences of a data set, as a data set."""

    def __init__(self, whole: Dataset, first: int, last: int) -> None:
        """Sequences ``first`` to ``last`` (without it) of ``whole``."""
        self.whole = whole
        self._rows = slice(first, last)

    def __len__(self) -> int:
        """Number of sequences."""
        return self._rows.stop - self._rows.start

    @property
    def length(self) -> int:
        """Number of frames of each sequence."""
        return self.whole.length

    @property
    def frame_size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.whole.frame_size

    @property
    def units(self) -> Units:
        """What pixels and frames stand for."""
        return units_of(self.whole)

    @property
    def truth(self) -> Tracks | None:
        """True tracks of this part's objects."""
        truth = self.whole.truth
        return None if truth is None else truth.part(self._rows)

    @property
    def counts(self) -> Tensor | None:
        """Number of objects in this part's sequences."""
        counts = self.whole.counts
        return None if counts is None else counts[self._rows]

    def to(self, device: torch.device | str) -> Self:
        """Return this part of the data with frames in a device's memory."""
        return type(self)(self.whole.to(device), self._rows.start, self._rows.stop)

    def frames(self, index: Index, length: int | None = None, start: int = 0) -> Tensor:
        """Read frames of some sequences of this part, (b, t, C, H, W) in [0, 1]."""
        return self.whole.frames(rows(index, len(self)) + self._rows.start, length, start)


def units_of(dataset: Dataset) -> Units:
    """What pixels and frames of a data set stand for, as far as it tells."""
    return getattr(dataset, "units", NO_UNITS)


def channels_of(dataset: Dataset) -> int:
    """Number of channels C of a data set's frames, which one frame tells."""
    return dataset.frames(slice(0, 1), 1).shape[2]


def split_tail(dataset: Dataset, fraction: float = 0.1) -> tuple[Part, Part]:
    """Hold out the last ``fraction`` of the sequences, at least one: (train, held out)."""
    total = len(dataset)
    if total < 2:
        raise DataError(
            f"a file of {total} sequence cannot be split into one part to train on and one to judge by: "
            "at least 2 sequences are needed"
        )
    held_out = min(max(1, int(total * fraction)), total - 1)
    return Part(dataset, 0, total - held_out), Part(dataset, total - held_out, total)


def rows(index: Index, total: int) -> Tensor:
    """Resolve an index to sequences, (b,) int64 in 0..total-1; negative ones count from the end."""
    if isinstance(index, slice):
        return torch.arange(total)[index]
    if index.dtype == torch.bool or index.is_floating_point():
        raise TypeError(f"sequences are indexed by integers, found {index.dtype}")
    index = index.long()
    if index.numel() and not (-total <= int(index.min()) and int(index.max()) < total):
        raise IndexError(f"sequences {int(index.min())} to {int(index.max())} asked for, there are {total}")
    return torch.where(index < 0, index + total, index)


def spread(total: int, most: int) -> Tensor:
    """Choose at most ``most`` of 0..total-1, evenly spread, (b,) int64."""
    return torch.linspace(0, total - 1, min(most, total), dtype=torch.float64).long()


def span(length: int | None, start: int, total: int) -> slice:
    """Return the slice of frames ``start`` to ``start + length`` of sequences of ``total`` frames."""
    stop = total if length is None else start + length
    if not 0 <= start < stop <= total:
        raise DataError(
            f"frames {start} to {stop} asked for, the sequences have {total}: ask for fewer frames"
        )
    return slice(start, stop)
