"""Smoothing: looks and places in the light of all frames, where a filter knows of each only what came before it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from pyro import poutine
from pyro.poutine import Trace
from pyro.poutine.runtime import Message
from pyro.poutine.util import site_is_subsample
from torch import Tensor

from vtssi_pyro.model.ascent import PACE, RATE, climbed
from vtssi_pyro.model.program import Program, fold
from vtssi_pyro.model.sites import POSITION, variable
from vtssi_pyro.types import Chain, Latents, Objects, State

# What climbs, and by how much in a step. Who is there, and how large its window is, stays as the filter has it.
RATES = {"description": RATE, POSITION.name: PACE}


def smoothed(program: Program, frames: Tensor, before: Chain | None, steps: int) -> Latents:
    """Run the guide, and let its looks and places climb log p(x, z) of the model itself, in all frames together.

    An object that overlaps others, or is half beyond an edge, where it is first seen gets the looks that later frames
    show; one that hides takes the way that leads to where it is seen again. A sequence keeps what the guide has found
    if that is likelier.

    Args:
        program: the tracker's program.
        frames: (B, T, C, H, W).
        before: the chain of the frames before these; None: these are the first.
        steps: number of gradient steps; 0: latent variables are those of the guide.

    Returns:
        latent variables. Their chain is the guide's, from which predictions go on, and so are their densities.

    Reference: Kim et al., Semi-amortized variational autoencoders, 2018.
    """
    if not steps:
        return program.guide(frames, chain=before)
    with poutine.trace() as guided:
        latents = program.guide(frames, chain=before)
    drawn = {node["name"]: node for node in _sampled(guided.trace)}
    rates = {name: RATES[variable(node)] for name, node in drawn.items() if variable(node) in RATES}
    joint = _Joint(program, fold(frames) if program.per_frame else frames, before, drawn)

    def named(values: Iterable[Tensor]) -> dict[str, Tensor]:
        return dict(zip(rates, values, strict=True))

    def density(*values: Tensor) -> Tensor:
        return joint(named(values))[0].sum()

    start = [drawn[name]["value"] for name in rates]
    paces = [torch.full_like(value, rate) for value, rate in zip(start, rates.values(), strict=True)]
    found = named(climbed(density, start, paces, steps))
    likelier = (joint(found)[0] > joint({})[0])[:, None, None]
    _, objects, states = joint(
        {name: torch.where(likelier, new, drawn[name]["value"]) for name, new in found.items()}
    )
    return latents._replace(objects=objects, states=states)


@dataclass(frozen=True)
class _Joint:
    """Log p(x, z), given the frames before x, as a function of some of z; the others are as they were drawn."""

    program: Program
    frames: Tensor
    before: Chain | None
    drawn: Mapping[str, Message]

    def __call__(self, values: Mapping[str, Tensor]) -> tuple[Tensor, Objects, list[State]]:
        """The density of each sequence, (B,), and the objects and states that have these values."""
        program, frames = self.program, self.frames
        data = {name: values.get(name, node["value"]) for name, node in self.drawn.items()}
        times, warmup = range(1, frames.shape[1] + 1), program.warmup(frames, self.before)
        with poutine.block(), poutine.trace() as scored, poutine.condition(data=data):
            plates = program.plates(frames)
            objects, states = program.prior(plates, times, warmup, chain=self.before)
            program.likelihood(plates, objects, states, frames)
        scored.trace.compute_log_prob()
        density = torch.stack([node["log_prob"].sum(-1) for node in _sampled(scored.trace)]).sum(0)
        return density, objects, states


def _sampled(trace: Trace) -> list[Message]:
    """The sample statements of a trace, but those of plates."""
    nodes = trace.nodes.values()
    return [node for node in nodes if node["type"] == "sample" and not site_is_subsample(node)]
