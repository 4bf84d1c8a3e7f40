"""Transforms of a movie's frames, and of points in them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from vtssi_pyro.errors import DataError
from vtssi_pyro.movies import steadiness
from vtssi_pyro.movies.inspection import parted
from vtssi_pyro.movies.margins import covered
from vtssi_pyro.movies.movie import colours, cropped, each_channel, luminance, shrink

Frames = Iterator[np.ndarray]


class Transform(Protocol):
    """One change of all frames: a dataclass, whose fields are kept in a preparation's file.

    A transform of your own works in a :class:`~vtssi_pyro.movies.Preparation` as it is. To keep it in a file, give it a
    name::

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
        """Transform the frames one by one."""

    def to_model(self, points: np.ndarray) -> np.ndarray:
        """Map points (..., 2), (x, y) in pixels, from before the transform to after it."""

    def to_source(self, points: np.ndarray) -> np.ndarray:
        """Map points (..., 2), (x, y) in pixels, from after the transform to before it."""


class _InPlace:
    """A transform that moves no point."""

    def to_model(self, points: np.ndarray) -> np.ndarray:
        """Return the points unchanged."""
        return points

    def to_source(self, points: np.ndarray) -> np.ndarray:
        """Return the points unchanged."""
        return points


@dataclass(frozen=True)
class Luminance(_InPlace):
    """Convert colours, and numbers of any depth, to grey values (H, W) float32."""

    def __call__(self, frames: Frames) -> Frames:
        """See :func:`vtssi_pyro.movies.luminance`."""
        return map(luminance, frames)


@dataclass(frozen=True)
class Colours(_InPlace):
    """Convert numbers of any depth to colours (H, W, 3) float32; the next transforms take each channel by itself."""

    def __call__(self, frames: Frames) -> Frames:
        """Like :class:`Luminance`: transparent pixels become black, and grey ones have three equal channels."""
        return map(colours, frames)


@dataclass(frozen=True)
class Shrink:
    """Average squares of ``factor`` pixels a side to one pixel; colours stay."""

    factor: int

    def __call__(self, frames: Frames) -> Frames:
        """Leave out rows at the bottom and columns at the right that fill no square."""
        return (shrink(frame, self.factor) for frame in frames)

    def to_model(self, points: np.ndarray) -> np.ndarray:
        """Divide by the factor."""
        return points / self.factor

    def to_source(self, points: np.ndarray) -> np.ndarray:
        """Multiply by the factor."""
        return points * self.factor


@dataclass(frozen=True)
class Background(_InPlace):
    """Subtract the background.

    ``static``: the median over the movie without objects that rested in it. ``smooth``: the light alone, so that
    objects at rest stay, too. ``rolling``: the median of frames less their own medians, moved by ``learning_rate``, in
    units of intensity, towards every frame, so that it follows the median of the last frames (McFarlane and Schofield
    1995). ``none``: the level of nearly all pixels. Frames of another size than ``image`` raise a :class:`DataError`.

    Where a camera shakes or drifts, the background is shifted to where each frame has it, by phase correlation, so that
    frames keep their places, and points with them; what the background does not reach is black.
    """

    kind: str
    image: np.ndarray  # (H, W), or (H, W, 3) of colours
    learning_rate: float = 0.0
    shaken: float = 0.0  # px, by which the camera shakes at most; 0: it stands still

    def __call__(self, frames: Frames) -> Frames:
        """Return the differences, which may be negative."""
        background = self.image.copy()
        for frame in _of_size("background", frames, self.image.shape[:2]):
            shown = frame - np.median(frame, (0, 1)) if self.kind == "rolling" else frame
            by = self._shift(shown, background)
            there = steadiness.moved(background, by)
            if self.kind == "rolling":
                background += steadiness.moved(self.learning_rate * np.sign(shown - there), -by)
                there = steadiness.moved(background, by)
            yield steadiness.within(shown - there, by)

    def _shift(self, frame: np.ndarray, background: np.ndarray) -> np.ndarray:
        if not self.shaken:
            return np.zeros(2)
        grey = (image if image.ndim == 2 else image.mean(-1) for image in (frame, background))
        return steadiness.offset(*grey)


