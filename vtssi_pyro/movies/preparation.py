"""From the frames of a movie to the frames that a model sees, and from places in these back to the movie."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import reduce
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from vtssi_pyro.atomic import atomic_write
from vtssi_pyro.errors import DataError
from vtssi_pyro.movies.inspection import Inspection, shrink, signed
from vtssi_pyro.movies.members import npz_arrays
from vtssi_pyro.movies.movie import Movie, luminance

Frames = Iterator[np.ndarray]
QUIET = 2.0  # of the noise's standard deviation: what stays black
NUDGE = 0.02  # of the contrast: by how much a rolling background follows a frame


class Step(Protocol):
    """One change of all frames; its fields are what a file of it holds."""

    def __call__(self, frames: Frames) -> Frames:
        """The frames, one by one."""

    def forth(self, points: np.ndarray) -> np.ndarray:
        """Where points (..., 2), (x, y) in pixels, are after the step."""

    def back(self, points: np.ndarray) -> np.ndarray:
        """Where points were before it."""


class _InPlace:
    """A step that leaves everything where it is."""

    def forth(self, points: np.ndarray) -> np.ndarray:
        """The same."""
        return points

    def back(self, points: np.ndarray) -> np.ndarray:
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
    """Squares of ``factor`` pixels a side become one, their mean."""

    factor: int

    def __call__(self, frames: Frames) -> Frames:
        """What does not fill a square at the right and at the bottom is left out."""
        return (shrink(frame, self.factor) for frame in frames)

    def forth(self, points: np.ndarray) -> np.ndarray:
        """Smaller."""
        return points / self.factor

    def back(self, points: np.ndarray) -> np.ndarray:
        """Larger."""
        return points * self.factor


@dataclass(frozen=True)
class Background(_InPlace):
    """What stays is taken away.

    ``static``: the median over the movie. ``rolling``: that, less each frame's own median, and moved by ``nudge``
    towards every frame, which makes it follow the median of the last frames (McFarlane and Schofield, 1995).
    """

    kind: str
    still: np.ndarray  # (H, W)
    nudge: float = 0.0

    def __call__(self, frames: Frames) -> Frames:
        """The difference, which may be negative."""
        if self.kind == "static":
            yield from (frame - self.still for frame in frames)
            return
        background = self.still.copy()
        for frame in frames:
            level = frame - np.median(frame)
            background += self.nudge * np.sign(level - background)
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
    """A part of every frame."""

    left: int
    top: int
    width: int
    height: int

    def __call__(self, frames: Frames) -> Frames:
        """Cut out."""
        rows, columns = slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)
        return (frame[rows, columns] for frame in frames)

    def forth(self, points: np.ndarray) -> np.ndarray:
        """From the part's corner."""
        return points - np.array((self.left, self.top))

    def back(self, points: np.ndarray) -> np.ndarray:
        """From the frame's corner."""
        return points + np.array((self.left, self.top))


@dataclass(frozen=True)
class Resize:
    """Frames of some size in the middle of a square one, as large as it takes them; the rest is black."""

    height: int
    width: int
    side: int

    @property
    def scale(self) -> float:
        """Pixels after the step for one before it."""
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
        for frame in frames:
            picture = Image.fromarray(np.ascontiguousarray(frame, np.float32))
            made = np.zeros((self.side, self.side), np.float32)
            made[top : top + height, left : left + width] = np.asarray(
                picture.resize((width, height), Image.Resampling.BILINEAR)
            )
            yield made

    def forth(self, points: np.ndarray) -> np.ndarray:
        """Within the square."""
        return points * self._ratio + self._corner[::-1]

    def back(self, points: np.ndarray) -> np.ndarray:
        """Within the frame."""
        return (points - self._corner[::-1]) / self._ratio

    @property
    def _ratio(self) -> np.ndarray:
        """Of widths and of heights, which rounding to whole pixels lets differ a little."""
        height, width = self._inner
        return np.array([width / self.width, height / self.height])


