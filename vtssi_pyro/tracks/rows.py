"""Rows of tracks, an object in a frame each, as readers of files find them, and the tracks that they make."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch

from vtssi_pyro.errors import DataError
from vtssi_pyro.tracks.tracks import Tracks

# x and y, which every row has, and values that may be unknown.
VALUES = ("x", "y", "width", "height", "x_std", "y_std", "confidence", "visible", "depth", "angle")
# The values of each field of tracks.
FIELDS: dict[str, slice | int] = {
    "box": slice(2, 4), "scale": slice(4, 6), "confidence": 6, "visible": 7, "depth": 8, "angle": 9,
}  # fmt: skip
SHARES = (
    "confidence",
    "visible",
)  # fields that are of another kind, and unknown, where they are beyond [0, 1]

Identity = int | str


class Row(NamedTuple):
    """An object in a frame."""

    where: str  # file and place in it, for messages
    sequence: int
    frame: int
    identity: Identity
    values: tuple[float, ...]  # as VALUES; NaN where unknown, as all that a row leaves out


def collected(rows: list[Row], sequences: int | None, length: int | None, first: int) -> Tracks:
    """Collect rows as tracks.

    Args:
        rows: in any order.
        sequences: their number; None: as many as have rows.
        length: frames of each sequence; None: as many as have rows.
        first: the number of the first frame in the file, for messages.

    Returns:
        Tracks (B, T, N, 2), px, float64. Slots are dealt in the order in which objects first appear, those of one
        frame in the order of their identities. Fields that no row knows are None.

    Raises:
        DataError: an object is twice in a frame.
    """
    if sequences is None:
        sequences = 1 + max((row.sequence for row in rows), default=-1)
    if length is None:
        length = 1 + max((row.frame for row in rows), default=-1)
    slots = _slots(rows)
    places: dict[tuple[int, int, int], str] = {}
    for row in rows:
        place = (row.sequence, row.frame, slots[row.sequence][row.identity])
        if place in places:
            raise DataError(
                f"{row.where}: object {row.identity} in frame {row.frame + first}, as in {places[place]}: "
                "expected one row an object and frame"
            )
        places[place] = row.where
    most = max(map(len, slots.values()), default=0)
    values = np.full((sequences, length, most, len(VALUES)), np.nan)
    if rows:
        values[tuple(np.array(list(places)).T)] = [_whole(row.values) for row in rows]
    table = torch.from_numpy(values)  # (B, T, N, values)
    known = {}
    for name, part in FIELDS.items():
        field = table[..., part]
        if name in SHARES:
            field = field.where((field >= 0) & (field <= 1), torch.nan)
        # a table without rows knows what trackers tell
        usual = name in ("box", "scale", "confidence")
        known[name] = None if field.isnan().all() and (rows or not usual) else field
    return Tracks(table[..., :2], table[..., 0].isfinite(), **known)


def _whole(values: Iterable[float]) -> list[float]:
    """Values of a row with NaN for those that it leaves out."""
    given = list(values)
    return given + [np.nan] * (len(VALUES) - len(given))


def _slots(rows: list[Row]) -> dict[int, dict[Identity, int]]:
    """Deal slots to the objects of each sequence."""
    begin: dict[int, dict[Identity, int]] = {}
    for row in rows:
        own = begin.setdefault(row.sequence, {})
        own[row.identity] = min(row.frame, own.get(row.identity, row.frame))
    slots: dict[int, dict[Identity, int]] = {}
    for sequence, own in begin.items():
        order = sorted((frame, isinstance(name, str), name) for name, frame in own.items())
        slots[sequence] = {name: slot for slot, (_, _, name) in enumerate(order)}
    return slots
