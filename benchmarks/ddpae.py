"""Time one training step of DDPAE against the floor of its own operations, in one run.

The floor, as that of ``floor.py``, is its convolutions, matrix products, crops and pastes alone, forward and backward.

python benchmarks/ddpae.py --batch 64 --length 20 --repeats 5 --threads 1
"""

import json
from collections.abc import Callable
from typing import Any

import options
import pyro
import torch
from floor import recurrent
from rounds import against
from torch import Tensor, nn

from vtssi_pyro.baselines import DDPAE, DDPAEConfig
from vtssi_pyro.ops.correlate import channels_last
from vtssi_pyro.system.machine import prepare
from vtssi_pyro.train.recipe import Scheduled, Stage, TrainConfig
from vtssi_pyro.train.step import Step


def compare(config: DDPAEConfig, batch: int = 64, length: int = 20, repeats: int = 5) -> dict[str, Any]:
    """Time both in turn, on the same frames and networks."""
    torch.manual_seed(0)
    tracker = config.build()
    frames = torch.rand(batch, length, config.channels, config.frame_size, config.frame_size)
    found = {"batch": batch, "length": length}
    return found | against(package(tracker, frames), "floor", floor(tracker, frames), repeats)


def package(tracker: DDPAE, frames: Tensor) -> Callable[[], float]:
    """Make the package's own training step, with a learning rate of 0; it returns the ELBO."""
    stage = Stage("full", 1, analytic=False)
    make = Step(tracker, tracker, TrainConfig((stage,)), stage)

    def step() -> float:
        with pyro.validation_enabled(False):
            terms, _ = make(frames, Scheduled())
        return float(sum(terms.values()))

    return step


def floor(tracker: DDPAE, frames: Tensor) -> Callable[[], None]:
    """Make a function that computes the floor of one step."""
    config, objects = tracker.config, tracker.config.num_objects
    batch, length = frames.shape[:2]
    read, ahead = frames[:, : config.inputs], length - config.inputs
    path = torch.randn(batch, length, objects, 3, requires_grad=True)
    content = torch.randn(batch, objects, config.content, requires_grad=True)
    leaves = [*tracker.parameters(), path, content]

    def step() -> None:
        pose, look = tracker.pose.body, tracker.content.body
        seen = bare(pose["encoder"].body, read.flatten(0, 1)).view(batch, config.inputs, -1)
        hidden, outputs = seen.new_zeros(batch, config.inputs, config.hidden), []
        for _ in range(objects):
            hidden = recurrent(pose["reader"], torch.cat([seen, hidden], -1))
            h = hidden[:, -1]
            outputs.append(hidden)
            for _ in range(ahead):
                both = torch.cat([h, h], -1) @ pose["predictor"].weight_ih.T
                h = (both + h @ pose["predictor"].weight_hh.T)[:, : config.hidden]
                outputs.append(h.unsqueeze(1))
        steps = torch.cat(outputs, 1)
        started = recurrent(pose["starter"], steps[:, :objects])
        heads = [pose[f"{which}_{moment}"](x) for which, x in (("step", steps), ("start", started))
                 for moment in ("loc", "scale")]  # fmt: skip
        windows = tracker.constrained(path)
        pictures = tracker.crops(read, windows[:, : config.inputs])
        looks = bare(look["encoder"].body, pictures.flatten(0, 2)).view(batch, config.inputs, objects, -1)
        summary = look["readout"](recurrent(look["reader"], looks.transpose(1, 2).flatten(0, 1))[:, -1])
        drawn = bare(tracker.decoder.body, content.flatten(0, 1)[..., None, None])
        rendered = tracker.paste(drawn.unflatten(0, (batch, objects)), windows)
        values = [*heads, summary, rendered]
        torch.autograd.grad([value.sum() for value in values], leaves, allow_unused=True)

    return step


def bare(layers: nn.Sequential, x: Tensor) -> Tensor:
    """Apply convolutions without what is between them."""
    x = channels_last(x)
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Flatten):
            x = layer(x)
    return x


def main() -> None:
    chosen = options.parser(__doc__, batch=64, length=20, repeats=5, threads=1).parse_args()
    prepare(chosen.threads)
    print(json.dumps(compare(DDPAEConfig(), chosen.batch, chosen.length, chosen.repeats), indent=1))


if __name__ == "__main__":
    main()
