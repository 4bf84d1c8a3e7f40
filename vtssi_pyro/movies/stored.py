"""How frames are stored, and what their pixels and times stand for, as far as a user says it."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

import numpy as np

from vtssi_pyro.config import Declared
from vtssi_pyro.errors import Argument, DataError, UsageError
from vtssi_pyro.movies import arena
from vtssi_pyro.tracks.units import FRAME_RATE, PIXEL_SIZE, Units

# Sequences, times, depths, channels, rows and columns: the order in which axes are brought.
AXES = "STZCHW"
PROJECTIONS = ("max", "mean")  # of depths
GREY, COLOUR = "grey", "colour"  # of red, green and blue: their luminance, or all three
GIB = 2**30
# Bytes of pixels for one of a file from which pictures count as a bomb if they exceed the memory, too: cameras' own
# pictures take a tenth of that at most.
PACKED = 200
# GiB of unpacked frames that are held without being asked: a laptop has four times as much, and the frames of a part
# become single-precision floats.
MEMORY = 2.0


@dataclass(frozen=True)
class Stored(Declared):
    """How frames are stored, as far as a user says it; a None is decided from the frames, or read from their file.

    Args:
        axes: a letter for each axis of an array, of S sequences, T times, Z depths, C channels, H rows, W columns.
        range: the values of black and of white.
        channel: the channel to read, counted from 0, or its name in the file; ``grey``: the luminance of red, green and
            blue; ``colour``: all three. None: of a movie, colours if they tell more than brightness does, see
            :func:`~vtssi_pyro.movies.inspection.beyond_brightness`; of sequences, all channels.
        frames: the frames of a movie to read, as START:STOP:STEP, such as ``100:2000:2``, ``100:`` or ``::2``; results
            keep the movie's own numbers.
        arena: the part of a movie's frames in which objects are, as ``x1,y1,x2,y2,...``, the corners of a polygon in
            pixels, or the path of a picture whose black pixels are outside; it is kept as its pixels are now.
        plane: the depth to read, counted from 0, or its name in the file, or the projection ``max`` or ``mean`` of all.
        memory: GiB that frames may take once they are unpacked.
        dtype: the dtype of the numbers that ``range`` is about; others have a range of their own. None: any.
        plain: whether numbers stay as they are, except 8 and 16 bits, as preparations of former versions expect.
        pixel_size: side of a pixel, in ``unit``; tracks then tell lengths and speeds in it, too.
        unit: name of that unit of length, such as ``um``.
        frame_rate: frames per second; tracks then tell times, and speeds per second, too.

    Raises:
        UsageError: a value that is impossible.

    Example:
        >>> from vtssi_pyro import Stored
        >>> Stored(pixel_size=0.106, unit="um", frame_rate=25).units.line()
        'a pixel is 0.106 um, 25 frames a second'
    """

    axes: str | None = None
    range: tuple[float, float] | None = None
    channel: int | str | None = None
    plane: int | str | None = None
    memory: float = MEMORY
    dtype: str | None = None
    plain: bool = False
    pixel_size: Annotated[float | None, PIXEL_SIZE] = None
    unit: str | None = None
    frame_rate: Annotated[float | None, FRAME_RATE] = None
    frames: str | None = None
    arena: str | None = None

    def __post_init__(self) -> None:
        """Refuse what is impossible, whatever the frames are."""
        super().__post_init__()
        axes = self.axes
        if axes is not None and (
            set(axes) - set(AXES) or len(set(axes)) != len(axes) or not {"H", "W"} <= set(axes)
        ):
            raise UsageError(
                Argument("axes"), f" {axes}: expected one of the letters {', '.join(AXES)} for each axis, once, H and "
                "W among them, such as TSHW"
            )  # fmt: skip
        if self.range is not None and not self.range[0] < self.range[1]:
            black, white = self.range
            raise UsageError(Argument("range"), f" {black:g},{white:g}: black must be less than white")
        if self.channel == "":
            raise UsageError(
                Argument("channel"), f": expected a number from 0, a channel's name, {GREY} or {COLOUR}"
            )
        if self.single is not None and self.single < 0:
            raise UsageError(Argument("channel"), f" {self.channel}: channels count from 0")
        plane = self.plane
        if plane == "" or (isinstance(plane, int) and plane < 0):
            raise UsageError(
                Argument("plane"),
                f" {plane}: expected a number from 0, a depth's name, {' or '.join(PROJECTIONS)}",
            )
        if self.arena is not None:
            object.__setattr__(self, "arena", arena.settled(self.arena))
        assert self.span  # which refuses what is no part of a movie
        if not self.memory > 0:
            raise UsageError(Argument("memory"), f" {self.memory}: expected a number above 0, in GiB")
        if self.unit is not None:  # as Units spells it
            object.__setattr__(self, "unit", Units(self.pixel_size or 1.0, self.unit).unit)
        assert self.units is not None  # which refuses half of what makes a length

    @property
    def span(self) -> slice:
        """The frames of a movie to read, with a first one and a step.

        Raises:
            UsageError: the text is no such part.
        """
        if self.frames is None:
            return slice(0, None, 1)
        found = re.fullmatch(r"(\d*):(\d*)(?::(\d*))?", self.frames)
        first, stop, step = ((int(part) if part else None) for part in found.groups()) if found else (0, 0, 0)
        if (stop is not None and stop <= (first or 0)) or step == 0:
            raise UsageError(
                Argument("frames"), f" {self.frames}: expected START:STOP:STEP, counted from 0, STOP beyond START, "
                "such as 100:2000:2, 100: or ::2"
            )  # fmt: skip
        return slice(first or 0, stop, step or 1)

    def refuse_for_sequences(self, name: str) -> None:
        """Refuse what is of one movie alone."""
        for said, value in (("frames", self.frames), ("arena", self.arena)):
            if value is not None:
                raise UsageError(Argument(said), f" {value}: is of one movie; {name} is read as sequences")

    @property
    def single(self) -> int | None:
        """The number of the one channel to read; None: all of them."""
        return self.channel if isinstance(self.channel, int) else None

    @property
    def units(self) -> Units:
        """What pixels and times stand for."""
        return Units(self.pixel_size, self.unit, self.frame_rate)

    @property
    def frames_alone(self) -> "Stored":
        """The same without the units, which change no frame."""
        return replace(self, pixel_size=None, unit=None, frame_rate=None)

    def like(self, kept: "Stored") -> "Stored":
        """What is said here, and where nothing is said, what was kept of a movie of the same camera."""
        usual = Stored()
        said = {key: value for key, value in vars(self).items() if value != vars(usual)[key]}
        if self.range is not None:
            said |= {"dtype": self.dtype, "plain": False}
        return replace(kept, **said)

    def as_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "Stored":
        """The inverse of :meth:`as_dict`."""
        said = plain["range"]
        return cls(**(plain | {"range": None if said is None else (float(said[0]), float(said[1]))}))

    def refuse_for_pictures(self, name: str, colours: int) -> None:
        """Refuse what does not fit pictures with ``colours`` numbers a pixel, one picture a time."""
        if self.axes is not None:
            raise UsageError(
                Argument("axes"), f" {self.axes}: {name} holds pictures, whose axes are known; leave it out"
            )
        said = self.numbered(name, {})
        said.chosen_planes(name, 1)
        if said.channel is not None:
            said.chosen_channel(name, colours)

    @property
    def bytes(self) -> int:
        """Bytes that frames may take."""
        return int(self.memory * GIB)

    def refuse_more(self, name: str, size: int, why: str = "") -> None:
        """Refuse frames that take too much memory once they are unpacked.

        Args:
            name: the file.
            size: bytes.
            why: a further remedy, after a comma.

        Raises:
            DataError: it is too much.
        """
        if size > self.bytes:
            raise DataError(
                f"{name}: unpacks to {size / GIB:.3g} GiB, more than {self.memory:g}: if you trust it, allow ",
                Argument("memory"),
                f" {math.ceil(size / GIB)}{why}",
            )

    def refuse_bomb(self, name: str, unpacked: int, packed: int) -> None:
        """Refuse pictures that unpack to far more than they take on the disk, and to more than the memory.

        Args:
            name: the file or folder.
            unpacked: bytes of the pictures.
            packed: bytes of the files.
        """
        if unpacked > PACKED * packed:
            self.refuse_more(name, unpacked)

    @property
    def without_axes(self) -> "Stored":
        """The same without the axes, which have been used."""
        return replace(self, axes=None)

    def numbered(self, name: str, names: Mapping[str, Sequence[str]]) -> "Stored":
        """The same with numbers in place of the names of a channel and of a depth.

        Args:
            name: the file in error messages.
            names: of its channels, C, and of its depths, Z.

        Raises:
            DataError: none is called so.
        """
        channel = _number(name, "channel", self.channel, (GREY, COLOUR), names.get("C", ()))
        return replace(
            self, channel=channel, plane=_number(name, "plane", self.plane, PROJECTIONS, names.get("Z", ()))
        )

    def chosen_channel(
        self, name: str, count: int, colours: bool = True, names: Sequence[str] = ()
    ) -> int | None:
        """The channel to read of ``count``; None: all of them, grey or colours.

        Args:
            name: the file in error messages.
            count: the number of its channels.
            colours: whether 3 or 4 channels are red, green, blue and opacity, even if nobody says so.
            names: their names, if they have some.
        """
        if self.single is None:
            if count == 1 or (count in (3, 4) and (colours or self.channel is not None)):
                return None
            others = f", or {COLOUR} if they are red, green and blue" if count in (3, 4) else ""
            raise DataError(
                f"{name}: has {count} channels: say which to read, ",
                Argument("channel"),
                f" 0 to {count - 1}{_listed(names)}{others}",
            )
        if self.single >= count:
            raise DataError(
                f"{name}: has {count} channel{'s' * (count > 1)}, counted from 0: there is no ",
                Argument("channel"),
                f" {self.channel}",
            )
        return self.single

    def shown(self, frame: np.ndarray) -> np.ndarray:
        """The chosen channel of a frame (H, W, C), or all of them; a frame (H, W) stays as it is."""
        return frame if frame.ndim == 2 or self.single is None else frame[..., self.single]

    def chosen_planes(self, name: str, count: int, names: Sequence[str] = ()) -> list[int]:
        """The depths to read of ``count``, which may have names: one, or all to project."""
        if isinstance(self.plane, int):
            if self.plane >= count:
                raise DataError(
                    f"{name}: has {count} depth{'s' * (count > 1)}, counted from 0: there is no ",
                    Argument("plane"),
                    f" {self.plane}",
                )
            return [self.plane]
        if count > 1 and self.plane is None:
            raise DataError(
                f"{name}: has {count} depths: say which to read, ", Argument("plane"),
                f" 0 to {count - 1}{_listed(names)}, or a projection, max or mean"
            )  # fmt: skip
        return list(range(count))

    def projected(self, planes: np.ndarray) -> np.ndarray:
        """Depths (Z, ...) as one picture."""
        if len(planes) == 1:
            return planes[0]
        if self.plane == "mean":
            return planes.mean(0, dtype=np.float64).astype(np.float32)
        return planes.max(0)


def _listed(names: Sequence[str]) -> str:
    """Names in brackets, behind numbers that stand for the same."""
    return f" ({', '.join(names)})" if names else ""


def _number(
    name: str, argument: str, said: int | str | None, words: tuple[str, ...], names: Sequence[str]
) -> int | str | None:
    """The number of a channel or a depth, of which a user says the number, the name, or a word for several."""
    if not isinstance(said, str) or said in words:
        return said
    if said in names:
        return names.index(said)
    known = f"are called {', '.join(names)}" if names else "have no names"
    raise DataError(
        f"{name}: has no ", Argument(argument), f" {said}: they {known}; or say a number from 0, or "
        f"{' or '.join(words)}"
    )  # fmt: skip
