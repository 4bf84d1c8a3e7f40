"""What a step trains on: a pure function of the seed, the stage, the step and the process, so that runs resume."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vtssi_pyro.config.recipe import Stage
from vtssi_pyro.handlers import mode
from vtssi_pyro.tracker import Tracker, evaluating
from vtssi_pyro.train.group import ALONE, Group
from vtssi_pyro.types import Objects


class Positions(NamedTuple):
    """What a stage for motion alone trains on: the modes of what the other blocks infer."""

    objects: Objects  # size (B, N, 2), description (B, N, D), count (B, 1)
    position: Tensor  # (B, T, N, 2)


Batches = Callable[[int], Any]


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
    """Positions that the other blocks, which this stage leaves alone, infer once for a sample of sequences."""
    generator = torch.Generator().manual_seed(mixed(seed, stage.name, -1))
    chosen = torch.randperm(len(dataset), generator=generator)[: stage.cache]
    walk = tracker.without_motion()
    parts = []
    with evaluating(tracker), mode():
        for index in chosen.split(64):
            parts.append(walk.guide(dataset.frames(index).to(device)))
    objects = Objects(*(torch.cat(parts_) for parts_ in zip(*(part.objects for part in parts), strict=True)))
    position = torch.cat([part.position for part in parts])

    def batch(step: int) -> Positions:
        generator = torch.Generator().manual_seed(mixed(seed, stage.name, step))
        index = torch.randint(len(position), (stage.batch,), generator=generator)
        index = group.share(index).to(position.device)
        return Positions(Objects(*(v[index] for v in objects)), position[index])

    return batch


def mixed(*values: Any) -> int:
    """One 63-bit seed of several values, the same in every process."""
    state = 1469598103934665603
    for byte in "/".join(map(str, values)).encode():
        state = ((state ^ byte) * 1099511628211) % 2**64
    return state % 2**63
