"""Tracks, whatever tracker made them; how they are joined, cut and moved."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

EVERY = slice(None)


class Tracks(NamedTuple):
    """Objects by sequence and frame, in pixels: all that evaluation, export and pictures see of a tracker."""

    position: Tensor  # (B, T, N, 2) centre of the box (x, y); NaN where there is no object
    present: Tensor  # (B, T, N) bool
    box: Tensor | None = None  # (B, T, N, 2) width and height: tight, unless the tracker says otherwise
    scale: Tensor | None = None  # (B, T, N, 2) standard deviation of the position
    confidence: Tensor | None = None  # (B, T, N) in [0, 1]; NaN in predicted frames
    samples: Tensor | None = None  # (S, B, T, N, 2) sampled positions, of every slot

    def cpu(self) -> "Tracks":
        """The same in the memory of the CPU."""
        return Tracks._make(None if field is None else field.cpu() for field in self)

    def part(self, sequences: slice = EVERY, frames: slice = EVERY) -> "Tracks":
        """The tracks of some sequences in some frames; both axes stay."""
        samples = None if self.samples is None else self.samples[:, sequences, frames]
        fields = (
            None if field is None else field[sequences, frames] for field in self._replace(samples=None)
        )
        return Tracks._make(fields)._replace(samples=samples)

    def moved(self, points: Callable[[np.ndarray], np.ndarray], ratio: np.ndarray) -> "Tracks":
        """The tracks in other pixels, on the CPU.

        Args:
            points: from points (..., 2), x and y in these pixels, to points in the others.
            ratio: (2,) of the others for one of these: factors on width and height, and on standard deviations.
        """

        def point(values: Tensor | None) -> Tensor | None:
            return (
                None if values is None else torch.as_tensor(points(values.cpu().numpy()), dtype=values.dtype)
            )

        def length(values: Tensor | None) -> Tensor | None:
            return None if values is None else values.cpu() * torch.as_tensor(ratio, dtype=values.dtype)

        position = point(self.position)
        assert position is not None
        return self._replace(
            position=position, box=length(self.box), scale=length(self.scale), samples=point(self.samples)
        )


def concatenated(parts: Sequence[Tracks], axis: int = 0) -> Tracks:
    """Tracks one after another as one, by sequences (0) or by frames (1)."""
    columns = zip(Tracks._fields, zip(*parts, strict=True), strict=True)
    return Tracks._make(
        None if c[0] is None else torch.cat(c, axis + (name == "samples")) for name, c in columns
    )
