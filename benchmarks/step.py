"""Time one training step of the paper's sizes against the naive organisation of the same model, in one run.

python benchmarks/step.py --batch 64 --length 20 --repeats 5 --threads 2
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import pyro
import torch
from naive import naive_program

from vtssi_pyro import Anneal, Elbo, build
from vtssi_pyro.tracker import Program


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--length", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    tracker = build("vtssi").eval()  # no dropout, so that both can be compared
    frames = torch.rand(options.batch, options.length, 50, 50)
    fast, naive = (
        stepper(tracker, tracker.program(), frames),
        stepper(tracker, naive_program(tracker), frames),
    )
    losses = {"package": fast(), "naive": naive()}  # warm-up, and proof that both compute the same
    times: dict[str, list[float]] = {"package": [], "naive": []}
    for _ in range(options.repeats):
        for name, step in (("package", fast), ("naive", naive)):
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    ratios = [b / a for a, b in zip(times["package"], times["naive"], strict=True)]
    result = {
        "batch": options.batch,
        "length": options.length,
        "threads": options.threads,
        "objective_per_sequence": {k: v / options.batch for k, v in losses.items()},
        "seconds": {k: round(statistics.median(v), 3) for k, v in times.items()},
        "naive_over_package": round(statistics.median(ratios), 2),
    }
    print(json.dumps(result, indent=1))


def stepper(tracker: torch.nn.Module, program: Program, frames: torch.Tensor) -> Callable[[], float]:
    """A function that makes one step: forward, backward, clip, fused Adam; returns the ELBO."""
    parameters = list(tracker.parameters())
    optimizer = torch.optim.Adam(parameters, lr=0.0, fused=True)  # the weights stay comparable
    elbo = Elbo(analytic=True)

    def step() -> float:
        torch.manual_seed(1)
        with pyro.validation_enabled(False):
            terms = elbo(program.model, program.guide, frames, Anneal())
        total = sum(terms.values()) / len(frames)
        optimizer.zero_grad()
        (-total).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        return float(total) * len(frames)

    return step


if __name__ == "__main__":
    main()
