"""Time one training step of the paper's sizes against the naive organisation of the same model, in one run.

python benchmarks/step.py --batch 64 --length 20 --repeats 5 --threads 2
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
from vtssi_pyro.machine import prepare
from vtssi_pyro.tracker import Program


def compare(batch: int = 64, length: int = 20, repeats: int = 5) -> dict[str, Any]:
    """Both steps in turn, on the same frames and from the same weights."""
    torch.manual_seed(0)
    tracker = build("vtssi").eval()  # no dropout, so that both can be compared
    frames = torch.rand(batch, length, 50, 50)
    own, naive = (stepper(tracker, p, frames) for p in (tracker.program(), naive_program(tracker)))
    objective = {"package": own() / batch, "naive": naive() / batch}  # proof that both compute the same
    found = {"batch": batch, "length": length, "objective_per_sequence": objective}
    return found | against(own, "naive", naive, repeats)


def main() -> None:
    chosen = options.parser(__doc__, batch=64, length=20, repeats=5, threads=2).parse_args()
    prepare(chosen.threads)
    print(json.dumps(compare(chosen.batch, chosen.length, chosen.repeats), indent=1))


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
        return float(total.detach()) * len(frames)

    return step


if __name__ == "__main__":
    main()
