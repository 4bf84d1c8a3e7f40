"""Draw the sample movies that ship: beads as a camera might see them, with their true places.

Each movie is drawn, not recorded. The files in the package are made by this script, and drawing them again shows it:

python benchmarks/sample.py [--folder DIR]
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vtssi_pyro.data.samples import FOLDER
from vtssi_pyro.system.atomic import atomic_write

SEED = 7
HEIGHT, WIDTH, LENGTH = 112, 144, 80  # pixels, frames; more would, with its noise, be more than a megabyte
BEADS = 4
BOX = 13.0  # px, side of the box around a bead's outer ring
APART = 14.0  # px between beads at least: they pass each other closely, but are never one spot
MARGIN = 10.0  # px from the border at least
SPEED, MEMORY, SHAKE = 0.8, 0.9, 0.35  # px/frame of the flow, its autocorrelation, px of Brownian steps
DRIFT = np.array([5.0, -3.0])  # px, of the stage over the whole movie
# Standard deviations of the noise, of full scale: of the reading, and of the light at full scale.
READ, SHOT = 0.010, 0.035
BLEACHED = 0.15  # share of the beads' light that is lost over the movie
HOT = 12  # pixels that are too bright in all frames


class Movie(NamedTuple):
    """A movie and its truth."""

    frames: np.ndarray  # (T, H, W) uint8
    positions: np.ndarray  # (T, N, 2) centres, px, (0.5, 0.5) in the centre of the first pixel
    boxes: np.ndarray  # (T, N, 2) px


def beads(seed: int = SEED) -> Movie:
    """Ringed beads in a slow flow: drifting stage, uneven light, bleaching, shot and reading noise, hot pixels."""
    rng = np.random.default_rng(seed)
    path = _paths(rng)
    y, x = np.mgrid[0.5:HEIGHT, 0.5:WIDTH]
    away = np.hypot((x - 0.6 * WIDTH) / WIDTH, (y - 0.4 * HEIGHT) / HEIGHT)
    light = 1.0 - 0.7 * away**2  # of a lamp that is not centred
    background = 0.22 * light + 0.05 * x / WIDTH
    background -= 0.06 * np.exp(-0.5 * ((x - 30) ** 2 + (y - 84) ** 2) / 9.0**2)  # dust on the camera
    hot = rng.integers(0, HEIGHT, HOT), rng.integers(0, WIDTH, HOT)
    brightness = rng.uniform(0.45, 0.6, BEADS)
    frames = np.empty((LENGTH, HEIGHT, WIDTH), np.uint8)
    for t, places in enumerate(path):
        image = background.copy()
        for place, bright in zip(places, brightness, strict=True):
            distance = np.hypot(x - place[0], y - place[1])
            image += bright * (1 - BLEACHED * t / LENGTH) * light * _ringed(distance)
        noise = np.hypot(READ, SHOT * np.sqrt(image.clip(0))) * rng.standard_normal(image.shape)
        image += noise
        image[hot] += 0.25
        frames[t] = np.round(255 * image.clip(0, 1))
    return Movie(frames, path.astype(np.float32), np.full(path.shape, BOX, np.float32))


def _ringed(distance: np.ndarray) -> np.ndarray:
    """The image of a bead a little out of focus: a bright core, and a faint ring."""
    return np.exp(-0.5 * (distance / 2.0) ** 2) + 0.3 * np.exp(-0.5 * ((distance - 5.0) / 1.0) ** 2)


def _paths(rng: np.random.Generator) -> np.ndarray:
    """Paths (T, N, 2) that stay in the frame and apart, drawn until they do."""
    low, high = np.full(2, MARGIN), np.array([WIDTH, HEIGHT]) - MARGIN
    drift = DRIFT * np.linspace(0, 1, LENGTH)[:, None] + 0.6 * np.sin(np.arange(LENGTH) / 9.0)[:, None]
    while True:
        place = rng.uniform(low, high, (BEADS, 2))
        flow = SPEED * rng.standard_normal((BEADS, 2))
        path = np.empty((LENGTH, BEADS, 2))
        for t in range(LENGTH):
            path[t] = place + drift[t]
            flow = MEMORY * flow + SPEED * np.sqrt(1 - MEMORY**2) * rng.standard_normal((BEADS, 2))
            place = place + flow + SHAKE * rng.standard_normal((BEADS, 2))
        far = np.linalg.norm(path[:, :, None] - path[:, None], axis=-1) + 1e9 * np.eye(BEADS)
        if (path > low).all() and (path < high).all() and far.min() > APART:
            return path


MOVIES = {"beads": beads}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to write [default: the package's]")
    chosen = parser.parse_args(arguments)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    for name, draw in MOVIES.items():
        path = chosen.folder / f"{name}.npz"
        with atomic_write(path) as part:
            np.savez_compressed(part, **draw()._asdict())
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
