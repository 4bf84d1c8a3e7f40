"""Training batches as pure functions of seed, stage, step and process, so that runs resume."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from pyro.distributions import Independent
from torch import Tensor

from vtssi_pyro.data.clips import Clips
from vtssi_pyro.data.dataset import Dataset
from vtssi_pyro.inference.standalone import SomeTracker
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.interfaces import predictive
from vtssi_pyro.model.program import Program
from vtssi_pyro.model.tracker import Tracker, at_once, evaluating
from vtssi_pyro.system.machine import tidy
from vtssi_pyro.train.group import ALONE, Group
from vtssi_pyro.train.paths import cut, found, paths
from vtssi_pyro.train.recipe import Stage
from vtssi_pyro.types import Paths


class PathBatch(NamedTuple):
    """Paths of objects, as :class:`~vtssi_pyro.types.Paths`, and the number of frames that are observed."""

    present: Tensor  # (B, N), bool
    static: Tensor  # (B, N, F)
    position: Tensor  # (B, T, N, 2)
    visible: Tensor  # (B, T, N), bool
    scale: Tensor  # (B, T, N, 2)
    observed: int  # frames before a roll-out
    ahead: int = 0  # frames of roll-outs from each frame from M on; 0: one roll-out, after the observed ones


class Lesson(NamedTuple):
    """Where another finder has found the objects of some frames."""

    frames: Tensor  # (B, T, C, H, W)
    count: Any  # Tensor (B, 1), drawn by the consensus, as size and description are. Any: see Objects
    size: Tensor  # (B, N, 2)
    description: Tensor  # (B, N, D)
    previous: Tensor  # (B, N, 2) positions in the frame before these; 0 before the first
    position: Tensor  # (B, T, N, 2)
    counts: Tensor  # (B, T, N) bool: whether the object is there and seen


Batches = Callable[[int], Any]  # makes the batch of a step


class BatchSource(NamedTuple):
    """The source of a stage's batches."""

    tracker: SomeTracker
    dataset: Dataset
    stage: Stage
    seed: int
    budget: float  # see TrainConfig
    device: torch.device
    group: Group = ALONE  # the processes that share each batch

    def generator(self, step: int) -> torch.Generator:
        """The random numbers of a step, the same in all processes."""
        return torch.Generator().manual_seed(mixed(self.seed, self.stage.name, step))

    def length(self, step: int) -> int:
        """Number of frames of a step's sequences."""
        return min(round(self.stage.length(step / self.budget)), self.dataset.length)

    def chosen(self) -> Tensor:
        """Numbers of the sequences that the stage keeps, (b,)."""
        return torch.randperm(len(self.dataset), generator=self.generator(-1))[: self.stage.cache]


def frame_batches(source: BatchSource) -> Batches:
    """Random sequences by step; each process of a group takes its share of the batch."""
    dataset, stage = source.dataset, source.stage

    def batch(step: int) -> Tensor:
        generator, length = source.generator(step), source.length(step)
        index = torch.randint(len(dataset), (stage.batch,), generator=generator)
        spare = dataset.length - length if stage.random_start else 0
        start = int(torch.randint(spare + 1, (), generator=generator))
        return dataset.frames(source.group.share(index), length=length, start=start).to(source.device)

    return batch


def path_batches(source: BatchSource) -> Batches:
    """Paths of objects by step, found once in some sequences by the other blocks, which this stage does not train.

    Those in a movie's clips are cut from the paths in the whole movie. The motion makes its training examples of them.
    With ``random_start`` a batch begins at a random frame, such that at least ``length`` frames remain; it has all
    that remain, or, in a stage that predicts so many frames ``ahead``, ``length`` of them.
    """
    tracker, dataset, stage, seed, budget, device, group = source
    assert isinstance(tracker, Tracker)
    if isinstance(dataset, Clips):
        with evaluating(tracker), mode():
            seen = cut(tracker, program_of(tracker, stage), dataset, source.chosen(), device)
    else:
        seen = Paths(*_once(source, paths)[1])
    cached = predictive(tracker.motion).examples(seen)

    def batch(step: int) -> PathBatch:
        return drawn(cached, stage, step, seed, budget, tracker.motion.M, group)

    return batch