STEPS: dict[str, type] = {
    "luminance": Luminance,
    "shrink": Shrink,
    "background": Background,
    "polarity": Polarity,
    "contrast": Contrast,
    "crop": Crop,
    "resize": Resize,
}
_NAMES = {kind: name for name, kind in STEPS.items()}


@dataclass(frozen=True)
class Preparation:
    """Steps, in order; leave one out, put another in its place, or write a new one."""

    steps: tuple[Step, ...]

    def __call__(self, movie: Movie | Iterable[np.ndarray]) -> Frames:
        """The frames that a model sees, one by one, as often as asked for."""
        return reduce(lambda frames, step: step(frames), self.steps, iter(movie))

    def forth(self, points: np.ndarray) -> np.ndarray:
        """Where points (..., 2) of the movie, (x, y) in pixels, are in the frames that a model sees."""
        return reduce(lambda places, step: step.forth(places), self.steps, np.asarray(points, float))

    def back(self, points: np.ndarray) -> np.ndarray:
        """Where points of the frames that a model sees are in the movie."""
        return reduce(lambda places, step: step.back(places), reversed(self.steps), np.asarray(points, float))

    def lines(self) -> list[str]:
        """What is done, for people."""
        return [
            " ".join([_NAMES[type(step)], *(f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}"
                      for key, value in _plain(step).items())])
            for step in self.steps
        ]  # fmt: skip

    def save(self, path: Path | str) -> None:
        """Write it as an ``.npz`` file."""
        described: list[dict[str, Any]] = []
        arrays: dict[str, np.ndarray] = {}
        for index, step in enumerate(self.steps):
            images = {k: v for k, v in _values(step).items() if isinstance(v, np.ndarray)}
            described.append({"step": _NAMES[type(step)], "images": list(images), **_plain(step)})
            arrays |= {f"{index}.{key}": value for key, value in images.items()}
        arrays["steps"] = np.frombuffer(json.dumps(described).encode(), np.uint8)
        with atomic_write(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path | str) -> "Preparation":
        """What :meth:`save` wrote.

        Raises:
            DataError: it is something else.
        """
        path = Path(path)
        try:
            described = json.loads(npz_arrays(path, ("steps",))["steps"].tobytes())
            steps = []
            for index, values in enumerate(described):
                kind, images = STEPS[values.pop("step")], values.pop("images")
                names = {f"{index}.{key}": key for key in images}
                found = npz_arrays(path, tuple(names))
                steps.append(kind(**values, **{names[key]: image for key, image in found.items()}))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{path}: is no preparation of movies ({error})") from error
        return cls(tuple(steps))


def chosen(found: Inspection, side: int) -> Preparation:
    """What suits a movie that was inspected.

    Args:
        found: what :func:`vtssi_pyro.movies.inspection.inspect` said.
        side: of the frames that the model sees, pixels.
    """
    height, width = found.still.shape
    steps: list[Step] = [Luminance()]
    if found.shrunk > 1:
        steps.append(Shrink(found.shrunk))
    if found.background != "none":
        nudge = NUDGE * found.contrast if found.background == "rolling" else 0.0
        steps.append(Background(found.background, found.still, nudge))
    black = QUIET * found.noise
    if found.background == "none":
        black += float(np.median(found.still)) * (-1 if found.polarity == "dark" else 1)
    steps += [
        Polarity(found.polarity),
        Contrast(black, black - QUIET * found.noise + found.contrast),
        Resize(height, width, side),
    ]
    return Preparation(tuple(steps))


def _values(step: Step) -> dict[str, Any]:
    return {field.name: getattr(step, field.name) for field in fields(step)}  # type: ignore[arg-type]


def _plain(step: Step) -> dict[str, Any]:
    return {key: value for key, value in _values(step).items() if not isinstance(value, np.ndarray)}
