"""Tracks: what is told of objects, whatever told it; joined, taken apart and moved."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Tracks(NamedTuple):
    """What evaluation, export and pictures see, whatever made it; in pixels."""

    position: Tensor  # (B, T, N, 2) centre of the box (x, y); NaN where there is no object
    present: Tensor  # (B, T, N) bool
    box: Tensor | None = None  # (B, T, N, 2) width and height: tight, unless the tracker says otherwise
    scale: Tensor | None = None  # (B, T, N, 2) standard deviation of the position
    confidence: Tensor | None = None  # (B, T, N) in [0, 1]; NaN in predicted frames
    samples: Tensor | None = None  # (S, B, T, N, 2) sampled positions, of every slot

    def cpu(self) -> "Tracks":
        """The same in the memory of the CPU."""
        return Tracks._make(None if field is None else field.cpu() for field in self)


def concatenated(parts: Sequence[Tracks], axis: int = 0) -> Tracks:
    """Tracks one after another as one, by sequences (0) or by frames (1)."""
    columns = zip(Tracks._fields, zip(*parts, strict=True), strict=True)
    return Tracks._make(
        None if c[0] is None else torch.cat(c, axis + (name == "samples")) for name, c in columns
    )


def only(tracks: Tracks, sequence: int) -> Tracks:
    """The tracks of one sequence, still with its axis."""
    rows = slice(sequence, sequence + 1)
    samples = None if tracks.samples is None else tracks.samples[:, rows]
    fields = (None if field is None else field[rows] for field in tracks._replace(samples=None))
    return Tracks._make(fields)._replace(samples=samples)


def head(tracks: Tracks, sequences: int | None = None, frames: int | None = None, first: int = 0) -> Tracks:
    """The tracks of the first sequences, in so many frames from ``first`` on."""
    rows = (slice(sequences), slice(first, None if frames is None else first + frames))
    samples = None if tracks.samples is None else tracks.samples[(slice(None), *rows)]
    fields = (None if field is None else field[rows] for field in tracks._replace(samples=None))
    return Tracks._make(fields)._replace(samples=samples)


def moved(tracks: Tracks, points: Callable[[np.ndarray], np.ndarray], ratio: np.ndarray) -> Tracks:
    """Tracks in other pixels: points moved, lengths (width, height) multiplied by a ratio (2,)."""

    def point(values: Tensor | None) -> Tensor | None:
        return None if values is None else torch.as_tensor(points(values.cpu().numpy()), dtype=values.dtype)

    def length(values: Tensor | None) -> Tensor | None:
        return None if values is None else values.cpu() * torch.as_tensor(ratio, dtype=values.dtype)

    position = point(tracks.position)
    assert position is not None
    return tracks._replace(
        position=position, box=length(tracks.box), scale=length(tracks.scale), samples=point(tracks.samples)
    )