def drawn(
    paths: Paths, stage: Stage, step: int, seed: int, budget: float, warmup: int, group: Group = ALONE
) -> PathBatch:
    """Draw paths for a step of a stage; see :func:`path_batches`.

    Args:
        paths: the motion's examples.
        stage: a stage of roll-outs or futures.
        step: the stage's own step.
        seed: the training's.
        budget: see :class:`~vtssi_pyro.train.recipe.TrainConfig`.
        warmup: frames M from which a motion is inferred.
        group: the processes that share the batch.
    """
    generator = torch.Generator().manual_seed(mixed(seed, stage.name, step))
    index = torch.randint(len(paths.position), (stage.batch,), generator=generator)
    some = Paths(*(values[group.share(index).to(values.device)] for values in paths))
    length, ahead = (round(schedule(step / budget)) for schedule in (stage.length, stage.ahead))
    spare = max(0, paths.position.shape[1] - length) if stage.random_start else 0
    # half of the range is cut to 0: about every second batch begins at the first frame, for the longest roll-outs
    start = max(0, int(torch.randint(0 if ahead else -spare, spare + 1, (), generator=generator)))
    frames = slice(start, start + length if ahead else None)
    position, visible, scale = (path[:, frames] for path in (some.position, some.visible, some.scale))
    observed, longest = warmup, position.shape[1] - 1
    if ahead:
        ahead = min(ahead, longest)
        observed = longest + 1 - ahead
    elif stage.later and longest > observed:  # likewise, about every second roll-out is the longest
        observed = max(
            observed, int(torch.randint(2 * observed - longest, longest + 1, (), generator=generator))
        )
    return PathBatch(some.present, some.static, position, visible, scale, observed, ahead)


def lesson_batches(source: BatchSource) -> Batches:
    """Parts of some sequences in which the stage's finder has looked for the objects once."""
    dataset, stage, group = source.dataset, source.stage, source.group
    chosen, (*densities, position, counts) = _once(source, _lesson)

    def batch(step: int) -> Lesson:
        generator, length = source.generator(step), source.length(step)
        index = group.share(torch.randint(len(chosen), (stage.batch,), generator=generator))
        start = int(torch.randint(dataset.length - length + 1, (), generator=generator))
        frames = dataset.frames(chosen[index], length=length, start=start).to(source.device)
        where, span = position[index], slice(start, start + length)
        previous = where[:, start - 1] if start else torch.zeros_like(where[:, 0])
        drawn = []
        for loc, scale in (values[index].unbind(1) for values in densities):
            noise = torch.randn((stage.batch, *loc.shape[1:]), generator=generator)
            drawn.append(loc + scale * group.share(noise).to(loc))
        count, size, description = drawn
        count = count.squeeze(-2)
        return Lesson(frames, count, size, description, previous, where[:, span], counts[index, span])

    return batch


def _once(
    source: BatchSource, read: Callable[[Tracker, Program, Tensor], Iterable[Tensor]]
) -> tuple[Tensor, list[Tensor]]:
    """Read the sequences that the stage keeps, with its program at the modes.

    Returns:
        their indices, and the tensors that ``read`` makes of frames, for all of them.
    """
    tracker, dataset, chosen = source.tracker, source.dataset, source.chosen()
    assert isinstance(tracker, Tracker)
    parts, program = [], program_of(tracker, source.stage)
    with evaluating(tracker), mode():
        for index in chosen.split(at_once(tracker, dataset.length)):
            parts.append(read(tracker, program, dataset.frames(index).to(source.device)))
            tidy()
    return chosen, [torch.cat(values) for values in zip(*parts, strict=True)]


def program_of(tracker: Tracker, stage: Stage) -> Program:
    """The tracker's program as a stage has it: with its finder, or with refined positions and looks."""
    program = tracker.refined() if stage.refined else tracker.program()
    if stage.finder is None:
        return program
    with next(tracker.parameters()).device:
        return replace(program, finder=stage.finder.build(tracker.config))


def _lesson(tracker: Tracker, program: Program, frames: Tensor) -> list[Tensor]:
    """Mean and scale of count, size and description, (B, 2, ...) each; positions; and those that count."""
    latents, position, visible = found(tracker, program, frames)
    moments = []
    for name in ("count", "size", "description"):
        q = latents.densities[name]
        assert isinstance(q, Independent)
        moments.append(torch.stack([q.base_dist.loc, q.base_dist.scale], 1))
    return [*moments, position, visible & latents.objects.present.unsqueeze(-2)]


def mixed(*values: Any) -> int:
    """Hash several values to one 63-bit seed, the same in every process (after FNV-1a, with its prime)."""
    state = 1469598103934665603
    for byte in "/".join(map(str, values)).encode():
        state = ((state ^ byte) * 1099511628211) % 2**64
    return state % 2**63
