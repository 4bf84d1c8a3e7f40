"""Predicted paths of balls that collide, by the recipe for them without messages, with messages, and with elastic ones.

They learn from the same paths of DDPAE's elastic balls, whole pixels with the errors of found places, through the
recipe's stages of motion; no frames are read. So the figures tell what a motion can predict, not how well balls are
found. Errors are means over balls and held-out scenes, in pixels of 128; straight paths stand beside. Velocities are
displacements from frame to frame, whose truth is in whole pixels, too: a perfect forecast has a cosine below 1.

A whole step, of the ELBO of some sequences of frames with its gradients, is timed in seconds of the processor with and
without messages in turns, the median of some repetitions.

    python benchmarks/interaction.py --threads 1
"""

import json
import statistics
import sys
import time
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from options import parser
from torch import Tensor

from vtssi_pyro.data import load_digits, moving_digits
from vtssi_pyro.data.billiard import billiard
from vtssi_pyro.model.config import ModelConfig
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.program import evolve, stacked
from vtssi_pyro.model.tracker import Tracker, build
from vtssi_pyro.train.batches import PathBatch, drawn
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.elbo import Elbo
from vtssi_pyro.train.flavours import suited_to
from vtssi_pyro.train.objective import belief
from vtssi_pyro.train.presets import PRESETS
from vtssi_pyro.train.recipe import Scheduled
from vtssi_pyro.train.step import Step
from vtssi_pyro.types import Paths

SIDE, BALLS = 128, 4
OBSERVED, AHEAD, LONG = 10, 10, 60
TIMED = 4  # sequences of a timed step
# Deviation of found places from the pixels on which balls are drawn, frame coordinates.
ERROR = 0.15 * 2 / SIDE
# What rounding and these errors add to the square of a ball's displacement from frame to frame.
GRAIN = 4 * ((2 / SIDE) ** 2 / 12 + ERROR**2)
KINDS: dict[str, dict[str, Any]] = {
    "alone": {"reach": 0.0},
    "interacting": {"elastic": False},
    "elastic": {"elastic": True},
}  # changes of the recipe's motion


def places(scenes: int, length: int, seed: int) -> Tensor:
    """Places (S, T, N, 2) of balls as a tracker finds them, frame coordinates."""
    generator = torch.Generator().manual_seed(seed)
    true = billiard(BALLS, scenes, (SIDE, SIDE), length, generator) * (2 / SIDE) - 1
    return true + ERROR * torch.randn(true.shape, generator=generator)


def known(tracker: Tracker, place: Tensor) -> Paths:
    """Paths of balls that are there and seen in all frames, of which nothing else is known."""
    there = torch.ones(place.shape[:-1], dtype=torch.bool)
    static = torch.zeros(len(place), BALLS, 2 + tracker.config.description)
    return Paths(there[:, 0], static, place, there, torch.full_like(place, 2 * ERROR))


def recipe(changes: dict[str, Any], preset: str) -> Config:
    """The recipe for balls, with changes of its motion."""
    config = suited_to("balls", PRESETS[preset]())
    model = config.model
    assert isinstance(model, ModelConfig)
    motion: Any = model.motion
    model = replace(model, num_objects=BALLS, frame_size=SIDE, motion=replace(motion, **changes))
    return replace(config, model=model)


def trained(config: Config, learned: Tensor, told: dict[str, Any]) -> Tracker:
    """A tracker whose motion has learned from paths through the recipe's stages; their seconds are told."""
    torch.manual_seed(0)
    tracker = build(config.model).train()
    averaged = deepcopy(tracker)
    paths, step = known(tracker, learned), 0
    for stage in config.train.stages:
        if stage.objective not in ("rollout", "futures"):
            continue
        make, steps = Step(tracker, averaged, config.train, stage), config.train.steps_of(stage)
        since = time.process_time()
        for within in range(steps):
            batch = drawn(paths, stage, within, 0, config.train.budget, tracker.motion.M)
            make(batch, config.train.scheduled(stage, within, step))
            step += 1
        told[f"{stage.name}_step_seconds"] = (time.process_time() - since) / steps
    return averaged.eval()


