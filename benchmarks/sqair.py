"""Time one training step of SQAIR against the floor of its own operations, in one run.

The floor is the step's matrix products, crops and pastes alone, forward and backward, of the sizes and in the order
that the program needs: an object after the other in the guide, all frames at once in the picture and in the prior. It
has no activation, no distribution, no sampling, no effect handler, no objective, no optimiser.

python benchmarks/sqair.py --batch 32 --length 10 --particles 5 --repeats 3 --threads 1
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import options
import torch
from rounds import against
from torch import Tensor, nn

from vtssi_pyro.baselines import SQAIR, SQAIRConfig
from vtssi_pyro.baselines.sqair.networks import cut, window
from vtssi_pyro.ops.spatial import paste
from vtssi_pyro.system.machine import prepare
from vtssi_pyro.train.baseline_presets import recipe
from vtssi_pyro.train.recipe import Scheduled
from vtssi_pyro.train.step import Step


def compare(
    batch: int = 32,
    length: int = 10,
    particles: int = 5,
    repeats: int = 3,
    sizes: SQAIRConfig = SQAIRConfig(),  # noqa: B008 - a frozen dataclass
) -> dict[str, Any]:
    """Time both in turn."""
    torch.manual_seed(0)
    sqair = sizes.build()
    frames = torch.rand(batch, length, sizes.channels, sizes.frame_size, sizes.frame_size)
    step = package(sqair, frames, particles)
    step()
    found = {"batch": batch, "length": length, "particles": particles}
    return found | against(step, "floor", floor(sqair, frames, particles), repeats)


def package(sqair: SQAIR, frames: Tensor, particles: int) -> Callable[[], float]:
    """Make the package's own training step, with a learning rate of 0; it returns the bound."""
    config = replace(recipe("sqair", "fast").train, particles=particles)
    make = Step(sqair, sqair, config, config.stages[0])

    def step() -> float:
        terms, _ = make(frames, Scheduled())
        return float(sum(terms.values()))

    return step


def floor(sqair: SQAIR, frames: Tensor, particles: int) -> Callable[[], None]:
    """Make a function that computes the floor of a step."""
    config, (batch, length) = sqair.config, frames.shape[:2]
    slots, units, what = config.slots, config.units, config.what
    inference, prior, picture = sqair.inference.body, sqair.prior.body, sqair.picture.body
    discovery, propagation, encoder = inference.discovery, inference.propagation, inference.glimpses
    rows = (particles, batch)

    def leaf(*shape: int) -> Tensor:
        return torch.rand(*shape, requires_grad=True)

    one = {"where": leaf(*rows, 1, 4), "state": leaf(*rows, 1, units), "what": leaf(*rows, 1, what)}
    every = {"where": leaf(*rows, slots, 4), "memory": leaf(*rows, slots, units)}
    shared = leaf(*rows, slots, propagation.cell.shared[0].in_features)
    past = leaf(length * particles * batch * slots, prior.transition.cell.input_size)
    known = leaf(length * particles * batch * slots, units)
    everywhere = leaf(*rows, length, slots, 4)
    whats = leaf(*rows, length, slots, what)
    pairs = leaf(*rows, slots, what + 4)
    leaves = [*sqair.parameters(), *one.values(), *every.values()]
    leaves += [shared, past, known, everywhere, whats, pairs]

    def glimpses(t: int, where: Tensor) -> Tensor:
        return bare(encoder.layers, cut(frames[:, t : t + 1], where, config.glimpse).flatten(-3))

    def step() -> None:
        found = [bare(discovery.image, frames.flatten(0, 1).flatten(1)) @ discovery.cell.shared[0].weight.T]
        for t in range(length):
            if t:
                found += [bare(propagation.glance, every["memory"]), bare(propagation.mask, every["memory"])]
                found += [glimpses(t, every["where"]), propagation.cell.shared[0](shared)]
                for _ in range(slots):
                    found.append(propagation.cell.varying(joined(one["what"], one["where"], one["state"], 1)))
                    found.append(
                        bare(propagation.place.layers, joined(one["state"], one["where"], one["state"]))
                    )
                    seen = glimpses(t, one["where"])
                    gated = joined(one["state"], one["where"], seen)
                    found += [
                        nn.functional.linear(gated, propagation.temporal.cell.weight_ih),
                        nn.functional.linear(one["state"], propagation.temporal.cell.weight_hh),
                        propagation.what(one["state"]),
                        propagation.gates(one["state"]),
                        bare(propagation.presence, joined(one["state"], one["state"], one["what"])),
                    ]
                found.append(bare(sqair.summary.body, pairs))
                found.append(discovery.cell.shared[1](one["state"]))
            for _ in range(slots):
                found.append(discovery.cell.varying(joined(one["what"], one["where"], one["state"], 1)))
                found += [bare(discovery.place.layers, one["state"]), glimpses(t, one["where"])]
                found.append(bare(discovery.presence, joined(one["state"], one["what"])))
        cell = prior.transition.cell
        found += [nn.functional.linear(past, cell.weight_ih), nn.functional.linear(known, cell.weight_hh)]
        found += [prior.next(known), bare(sqair.summary.body, past)]
        place = window(everywhere, config.frame_size, config.glimpse)
        drawn = bare(picture.decoder, whats).unflatten(-1, (config.channels, config.glimpse, config.glimpse))
        found.append(paste(drawn, place.position.unsqueeze(-3), place.size, (config.frame_size,) * 2))
        torch.autograd.grad([output.sum() for output in found], leaves, allow_unused=True)

    return step


def joined(*tensors: Tensor | int) -> Tensor:
    """Concatenate tensors along the last axis; a number stands for so many zeros."""
    lead = next(tensor for tensor in tensors if isinstance(tensor, Tensor)).shape[:-1]
    return torch.cat([torch.zeros(*lead, x) if isinstance(x, int) else x for x in tensors], -1)


def bare(layers: nn.Module, x: Tensor) -> Tensor:
    """Apply the linear layers alone."""
    for layer in layers.children():
        if isinstance(layer, nn.Linear):
            x = layer(x)
    return x


def main() -> None:
    chosen = options.parser(__doc__, batch=32, length=10, particles=5, repeats=3, threads=1).parse_args()
    prepare(chosen.threads)
    print(json.dumps(compare(chosen.batch, chosen.length, chosen.particles, chosen.repeats), indent=1))


if __name__ == "__main__":
    main()