@dataclass(frozen=True)
class Blank(_InPlace):
    """Blacken boxes, (left, top, width, height) each, in which something is written that is no object."""

    boxes: Sequence[Sequence[int]]

    def __call__(self, frames: Frames) -> Frames:
        """Return the frames without what is near the boxes, too."""
        for frame in frames:
            mask = covered(frame.shape[:2], self.boxes)
            yield np.where(mask if frame.ndim == 2 else mask[..., None], np.zeros_like(frame), frame)


@dataclass(frozen=True)
class Polarity(_InPlace):
    """Make objects bright that are ``bright``, ``dark`` or ``both``."""

    kind: str

    def __call__(self, frames: Frames) -> Frames:
        """Return the frames as they are, negated, or without sign; of colours, both signs are channels of their own."""
        return (parted(frame, self.kind) for frame in frames)


@dataclass(frozen=True)
class Contrast(_InPlace):
    """Scale intensities from ``black`` to ``white``, of each channel or of all, to [0, 1], and cut off the rest."""

    black: float
    white: float | Sequence[float]

    def __call__(self, frames: Frames) -> Frames:
        """Scale the frames."""
        span = np.maximum(np.asarray(self.white) - self.black, 1e-9).astype(np.float32)
        return (((frame - self.black) / span).clip(0, 1) for frame in frames)


@dataclass(frozen=True)
class Crop:
    """Cut out a part of every frame; a frame without such a part raises a :class:`DataError`."""

    left: int
    top: int
    width: int
    height: int

    def __call__(self, frames: Frames) -> Frames:
        """Cut the part out of the frames."""
        return (cropped(frame, self.left, self.top, self.width, self.height) for frame in frames)

    def to_model(self, points: np.ndarray) -> np.ndarray:
        """Count from the part's corner."""
        return points - np.array((self.left, self.top))

    def to_source(self, points: np.ndarray) -> np.ndarray:
        """Count from the frame's corner."""
        return points + np.array((self.left, self.top))


@dataclass(frozen=True)
class Resize:
    """Fit frames of one size into the middle of a black square, as large as possible.

    Frames of another size raise a :class:`DataError`.
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
        """Average pixels to shrink frames, and interpolate them to enlarge frames."""
        for frame in _of_size("resize", frames, (self.height, self.width)):
            yield self._fitted(frame) if frame.ndim == 2 else each_channel(self._fitted, frame)

    def _fitted(self, frame: np.ndarray) -> np.ndarray:
        from PIL import Image

        height, width = self._inner
        top, left = self._corner
        picture = Image.fromarray(np.ascontiguousarray(frame, np.float32))
        made = np.zeros((self.side, self.side), np.float32)
        made[top : top + height, left : left + width] = np.asarray(
            picture.resize((width, height), Image.Resampling.BILINEAR)
        )
        return made

    def to_model(self, points: np.ndarray) -> np.ndarray:
        """Convert to pixels of the square."""
        return points * self._ratio + self._corner[::-1]

    def to_source(self, points: np.ndarray) -> np.ndarray:
        """Convert to pixels of the frame."""
        return (points - self._corner[::-1]) / self._ratio

    @property
    def _ratio(self) -> np.ndarray:
        """Factors on x and on y, (2,), which differ a little by rounding to whole pixels."""
        height, width = self._inner
        return np.array([width / self.width, height / self.height])


def _of_size(name: str, frames: Frames, size: tuple[int, ...]) -> Frames:
    """Yield the frames after a check of their size (H, W)."""
    for frame in frames:
        if frame.shape[:2] != size:
            found, expected = ("x".join(map(str, shape)) for shape in (frame.shape[:2], size))
            raise DataError(
                f"{name}: was made for frames of {expected} pixels (H x W), found {found}: prepare this "
                "movie anew, or resize it"
            )
        yield frame


# By the names of the transforms in files of preparations; add your own.
TRANSFORMS: dict[str, type] = {
    "luminance": Luminance,
    "colours": Colours,
    "shrink": Shrink,
    "background": Background,
    "blank": Blank,
    "polarity": Polarity,
    "contrast": Contrast,
    "crop": Crop,
    "resize": Resize,
}
