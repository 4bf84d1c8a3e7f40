"""Rows of tracks, an object in a frame each, as readers of files find them, and the tracks that they make."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch

from vtssi_pyro.config import Range
from vtssi_pyro.config.ranges import NUMBER
from vtssi_pyro.errors import DataError
from vtssi_pyro.system.memory import DOUBLE, refuse_beyond_memory
from vtssi_pyro.tracks.tracks import Tracks

# x and y, which every row has, and values that may be unknown.
VALUES = ("x", "y", "width", "height", "x_std", "y_std", "confidence", "visible", "depth", "angle")
# The values of each field of tracks.
FIELDS: dict[str, slice | int] = {
    "box": slice(2, 4), "scale": slice(4, 6), "confidence": 6, "visible": 7, "depth": 8, "angle": 9,
}  # fmt: skip
# Fields that are shares: a number beyond [0, 1], as other programs may have there, is none and counts as unknown.
SHARES = ("confidence", "visible")
EXTENTS = ("width", "height", "x_std", "y_std")  # values that are no less than 0
COUNTED = 2**53  # whole numbers below it are exact as floats
COPIES = 2  # of all values, while tracks are made of them

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
        DataError: an object is twice in a frame, or a value is none of its kind.
        OutOfResources: as many frames take more memory than is free.
    """
    given = np.array([_whole(row.values) for row in rows]).reshape(-1, len(VALUES))
    _refuse_odd(rows, given)
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
    _refuse_large(rows, (sequences, length, most))
    values = np.full((sequences, length, most, len(VALUES)), np.nan)
    if rows:
        values[tuple(np.array(list(places)).T)] = given
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


def counted(frames: np.ndarray, length: int | None) -> np.ndarray:
    """Whether numbers count frames, from 0; of so many frames, if that is known."""
    last = COUNTED if length is None else length
    return (frames >= 0) & (frames < last) & (frames == np.floor(frames))


def _refuse_odd(rows: list[Row], given: np.ndarray) -> None:
    """Refuse values (rows, VALUES) that no object has: no place, lengths below 0, numbers beyond counting."""
    for name, column in zip(VALUES, given.T, strict=True):
        expected = Range(0, NUMBER.high) if name in EXTENTS else NUMBER
        unknown = np.isnan(column) & (name not in ("x", "y"))
        odd = (~unknown & ~((column >= expected.low) & (column <= expected.high))).nonzero()[0]
        if len(odd):
            raise DataError(
                f"{rows[odd[0]].where}: {name} is {column[odd[0]]:g}, expected a number {expected}"
            )


def _refuse_large(rows: list[Row], shape: tuple[int, int, int]) -> None:
    """Refuse tracks (B, T, N) that take more memory than there is, as one wrong number of a frame makes them."""
    if rows:
        last = max(rows, key=lambda row: max(row.sequence, row.frame))
        refuse_beyond_memory(
            COPIES * math.prod(shape) * len(VALUES) * DOUBLE,
            f"tracks of {shape[2]} objects in {shape[0]} x {shape[1]} frames",
            f"check {last.where}",
        )


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
