"""The quantities of tracks, declared once: columns of tables, and variables of arrays, in pixels and in other units."""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np
from torch import Tensor

from vtssi_pyro.tracks.tracks import Tracks, as_array
from vtssi_pyro.tracks.units import NO_UNITS, Units

Origin = Literal["corner", "centre"]
Rows = tuple[np.ndarray, np.ndarray, np.ndarray]  # sequence, frame and particle of each row
INDEX = ("sequence", "frame", "particle")
# Confidence below which a frame hardly shows an object: the object explains less than half of the squared error there.
HIDDEN = 0.5
# The centre of the top-left pixel, by the origin: the frame's corner, as everywhere in this package, or that centre, as
# in trackpy, napari, scikit-image and TrackMate.
FIRST_PIXEL = {"corner": 0.5, "centre": 0.0}


class Quantity(NamedTuple):
    """A number of each object in each frame."""

    name: str
    about: str  # with its unit, if it is neither a length nor a speed
    values: Callable[[Tracks], np.ndarray | None]  # (B, T, N), px and frames; None: not known of these tracks
    length: int = 0  # powers of a length and of a time in its unit
    time: int = 0
    placed: bool = False  # whether it is a coordinate, which depends on the origin
    always: bool = True  # whether a table has its column, empty, if it is not known

    def in_units(self, values: np.ndarray, units: Units, frame: np.ndarray) -> tuple[str, np.ndarray] | None:
        """The name and the values of the same in other units; None if these change nothing.

        Args:
            values: px and frames, shape of ``frame``.
            units: the units.
            frame: the frames of the values.
        """
        if not units.changes(self.length, self.time):
            return None
        return (
            f"{self.name}_{units.name(self.length, self.time)}",
            values * units.factor(self.length, self.time, frame),
        )

    def by_frame(self, values: np.ndarray, units: Units) -> np.ndarray:
        """Values per frame that was read, as such per frame of the movie."""
        return values * float(units.step) ** self.time if self.time else values


def _field(name: str, axis: int | None = None) -> Callable[[Tracks], np.ndarray | None]:
    """The values of a field of tracks, or of its x (axis 0) or y (axis 1)."""

    def values(tracks: Tracks) -> np.ndarray | None:
        known: Tensor | None = getattr(tracks, name)
        if known is None:
            return None
        return as_array(known if axis is None else known[..., axis])

    return values


def displacement(tracks: Tracks) -> np.ndarray:
    """Displacements from the frame before, (B, T, N, 2), px a frame; NaN where an object was absent before."""
    position, present = as_array(tracks.position), tracks.present.cpu().numpy()
    moved = np.full(position.shape, np.nan)
    both = present[:, 1:] & present[:, :-1]
    moved[:, 1:] = np.where(both[..., None], position[:, 1:] - position[:, :-1], np.nan)
    return moved


def covariance(tracks: Tracks) -> np.ndarray | None:
    """Covariances of x and y, (B, T, N), px^2: those of samples, where there are two or more.

    Without samples they are 0 where standard deviations are known: a tracker's density is a product over both axes.
    """
    found = None if tracks.scale is None else np.where(as_array(tracks.scale).sum(-1) >= 0, 0.0, np.nan)
    if tracks.samples is None:
        return found
    shape = tracks.samples.shape[1:-1]
    count, mean, product = np.zeros(shape), np.zeros((*shape, 2)), np.zeros(shape)
    # one sample at a time, by Welford's update (1962): all at once would double their memory
    for drawn in tracks.samples:
        point = as_array(drawn)
        known = np.isfinite(point).all(-1)
        count += known
        before = np.where(known[..., None], point - mean, 0.0)
        mean += before / np.maximum(count, 1)[..., None]
        product += before[..., 0] * np.where(known, point[..., 1] - mean[..., 1], 0.0)
    rest = np.full(shape, np.nan) if found is None else found
    return np.where(count > 1, product / np.maximum(count - 1, 1), rest)


def _size(tracks: Tracks) -> np.ndarray | None:
    return None if tracks.box is None else np.sqrt(np.square(as_array(tracks.box)).sum(-1)) / 4


