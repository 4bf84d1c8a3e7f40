"""Time one training step of the paper's sizes against the naive organisation of the same model, in one run.

python benchmarks/step.py --batch 64 --length 20 --repeats 5 --threads 2 --bfloat16 0
"""

import json
from collections.abc import Callable
from typing import Any

import options
import pyro
import torch
from naive import naive_program
from rounds import against

from vtssi_pyro import Anneal, Elbo, build
from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.system.machine import prepare
from vtssi_pyro.train.recipe import Scheduled, Stage, TrainConfig
from vtssi_pyro.train.step import Step


def compare(batch: int = 64, length: int = 20, repeats: int = 5, bfloat16: bool = False) -> dict[str, Any]:
    """Time both steps in turn on the same frames and from the same weights."""
    torch.manual_seed(0)
    tracker = build("vtssi").eval()  # without dropout, both objectives are equal
    frames = torch.rand(batch, length, 1, 50, 50)
    own, naive = package(tracker, frames, bfloat16), first_written(tracker, frames)
    objective = {"package": own() / batch, "naive": naive() / batch}  # both must compute the same value
    found = {"batch": batch, "length": length, "objective_per_sequence": objective}
    return found | against(own, "naive", naive, repeats)


def main() -> None:
    chosen = options.parser(__doc__, batch=64, length=20, repeats=5, threads=2, bfloat16=0).parse_args()
    prepare(chosen.threads)
    found = compare(chosen.batch, chosen.length, chosen.repeats, bool(chosen.bfloat16))
    print(json.dumps(found, indent=1))


def package(tracker: Tracker, frames: torch.Tensor, bfloat16: bool) -> Callable[[], float]:
    """Make the package's own training step, with a learning rate of 0; it returns the ELBO."""
    stage = Stage("full", 1)
    make = Step(tracker, tracker, TrainConfig((stage,), bfloat16=bfloat16), stage)

    def step() -> float:
        torch.manual_seed(1)
        with pyro.validation_enabled(False):
            terms, _ = make(frames, Scheduled())
        return float(sum(terms.values())) * len(frames)

    return step


def first_written(tracker: Tracker, frames: torch.Tensor) -> Callable[[], float]:
    """Make the naive step, under Pyro's validation as by default; it returns the ELBO."""
    program, parameters, elbo = naive_program(tracker), list(tracker.parameters()), Elbo(analytic=True)
    optimizer = torch.optim.Adam(parameters, lr=0.0, fused=True)

    def step() -> float:
        torch.manual_seed(1)
        with pyro.validation_enabled(True):
            terms = elbo.terms(program.model, program.guide, frames, Anneal())
        total = sum(terms.values()) / len(frames)
        optimizer.zero_grad()
        (-total).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)  # the paper's
        optimizer.step()
        return float(total.detach()) * len(frames)

    return step


if __name__ == "__main__":
    main()
