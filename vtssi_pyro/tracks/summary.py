"""Tracks as wholes: a row for each of them, and all of them in a few numbers."""

from typing import Any, NamedTuple

import numpy as np

from vtssi_pyro.tracks.columns import HIDDEN, displacement
from vtssi_pyro.tracks.tracks import Tracks, as_array
from vtssi_pyro.tracks.units import NO_UNITS, Units


class Life(NamedTuple):
    """A track as a whole: a row of the table of tracks."""

    sequence: int
    particle: int
    first: int  # frames, from 0
    last: int
    frames: int  # in which it is present
    seen: float  # share of the frames from the first to the last that show it
    confidence: float  # mean; NaN if it is not known
    speed: float  # mean, px a frame; NaN of a track without two frames in succession
    path: float  # px, sum of the displacements from frame to frame
    distance: float  # px, from its first place to its last

    @staticmethod
    def quantities() -> dict[str, tuple[int, int]]:
        """Powers of a length and a time of each number that units change."""
        return {"speed": (1, -1), "path": (1, 0), "distance": (1, 0)}


def lives(tracks: Tracks) -> list[Life]:
    """Each track as a whole, in order of sequence and particle; slots without any object are left out.

    A frame shows an object if its confidence is :data:`HIDDEN` or more or, without confidences, if it is present.
    """
    present = tracks.present.cpu().numpy()
    position = as_array(tracks.position)
    speed = np.hypot(*np.moveaxis(displacement(tracks), -1, 0))
    sure = None if tracks.confidence is None else as_array(tracks.confidence)
    found = []
    for b, n in np.argwhere(present.any(1)):
        frames = present[b, :, n].nonzero()[0]
        own = np.full(len(frames), np.nan) if sure is None else sure[b, frames, n]
        shown = np.ones(len(frames)) if np.isnan(own).all() else own >= HIDDEN
        steps = speed[b, frames, n]
        steps = steps[np.isfinite(steps)]
        first, last = int(frames[0]), int(frames[-1])
        found.append(Life(
            int(b), int(n), first, last, len(frames), float(shown.sum() / (last - first + 1)),
            float(np.nanmean(own)) if np.isfinite(own).any() else np.nan,
            float(steps.mean()) if len(steps) else np.nan, float(steps.sum()),
            float(np.linalg.norm(position[b, last, n] - position[b, first, n])),
        ))  # fmt: skip
    return found


class Findings(NamedTuple):
    """Tracks in a few numbers."""

    sequences: int
    frames: int  # of each sequence
    objects: int  # tracks in all sequences
    fewest: int  # objects of a sequence
    most: int
    # share of the frames of a track, from its first to its last, that show it; None without objects
    seen: float | None

    @property
    def line(self) -> str:
        """The numbers for people."""
        seen = "" if self.seen is None else f", seen in {100 * self.seen:.1f} % of their frames"
        if self.sequences == 1:
            return f"{_counted(self.objects, 'object')} in {_counted(self.frames, 'frame')}{seen}"
        each = f"{self.most}" if self.fewest == self.most else f"{self.fewest} to {self.most}"
        return (
            f"{_counted(self.objects, 'object')} in {self.sequences} sequences of {_counted(self.frames, 'frame')}, "
            f"{each} in each{seen}"
        )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def findings(tracks: Tracks) -> Findings:
    """Tracks in a few numbers; see :func:`lives` for the frames that show an object."""
    found = lives(tracks)
    sequences, length = tracks.present.shape[:2]
    each = np.bincount([life.sequence for life in found], minlength=sequences)
    spans = [life.last - life.first + 1 for life in found]
    shown = sum(life.seen * span for life, span in zip(found, spans, strict=True))
    return Findings(
        sequences, length, len(found), int(each.min(initial=len(found))), int(each.max(initial=0)),
        float(shown / sum(spans)) if found else None,
    )  # fmt: skip


def summary_table(tracks: Tracks, units: Units = NO_UNITS) -> dict[str, list[Any]]:
    """The columns of :func:`lives`, by name, those that units change also in these.

    Mean speeds are converted at the frame rate, also where times are uneven.
    """
    found = lives(tracks)
    columns: dict[str, list[Any]] = {name: [getattr(life, name) for life in found] for name in Life._fields}
    for name in ("first", "last"):
        columns[name] = units.numbered(np.array(columns[name], int)).tolist()
    columns["speed"] = [value / units.step for value in columns["speed"]]
    even = units.even
    for name, (length, time) in Life.quantities().items():
        if even.changes(length, time):
            factor = even.factor(length, time, np.zeros(1))
            columns[f"{name}_{even.name(length, time)}"] = [float(v * factor) for v in columns[name]]
    return columns