CONFIDENCE = Quantity(
    "confidence", "share of the frame around the object that it explains, from 0 to 1; in predicted frames the "
    "probability that it is there, if that is known", _field("confidence"),
)  # fmt: skip
QUANTITIES = (
    Quantity("x", "centre of the box, from left to right", _field("position", 0), 1, placed=True),
    Quantity("y", "centre of the box, from top to bottom", _field("position", 1), 1, placed=True),
    Quantity("width", "width of the box", _field("box", 0), 1),
    Quantity("height", "height of the box", _field("box", 1), 1),
    Quantity("x_std", "standard deviation of x", _field("scale", 0), 1),
    Quantity("y_std", "standard deviation of y", _field("scale", 1), 1),
    CONFIDENCE,
    Quantity("xy_cov", "covariance of x and y", covariance, 2),
    Quantity("size", "radius of gyration of an evenly bright ellipse that fills the box", _size, 1),
    Quantity("vx", "displacement in x from the frame before", lambda t: displacement(t)[..., 0], 1, -1),
    Quantity("vy", "displacement in y from the frame before", lambda t: displacement(t)[..., 1], 1, -1),
    Quantity("speed", "length of that displacement", lambda t: np.hypot(*np.moveaxis(displacement(t), -1, 0)), 1, -1),
    Quantity("visible", "share of the object that the frame shows, from 0 to 1", _field("visible"), always=False),
    Quantity("depth", "order in depth: the smaller, the nearer", _field("depth"), always=False),
    Quantity("angle", "radians, from x towards y", _field("angle"), always=False),
)  # fmt: skip
# Columns that every table of tracks has; those of unknown values are empty.
HEADER = [*INDEX, *(quantity.name for quantity in QUANTITIES if quantity.always)]


class Column(NamedTuple):
    """A named column, or variable, of numbers."""

    name: str
    values: np.ndarray
    about: str = ""
    unit: str = ""  # for people; empty of what has none
    factor: float = 1.0  # its unit for one pixel or frame, which says how many decimals mean something


def rows_of(tracks: Tracks, first: int = 0) -> Rows:
    """Indices of the present objects from frame ``first`` on, in order of sequence, frame, particle."""
    sequence, frame, particle = tracks.present[:, first:].cpu().numpy().nonzero()
    return sequence, frame + first, particle


def table(
    tracks: Tracks, units: Units = NO_UNITS, origin: Origin = "corner", first: int = 0, number: int = 0
) -> list[Column]:
    """All columns of tracks, one row for each object and frame in which it is present.

    Args:
        tracks: (B, T, N, 2), px.
        units: known units; further columns, named by them, then tell each length, speed and time in these.
        origin: where (0, 0) is: ``corner``, at the frame's corner, or ``centre``, at the centre of its first pixel.
        first: the first of these frames that has rows; those before it only tell velocities.
        number: the number of the first of these frames.
    """
    rows = sequence, frame, particle = rows_of(tracks, first)
    known = [
        (
            quantity,
            np.full(len(rows[0]), np.nan) if values is None else quantity.by_frame(values[rows], units),
        )
        for quantity in QUANTITIES
        if (values := quantity.values(tracks)) is not None or quantity.always
    ]
    numbers = units.numbered(frame + number)
    index = [Column(name, values) for name, values in zip(INDEX, (sequence, numbers, particle), strict=True)]
    return [*index, *in_all_units(known, units, numbers, origin)]


def in_all_units(
    known: list[tuple[Quantity, np.ndarray]], units: Units, frame: np.ndarray, origin: Origin = "corner"
) -> list[Column]:
    """Columns of quantities in pixels and frames, then of those that units change, and the time.

    Args:
        known: quantities with their values, px and frames from the frame's corner.
        units: the units.
        frame: the numbers, in the movie, of the frames of the values.
        origin: see :func:`table`.
    """
    shift = FIRST_PIXEL[origin] - FIRST_PIXEL["corner"]
    moved = [(quantity, values + shift if quantity.placed else values) for quantity, values in known]
    plain = [Column(q.name, v, q.about, spelled_unit(NO_UNITS.name(q.length, q.time))) for q, v in moved]
    return [*plain, *_converted(moved, units, frame)]


def _converted(known: list[tuple[Quantity, np.ndarray]], units: Units, frame: np.ndarray) -> Iterator[Column]:
    if units.frame_rate is not None or units.times:
        yield Column("time", units.time(frame), "time of the frame", "s", 1 / (units.frame_rate or 1.0))
    for quantity, values in known:
        changed = quantity.in_units(values, units, frame)
        if changed is not None:
            name, unit = changed[0], units.name(quantity.length, quantity.time)
            factor = float(units.even.factor(quantity.length, quantity.time, np.zeros(1)))
            yield Column(name, changed[1], quantity.about, spelled_unit(unit), factor)


def spelled_unit(unit: str) -> str:
    """A unit in a column's name, for people: ``um/s``, ``um^2``."""
    return unit.replace("_per_", "/").replace("per_", "1/").replace("2", "^2")


def dense(tracks: Tracks, units: Units = NO_UNITS, origin: Origin = "corner") -> dict[str, Column]:
    """The known quantities of all slots, (B, T, N), by name; NaN where an object is absent. See :func:`table`."""
    present = tracks.present.cpu().numpy()
    frame = np.broadcast_to(units.numbered(np.arange(present.shape[1]))[None, :, None], present.shape)
    known = [
        (q, np.where(present, q.by_frame(v, units), np.nan))
        for q in QUANTITIES
        if (v := q.values(tracks)) is not None
    ]
    return {column.name: column for column in in_all_units(known, units, frame, origin)}
