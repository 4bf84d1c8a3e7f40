"""What a step trains on: a pure function of the seed, the stage, the step and the process, so that runs resume."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vtssi_pyro.inference.confidence import explain
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.program import Tracker, at_once, evaluating
from vtssi_pyro.ops import counting
from vtssi_pyro.system.machine import tidy
from vtssi_pyro.train.group import ALONE, Group
from vtssi_pyro.train.recipe import Stage


class Positions(NamedTuple):
    """What MOT sees of the other blocks: the modes of what they infer."""

    here: Tensor  # (B, N), bool: whether there is an object
    static: Tensor  # (B, N, F), see MOT.static
    position: Tensor  # (B, T, N, 2)
    seen: Tensor  # (B, T, N), bool: whether the frame shows the object, so that the position says anything


Batches = Callable[[int], Any]
SEEN = 0.5  # confidence from which on an object is taken to be seen


def frame_batches(
    tracker: Tracker, dataset: Any, stage: Stage, seed: int, budget: float, device: Any, group: Group = ALONE
) -> Batches:
    """Random sequences by step; each process of a group takes its share of the batch."""

    def batch(step: int) -> Tensor:
        generator = torch.Generator().manual_seed(mixed(seed, stage.name, step))
        index = torch.randint(len(dataset), (stage.batch,), generator=generator)
        length = min(round(stage.length(step / budget)), dataset.length)
        spare = dataset.length - length if stage.random_start else 0
        start = int(torch.randint(spare + 1, (), generator=generator))
        return dataset.frames(group.share(index), length=length, start=start).to(device)

    return batch


def position_batches(
    tracker: Tracker, dataset: Any, stage: Stage, seed: int, budget: float, device: Any, group: Group = ALONE
) -> Batches:
    """Objects by themselves, as the other blocks, which this stage leaves alone, find them once in some sequences.

    With ``random_start`` a batch leaves out the first frames, as many as leave it ``length``.
    """
    generator = torch.Generator().manual_seed(mixed(seed, stage.name, -1))
    chosen = torch.randperm(len(dataset), generator=generator)[: stage.cache]
    parts = []
    with evaluating(tracker), mode():
        for index in chosen.split(at_once(tracker, dataset.length)):
            parts.append(positions(tracker, dataset.frames(index).to(device)))
            tidy()
    cached = _apart(Positions(*map(torch.cat, zip(*parts, strict=True))))

    def batch(step: int) -> Positions:
        generator = torch.Generator().manual_seed(mixed(seed, stage.name, step))
        index = torch.randint(len(cached.position), (stage.batch,), generator=generator)
        index = group.share(index).to(device)
        spare = max(0, dataset.length - round(stage.length(step / budget))) if stage.random_start else 0
        # about every second batch begins at the first frame, for the longest roll-outs
        start = max(0, int(torch.randint(-spare, spare + 1, (), generator=generator)))
        here, static, position, seen = (values[index] for values in cached)
        return Positions(here, static, position[:, start:], seen[:, start:])

    return batch


def positions(tracker: Tracker, frames: Tensor) -> Positions:
    """What the other blocks infer of frames (B, T, H, W), as MOT sees it."""
    found = tracker.without_motion().guide(frames)
    assert found.carry is not None
    static = tracker.motion.static(tracker.air, found.objects, found.carry.found)
    here = counting.present(found.objects.count, found.position.shape[-2])
    glimpses = tracker.air.glimpses(found.objects, found.carry.found)
    _, sure = explain(frames, glimpses, found, here.unsqueeze(-2).expand(found.position.shape[:-1]))
    return Positions(here, static, found.position, sure > SEEN)


def _apart(batch: Positions) -> Positions:
    """Every object that is there as a sequence of its own: none of the work is for empty slots."""
    here, static, position, seen = batch
    chosen = here if here.any() else torch.ones_like(here)
    return Positions(
        here[chosen].unsqueeze(-1),
        static[chosen].unsqueeze(1),
        position.transpose(1, 2)[chosen].unsqueeze(2),
        seen.transpose(1, 2)[chosen].unsqueeze(2),
    )


def mixed(*values: Any) -> int:
    """One 63-bit seed of several values, the same in every process."""
    state = 1469598103934665603
    for byte in "/".join(map(str, values)).encode():
        state = ((state ^ byte) * 1099511628211) % 2**64
    return state % 2**63
