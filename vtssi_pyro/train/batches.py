"""Training batches as pure functions of seed, stage, step and process, so that runs resume."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vtssi_pyro.data.dataset import Dataset
from vtssi_pyro.inference.confidence import counted_pose, explained_share, looks
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.interfaces import predictive
from vtssi_pyro.model.program import Program, Tracker, at_once, evaluating, stacked
from vtssi_pyro.system.machine import tidy
from vtssi_pyro.train.group import ALONE, Group
from vtssi_pyro.train.recipe import Stage


class Positions(NamedTuple):
    """The input of MOT: the modes of the latent variables that the other blocks infer."""

    present: Tensor  # (B, N), bool
    static: Tensor  # (B, N, F), see StateSpace.static
    position: Tensor  # (B, T, N, 2)
    seen: Tensor  # (B, T, N), bool: whether the frame shows the object; otherwise its position means nothing


Batches = Callable[[int], Any]
SEEN = 0.5  # confidence from which on a frame shows an object: the object explains half of the squared error there


def frame_batches(
    tracker: Tracker,
    dataset: Dataset,
    stage: Stage,
    seed: int,
    budget: float,
    device: torch.device,
    group: Group = ALONE,
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
    tracker: Tracker,
    dataset: Dataset,
    stage: Stage,
    seed: int,
    budget: float,
    device: torch.device,
    group: Group = ALONE,
) -> Batches:
    """Paths of objects by step, found once in some sequences by the other blocks, which this stage does not train.

    A path is that of a single object, or of a whole scene if objects interact. With ``random_start`` a batch begins at
    a random frame, such that at least ``length`` frames remain.
    """
    generator = torch.Generator().manual_seed(mixed(seed, stage.name, -1))
    chosen = torch.randperm(len(dataset), generator=generator)[: stage.cache]
    parts, program = [], tracker.refined() if stage.refined else tracker.program()
    with evaluating(tracker), mode():
        for index in chosen.split(at_once(tracker, dataset.length)):
            parts.append(positions(tracker, program, dataset.frames(index).to(device)))
            tidy()
    cached = Positions(*map(torch.cat, zip(*parts, strict=True)))
    if not tracker.motion.interacts:
        cached = _single_objects(cached)

    def batch(step: int) -> Positions:
        generator = torch.Generator().manual_seed(mixed(seed, stage.name, step))
        index = torch.randint(len(cached.position), (stage.batch,), generator=generator)
        index = group.share(index).to(device)
        spare = max(0, dataset.length - round(stage.length(step / budget))) if stage.random_start else 0
        # half of the range is cut to 0: about every second batch begins at the first frame, for the longest roll-outs
        start = max(0, int(torch.randint(-spare, spare + 1, (), generator=generator)))
        present, static, position, seen = (values[index] for values in cached)
        return Positions(present, static, position[:, start:], seen[:, start:])

    return batch


def positions(tracker: Tracker, program: Program, frames: Tensor) -> Positions:
    """Infer the input of the tracker's motion from frames (B, T, C, H, W) by the other blocks of a program."""
    motion, picture = predictive(tracker.motion), tracker.picture
    found = replace(program, motion=tracker.walk()).guide(frames)
    objects, states = found.objects, stacked(found.states)
    static = motion.static(picture, objects, found.chain.found)
    present = tracker.scene.present(objects)
    pose = counted_pose(tracker, objects, states, looks(picture, objects, found.chain.found))
    _, confidence = explained_share(frames, picture, pose, objects)
    return Positions(present, static, states["position"], confidence > SEEN)


def _single_objects(batch: Positions) -> Positions:
    """Make each present object a sequence of its own, so that no work is spent on empty slots."""
    present, static, position, seen = batch
    chosen = present if present.any() else torch.ones_like(present)
    return Positions(
        present[chosen].unsqueeze(-1),
        static[chosen].unsqueeze(1),
        position.transpose(1, 2)[chosen].unsqueeze(2),
        seen.transpose(1, 2)[chosen].unsqueeze(2),
    )


def mixed(*values: Any) -> int:
    """Hash several values to one 63-bit seed, the same in every process (after FNV-1a, with its prime)."""
    state = 1469598103934665603
    for byte in "/".join(map(str, values)).encode():
        state = ((state ^ byte) * 1099511628211) % 2**64
    return state % 2**63
