"""A run of SQAIR by the marks of its publication, on digits that it never saw.

The published weights, after 1,000,000 steps, on sequences with accelerations (flavour ``sqair-original``): 94.5 % of
the counts, frame by frame, are right; the importance-weighted bound of 5 particles is 6,095 nats a sequence, and
log p(x | z) 640 nats and the KL 31 nats a frame.

python benchmarks/sqair_marks.py runs/sqair-sqair-original-0001 --sequences 1000 --threads 1
"""

import argparse
import json
from typing import Any

import torch

from vtssi_pyro import Run, load_digits, moving_digits
from vtssi_pyro.artifacts.loading import find
from vtssi_pyro.baselines import SQAIR
from vtssi_pyro.baselines.sqair import figures
from vtssi_pyro.data import Dataset
from vtssi_pyro.errors import UsageError
from vtssi_pyro.evaluation.judge import judge
from vtssi_pyro.inference.estimate import seeded
from vtssi_pyro.inference.model_tracker import ModelTracker
from vtssi_pyro.system.machine import prepare
from vtssi_pyro.train.splits import TABLE_SEED

PART = 64  # sequences whose frames are held at a time


def marks(sqair: SQAIR, data: Dataset, observe: int = 3, particles: int = 5) -> dict[str, Any]:
    """Compute the published marks by draws from the guide, and the count of the tracks, which are modes.

    Args:
        sqair: a trained SQAIR.
        data: sequences with their number of digits.
        observe: frames observed before the rest is predicted, for the tracks.
        particles: of the bound.
    """
    parts = []
    with seeded(0):
        for index in torch.arange(len(data)).split(PART):
            parts.append(figures(sqair, data.frames(index).to(next(sqair.parameters())), particles))
    bound, log_likelihood, kl, number = (torch.cat(values).cpu() for values in zip(*parts, strict=True))
    assert data.counts is not None
    true = data.counts.view(-1, 1, 1).expand(-1, number.shape[1], 1)
    right = number.gather(-1, true).mean((1, 2))  # (S,) importance-weighted share of the frames
    judged = judge(ModelTracker(sqair), data, observe)
    return {
        "sequences": len(data),
        "count": mean(right),
        "bound": mean(bound),
        "log_likelihood": mean(log_likelihood),
        "kl": mean(kl),
        "count_of_tracks": {"mean": judged.count_accuracy, "error": judged.count_accuracy_sem},
    }


def mean(values: torch.Tensor) -> dict[str, float]:
    """Compute the mean of sequences and its standard error."""
    return {"mean": float(values.mean()), "error": float(values.std() / len(values) ** 0.5)}


def cost(run: Run) -> dict[str, float]:
    """Return the steps of a run's last weights, and the core-hours of its training so far."""
    cores = run.machine.get("threads", 1) * run.machine.get("processes", 1)
    return {"steps": run.load()["step"], "core_hours": round(run.minutes / 60 * cores, 2)}


def main() -> None:
    """Print the numbers as JSON; of weights that ship without their cost, which their card tells."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="folder of a run, finished or not, or pretrained:NAME")
    parser.add_argument("--sequences", type=int, default=10_000)
    parser.add_argument("--digits", default="mnist")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    prepare(options.threads)
    trained = find(options.run)
    sqair = trained.tracker()
    if not isinstance(sqair, SQAIR):
        raise UsageError(f"{trained.name}: its model is a {type(sqair).__name__}, not a SQAIR")
    digits = load_digits(options.digits, "test")
    data = moving_digits("sqair-original", digits, sequences=options.sequences, seed=TABLE_SEED)
    spent = cost(trained) if isinstance(trained, Run) else {}
    print(json.dumps(spent | marks(sqair, data, trained.config.observe), indent=1))


if __name__ == "__main__":
    main()
