"""Preparation of a movie's frames for a model, and the map of points between both."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.movies.arena import inside
from vtssi_pyro.movies.inspection import Inspection
from vtssi_pyro.movies.members import npz_arrays
from vtssi_pyro.movies.movie import Movie
from vtssi_pyro.movies.stored import COLOUR, GREY, Stored
from vtssi_pyro.movies.transforms import (
    TRANSFORMS,
    Background,
    Blank,
    Colours,
    Contrast,
    Crop,
    Frames,
    Luminance,
    Polarity,
    Resize,
    Shrink,
    Transform,
)
from vtssi_pyro.system.atomic import atomic_write
from vtssi_pyro.system.plain import parsed

FILE = "preparation.npz"  # the file's name in the folder of a run or of an inspection
QUIET = 2.0  # standard deviations of the noise that become black
LEARNING_RATE = 0.02  # step of a rolling background towards a frame, as a share of the contrast


@dataclass(frozen=True)
class Preparation:
    """A sequence of transforms; any of them can be left out, replaced, or written anew.

    Args:
        transforms: the transforms, the first first.
        stored: how the camera's frames are stored: their axes, the chosen channel, the values of black and white.
    """

    transforms: tuple[Transform, ...]
    stored: Stored = Stored()

    def __call__(self, movie: Movie | Iterable[np.ndarray]) -> Frames:
        """Prepare the frames one by one; each iteration starts anew. Beyond the arena they are black."""
        prepared = reduce(lambda frames, transform: transform(frames), self.transforms, iter(movie))
        return prepared if self.stored.arena is None else self._within(prepared, self.stored.arena)

    def _within(self, frames: Frames, of: str) -> Frames:
        """Make prepared frames black where their pixels' centres are beyond an arena."""
        mask: np.ndarray | None = None
        for frame in frames:
            if mask is None:
                y, x = np.mgrid[: frame.shape[0], : frame.shape[1]] + 0.5
                mask = inside(of, self.to_source(np.stack([x, y], -1)))
            yield np.where(mask if frame.ndim == 2 else mask[..., None], frame, np.zeros_like(frame))

    def to_model(self, points: np.ndarray) -> np.ndarray:
        """Map points (..., 2), (x, y) in pixels, from the movie to the prepared frames."""
        return reduce(
            lambda places, transform: transform.to_model(places), self.transforms, np.asarray(points, float)
        )

    def to_source(self, points: np.ndarray) -> np.ndarray:
        """Map points (..., 2), (x, y) in pixels, from the prepared frames to the movie."""
        return reduce(
            lambda places, transform: transform.to_source(places),
            reversed(self.transforms),
            np.asarray(points, float),
        )

    @property
    def ratios(self) -> np.ndarray:
        """Pixels of a prepared frame per pixel of the movie, along x and y, (2,)."""
        zero, one = self.to_model(np.array([[0.0, 0.0], [1.0, 1.0]]))
        return one - zero

    @property
    def ratio(self) -> float:
        """The larger of both."""
        return float(self.ratios.max())

    def sized(self, side: int) -> "Preparation":
        """Return the same preparation for a model whose frames have ``side`` pixels a side."""
        sized = tuple(replace(t, side=side) if isinstance(t, Resize) else t for t in self.transforms)
        return replace(self, transforms=sized)

    def fine(self, factor: int = 1) -> "Preparation | None":
        """The same preparation without what costs detail: differences from the background, of either sign, as they are.

        Args:
            factor: side in pixels of squares that are averaged to one.

        Returns:
            the preparation; None if a transform follows the resizing, which would have other frames before it.
        """
        kept = tuple(t for t in self.transforms if not isinstance(t, Polarity | Contrast | Resize))
        sizes = [k for k, t in enumerate(self.transforms) if isinstance(t, Resize)]
        if sizes and sizes[-1] < len(self.transforms) - 1:
            return None
        return replace(self, transforms=(*kept, *((Shrink(factor),) if factor > 1 else ())))

    @property
    def channel(self) -> str | None:
        """What it reads of colours, ``grey`` or ``colour``; None: as its own transforms do."""
        for transform in self.transforms:
            if isinstance(transform, Luminance | Colours):
                return GREY if isinstance(transform, Luminance) else COLOUR
        return None

    @property
    def oblong(self) -> bool:
        """Whether the frames that it fits into a square are none."""
        return any(t.height != t.width for t in self.transforms if isinstance(t, Resize))

    def lines(self) -> list[str]:
        """Describe the transforms, line by line, for people."""
        return [" ".join([_registered(t) or type(t).__name__, *_settings(t)]) for t in self.transforms]

    def save(self, path: Path | str) -> None:
        """Write the preparation to an ``.npz`` file.

        Raises:
            UsageError: see :meth:`arrays`.
        """
        arrays = self.arrays()
        with atomic_write(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    def arrays(self) -> dict[str, np.ndarray]:
        """Describe the preparation by arrays alone, by name.

        Raises:
            UsageError: a transform is not in ``TRANSFORMS``, or is no dataclass of plain values and arrays.
        """
        described: list[dict[str, Any]] = []
        arrays: dict[str, np.ndarray] = {}
        for index, transform in enumerate(self.transforms):
            kind, name = type(transform).__name__, _registered(transform)
            if name is None or not is_dataclass(transform):
                raise UsageError(
                    f"transform {kind}: cannot be kept in a file; make it a dataclass and name it with "
                    f'vtssi_pyro.movies.transforms.TRANSFORMS["{kind.lower()}"] = {kind}'
                )
            images = {k: v for k, v in _values(transform).items() if isinstance(v, np.ndarray)}
            described.append({"step": name, "images": list(images), **_plain(transform)})
            arrays |= {f"{index}.{key}": value for key, value in images.items()}
        try:
            arrays["steps"] = np.frombuffer(json.dumps(described).encode(), np.uint8)
        except TypeError as error:
            raise UsageError(f"transforms hold what is neither plain nor an array ({error})") from error
        arrays["stored"] = np.frombuffer(json.dumps(self.stored.as_dict()).encode(), np.uint8)
        return arrays

    @classmethod
    def load(cls, path: Path | str) -> "Preparation":
        """Read the file of :meth:`save`.

        Raises:
            DataError: the file holds no preparation.
        """
        path = Path(path)
        try:
            kept = npz_arrays(path, ("steps", "stored"))
            described = parsed(kept["steps"].tobytes())
            # former versions left numbers as they are
            stored = (
                Stored.from_dict(parsed(kept["stored"].tobytes())) if "stored" in kept else Stored(plain=True)
            )
            transforms = []
            for index, values in enumerate(described):
                name, images = values.pop("step"), values.pop("images")
                if name not in TRANSFORMS:
                    raise DataError(
                        f"{path}: holds a transform called {name}, of {', '.join(TRANSFORMS)} none; one of your own "
                        "must be in vtssi_pyro.movies.transforms.TRANSFORMS before it is read"
                    )
                names = {f"{index}.{key}": key for key in images}
                found = npz_arrays(path, tuple(names))
                transforms.append(
                    TRANSFORMS[name](**values, **{names[key]: image for key, image in found.items()})
                )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{path}: is no preparation of movies ({error})") from error
        return cls(tuple(transforms), stored)


def suggested_preparation(found: Inspection, side: int) -> Preparation:
    """Choose the preparation that suits an inspected movie.

    Args:
        found: the result of :func:`vtssi_pyro.movies.inspection.inspect`.
        side: side of the model's frames, pixels.
    """
    height, width = found.background_image.shape[:2]
    transforms: list[Transform] = [Crop(*found.crop)] if found.crop else []
    if found.shrunk > 1:
        transforms.append(Shrink(found.shrunk))
    transforms.append(Colours() if found.in_colour else Luminance())
    if found.background_image.any():  # a black background needs no subtraction
        rate = LEARNING_RATE * found.contrast if found.background == "rolling" else 0.0
        shaken = found.shaken / found.shrunk
        transforms.append(Background(found.background, found.background_image, rate, shaken))
    if found.stamps:
        transforms.append(Blank([tuple(length // found.shrunk for length in box) for box in found.stamps]))
    black = QUIET * found.noise
    transforms += [
        Polarity(found.polarity),
        Contrast(black, found.contrasts or black - QUIET * found.noise + found.contrast),
        Resize(height, width, side),
    ]
    return Preparation(tuple(transforms))


def _registered(transform: Transform) -> str | None:
    """The name of a transform in files."""
    return next((name for name, kind in TRANSFORMS.items() if kind is type(transform)), None)


def _values(transform: Transform) -> dict[str, Any]:
    if not is_dataclass(transform):
        return {}
    return {field.name: getattr(transform, field.name) for field in fields(transform)}


def _plain(transform: Transform) -> dict[str, Any]:
    return {key: value for key, value in _values(transform).items() if not isinstance(value, np.ndarray)}


def _settings(transform: Transform) -> list[str]:
    return [f"{key}={_spelled(value)}" for key, value in _plain(transform).items()]


def _spelled(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(_spelled, value))
    return f"{value:.4g}" if isinstance(value, float) else f"{value}"
