"""The paper's statements beside its table: soft RECT, the number of slots, and FIND where starts are clean.

``rect`` judges a run with RECT as it is, and with the weights of its frames made one-hot, as the paper allows at test
time. ``runs`` judges several runs side by side, such as those of two and three slots, or of FIND and of VTSSI:

python benchmarks/statements.py rect reproduction/runs/paper-fast/vtssi-mixed-0 --sequences 1000
python benchmarks/statements.py runs two three --flavours linear --sequences 1000

Both print, for each flavour and row, count, inference and prediction with their standard errors. The paper's own blocks
are judged by its procedure at test time, others by theirs, on the first five frames.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from vtssi_pyro import Run, judge
from vtssi_pyro.config.variants import PAPER
from vtssi_pyro.errors import UsageError
from vtssi_pyro.inference.model_tracker import ModelTracker
from vtssi_pyro.model.blocks.rect import RECT
from vtssi_pyro.model.config import PUBLISHED
from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.system.machine import prepare
from vtssi_pyro.train.splits import TABLE_SEED, digits

FLAVOURS = ("linear", "linear-overlap", "elliptic", "elliptic-overlap")
MEASURES = ("count_accuracy", "inference_error", "prediction_error")
STEEP = 1e6  # makes any difference of two logits a certainty


class Steep(nn.Module):
    """Logits so far apart that their softmax is one-hot."""

    def forward(self, logits: Tensor) -> Tensor:
        """Logits of any shape."""
        return logits * STEEP


def one_hot(tracker: Tracker) -> Tracker:
    """Make a tracker's RECT pick a single frame."""
    if not isinstance(tracker.consensus, RECT):
        raise UsageError(f"its consensus is a {type(tracker.consensus).__name__}, which weighs no frames")
    tracker.consensus.logits = nn.Sequential(tracker.consensus.logits, Steep())
    return tracker


def main() -> None:
    """Print a line for each flavour and row, and write all metrics as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("rect", "runs"))
    parser.add_argument("runs", nargs="+", help="folders of runs")
    parser.add_argument("--sequences", type=int, default=1000)
    parser.add_argument("--flavours", default=",".join(FLAVOURS))
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path, help="file for all metrics")
    options = parser.parse_args()
    prepare(options.threads)
    rows = []
    for run in map(Run, options.runs):
        rows.append((f"{run.folder}", run.tracker(), run.config))
        if options.what == "rect":
            rows.append((f"{run.folder}, one-hot", one_hot(run.tracker()), run.config))
    found: dict[str, dict[str, object]] = {}
    for flavour in options.flavours.split(","):
        for name, tracker, config in rows:
            own = replace(config, data=replace(config.data, source=flavour))
            data = digits(own, "test", options.sequences, TABLE_SEED)
            procedure = PUBLISHED if config.variant in PAPER.names else None
            metrics = judge(ModelTracker(tracker, procedure, config.observe), data, config.observe).as_dict()
            found.setdefault(flavour, {})[name] = metrics
            numbers = (f"{key} {metrics[key]:.4f} ± {metrics[f'{key}_sem']:.4f}" for key in MEASURES
                       if metrics[key] is not None)  # fmt: skip
            print(f"{flavour} | {name} | {' | '.join(numbers)}", flush=True)
        if options.json:
            options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
