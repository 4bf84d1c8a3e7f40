"""Accuracy of ``fit MOVIE``: movies with truth are drawn, saved like a user's, fitted and tracked.

python benchmarks/movies.py --out movies [--kinds blobs,rings,digits,beads,hues] [--threads 1] [--untrained]
"""

import argparse
import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.optimize import linear_sum_assignment

from vtssi_pyro.data.scenes import Drawn, scene
from vtssi_pyro.movies import write_film

# Kind of scene and its sizes, file, largest error of a tracked object, px; None: a quarter of the size, by which a
# point is still well inside the object.
MOVIES = {
    "blobs": ({"kind": "blobs", "side": 256, "size": 24}, "blobs.mp4", None),
    "rings": ({"kind": "rings", "side": 200, "size": 32}, "rings", None),
    "digits": ({"kind": "digits", "side": 100}, "digits.gif", None),
    "beads": ({"kind": "blobs", "side": 500, "objects": 5, "size": 20}, "beads.mp4", 4.0),
    "hues": ({"kind": "hues", "side": 160}, "hues.mp4", None),
}
BAR = 1.645  # standard deviations either side: 90 % of a normal density


def save(drawn: Drawn, path: Path) -> None:
    """Save a movie as an MP4, a GIF or a folder of PNG."""
    if path.suffix == ".mp4":
        colours = drawn.frames if drawn.frames.ndim == 4 else drawn.frames[..., None].repeat(3, -1)
        write_film(path, colours, 25.0)
    elif path.suffix == ".gif":
        first, *rest = (Image.fromarray(frame) for frame in drawn.frames)
        first.save(path, save_all=True, append_images=rest, duration=40, loop=0)
    else:
        path.mkdir(exist_ok=True)
        for index, frame in enumerate(drawn.frames):
            Image.fromarray(frame).save(path / f"{index}.png")


def tracked(drawn: Drawn, path: Path, tolerance: float) -> dict[str, float]:
    """Compute figures of a tracks.csv: objects and tracks are paired frame by frame by least distance, px."""
    rows = list(csv.DictReader(path.read_text().splitlines()))
    names = sorted({row["particle"] for row in rows})
    length, objects, _ = drawn.path.shape
    shape = length, max(len(names), objects), 2  # a missing track is 1e6 px away, farther than any other
    found, spread = (np.full(shape, unknown) for unknown in (1e6, np.nan))
    for row in rows:
        cell = int(row["frame"]), names.index(row["particle"])
        found[cell] = float(row["x"]), float(row["y"])
        spread[cell] = float(row["x_std"]), float(row["y_std"])
    distance = np.linalg.norm(drawn.path[:, :, None] - found[:, None], axis=-1)  # (T, N, tracks)
    pairs = [linear_sum_assignment(np.minimum(d, 10 * tolerance)) for d in distance]
    errors = np.array([d[i, j] for d, (i, j) in zip(distance, pairs, strict=True)])
    mine = np.array([j for _, j in pairs])
    own = np.take_along_axis(found, mine[..., None], 1), np.take_along_axis(spread, mine[..., None], 1)
    gaps = np.linalg.norm(drawn.path[:, :, None] - drawn.path[:, None], axis=-1)
    gaps[:, np.arange(gaps.shape[1]), np.arange(gaps.shape[1])] = np.inf
    alone = gaps.min(-1) > drawn.size  # (T, N)
    switched = (mine[1:] != mine[:-1]) & alone[1:] & alone[:-1]
    return {
        "objects": drawn.path.shape[1],
        "tracks": len(names),
        "tracked": float((errors < tolerance).mean(0).min()),  # share of the worst object's frames
        "error_px": float(errors.mean()),
        "median_px": float(np.median(errors)),
        "switches_apart": int(switched.sum()),
        "std_px": float(np.nanmedian(own[1])),
        "within_90": float((np.abs(own[0] - drawn.path) < BAR * own[1])[errors < tolerance].mean()),
    }


def tell(kind: str, figures: dict[str, float]) -> None:
    """Print the figures of a movie in a line."""
    print(kind, " ".join(f"{key} {value:.4g}" for key, value in figures.items()), flush=True)


def main() -> None:
    """Fit and judge every movie in turn; a line each, and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kinds", default=",".join(MOVIES))
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--threads", default="1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--untrained", action="store_true", help="track without fit, and time the command")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for kind in options.kinds.split(","):
        sizes, name, tolerance = MOVIES[kind]
        drawn = scene(**sizes, seed=options.seed)
        path, run, out = (options.out / part for part in (name, f"run-{kind}", f"tracks-{kind}"))
        save(drawn, path)
        command = [sys.executable, "-m", "vtssi_pyro.cli"]
        if options.untrained:
            began = time.perf_counter()
            subprocess.run(
                [*command, "track", "untrained", path, "--threads", options.threads, "--out", out], check=True
            )
            taken = {"seconds": time.perf_counter() - began}
            tell(kind, tracked(drawn, out / "tracks.csv", tolerance or drawn.size / 4) | taken)
            continue
        if not (run / "summary.json").exists():
            begun = ["--resume"] if run.exists() else ["--preset", options.preset]
            fit = [*command, "fit", path, *begun, "--threads", options.threads, "--out", run]
            subprocess.run(fit, check=True)
        subprocess.run([*command, "track", run, path, "--out", out], check=True)
        figures = tracked(drawn, out / "tracks.csv", tolerance or drawn.size / 4)
        summary = json.loads((run / "summary.json").read_text())
        figures["minutes"] = summary["minutes"]
        for name in ("drift", "straight"):  # 15 frames ahead
            figures[f"{name}_px"] = summary["held_out"][name][-1]
        (options.out / f"{kind}.json").write_text(json.dumps(figures, indent=2))
        tell(kind, figures)


if __name__ == "__main__":
    main()
