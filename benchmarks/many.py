"""How much faster several workers track many movies than one process does, from a command's begin to its end.

python benchmarks/many.py [--movies 8] [--workers 2] [--frames 400] [--out many]

Needs the extra named dask, and as many idle cores as there are workers: the load before each run is printed beside its
time.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from vtssi_pyro.data.scenes import scene


def drawn(folder: Path, movies: int, frames: int) -> list[str]:
    """Draw movies that are not there yet; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"movie-{seed}-{frames}.npy" for seed in range(movies)]
    for seed, path in enumerate(paths):
        if not path.exists():
            np.save(path, scene("blobs", length=frames, side=200, objects=4, size=18, seed=seed).frames)
    return [str(path) for path in paths]


def timed(movies: list[str], out: Path, *options: str) -> dict[str, float]:
    """Seconds of a command that tracks movies anew, and the load of the minute before."""
    shutil.rmtree(out, ignore_errors=True)
    load, begun = os.getloadavg()[0], time.perf_counter()
    command = [
        sys.executable,
        "-m",
        "vtssi_pyro.cli",
        "track",
        "untrained",
        *movies,
        "--out",
        str(out),
        *options,
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return {"seconds": time.perf_counter() - begun, "load_before": load}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--movies", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--out", type=Path, default=Path("many"))
    given = parser.parse_args()
    movies = drawn(given.out / "movies", given.movies, given.frames)
    alone = timed(movies, given.out / "alone", "--threads", "1")
    shared = timed(movies, given.out / "shared", "--workers", str(given.workers))
    same = (given.out / "alone/summary.csv").read_bytes() == (given.out / "shared/summary.csv").read_bytes()
    print(json.dumps({
        "movies": given.movies, "workers": given.workers, "cores": os.cpu_count(), "alone": alone, "shared": shared,
        "faster": alone["seconds"] / shared["seconds"], "same_tracks": same,
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
