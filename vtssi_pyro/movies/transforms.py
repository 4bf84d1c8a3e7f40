"""What can be done to the frames of a movie, and where that takes places in them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from vtssi_pyro.errors import DataError
from vtssi_pyro.movies.inspection import signed
from vtssi_pyro.movies.movie import cropped, luminance, shrink

Frames = Iterator[np.ndarray]


class Transform(Protocol):
    """One change of all frames: a dataclass, whose fields are what a file of it holds.

    One of your own works in a :class:`~vtssi_pyro.movies.Preparation` as it is. That it can be kept in a file, too,
    give it a name::

        @dataclass(frozen=True)
        class Upside:
            height: int

            def __call__(self, frames):
                return (frame[::-1] for frame in frames)

            def to_model(self, points):
                return np.stack([points[..., 0], self.height - points[..., 1]], -1)

            to_source = to_model


        TRANSFORMS["upside"] = Upside
    """

    def __call__(self, frames: Frames) -> Frames:
        """The frames, one by one."""

    def to_model(self, points: np.ndarray) -> np.ndarray:
        """Where points (..., 2), (x, y) in pixels, are after the transform."""

    def to_source(self, points: np.ndarray) -> np.ndarray:
        """Where points were before it."""


class _InPlace:
    """A transform that leaves everything where it is."""

    def to_model(self, points: np.ndarray) -> np.ndarray:
        """The same."""
        return points

    def to_source(self, points: np.ndarray) -> np.ndarray:
        """The same."""
        return points


@dataclass(frozen=True)
class Luminance(_InPlace):
    """Colours, and numbers of any depth, become grey values (H, W) float32."""

    def __call__(self, frames: Frames) -> Frames:
        """See :func:`vtssi_pyro.movies.luminance`."""
        return map(luminance, frames)


@dataclass(frozen=True)
class Shrink:
    """Squares of ``factor`` pixels a side become one, their mean; colours stay."""

    factor: int

    def __call__(self, frames: Frames) -> Frames:
        """What does not fill a square at the right and at the bottom is left out."""
        return (shrink(frame, self.factor) for frame in frames)

    def to_model(self, points: np.ndarray) -> np.ndarray:
        """Smaller."""
        return points / self.factor

    def to_source(self, points: np.ndarray) -> np.ndarray:
        """Larger."""
        return points * self.factor


@dataclass(frozen=True)
class Background(_InPlace):
    """What stays is taken away.

    ``static``: the median over the movie, but for things that rested in it. ``smooth``: its light alone, so that what
    stays put is a thing, too. ``rolling``: the median of frames less their own medians, moved by ``learning_rate``, in
    units of intensity, towards every frame, which makes it follow the median of the last frames (McFarlane and
    Schofield, 1995). ``none``: the level of nearly all pixels. Frames of another size than ``image`` are a
    :class:`DataError`.
    """

    kind: str
    image: np.ndarray  # (H, W)
    learning_rate: float = 0.0

    def __call__(self, frames: Frames) -> Frames:
        """The difference, which may be negative."""
        frames = _of_size("background", frames, self.image.shape)
        if self.kind != "rolling":
            yield from (frame - self.image for frame in frames)
            return
        background = self.image.copy()
        for frame in frames:
            level = frame - np.median(frame)
            background += self.learning_rate * np.sign(level - background)
            yield level - background


@dataclass(frozen=True)
class Polarity(_InPlace):
    """What is looked for becomes bright: it is ``bright``, ``dark`` or ``both``."""

    kind: str

    def __call__(self, frames: Frames) -> Frames:
        """As they are, negated, or without sign."""
        return (signed(frame, self.kind) for frame in frames)


@dataclass(frozen=True)
class Contrast(_InPlace):
    """Intensities from ``black`` to ``white`` become 0 to 1; what is beyond is cut off."""

    black: float
    white: float

    def __call__(self, frames: Frames) -> Frames:
        """Scaled."""
        span = max(self.white - self.black, 1e-9)
        return (((frame - self.black) / span).clip(0, 1) for frame in frames)


@dataclass(frozen=True)
class Crop:
    """A part of every frame; a frame that has no such part is a :class:`DataError`."""

    left: int
    top: int
    width: int
    height: int

    def __call__(self, frames: Frames) -> Frames:
        """Cut out."""
        return (cropped(frame, self.left, self.top, self.width, self.height) for frame in frames)

    def to_model(self, points: np.ndarray) -> np.ndarray:
        """From the part's corner."""
        return points - np.array((self.left, self.top))

    def to_source(self, points: np.ndarray) -> np.ndarray:
        """From the frame's corner."""
        return points + np.array((self.left, self.top))


@dataclass(frozen=True)
class Resize:
    """Frames of some size in the middle of a square one, as large as it takes them; the rest is black.

    Frames of another size are a :class:`DataError`.
    """

    height: int
    width: int
    side: int

    @property
    def scale(self) -> float:
        """Pixels after the transform for one before it."""
        return self.side / max(self.height, self.width)

    @property
    def _inner(self) -> tuple[int, int]:
        return max(1, round(self.height * self.scale)), max(1, round(self.width * self.scale))

    @property
    def _corner(self) -> tuple[int, int]:
        return (self.side - self._inner[0]) // 2, (self.side - self._inner[1]) // 2

    def __call__(self, frames: Frames) -> Frames:
        """Averaged where they shrink, interpolated where they grow."""
        from PIL import Image

        height, width = self._inner
        top, left = self._corner
        for frame in _of_size("resize", frames, (self.height, self.width)):
            picture = Image.fromarray(np.ascontiguousarray(frame, np.float32))
            made = np.zeros((self.side, self.side), np.float32)
            made[top : top + height, left : left + width] = np.asarray(
                picture.resize((width, height), Image.Resampling.BILINEAR)
            )
            yield made

    def to_model(self, points: np.ndarray) -> np.ndarray:
        """Within the square."""
        return points * self._ratio + self._corner[::-1]

    def to_source(self, points: np.ndarray) -> np.ndarray:
        """Within the frame."""
        return (points - self._corner[::-1]) / self._ratio

    @property
    def _ratio(self) -> np.ndarray:
        """Of widths and of heights, which rounding to whole pixels lets differ a little."""
        height, width = self._inner
        return np.array([width / self.width, height / self.height])


def _of_size(name: str, frames: Frames, size: tuple[int, ...]) -> Frames:
    """The frames, whose size (H, W) is looked at."""
    for frame in frames:
        if frame.shape != size:
            found, expected = ("x".join(map(str, shape)) for shape in (frame.shape, size))
            raise DataError(
                f"{name}: was made for frames of {expected} pixels (H x W), found {found}: prepare this "
                "movie anew, or resize it"
            )
        yield frame


# By the names that files of preparations call them; add your own.
TRANSFORMS: dict[str, type] = {
    "luminance": Luminance,
    "shrink": Shrink,
    "background": Background,
    "polarity": Polarity,
    "contrast": Contrast,
    "crop": Crop,
    "resize": Resize,
}
