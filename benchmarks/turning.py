"""The cost of angles: the same untrained model of rods with and without them, and the default one, in turns.

A step is the whole ELBO with its gradients; tracking is that of one consensus. Both are in seconds of the processor,
the medians of some repetitions, which other work on the machine disturbs little.

    python benchmarks/turning.py --threads 1
"""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from options import parser
from torch import Tensor

from vtssi_pyro.data import load_digits, moving_digits
from vtssi_pyro.inference.filter import track
from vtssi_pyro.model.blocks.gated import GatedConfig
from vtssi_pyro.model.config import OUR_SYSTEM, ModelConfig, TestTime
from vtssi_pyro.model.tracker import build
from vtssi_pyro.train.elbo import Elbo
from vtssi_pyro.train.presets import PRESETS
from vtssi_pyro.train.turning import turning


def models() -> dict[str, ModelConfig]:
    """The default model, that of rods without angles, and with them; each tracks with one consensus."""
    turned = turning(PRESETS["quick"]("ours")).model
    assert isinstance(turned, ModelConfig)
    still = replace(turned, finder=GatedConfig(), motion=OUR_SYSTEM.model.motion)
    made = {"default": OUR_SYSTEM.model, "without": still, "with": turned}
    return {name: replace(model, test_time=TestTime(tight=True)) for name, model in made.items()}


def compare(batch: int, length: int, repeats: int) -> dict[str, Any]:
    """Seconds of a step and of tracking by each model."""
    data = moving_digits("rods", load_digits("embedded", "test"), sequences=batch, length=length)
    frames = data.frames(torch.arange(batch))
    calls: dict[str, dict[str, Callable[[], object]]] = {"step": {}, "track": {}}
    for name, model in models().items():
        torch.manual_seed(0)
        tracker = build(model).train()
        calls["step"][name] = lambda tracker=tracker: step(tracker, frames)
        calls["track"][name] = lambda tracker=tracker: track(tracker, frames)
    told: dict[str, Any] = {}
    for what, each in calls.items():
        seconds: dict[str, list[float]] = {name: [] for name in each}
        for _ in range(repeats + 1):  # the first is a warm-up
            for name, call in each.items():
                since = time.process_time()
                call()
                seconds[name].append(time.process_time() - since)
        medians = {name: statistics.median(found[1:]) for name, found in seconds.items()}
        told[what] = medians | {"ratio": medians["with"] / medians["without"]}
    return told


def step(tracker: Any, frames: Tensor) -> None:
    """The ELBO of the whole program, and its gradients."""
    loss = Elbo().differentiable_loss(tracker.model, tracker.guide, frames)
    torch.autograd.grad(loss, list(tracker.parameters()), allow_unused=True)


def main() -> None:
    options = parser(__doc__, batch=16, length=10, repeats=7, threads=1).parse_args()
    torch.set_num_threads(options.threads)
    print(json.dumps(compare(options.batch, options.length, options.repeats), indent=1))


if __name__ == "__main__":
    main()
