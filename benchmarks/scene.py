"""The cost of presence, interaction and occlusion: a training step of the same model with and without each, in turns.

A step is one of the whole ELBO on all blocks. Its seconds are those of the processor, medians of some repetitions, and
the ratio is the median of those of each round, so that other work on the machine disturbs little. Models and frames are
those of the recipes for ``visitors``, ``balls`` and ``discs-behind``. What ``presence`` reviews depends on what it has
learned: ``--run RUN`` takes the weights of a training on visitors. ``--objects 2,4,8,16`` tells how the step with the
block grows with the number of slots; the exponent is that of the larger half. Frames grow with them, so that the
objects have as much room.

    python benchmarks/scene.py --threads 1 --run RUN
    python benchmarks/scene.py --threads 1 --objects 2,4,8,16
"""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from growth import exponent
from options import parser
from torch import Tensor

from vtssi_pyro import load
from vtssi_pyro.data import load_digits, moving_digits
from vtssi_pyro.data.flavours import named
from vtssi_pyro.model.blocks.air import AdditiveConfig, SceneConfig
from vtssi_pyro.model.config import ModelConfig
from vtssi_pyro.model.program import Tracker, build
from vtssi_pyro.system.machine import prepare
from vtssi_pyro.train.flavours import suited_to
from vtssi_pyro.train.presets import PRESETS
from vtssi_pyro.train.recipe import Scheduled, Stage, TrainConfig
from vtssi_pyro.train.step import Step

LENGTH = 8  # frames of a sequence, as many as the recipe for visitors has


class Block(NamedTuple):
    """A block whose cost is asked for."""

    flavour: str  # of the data, whose recipe has the block
    without: Callable[[ModelConfig], ModelConfig]


def alone(model: ModelConfig) -> ModelConfig:
    """The model whose objects do not act on each other."""
    motion: Any = model.motion
    return replace(model, motion=replace(motion, reach=0.0))


BLOCKS = {
    "presence": Block("visitors", lambda model: replace(model, scene=SceneConfig())),
    "interaction": Block("balls", alone),
    "occlusion": Block("discs-behind", lambda model: replace(model, picture=AdditiveConfig(noise="learned"))),
}


def compare(
    block: str, preset: str, batch: int, repeats: int, objects: int | None = None, run: str = ""
) -> dict[str, Any]:
    """Seconds of a step with and without a block, and their ratio.

    Args:
        block: a key of BLOCKS.
        preset: of the recipe.
        batch: sequences.
        repeats: number of timings.
        objects: slots; None: as many as the data have.
        run: a training on the block's data, whose weights are taken; "": none.
    """
    kind = BLOCKS[block]
    sprites = load_digits("embedded", "test")
    usual, known = (
        moving_digits(kind.flavour, sprites, sequences=1, length=1).frame_size[0],
        named(kind.flavour).objects or 2,
    )
    objects = objects or known
    side = 2 * round(usual * (objects / known) ** 0.5 / 2)
    data = moving_digits(
        kind.flavour, sprites, sequences=batch, length=LENGTH, objects=objects, frame_size=side
    )
    frames = data.frames(torch.arange(batch))
    model = suited_to(kind.flavour, PRESETS[preset]("ours")).model
    assert isinstance(model, ModelConfig)
    share = usual / side
    model = replace(
        model, num_objects=objects, frame_size=side, size_loc=tuple(share * s for s in model.size_loc),
        size_scale=share * model.size_scale,
    )  # fmt: skip
    steps = {}
    for name, config in {"with": model, "without": kind.without(model)}.items():
        torch.manual_seed(0)
        tracker = build(config)
        if run:
            learned = load(run).state_dict()
            own = tracker.state_dict()
            tracker.load_state_dict({key: learned.get(key, value) for key, value in own.items()})
        steps[name] = step(tracker, frames)
    return {"objects": objects, "side": side} | ratio(steps, repeats)


def step(tracker: Tracker, frames: Tensor) -> Callable[[], object]:
    """A training step on all blocks, that changes nothing."""
    stage = Stage("full", 1)
    make = Step(tracker.train(), tracker, TrainConfig((stage,)), stage)
    return lambda: make(frames, Scheduled(learning_rate=0.0))


def ratio(steps: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of the processor of two steps in turns, and the median of their ratios."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(-1, repeats):  # the first is a warm-up
        for name, make in steps.items():
            torch.manual_seed(round_)
            since = time.process_time()
            make()
            seconds[name].append(time.process_time() - since)
    kept = {name: taken[1:] for name, taken in seconds.items()}
    ratios = [a / b for a, b in zip(kept["with"], kept["without"], strict=True)]
    return {name: statistics.median(taken) for name, taken in kept.items()} | {
        "ratio": statistics.median(ratios)
    }


def main() -> None:
    arguments = parser(__doc__, preset="standard", batch=16, repeats=7, threads=1, run="", objects="")
    arguments.add_argument("--blocks", default=",".join(BLOCKS), help="some of them [default: all]")
    options = arguments.parse_args()
    prepare(options.threads)
    told: dict[str, Any] = {}
    for block in options.blocks.split(","):
        with_run = options.run if block == "presence" else ""
        numbers = [int(number) for number in options.objects.split(",") if number]
        found = [
            compare(block, options.preset, options.batch, options.repeats, number, with_run)
            for number in numbers or [None]
        ]
        told[block] = found if numbers else found[0]
        if numbers:
            told[f"{block}_exponent"] = exponent(numbers, [point["with"] for point in found])
        print(block, json.dumps(told[block]), flush=True)
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
