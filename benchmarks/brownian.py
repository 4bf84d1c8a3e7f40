"""Physics of Brownian beads: is the mean squared displacement of tracks that of the true paths?

Movies of beads that diffuse are drawn and tracked, untrained or with a run. Tracks are compared with the true paths of
the same frames, bead by bead, and their errors with the least that an unbiased estimate can have in this noise (Cramer
and Rao): of a bead by itself, the distance is noise / HEIGHT on average, 0.04 px.

python benchmarks/brownian.py [--seeds 5] [--beads 20] [--frames 500] [--noise 0.02] [--tracker untrained] [--threads 1]
"""

import argparse

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from vtssi_pyro import track
from vtssi_pyro.movies import array_movie

SIDE = 256  # px
WALL = 12.0  # px from an edge
STEP = 0.9  # standard deviation of a bead's displacement per frame and axis, px
WIDTH = 2.5  # standard deviation of a bead's image, px: it is some 10 px large
HEIGHT = 0.5  # of it, of full scale
NOISE = 0.02  # standard deviation of a pixel's, of full scale
CLOSEST = 16.0  # px between beads at first
LAGS = range(1, 11)  # frames
BAR = 1.645  # standard deviations either side: 90 % of a normal density


def drawn(seed: int, beads: int, frames: int, noise: float = NOISE) -> tuple[np.ndarray, np.ndarray]:
    """A movie (T, H, W) uint8, and its paths (T, N, 2), px; walls reflect."""
    rng = np.random.default_rng(seed)
    first: list[np.ndarray] = []
    while len(first) < beads:
        place = rng.uniform(WALL, SIDE - WALL, 2)
        if all(np.hypot(*(place - other)) > CLOSEST for other in first):
            first.append(place)
    walk = np.stack(first) + STEP * rng.standard_normal((frames, beads, 2)).cumsum(0)
    path = reflected(walk, SIDE)
    return pictured(path, SIDE, noise, rng), path


def reflected(way: np.ndarray, side: int) -> np.ndarray:
    """Paths (T, N, 2) within a square frame, px, of which walls near its edges reflect what goes beyond them."""
    low, period = WALL, 2 * (side - 2 * WALL)
    return low + np.abs((way - low + period / 2) % period - period / 2)


def pictured(path: np.ndarray, side: int, noise: float, rng: np.random.Generator) -> np.ndarray:
    """A movie (T, H, W) uint8 of beads on paths (T, N, 2), px."""
    y, x = np.mgrid[0.5:side, 0.5:side]
    movie = np.empty((len(path), side, side), np.uint8)
    for t, places in enumerate(path):
        image = 0.15 + noise * rng.standard_normal(x.shape)
        for px, py in places:
            image += HEIGHT * np.exp(-0.5 * ((x - px) ** 2 + (y - py) ** 2) / WIDTH**2)
        movie[t] = np.round(255 * image.clip(0, 1))
    return movie


def bound(path: np.ndarray, noise: float) -> np.ndarray:
    """The least mean distance of unbiased estimates from places (T, N, 2) of beads known but for these, (T, N)."""
    apart = path[:, :, None] - path[:, None]
    shared = np.exp(-(apart**2).sum(-1) / (4 * WIDTH**2))[..., None, None]
    bent = np.eye(2) - apart[..., :, None] * apart[..., None, :] / (2 * WIDTH**2)
    number = path.shape[1]
    information = (np.pi / 2 * (HEIGHT / noise) ** 2 * shared * bent).swapaxes(2, 3)
    least = np.linalg.inv(information.reshape(len(path), 2 * number, 2 * number))
    variance = np.diagonal(least, axis1=1, axis2=2).reshape(path.shape)
    return np.sqrt(np.pi / 4 * variance.sum(-1))  # the mean of Rayleigh's distribution


def squared(path: np.ndarray, lag: int) -> float:
    """Mean squared displacement over a lag, px^2, where both ends are known."""
    return float(np.nanmean(((path[lag:] - path[:-lag]) ** 2).sum(-1)))


def judged(movie: np.ndarray, path: np.ndarray, tracker: str, noise: float = NOISE) -> dict[str, float]:
    """Ratios of displacements, errors and coverage of the tracks of a movie."""
    found = track(tracker, array_movie("beads", movie)).tracks
    position, present = found.position[0].numpy(), found.present[0].numpy()
    position = np.where(present[..., None], position, np.nan)
    far = np.nan_to_num(np.linalg.norm(path[:, :, None] - position[:, None], axis=-1), nan=SIDE)
    rows, columns = linear_sum_assignment(np.minimum(far, SIDE / 8).mean(0))
    own, true = position[:, columns], path[:, rows]
    assert found.scale is not None
    spread = found.scale[0].numpy()[:, columns]
    near = np.linalg.norm(own - true, axis=-1) < WIDTH  # a track that has changed beads says nothing of steps
    own = np.where(near[..., None], own, np.nan)
    true = np.where(near[..., None], true, np.nan)
    error = own - true
    ratios = [squared(own, lag) / squared(true, lag) for lag in LAGS]
    return {
        "tracks": position.shape[1],
        "followed": float(near.mean()),
        "msd_1": ratios[0],
        "msd_10": ratios[-1],
        "msd_worst": max(ratios, key=lambda ratio: abs(ratio - 1)),
        "error_px": float(np.nanmean(np.linalg.norm(error, axis=-1))),
        "bound_px": float(bound(path, noise)[:, rows][near].mean()),
        "offset_px": float(np.nanmean(np.linalg.norm(np.nanmean(error, 0), axis=-1))),
        "within_90": float(np.mean(np.abs(error[near]) < BAR * spread[near])),
    }


def main() -> None:
    """Judge a movie of each seed; a line each, and their mean."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--beads", type=int, default=20)
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--noise", type=float, default=NOISE)
    parser.add_argument("--tracker", default="untrained")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    figures = []
    for seed in range(options.seeds):
        figures.append(
            judged(*drawn(seed, options.beads, options.frames, options.noise), options.tracker, options.noise)
        )
        print(seed, " ".join(f"{key} {value:.4g}" for key, value in figures[-1].items()), flush=True)
    mean = {key: np.mean([each[key] for each in figures]) for key in figures[0]}
    print("mean", " ".join(f"{key} {value:.4g}" for key, value in mean.items()))


if __name__ == "__main__":
    main()