@torch.no_grad()
def predicted(tracker: Tracker, place: Tensor, ahead: int) -> Tensor:
    """Modes of the places (S, ahead, N, 2) after the first OBSERVED frames."""
    seen = PathBatch(*known(tracker, place[:, :OBSERVED]), OBSERVED)
    inferred = tracker.motion.infer(seen.static, seen.position)[0]
    start = {name: q.mean for name, q in belief(tracker, seen, inferred, OBSERVED, Scheduled()).items()}
    with mode():
        return stacked(evolve(tracker.motion, range(1, ahead + 1), start, start["position"]))["position"]


def figures(found: Tensor, place: Tensor) -> dict[str, float]:
    """Errors of predicted places (S, LONG, N, 2), pixels, and those of DDPAE's velocities."""
    true = place[:, OBSERVED : OBSERVED + found.shape[1]]
    error = (found - true).norm(dim=-1).mean((0, 2)) * SIDE / 2
    last = place[:, OBSERVED - 1 : OBSERVED]
    moved, expected = (torch.cat([last, path], 1).diff(dim=1)[:, :AHEAD] for path in (found, true))
    relative = (moved - expected).norm(dim=-1) / expected.norm(dim=-1)
    cosine = torch.nn.functional.cosine_similarity(moved, expected, dim=-1)
    return {
        "error_px": float(error[AHEAD - 1]),
        "mean_error_px": float(error[:AHEAD].mean()),
        "relative_velocity_error": float(relative.nanmean()),
        "cosine": float(cosine.mean()),
        "energy_after_60": energy(found, place),
    }


def energy(found: Tensor, place: Tensor) -> float:
    """The median over scenes of the kinetic energy in the last predicted frames, by that of the last observed ones.

    Observed places are whole pixels with errors, whose share of the energy is left out.
    """
    before = place[:, OBSERVED - 5 : OBSERVED].diff(dim=1).square().sum(-1) - GRAIN
    after = found[:, -5:].diff(dim=1).square().sum(-1)
    return float((after.sum((1, 2)) / before.sum((1, 2))).median())


def whole_steps(repeats: int) -> dict[str, float]:
    """Seconds of a step of the whole ELBO on sequences of frames, by kind."""
    data = moving_digits("balls", load_digits("embedded", "test"), sequences=TIMED, length=OBSERVED)
    frames = data.frames(torch.arange(TIMED))
    trackers = {kind: build(recipe(changes, "standard").model).train() for kind, changes in KINDS.items()}
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(repeats + 1):  # the first is a warm-up
        for kind, tracker in trackers.items():
            since = time.process_time()
            loss = Elbo().differentiable_loss(tracker.model, tracker.guide, frames)
            torch.autograd.grad(loss, list(tracker.parameters()), allow_unused=True)
            seconds[kind].append(time.process_time() - since)
    return {kind: statistics.median(found[1:]) for kind, found in seconds.items()}


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--preset", choices=sorted(PRESETS), default="standard", help="of the recipe")
    arguments.add_argument("--budget", type=float, default=1.0, help="factor on its steps")
    arguments.add_argument("--repeats", type=int, default=5, help="of the timed steps")
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--scenes", type=int, default=800, help="to learn from")
    arguments.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="of motions")
    arguments.add_argument("--test", type=int, default=500, help="held-out scenes")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    learned, held_out = places(options.scenes, LONG, 0), places(options.test, OBSERVED + LONG, 1)
    speed = (held_out[:, OBSERVED - 1] - held_out[:, 0]) / (OBSERVED - 1)
    straight = held_out[:, OBSERVED - 1 : OBSERVED] + speed.unsqueeze(1) * torch.arange(1, LONG + 1).view(
        -1, 1, 1
    )
    told: dict[str, Any] = {"straight": figures(straight.clamp(-1, 1), held_out)}
    for kind in options.kinds:
        config = recipe(KINDS[kind], options.preset)
        config = replace(config, train=replace(config.train, budget=options.budget))
        seconds: dict[str, Any] = {}
        found = predicted(trained(config, learned, seconds), held_out, LONG)
        told[kind] = figures(found, held_out) | seconds
        print(json.dumps({kind: told[kind]}), file=sys.stderr, flush=True)
    told["whole_step_seconds"] = whole_steps(options.repeats)
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
