"""A movie of any file format as a stream of frames."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from itertools import islice
from typing import ClassVar
from weakref import WeakKeyDictionary

import numpy as np

from vtssi_pyro.errors import Argument, DataError
from vtssi_pyro.movies import arena
from vtssi_pyro.movies.levels import FULL, Levels, surveyed
from vtssi_pyro.movies.stored import Stored
from vtssi_pyro.tracks.units import NO_UNITS, Units

# Pixels of one frame, 1 GiB as float32; a file that claims more is refused before it is decoded.
MAX_FRAME = 2**28
LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue (Rec. 601)

Reader = Callable[[], Iterator[np.ndarray]]

# Bytes of decoded frames that a process keeps: of 200 frames of 500 x 500 in colour 150 MB. Inspection, preparation and
# pictures each read a movie once.
KEPT = 2**28


class Kept:
    """A reader that keeps the frames of its first whole pass.

    Those that a process keeps take at most :data:`KEPT` bytes together. Frames that found room stay until nobody holds
    their reader, since movies that are read in turn would otherwise push each other out before they are read again.

    Args:
        reader: decodes the frames.
    """

    # bytes of each, also of unfinished ones
    _taken: ClassVar[WeakKeyDictionary["Kept", int]] = WeakKeyDictionary()

    def __init__(self, reader: Reader) -> None:
        self.reader, self.frames = reader, list[np.ndarray]()

    def __call__(self) -> Iterator[np.ndarray]:
        """Yield the frames, which nobody changes."""
        if self.frames:
            yield from self.frames
            return
        # of two passes at once, the first
        kept: list[np.ndarray] | None = [] if self not in self._taken else None
        try:
            for frame in self.reader():
                if kept is not None and sum(self._taken.values()) + frame.nbytes <= KEPT:
                    self._taken[self] = self._taken.get(self, 0) + frame.nbytes
                    kept.append(frame)
                elif kept is not None:
                    kept = None
                    self._taken.pop(self, None)
                yield frame
            self.frames = kept or []
        finally:
            if kept is not None and not self.frames:
                self._taken.pop(self, None)


@dataclass(frozen=True)
class Movie:
    """Frames of one size, read anew from the start by each iteration; of a large movie only one is held at a time.

    Args:
        name: the file or folder in error messages.
        size: (H, W), pixels.
        length: number of frames T, of films about that; None if only reading them tells.
        rate: frames per second; None if the file does not tell. Of animations, that of the first frame.
        reader: opens the movie and gives its frames: (H, W), (H, W, 3) or (H, W, 4) with opacity; of any real dtype.
        stored: how they are stored, as far as a user says it.
        lines: what was assumed of their axes and times, for people.
        bits: of the numbers of the camera, as the file notes them; None: it does not.
        times: seconds of each frame, of a film whose frames are not evenly spaced; None: they are, or it is not known.
        numbers: of the pictures of a folder whose numbers have gaps; None: they have none.
        noted: what the file notes of its pixels' size.
        corner: left and top of its frames in those of the camera, of which they are a part; pixels.
        lossy: whether frames were compressed with losses, which move what is in them a little.
        parts: the movies that were joined to this one (:mod:`vtssi_pyro.movies.series`); none: it is one by itself.
    """

    name: str
    size: tuple[int, int]
    length: int | None
    rate: float | None
    reader: Reader
    stored: Stored = Stored()
    lines: tuple[str, ...] = ()
    bits: int | None = None
    times: tuple[float, ...] | None = None
    numbers: tuple[int, ...] | None = None
    noted: Units = NO_UNITS
    parts: tuple["Movie", ...] = ()
    corner: tuple[int, int] = (0, 0)
    lossy: bool = False

    def __post_init__(self) -> None:
        """Refuse frames too large to decode."""
        refuse_large(self.name, self.size)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the frames, as they are stored if they have their dtype's own range, else float32 in [0, 1].

        Beyond the arena they are even, of the usual level within it in the first frame.
        """
        levels, within = self.levels, self.within
        usual = None
        for frame in self._checked():
            plain = (levels.natural and frame.dtype.kind != "f") or self.stored.plain
            shown = frame if plain else levels(frame, None if frame.ndim == 2 else -1)
            if within is not None:
                usual = np.median(shown[within], 0).astype(shown.dtype) if usual is None else usual
                shown = np.where(within if shown.ndim == 2 else within[..., None], shown, usual)
            yield shown

    @cached_property
    def within(self) -> np.ndarray | None:
        """Whether pixels (H, W) are in the arena; None: there is none."""
        if self.stored.arena is None:
            return None
        return arena.pixels(self.stored.arena, self.name, self.size, self.corner)

    @cached_property
    def levels(self) -> Levels:
        """The range and the mask of the frames, which are read for this unless their dtype tells."""
        return surveyed(self.name, self._checked(), self.stored, self.bits)

    @property
    def assumed(self) -> tuple[str, ...]:
        """All that was assumed of the frames, for people."""
        return (*self.lines, *self.levels.lines)

    @property
    def settled(self) -> Stored:
        """How the frames are stored, with the range that was decided, for other movies of the same camera."""
        levels = self.levels
        if self.stored.plain:
            return replace(self.stored, frames=None)
        return replace(self.stored, range=(levels.black, levels.white), dtype=levels.dtype, frames=None)

    @property
    def units(self) -> Units:
        """What pixels and times stand for: as a user says it, else as the file notes it."""
        span = self.stored.span
        noted = Units(self.noted.pixel_size, self.noted.unit, self.rate, self.times, span.start, span.step)
        return noted.told(self.stored.units)

    @property
    def whole(self) -> tuple["Movie", ...]:
        """The movies that it consists of, mostly itself alone, read as it is."""
        return tuple(
            replace(part, stored=replace(self.stored, frames=part.stored.frames)) for part in self.parts
        ) or (self,)

    def chosen(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the frames that are read, as they are stored, with their numbers in the movie."""
        span = self.stored.span
        return islice(enumerate(self.reader()), span.start, span.stop, span.step)

    def luminance(self) -> Iterator[np.ndarray]:
        """Yield the frames in grey, (H, W) float32 in [0, 1]."""
        for frame in self:
            yield luminance(frame)

    def cropped(self, left: int, top: int, width: int, height: int) -> "Movie":
        """Return the movie of a part of every frame; lengths in pixels.

        Raises:
            DataError: while it is read, if frames have no such part.
        """
        part, corner = (left, top, width, height), (self.corner[0] + left, self.corner[1] + top)
        return replace(
            self,
            size=(height, width),
            reader=lambda: (cropped(f, *part) for f in self.reader()),
            corner=corner,
            parts=tuple(part.cropped(left, top, width, height) for part in self.parts),
        )

    def _checked(self) -> Iterator[np.ndarray]:
        empty = True
        for number, frame in self.chosen():
            self._check(frame, number)
            empty = False
            yield self.stored.shown(frame)
        if empty and self.stored.frames is not None:
            raise DataError(f"{self.name}: has no frames ", Argument("frames"), f" {self.stored.frames}")
        if empty:
            raise DataError(f"{self.name}: no frames")

    def _check(self, frame: np.ndarray, number: int) -> None:
        if frame.shape[:2] != self.size:
            found, expected = (f"{size[0]}x{size[1]}" for size in (frame.shape[:2], self.size))
            raise DataError(
                f"{self.name}: frame {number} has {found} pixels (H x W), the first {expected}: "
                "all must have one size"
            )
        if frame.dtype.kind not in "biuf":
            raise DataError(f"{self.name}: frames are {frame.dtype}, expected numbers")
        if self.stored.plain and frame.dtype.kind == "f" and not np.isfinite(frame).all():
            raise DataError(f"{self.name}: frame {number} has intensities that are not finite")


def refuse_large(name: str, size: tuple[int, int]) -> None:
    """Refuse frames (H, W) too large to decode.

    Raises:
        DataError: they are.
    """
    height, width = size
    if height * width > MAX_FRAME:
        raise DataError(
            f"{name}: frames are {height}x{width} pixels (H x W), more than {MAX_FRAME} together: "
            "crop or shrink them first"
        )


def luminance(frame: np.ndarray) -> np.ndarray:
    """Convert a frame (H, W), (H, W, 3) or (H, W, 4) to grey, (H, W) float32; transparent pixels become black.

    Unsigned 8 and 16 bits are scaled to [0, 1], others stay.
    """
    grey = frame.astype(np.float32)
    if grey.ndim == 3:
        grey, opacity = brightness(grey[..., :3]), grey[..., 3:]
    full = FULL.get(frame.dtype.name)
    if full is not None:
        grey /= np.float32(full)
    if frame.ndim == 3 and opacity.shape[-1]:
        grey *= opacity[..., 0] / np.float32(full or 1.0)
    return grey


def colours(frame: np.ndarray) -> np.ndarray:
    """Convert a frame (H, W), (H, W, 3) or (H, W, 4) to colours, (H, W, 3) float32; see :func:`luminance`."""
    if frame.ndim == 2:
        return luminance(frame)[..., None].repeat(3, -1)
    full = np.float32(FULL.get(frame.dtype.name) or 1.0)
    values = frame.astype(np.float32) / full
    return values[..., :3] * values[..., 3:] if values.shape[-1] > 3 else values


def brightness(colours: np.ndarray) -> np.ndarray:
    """The luminance (...) of colours (..., 3), red, green and blue, float32."""
    return colours @ np.array(LUMINANCE, np.float32)


def tinted(frame: np.ndarray) -> bool:
    """Whether a frame (H, W) or (H, W, C) holds any colour: red, green and blue that differ."""
    if frame.ndim == 2:
        return False
    values = frame.reshape(-1)  # one comparison along the memory is several times faster than of short axes
    unlike, channels = values[1:] != values[:-1], frame.shape[-1]
    return any(bool(unlike[k::channels].any()) for k in range(min(channels, 3) - 1))


def each_channel(function: Callable[..., np.ndarray], *images: np.ndarray) -> np.ndarray:
    """Apply a function of images (..., H, W) to images (..., H, W, C), channel by channel."""
    apart = (np.moveaxis(image, -1, 0) for image in images)
    return np.stack([function(*channels) for channels in zip(*apart, strict=True)], -1)


def cropped(frame: np.ndarray, left: int, top: int, width: int, height: int) -> np.ndarray:
    """Cut a part out of a frame (H, W) or (H, W, C); lengths in pixels.

    Raises:
        DataError: the frame has no such part.
    """
    bottom, right = top + height, left + width
    if min(top, left) < 0 or bottom > frame.shape[0] or right > frame.shape[1]:
        raise DataError(
            f"crop: rows {top} to {bottom} and columns {left} to {right} are not within "
            f"frames of {frame.shape[0]}x{frame.shape[1]} pixels (H x W)"
        )
    return frame[top:bottom, left:right]


def shrink(frame: np.ndarray, factor: int) -> np.ndarray:
    """Average squares of ``factor`` pixels a side: (H // factor, W // factor), float32; colours stay.

    Unsigned 8 and 16 bits are scaled to [0, 1], others stay. A large frame is shrunk faster than it is
    made grey: shrink first.
    """
    if factor == 1:
        return frame
    if frame.ndim == 3 and frame.shape[-1] == 4:  # a colour counts as much as it is opaque
        frame = colours(frame)
    full, channels = FULL.get(frame.dtype.name), frame.shape[2:]
    height, width = (side // factor for side in frame.shape[:2])
    # sums of whole lines, in the narrowest numbers that hold them, and of each channel by itself: over short axes numpy
    # is several times slower
    narrow = None if full is None else np.min_scalar_type(int(full) * factor**2)
    lines = frame[: height * factor].reshape(height, factor, -1).sum(1, dtype=narrow)
    tiles = lines.reshape(height, frame.shape[1], -1)[:, : width * factor].reshape(height, width, factor, -1)
    total = np.empty((height, width, tiles.shape[-1]), np.float32)
    for channel in range(tiles.shape[-1]):
        total[..., channel] = reduce(np.add, (tiles[:, :, k, channel] for k in range(factor)))
    total /= np.float32(factor**2 * (full or 1.0))
    return total.reshape(height, width, *channels)
