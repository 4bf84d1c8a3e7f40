"""Predicted paths of balls that collide, by motions with and without interaction.

Both learn from the same true paths of DDPAE's elastic balls, whose centres are whole pixels, by roll-outs alone, as in
the stage ``motion`` of a recipe; no frames are read. So the figures tell what a motion can predict, not how well balls
are found. Errors are means over balls and held-out scenes, in pixels of 128; straight paths stand beside.

    python benchmarks/interaction.py --steps 3000 --threads 1
"""

import argparse
import json
import time
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from vtssi_pyro.config.schedules import Constant, Cosine
from vtssi_pyro.data.billiard import billiard
from vtssi_pyro.model.blocks.interaction import InteractingMOTConfig
from vtssi_pyro.model.blocks.residual_mot import ResidualMOTConfig
from vtssi_pyro.model.config import OUR_SYSTEM
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.program import Tracker, build, evolve, stacked
from vtssi_pyro.train.batches import PathBatch
from vtssi_pyro.train.objective import belief, rollout
from vtssi_pyro.train.recipe import Scheduled, Stage, TrainConfig
from vtssi_pyro.train.svi import StageOptim

SIDE, BALLS = 128, 4
OBSERVED, AHEAD = 10, 10
KINDS = {
    "alone": ResidualMOTConfig(inertia=True, extents=False),
    "interacting": InteractingMOTConfig(inertia=True, extents=False),
}


def paths(scenes: int, length: int, seed: int) -> Tensor:
    """Places (S, T, N, 2) of balls, frame coordinates."""
    generator = torch.Generator().manual_seed(seed)
    return billiard(BALLS, scenes, (SIDE, SIDE), length, generator) * (2 / SIDE) - 1


def batch(place: Tensor, observed: int, features: int) -> PathBatch:
    """Paths of balls that are there and seen in all frames, of which nothing else is known."""
    there = torch.ones(place.shape[:-1], dtype=torch.bool)
    static = torch.zeros(len(place), BALLS, features)
    return PathBatch(there[:, 0], static, place, there, torch.full_like(place, 1 / SIDE), observed)


def trained(kind: str, place: Tensor, steps: int, size: int) -> Tracker:
    """A tracker whose motion has learned from paths."""
    torch.manual_seed(0)
    model = replace(OUR_SYSTEM.model, num_objects=BALLS, motion=KINDS[kind])
    tracker = build(model)
    stage = Stage(
        "motion", steps, "rollout", ("motion",), batch=size, optimizer="muon",
        learning_rate=Cosine(3e-3, 5e-5, 50, steps), overshooting=0.03, fuse_low=Constant(0.5), fuse_high=Constant(0.5),
    )  # fmt: skip
    config = TrainConfig((stage,), beta1=0.9)
    optim = StageOptim(tracker.motion.parameters(), config.beta1, config.clip, name=stage.optimizer)
    features, generator = 2 + model.description, torch.Generator().manual_seed(1)
    for step in range(steps):
        now: Scheduled = config.scheduled(stage, step, step)
        chosen = torch.randint(len(place), (size,), generator=generator)
        start = int(torch.randint(place.shape[1] - OBSERVED - AHEAD + 1, (), generator=generator))
        some = place[chosen, start : start + OBSERVED + AHEAD]
        optim.set_learning_rate(now.learning_rate)
        optim.ascend(rollout(tracker, batch(some, OBSERVED, features), stage, now), size)
    return tracker.eval()


@torch.no_grad()
def predicted(tracker: Tracker, place: Tensor, ahead: int) -> Tensor:
    """Modes of the places (S, ahead, N, 2) after the first OBSERVED frames."""
    seen = batch(place, OBSERVED, 2 + tracker.config.description)
    inferred = tracker.motion.infer(seen.static, place[:, :OBSERVED])[0]
    known = {name: q.mean for name, q in belief(tracker, seen, inferred, OBSERVED, Scheduled()).items()}
    with mode():
        return stacked(evolve(tracker.motion, range(1, ahead + 1), known, known["position"]))["position"]


def errors(found: Tensor, place: Tensor) -> list[float]:
    """Mean distances by horizon, pixels."""
    true = place[:, OBSERVED : OBSERVED + found.shape[1]]
    return ((found - true).norm(dim=-1).mean((0, 2)) * SIDE / 2).tolist()


def energy(found: Tensor, place: Tensor) -> float:
    """The median over scenes of the kinetic energy in the last predicted frames, by that of the last observed ones."""
    before = place[:, OBSERVED - 5 : OBSERVED].diff(dim=1).square().sum((1, 2, 3)) / 4
    after = found[:, -5:].diff(dim=1).square().sum((1, 2, 3)) / 4
    return float((after / before).median())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=3000, help="of the training of each motion")
    parser.add_argument("--batch", type=int, default=64, help="scenes of a step")
    parser.add_argument("--scenes", type=int, default=10_000, help="to learn from")
    parser.add_argument("--test", type=int, default=1000, help="held-out scenes")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    learned, held_out = paths(options.scenes, 30, 0), paths(options.test, OBSERVED + 60, 1)
    speed = held_out[:, OBSERVED - 1] - held_out[:, OBSERVED - 2]
    straight = held_out[:, OBSERVED - 1 : OBSERVED] + speed.unsqueeze(1) * torch.arange(1, 61).view(-1, 1, 1)
    told: dict[str, Any] = {"straight": {"error_px": errors(straight.clamp(-1, 1), held_out)[AHEAD - 1]}}
    for kind in KINDS:
        since = time.process_time()
        tracker = trained(kind, learned, options.steps, options.batch)
        seconds = time.process_time() - since
        found = predicted(tracker, held_out, 60)
        told[kind] = {
            "error_px": errors(found, held_out)[AHEAD - 1],
            "energy_after_60": energy(found, held_out),
            "seconds_a_step": seconds / options.steps,
        }
    told["ratio"] = told["interacting"]["error_px"] / told["alone"]["error_px"]
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
