"""Many beads that look alike, move straight and meet often: do tracks keep to them?

A track leaps where it goes farther from a frame to the next than LEAP times a bead's way. It changes beads where the
bead that it is assigned to is another one than in the last frame in which it was assigned to any.

python benchmarks/crowd.py [--seeds 2] [--beads 100] [--frames 40] [--side 320] [--speed 2] [--threads 1]
"""

import argparse

import numpy as np
import torch
from brownian import NOISE, WALL, pictured, reflected
from scipy.optimize import linear_sum_assignment

from vtssi_pyro import track
from vtssi_pyro.movies import array_movie

NEAR = 3.0  # px within which a track is of a bead
LEAP = 2.5  # times the way of a bead from a frame to the next


def drawn(seed: int, beads: int, frames: int, side: int, speed: float) -> tuple[np.ndarray, np.ndarray]:
    """A movie (T, H, W) uint8, and its paths (T, N, 2), px."""
    rng = np.random.default_rng(seed)
    first, angle = rng.uniform(WALL, side - WALL, (beads, 2)), rng.uniform(0, 2 * np.pi, beads)
    step = speed * np.stack([np.cos(angle), np.sin(angle)], -1)
    path = reflected(first + step * np.arange(frames)[:, None, None], side)
    return pictured(path, side, NOISE, rng), path


def assigned(position: np.ndarray, path: np.ndarray) -> np.ndarray:
    """The bead of each track in each frame, (T, K), -1 for none."""
    beads = np.full(position.shape[:2], -1)
    for own, places, true in zip(beads, position, path, strict=True):
        far = np.nan_to_num(np.linalg.norm(true[:, None] - places, axis=-1), nan=np.inf)
        rows, columns = linear_sum_assignment(np.minimum(far, 2 * NEAR))
        near = far[rows, columns] < NEAR
        own[columns[near]] = rows[near]
    return beads


def judged(position: np.ndarray, path: np.ndarray, speed: float) -> dict[str, float]:
    """What tracks (T, K, 2), nan where they are not, do beside true paths (T, N, 2)."""
    beads = assigned(position, path)
    known = [own[own >= 0] for own in beads.T]
    way = np.linalg.norm(np.diff(position, axis=0), axis=-1)
    return {
        "tracks": position.shape[1],
        "recall": float((beads >= 0).sum() / path[..., 0].size),
        # tracks and frames without a bead
        "nobody": int((np.isfinite(position[..., 0]) & (beads < 0)).sum()),
        "changes": sum(int(np.count_nonzero(np.diff(own))) for own in known),
        "leaps": int((way > LEAP * speed).sum()),
    }


def main() -> None:
    """Judge a movie of each seed; a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--beads", type=int, default=100)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--side", type=int, default=320)
    parser.add_argument("--speed", type=float, default=2.0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for seed in range(options.seeds):
        movie, path = drawn(seed, options.beads, options.frames, options.side, options.speed)
        found = track("untrained", array_movie("beads", movie)).tracks
        position = np.where(found.present[0].numpy()[..., None], found.position[0].numpy(), np.nan)
        told = judged(position, path, options.speed)
        print(seed, " ".join(f"{key} {value:.4g}" for key, value in told.items()), flush=True)


if __name__ == "__main__":
    main()
