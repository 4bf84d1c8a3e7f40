"""From the frames of a movie to the frames that a model sees, and from places in these back to the movie."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from vtssi_pyro.atomic import atomic_write
from vtssi_pyro.errors import DataError
from vtssi_pyro.movies.inspection import Inspection
from vtssi_pyro.movies.members import npz_arrays
from vtssi_pyro.movies.movie import Movie
from vtssi_pyro.movies.steps import (
    NAMES,
    STEPS,
    Background,
    Contrast,
    Frames,
    Luminance,
    Polarity,
    Resize,
    Shrink,
    Step,
)

QUIET = 2.0  # of the noise's standard deviation: what stays black
LEARNING_RATE = 0.02  # of the contrast: by how much a rolling background follows a frame


@dataclass(frozen=True)
class Preparation:
    """Steps, in order; leave one out, put another in its place, or write a new one."""

    steps: tuple[Step, ...]

    def __call__(self, movie: Movie | Iterable[np.ndarray]) -> Frames:
        """The frames that a model sees, one by one, as often as asked for."""
        return reduce(lambda frames, step: step(frames), self.steps, iter(movie))

    def to_model(self, points: np.ndarray) -> np.ndarray:
        """Where points (..., 2) of the movie, (x, y) in pixels, are in the frames that a model sees."""
        return reduce(lambda places, step: step.to_model(places), self.steps, np.asarray(points, float))

    def to_source(self, points: np.ndarray) -> np.ndarray:
        """Where points of the frames that a model sees are in the movie."""
        return reduce(
            lambda places, step: step.to_source(places), reversed(self.steps), np.asarray(points, float)
        )

    def lines(self) -> list[str]:
        """What is done, for people."""
        return [
            " ".join([NAMES[type(step)], *(f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}"
                      for key, value in _plain(step).items())])
            for step in self.steps
        ]  # fmt: skip

    def save(self, path: Path | str) -> None:
        """Write it as an ``.npz`` file."""
        described: list[dict[str, Any]] = []
        arrays: dict[str, np.ndarray] = {}
        for index, step in enumerate(self.steps):
            images = {k: v for k, v in _values(step).items() if isinstance(v, np.ndarray)}
            described.append({"step": NAMES[type(step)], "images": list(images), **_plain(step)})
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


def suggested_preparation(found: Inspection, side: int) -> Preparation:
    """What suits a movie that was inspected.

    Args:
        found: what :func:`vtssi_pyro.movies.inspection.inspect` said.
        side: of the frames that the model sees, pixels.
    """
    height, width = found.background_image.shape
    steps: list[Step] = [Luminance()]
    if found.shrunk > 1:
        steps.append(Shrink(found.shrunk))
    if found.background != "none":
        rate = LEARNING_RATE * found.contrast if found.background == "rolling" else 0.0
        steps.append(Background(found.background, found.background_image, rate))
    black = QUIET * found.noise
    if found.background == "none":
        black += float(np.median(found.background_image)) * (-1 if found.polarity == "dark" else 1)
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
