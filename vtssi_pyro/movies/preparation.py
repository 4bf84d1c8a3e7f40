"""From the frames of a movie to the frames that a model sees, and from places in these back to the movie."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields, is_dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.movies.inspection import Inspection
from vtssi_pyro.movies.members import npz_arrays
from vtssi_pyro.movies.movie import Movie
from vtssi_pyro.movies.transforms import (
    STEPS,
    Background,
    Contrast,
    Crop,
    Frames,
    Luminance,
    Polarity,
    Resize,
    Shrink,
    Step,
)
from vtssi_pyro.system.atomic import atomic_write

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
        return [" ".join([_registered(step) or type(step).__name__, *_told(step)]) for step in self.steps]

    def save(self, path: Path | str) -> None:
        """Write it as an ``.npz`` file.

        Raises:
            UsageError: a step of one's own that is not in ``STEPS``, or one that is not a dataclass of plain values and
                arrays.
        """
        described: list[dict[str, Any]] = []
        arrays: dict[str, np.ndarray] = {}
        for index, step in enumerate(self.steps):
            kind, name = type(step).__name__, _registered(step)
            if name is None or not is_dataclass(step):
                raise UsageError(
                    f"step {kind}: cannot be kept in a file; make it a dataclass and name it with "
                    f'vtssi_pyro.movies.transforms.STEPS["{kind.lower()}"] = {kind}'
                )
            images = {k: v for k, v in _values(step).items() if isinstance(v, np.ndarray)}
            described.append({"step": name, "images": list(images), **_plain(step)})
            arrays |= {f"{index}.{key}": value for key, value in images.items()}
        try:
            arrays["steps"] = np.frombuffer(json.dumps(described).encode(), np.uint8)
        except TypeError as error:
            raise UsageError(f"{path}: steps hold what is neither plain nor an array ({error})") from error
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
                name, images = values.pop("step"), values.pop("images")
                if name not in STEPS:
                    raise DataError(
                        f"{path}: holds a step called {name}, of {', '.join(STEPS)} none; one of your own must be "
                        "in vtssi_pyro.movies.transforms.STEPS before it is read"
                    )
                names = {f"{index}.{key}": key for key in images}
                found = npz_arrays(path, tuple(names))
                steps.append(STEPS[name](**values, **{names[key]: image for key, image in found.items()}))
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
    steps: list[Step] = [Crop(*found.crop)] if found.crop else []
    if found.shrunk > 1:
        steps.append(Shrink(found.shrunk))
    steps.append(Luminance())
    if found.background_image.any():  # nothing is taken from what is black already
        rate = LEARNING_RATE * found.contrast if found.background == "rolling" else 0.0
        steps.append(Background(found.background, found.background_image, rate))
    black = QUIET * found.noise
    steps += [
        Polarity(found.polarity),
        Contrast(black, black - QUIET * found.noise + found.contrast),
        Resize(height, width, side),
    ]
    return Preparation(tuple(steps))


def _registered(step: Step) -> str | None:
    """The name that files know the step by."""
    return next((name for name, kind in STEPS.items() if kind is type(step)), None)


def _values(step: Step) -> dict[str, Any]:
    if not is_dataclass(step):
        return {}
    return {field.name: getattr(step, field.name) for field in fields(step)}


def _plain(step: Step) -> dict[str, Any]:
    return {key: value for key, value in _values(step).items() if not isinstance(value, np.ndarray)}


def _told(step: Step) -> list[str]:
    return [f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in _plain(step).items()]
