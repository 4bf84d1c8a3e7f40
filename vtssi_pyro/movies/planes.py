"""Movies that lie in planes, one for each time, depth and channel: arrays, TIFF and files of microscopes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from vtssi_pyro.errors import DataError, VtssiError
from vtssi_pyro.movies.movie import Movie
from vtssi_pyro.movies.stored import Stored
from vtssi_pyro.tracks.units import NO_UNITS, Units

PLANE = "TZC"  # the axes of planes: times, depths, channels

Plane = Callable[[int, int, Sequence[int]], np.ndarray]  # (H, W, C) of a time, a depth and C channels


class Planes(NamedTuple):
    """The planes of a file or an array.

    Args:
        counts: along the axes of PLANE; one that is missing has a length of 1.
        size: (H, W), pixels.
        opened: opens them for one pass through the movie, and closes them behind it.
        colours: whether their channels, if they are 3 or 4, are red, green, blue and opacity, and no wavelengths.
        names: of the channels, C, and of the depths, Z, in their order; none: they have none.
        units: what the file notes of its pixels and times.
        bits: of the camera's numbers, as the file notes them; None: it does not.
        lines: what was assumed, for people.
    """

    counts: Mapping[str, int]
    size: tuple[int, int]
    opened: Callable[[], AbstractContextManager[Plane]]
    colours: bool = False
    names: Mapping[str, Sequence[str]] = MappingProxyType({})
    units: Units = NO_UNITS
    bits: int | None = None
    lines: tuple[str, ...] = ()


def movie_of_planes(name: str, planes: Planes, stored: Stored = Stored()) -> Movie:
    """Make a movie of the chosen channel and depths; each pass through it opens the planes anew.

    Args:
        name: the movie's name in error messages.
        planes: the planes.
        stored: how the frames are stored, as far as it is known.

    Raises:
        DataError: there are several channels or depths, and none is chosen, or one that is not there.
    """
    times, count_z, count_c = (planes.counts.get(axis, 1) for axis in PLANE)
    stored = stored.numbered(name, planes.names)
    depths = stored.chosen_planes(name, count_z, planes.names.get("Z", ()))
    channel = stored.chosen_channel(name, count_c, planes.colours, planes.names.get("C", ()))
    channels = range(count_c) if channel is None else [channel]

    def read() -> Iterator[np.ndarray]:
        with told(name), planes.opened() as plane:
            for time in range(times):
                with told(name, f"frame {time} "):
                    shown = [plane(time, depth, channels) for depth in depths]
                    frame = stored.projected(np.stack(shown)) if len(shown) > 1 else shown[0]
                yield frame[..., 0] if len(channels) == 1 else frame

    units = planes.units
    return Movie(
        name, planes.size, times, units.frame_rate, read, stored, planes.lines, bits=planes.bits, times=units.times,
        noted=units,
    )  # fmt: skip


@contextmanager
def told(name: str, what: str = "") -> Iterator[None]:
    """Turn whatever other people's readers raise, of a file that is none of theirs, into one line.

    Args:
        name: the file.
        what: the part that they read, with a space behind it.

    Raises:
        DataError: they raised something.
    """
    try:
        yield
    except VtssiError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{name}: {what}cannot be read ({type(error).__name__}{': ' if reason else ''}{reason})"
        ) from error
