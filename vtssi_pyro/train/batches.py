"""Training batches as pure functions of seed, stage, step and process, so that runs resume."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from pyro import poutine
from torch import Tensor

from vtssi_pyro.data.dataset import Dataset
from vtssi_pyro.inference.confidence import counted_pose, explained_share, looks
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.interfaces import predictive
from vtssi_pyro.model.program import Program, Tracker, at_once, evaluating, stacked
from vtssi_pyro.system.machine import tidy
from vtssi_pyro.train.group import ALONE, Group
from vtssi_pyro.train.recipe import Stage
from vtssi_pyro.types import Detections, Objects, State


class Positions(NamedTuple):
    """The input of MOT: the modes of the latent variables that the other blocks infer."""

    present: Tensor  # (B, N), bool
    static: Tensor  # (B, N, F), see StateSpace.static
    position: Tensor  # (B, T, N, 2)
    visible: (
        Tensor  # (B, T, N), bool: whether the frame shows the object; otherwise its position means nothing
    )


class Lesson(NamedTuple):
    """Where another finder has found the objects of some frames."""

    frames: Tensor  # (B, T, C, H, W)
    count: (
        Any  # Tensor (B, 1), drawn by the consensus, as size and description are; a tuple has a method count
    )
    size: Tensor  # (B, N, 2)
    description: Tensor  # (B, N, D)
    previous: Tensor  # (B, N, 2) positions in the frame before these; 0 before the first
    position: Tensor  # (B, T, N, 2)
    counts: Tensor  # (B, T, N) bool: whether the object is there and seen


Batches = Callable[[int], Any]
VISIBLE = 0.5  # confidence from which on a frame shows an object: the object explains half of the squared error there


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
    parts, program = [], program_of(tracker, stage)
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
        present, static, position, visible = (values[index] for values in cached)
        return Positions(present, static, position[:, start:], visible[:, start:])

    return batch


def lesson_batches(
    tracker: Tracker,
    dataset: Dataset,
    stage: Stage,
    seed: int,
    budget: float,
    device: torch.device,
    group: Group = ALONE,
) -> Batches:
    """Parts of some sequences in which the stage's finder has looked for the objects once."""
    generator = torch.Generator().manual_seed(mixed(seed, stage.name, -1))
    chosen = torch.randperm(len(dataset), generator=generator)[: stage.cache]
    program, parts = program_of(tracker, stage), []
    with evaluating(tracker), mode():
        for index in chosen.split(at_once(tracker, dataset.length)):
            frames = dataset.frames(index).to(device)
            objects, states, confidence, _ = _found(tracker, program, frames)
            present = tracker.scene.present(objects).unsqueeze(-2)
            q = poutine.trace(program.consensus.guide).get_trace(
                program.attention, frames, program.plates(frames)
            )
            known = [q.nodes[name]["fn"].base_dist for name in Objects._fields]
            moments = (torch.stack([fn.loc, fn.scale], 1) for fn in known)
            parts.append((*moments, states["position"], present & (confidence > VISIBLE)))
            tidy()
    *densities, position, counts = map(torch.cat, zip(*parts, strict=True))

    def batch(step: int) -> Lesson:
        generator = torch.Generator().manual_seed(mixed(seed, stage.name, step))
        index = group.share(torch.randint(len(chosen), (stage.batch,), generator=generator))
        length = min(round(stage.length(step / budget)), dataset.length)
        start = int(torch.randint(dataset.length - length + 1, (), generator=generator))
        frames = dataset.frames(chosen[index]).to(device)
        where, span = position[index], slice(start, start + length)
        previous = where[:, start - 1] if start else torch.zeros_like(where[:, 0])
        drawn = []
        for loc, scale in (values[index].unbind(1) for values in densities):
            noise = torch.randn((stage.batch, *loc.shape[1:]), generator=generator)
            drawn.append(loc + scale * group.share(noise).to(loc))
        count, size, description = drawn
        return Lesson(
            frames[:, span],
            count.squeeze(-2),
            size,
            description,
            previous,
            where[:, span],
            counts[index, span],
        )

    return batch


def program_of(tracker: Tracker, stage: Stage) -> Program:
    """The tracker's program as a stage has it: with its finder, or with refined positions and looks."""
    program = tracker.refined() if stage.refined else tracker.program()
    if stage.finder is None:
        return program
    with next(tracker.parameters()).device:
        return replace(program, finder=stage.finder.build(tracker.config))


def positions(tracker: Tracker, program: Program, frames: Tensor) -> Positions:
    """Infer the input of the tracker's motion from frames (B, T, C, H, W) by the other blocks of a program."""
    objects, states, confidence, found = _found(tracker, program, frames)
    static = predictive(tracker.motion).static(tracker.picture, objects, found)
    present = tracker.scene.present(objects)
    return Positions(present, static, states["position"], confidence > VISIBLE)


def _found(tracker: Tracker, program: Program, frames: Tensor) -> tuple[Objects, State, Tensor, Detections]:
    """Objects, states, confidences (B, T, N) and detections by all blocks of a program but the motion."""
    picture = tracker.picture
    latents = replace(program, motion=tracker.walk()).guide(frames)
    objects, states, found = latents.objects, stacked(latents.states), latents.chain.found
    pose = counted_pose(tracker, objects, states, looks(picture, objects, found))
    return objects, states, explained_share(frames, picture, pose, objects)[1], found


def _single_objects(batch: Positions) -> Positions:
    """Make each present object a sequence of its own, so that no work is spent on empty slots."""
    present, static, position, visible = batch
    chosen = present if present.any() else torch.ones_like(present)
    return Positions(
        present[chosen].unsqueeze(-1),
        static[chosen].unsqueeze(1),
        position.transpose(1, 2)[chosen].unsqueeze(2),
        visible.transpose(1, 2)[chosen].unsqueeze(2),
    )


def mixed(*values: Any) -> int:
    """Hash several values to one 63-bit seed, the same in every process (after FNV-1a, with its prime)."""
    state = 1469598103934665603
    for byte in "/".join(map(str, values)).encode():
        state = ((state ^ byte) * 1099511628211) % 2**64
    return state % 2**63
