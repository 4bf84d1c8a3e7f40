"""Sampled futures of a tracker on MNIST's test digits, by kind of motion, and predictions far ahead.

python benchmarks/futures.py moving-mnist --sequences 250 --far 1000 --threads 1
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from vtssi_pyro import load, load_digits, moving_digits
from vtssi_pyro.data import MovingDigits
from vtssi_pyro.evaluation.assessment import assess
from vtssi_pyro.evaluation.calibration import Calibration
from vtssi_pyro.evaluation.futures import calibrate_tracker, futures
from vtssi_pyro.inference.filter import forecast
from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.system.machine import prepare
from vtssi_pyro.tracks.matching import assign, cut
from vtssi_pyro.tracks.tracks import Tracks, concatenated
from vtssi_pyro.train.splits import CALIBRATION_SEED, LONG_SEED, TABLE_SEED

KINDS = {"linear": ("linear", "linear-overlap"), "elliptic": ("elliptic", "elliptic-overlap")}
OBSERVE = 5
HORIZONS = (1, 5, 10, 15)
FAR = 70  # frames of a sequence for predictions far ahead: 20 observed, 50 predicted
BOUNDED = 1000  # frames within which predictions must stay in the frame


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="name of weights that ship, or folder of a run")
    parser.add_argument("--sequences", type=int, default=250, help="of each of the four flavours")
    parser.add_argument("--far", type=int, default=1000, help="sequences of predictions far ahead; 0: none")
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument(
        "--recalibrated", action="store_true", help="also after a calibration on other digits"
    )
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path, help="file for all figures")
    options = parser.parse_args()
    prepare(options.threads)
    tracker, found = load(options.source), dict[str, Any]()
    if options.sequences:
        found["futures"] = sampled(tracker, options.sequences, options.samples, options.temperature)
        if options.recalibrated:
            data = moving_digits(
                "mixed", load_digits("mnist", "validation"), sequences=500, seed=CALIBRATION_SEED
            )
            known = calibrate_tracker(tracker, data, OBSERVE, options.samples, truth=data.truth)
            print(f"recalibrated, temperature {known.temperature}")
            found["recalibrated"] = sampled(
                tracker, options.sequences, options.samples, known.temperature, known
            )
    if options.far:
        found["far"] = {kind: far(tracker, kind, options.far) for kind in KINDS}
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


def sampled(
    tracker: Tracker, sequences: int, samples: int, temperature: float, calibration: Calibration | None = None
) -> dict[str, Any]:
    """Assess futures by kind of motion and of all, and print their coverage and CRPS."""
    parts: dict[str, tuple[Tracks, Tracks]] = {}
    for flavour in (flavour for kind in KINDS.values() for flavour in kind):
        data = digits(flavour, sequences, TABLE_SEED)
        drawn = futures(tracker, data, OBSERVE, samples, temperature)
        assert data.truth is not None
        parts[flavour] = data.truth, drawn if calibration is None else calibration(drawn, OBSERVE)
    found = {}
    for kind, flavours in (KINDS | {"all": tuple(parts)}).items():
        truth, drawn = (concatenated(list(each)) for each in zip(*(parts[f] for f in flavours), strict=True))
        assessed = assess(truth, drawn, OBSERVE)
        found[kind] = assessed.as_dict()
        holds = {
            level: [row[assessed.levels.index(level)] for row in assessed.coverage if row]
            for level in (0.5, 0.9)
        }
        shown = "  ".join(
            f"{h}: {100 * holds[0.5][h - 1]:.0f} {100 * holds[0.9][h - 1]:.0f} {assessed.crps[h - 1]:.2f} px"
            for h in HORIZONS
        )
        ranges = "; ".join(
            f"{level:.0%} regions hold {100 * min(each):.1f} to {100 * max(each):.1f} %"
            for level, each in holds.items()
        )
        print(f"{kind:9}{shown}  ({ranges})", flush=True)
    return found


def far(tracker: Tracker, kind: str, sequences: int) -> dict[str, list[float]]:
    """Mean error per object, px, by horizon, after some numbers of observed frames; and the farthest coordinate."""
    data, found = digits(kind, sequences, LONG_SEED, FAR), dict[str, list[float]]()
    assert data.truth is not None
    true, horizon = cut(data.truth, 0), FAR - 20
    for observed in (OBSERVE, 20):
        parts = [
            forecast(tracker, data.frames(index, length=observed), horizon).tracks
            for index in torch.arange(sequences).split(64)
        ]
        tracks = concatenated(parts)
        slots = assign(data.truth.part(frames=slice(observed + horizon)), tracks, observed)
        b, n = (true.present[:, 0] & (slots >= 0)).nonzero(as_tuple=True)
        difference = tracks.position[b, :, slots[b, n]] - true.position[b, : observed + horizon, n]
        error = difference[:, observed:].norm(dim=-1).nanmean(0).tolist()
        found[f"after {observed}"] = error
        shown = "  ".join(f"{h}: {error[h - 1]:.2f} px" for h in (*HORIZONS, 30, 50))
        print(f"{kind:9}after {observed:2}  {shown}", flush=True)
    some = data.frames(torch.arange(min(sequences, 64)), length=20)
    long = forecast(tracker, some, BOUNDED).tracks.position
    reach = [long[~long.isnan()].min().item(), long[~long.isnan()].max().item()]
    print(
        f"{kind:9}coordinates of {BOUNDED} predicted frames: {reach[0]:.1f} to {reach[1]:.1f} px", flush=True
    )
    return found | {"reach": reach}


def digits(flavour: str, sequences: int, seed: int, length: int = 20) -> MovingDigits:
    return moving_digits(flavour, load_digits("mnist", "test"), sequences=sequences, seed=seed, length=length)


if __name__ == "__main__":
    main()
