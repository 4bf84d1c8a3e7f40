"""Weights that ship, or a run, judged on held-out sequences of each of the paper's four flavours.

python benchmarks/shipped.py moving-mnist --sequences 10000 --threads 1
"""

import argparse
import json
from pathlib import Path

from vtssi_pyro import judge, load, load_digits, moving_digits
from vtssi_pyro.system.machine import prepare
from vtssi_pyro.train.splits import TABLE_SEED

FLAVOURS = ("linear", "linear-overlap", "elliptic", "elliptic-overlap")
SHOWN = (
    "count_accuracy",
    "count_accuracy_sem",
    "inference_error",
    "prediction_error",
    "prediction_error_sem",
)


def main() -> None:
    """Print a line for each flavour, and write all metrics as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help="name of weights that ship, or folder of a run")
    parser.add_argument("--sequences", type=int, default=10_000)
    parser.add_argument("--flavours", default=",".join(FLAVOURS))
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path, help="file for all metrics")
    options = parser.parse_args()
    prepare(options.threads)
    tracker, digits = load(options.source), load_digits("mnist", "test")
    found = {}
    for flavour in options.flavours.split(","):
        data = moving_digits(flavour, digits, sequences=options.sequences, seed=TABLE_SEED)
        found[flavour] = judge(tracker, data, 5).as_dict()
        print(flavour, " ".join(f"{key} {found[flavour][key]:.4f}" for key in SHOWN), flush=True)
        if options.json:
            options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
