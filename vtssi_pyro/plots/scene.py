"""The tracks of one sequence, drawn on a canvas."""

from typing import NamedTuple

import numpy as np
from torch import Tensor

from vtssi_pyro.plots.canvas import Canvas, Corners
from vtssi_pyro.tracks.columns import HIDDEN
from vtssi_pyro.tracks.tracks import Tracks, as_array

REGION = 2.146  # standard deviations: half axes of the ellipse that holds 90 % of a normal density


class Scene(NamedTuple):
    """The tracks of one sequence as arrays; None for a field that the tracks lack."""

    position: np.ndarray  # (T, N, 2) px of the source
    present: np.ndarray  # (T, N)
    box: np.ndarray | None  # (T, N, 2)
    samples: np.ndarray | None  # (S, T, N, 2)
    scale: np.ndarray | None = None  # (T, N, 2)
    confidence: np.ndarray | None = None  # (T, N)

    @classmethod
    def of(cls, tracks: Tracks, sequence: int = 0) -> "Scene":
        """Take one sequence out of the tracks."""

        def own(field: Tensor | None, axis: int = 0) -> np.ndarray | None:
            return None if field is None else as_array(field.select(axis, sequence))

        position, present = as_array(tracks.position[sequence]), tracks.present[sequence].cpu().numpy()
        box, samples = own(tracks.box), own(tracks.samples, 1)
        return cls(position, present, box, samples, own(tracks.scale), own(tracks.confidence))

    def draw(self, canvas: Canvas, frame: int, scale: int, trail: int = 0, letters: int = 10) -> None:
        """Draw sampled positions, trails of ``trail`` frames and boxes onto a frame's picture.

        Boxes without letters are of one colour, too, as those of objects that nobody has told apart are.
        """
        if frame >= len(self.present):
            return
        visible = self.present[frame] & np.isfinite(self.position[frame]).all(-1)
        identities = visible.nonzero()[0].tolist()
        if self.samples is not None:
            for n in identities:
                canvas.dots(self.samples[:, frame, n] * scale, n)
        # where the frame hardly shows an object, its place is a guess: no path leads there, and no region is drawn
        hidden = self._hidden[frame]
        known = self.present & ~self._hidden
        path = np.where(known[..., None], self.position, np.nan)[max(frame - trail, 0) : frame + 1]
        for n in identities if trail else ():
            canvas.trail(path[:, n] * scale, n)
        boxes: dict[int, Corners] = {}
        for n in identities:
            x, y = self.position[frame, n] * scale
            if self.box is None or not np.isfinite(self.box[frame, n]).all():
                canvas.cross(x, y, n)
            else:
                w, h = self.box[frame, n] * scale / 2
                outline = canvas.box(x - w, y - h, x + w, y + h, n if letters else 0, bool(hidden[n]))
                if outline:
                    boxes[n] = outline
            if trail and self.scale is not None and np.isfinite(self.scale[frame, n]).all() and not hidden[n]:
                across, down = REGION * self.scale[frame, n] * scale
                canvas.ring(x, y, across, down, n)
        if letters:  # of no size are not written
            canvas.tabs(boxes, letters)

    @property
    def _hidden(self) -> np.ndarray:
        """Whether frames hardly show the objects, (T, N)."""
        return np.zeros_like(self.present) if self.confidence is None else self.confidence < HIDDEN
