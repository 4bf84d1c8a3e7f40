"""Weights that ship, or a run, judged on held-out sequences of each of the paper's four flavours.

By the paper's rule the first five frames decide the objects; the count from all frames stands beside.

python benchmarks/shipped.py moving-mnist --sequences 10000 --threads 1

With --familiar it notes in the card instead how well validation digits fit, with which users' frames are compared; with
--calibrate, a calibration of sampled futures on validation digits.

python benchmarks/shipped.py moving-mnist --sequences 400 --familiar --threads 1
python benchmarks/shipped.py moving-mnist --sequences 1000 --calibrate --threads 1
"""

import argparse
import json
from pathlib import Path
from typing import Any

from vtssi_pyro import judge, load, load_digits, moving_digits
from vtssi_pyro.artifacts.shipped import FOLDER, card
from vtssi_pyro.evaluation.futures import calibrate_tracker
from vtssi_pyro.evaluation.held_out import familiar
from vtssi_pyro.system.atomic import write_json
from vtssi_pyro.system.machine import prepare
from vtssi_pyro.train.splits import CALIBRATION_SEED, TABLE_SEED

FLAVOURS = ("linear", "linear-overlap", "elliptic", "elliptic-overlap")
OBSERVE = 5  # as in the paper
MEASURES = ("count_accuracy", "inference_error", "prediction_error")
SHOWN = tuple(f"{name}{end}" for name in MEASURES for end in ("", "_sem"))


def main() -> None:
    """Print a line for each flavour, and write all metrics as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help="name of weights that ship, or folder of a run")
    parser.add_argument("--sequences", type=int, default=10_000)
    parser.add_argument("--flavours", default=",".join(FLAVOURS))
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path, help="file for all metrics")
    parser.add_argument(
        "--familiar", action="store_true", help="note in the card how well validation digits fit"
    )
    parser.add_argument("--calibrate", action="store_true", help="note in the card a calibration of futures")
    options = parser.parse_args()
    prepare(options.threads)
    if options.familiar or options.calibrate:
        note(options.source, options.sequences, options.familiar, options.calibrate)
        return
    tracker, digits = load(options.source), load_digits("mnist", "test")
    found = {}
    for flavour in options.flavours.split(","):
        data = moving_digits(flavour, digits, sequences=options.sequences, seed=TABLE_SEED)
        settled = judge(tracker, data, OBSERVE, settle=OBSERVE).as_dict()
        every = judge(tracker, data, data.length).as_dict()
        found[flavour] = settled | {"all_frames": {name: every[name] for name in SHOWN[:4]}}
        numbers = {name: settled[name] for name in SHOWN} | {
            f"all_frames_{name}": value for name, value in found[flavour]["all_frames"].items()
        }
        print(flavour, " ".join(f"{name} {value:.4f}" for name, value in numbers.items()), flush=True)
        if options.json:
            options.json.write_text(json.dumps(found, indent=1))


def note(name: str, sequences: int, fits: bool, calibrates: bool) -> None:
    """Note in the card of weights how well validation digits fit, or a calibration of futures on them."""
    path, config, tracker = FOLDER / f"{name}.json", card(name).recipe, load(name)
    data = moving_digits(
        config["data"]["source"],
        load_digits("mnist", "validation"),
        sequences=sequences,
        seed=CALIBRATION_SEED,
    )
    noted: dict[str, Any] = {}
    if fits:
        noted["familiar"] = familiar(tracker, data, sequences).as_dict()
    if calibrates:
        # as many futures of each sequence as the training's own calibration draws
        samples = config["calibration"]
        noted["calibration"] = calibrate_tracker(tracker, data, OBSERVE, samples, truth=data.truth).as_dict()
    write_json(path, json.loads(path.read_text()) | noted)
    print(json.dumps(noted))


if __name__ == "__main__":
    main()
