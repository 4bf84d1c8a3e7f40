"""The cost of presence, interaction and occlusion: a training step of the same model with and without each, in turns.

A step is one of the whole ELBO on all blocks. Its seconds are those of the processor, medians of some repetitions, and
a ratio is the median of those of each round, so that other work on the machine disturbs little. Models and frames are
those of the recipes for ``visitors``, ``balls`` and ``discs-behind``. What ``presence`` reviews depends on what it has
learned: ``--run RUN`` takes the weights of a training on visitors. Beside it stands ``bare``, the least that presence
needs: sites and their densities, each known object described and weighed once, newcomers looked for; no review.

With ``--objects 2,4,8,16`` the step with each block is timed for these numbers of slots, in larger frames with as many
objects; the exponent of growth is that between the two largest numbers.

    python benchmarks/scene.py --threads 1 --run RUN
    python benchmarks/scene.py --threads 1 --batch 4 --objects 2,4,8,16
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
from vtssi_pyro.model.blocks.presence import PresenceConfig
from vtssi_pyro.model.config import ModelConfig
from vtssi_pyro.model.tracker import Tracker, build
from vtssi_pyro.system.machine import prepare
from vtssi_pyro.train.flavours import suited_to
from vtssi_pyro.train.presets import PRESETS
from vtssi_pyro.train.recipe import Scheduled, Stage, TrainConfig
from vtssi_pyro.train.step import Step

LENGTH = 8  # frames of a sequence, as many as the recipe for visitors has
Change = Callable[[ModelConfig], ModelConfig]


class Block(NamedTuple):
    """A block whose cost is asked for."""

    flavour: str  # of the data, whose recipe has the block
    crowd: tuple[str, int]  # flavour and frame side in which up to sixteen objects have room
    others: dict[str, Change]  # the models beside it


def alone(model: ModelConfig) -> ModelConfig:
    """The model whose objects do not act on each other."""
    motion: Any = model.motion
    return replace(model, motion=replace(motion, reach=0.0))


BLOCKS = {
    "presence": Block(
        "visitors",
        ("visitors", 100),
        {
            "without": lambda model: replace(model, scene=SceneConfig()),
            "bare": lambda model: replace(model, scene=PresenceConfig(settle=1, rounds=0)),
        },
    ),
    "interaction": Block("balls", ("linear-overlap", 128), {"without": alone}),
    "occlusion": Block(
        "discs-behind",
        ("discs-behind", 100),
        {"without": lambda model: replace(model, picture=AdditiveConfig(noise="learned"))},
    ),
}


def compare(
    block: str, preset: str, batch: int, repeats: int, run: str = "", objects: int | None = None
) -> dict[str, float]:
    """Seconds of a step with a block and of the models beside it, and the ratios to that without.

    Args:
        block: a key of BLOCKS.
        preset: of the recipe.
        batch: sequences.
        repeats: number of timings.
        run: a training on the block's data, whose weights are taken; "": none.
        objects: slots, and objects at most, in larger frames; None: as many as the data have, in their frames.
    """
    kind = BLOCKS[block]
    flavour, side = (kind.flavour, None) if objects is None else kind.crowd
    sprites, objects = load_digits("embedded", "test"), objects or named(flavour).objects
    data = moving_digits(flavour, sprites, sequences=batch, length=LENGTH, objects=objects, frame_size=side)
    frames = data.frames(torch.arange(batch))
    model = suited_to(kind.flavour, PRESETS[preset]("ours")).model
    assert isinstance(model, ModelConfig)
    assert objects is not None
    share = (named(kind.flavour).frame_size or 50) / frames.shape[-1]  # of the usual windows
    model = replace(
        model, num_objects=objects, frame_size=frames.shape[-1], size_scale=share * model.size_scale,
        size_loc=(share * model.size_loc[0], share * model.size_loc[1]),
    )  # fmt: skip
    models = {"with": model} | {name: change(model) for name, change in kind.others.items()}
    seconds = timed({name: step(made(config, run), frames) for name, config in models.items()}, repeats)
    told = {name: statistics.median(taken) for name, taken in seconds.items()}
    for name, taken in seconds.items():
        if name != "without":
            each = zip(taken, seconds["without"], strict=True)
            told[f"{name}_over_without"] = statistics.median(a / b for a, b in each)
    return told


def made(config: ModelConfig, run: str) -> Tracker:
    """A tracker, untrained or with the weights of a run, as far as both have the same."""
    torch.manual_seed(0)
    tracker = build(config)
    if run:
        learned = load(run).state_dict()
        own = tracker.state_dict()
        tracker.load_state_dict({name: learned.get(name, weight) for name, weight in own.items()})
    return tracker.train()


def step(tracker: Tracker, frames: Tensor) -> Callable[[], object]:
    """A training step on all blocks, with a learning rate of 0."""
    stage = Stage("full", 1)
    make = Step(tracker, tracker, TrainConfig((stage,)), stage)
    return lambda: make(frames, Scheduled(learning_rate=0.0))


def timed(steps: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of the processor of steps in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(1 + repeats):  # the first warms up
        for name, make in steps.items():
            torch.manual_seed(turn)
            since = time.process_time()
            make()
            seconds[name].append(time.process_time() - since)
    return {name: taken[1:] for name, taken in seconds.items()}


def main() -> None:
    arguments = parser(
        __doc__,
        preset="standard",
        batch=16,
        repeats=7,
        threads=1,
        run="",
        objects="",
        blocks=",".join(BLOCKS),
    )
    options = arguments.parse_args()
    prepare(options.threads)
    numbers = [int(number) for number in options.objects.split(",") if number]
    told: dict[str, Any] = {}
    for block in options.blocks.split(","):
        run = options.run if block == "presence" else ""
        asked = block, options.preset, options.batch, options.repeats, run
        if not numbers:
            told[block] = compare(*asked)
            continue
        points = {number: compare(*asked, number) for number in numbers}
        grown = exponent(numbers[-2:], [points[number]["with"] for number in numbers[-2:]])
        told[block] = points | {"exponent": grown}
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
