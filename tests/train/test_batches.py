"""Training batches."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_model import SIDE, small

from vtssi_pyro.config.schedules import Constant
from vtssi_pyro.data import ArrayDataset
from vtssi_pyro.model.blocks.registered import RegisteredConfig
from vtssi_pyro.model.blocks.template import TemplateConfig
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.program import stacked
from vtssi_pyro.model.tracker import Tracker, build
from vtssi_pyro.train.batches import BatchSource, Lesson, lesson_batches, path_batches, program_of
from vtssi_pyro.train.objective import imitate
from vtssi_pyro.train.recipe import Scheduled, Stage
from vtssi_pyro.types import Objects, Paths

LENGTH = 6
DATA = ArrayDataset("data", np.random.default_rng(0).random((8, LENGTH, SIDE, SIDE)).astype(np.float32))
STAGE = Stage("motion", 5, "rollout", ("motion",), 3, cache=6)
TEACHER = RegisteredConfig(TemplateConfig(kernel_side=5))
IMITATION = Stage("search", 5, "imitation", ("finder",), 3, length=Constant(4), finder=TEACHER, cache=8)
CPU = torch.device("cpu")


def test_roll_outs_start_anywhere() -> None:
    """With a random start the first frames are left out, never more than leave the length; else none are."""
    tracker = build("vtssi", small("template"))
    whole = path_batches(BatchSource(tracker, DATA, STAGE, 1, 1.0, torch.device("cpu")))
    stage = replace(STAGE, random_start=True, length=Constant(LENGTH - 2))
    cut = path_batches(BatchSource(tracker, DATA, stage, 1, 1.0, torch.device("cpu")))
    lengths = []
    for step in range(30):
        complete, later = whole(step).position, cut(step).position
        assert complete.shape[1] == LENGTH
        assert torch.equal(later, complete[:, -later.shape[1] :])
        lengths.append(later.shape[1])
    assert set(lengths) == {LENGTH - 2, LENGTH - 1, LENGTH}
    assert lengths.count(LENGTH) > 12


def test_a_motion_chooses_its_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is shown the paths of whole scenes, once, and batches hold what it returns and nothing else."""
    tracker, shown = build("vtssi", small("template")), []

    def second(paths: Paths) -> Paths:
        shown.append(paths)
        return Paths(*(values[1:2] for values in paths))

    monkeypatch.setattr(tracker.motion, "examples", second)
    batches = path_batches(BatchSource(tracker, DATA, STAGE, 1, 1.0, CPU))
    for step in range(3):
        for values, scenes in zip(batches(step)[: len(Paths._fields)], shown[0], strict=True):
            assert len(scenes) == STAGE.cache
            assert all(torch.equal(value, scenes[1]) for value in values)
    assert len(shown) == 1


def lesson() -> tuple[Tracker, Lesson]:
    torch.manual_seed(0)
    tracker = build("vtssi", small("learned"))
    return tracker, lesson_batches(BatchSource(tracker, DATA, IMITATION, 1, 1.0, CPU))(0)


def test_a_lesson_shows_where_the_other_finder_has_found_the_objects() -> None:
    """Its positions are those of the tracker's program with the stage's finder, of frames of the same sequence."""
    tracker, _ = lesson()
    tracker.eval()
    batches = lesson_batches(BatchSource(tracker, DATA, IMITATION, 1, 1.0, CPU))
    program = replace(program_of(tracker, IMITATION), motion=tracker.walk())
    with torch.no_grad(), mode():
        found = stacked(program.guide(DATA.frames(slice(None))).states)["position"]
    starts = set()
    for step in range(8):
        batch = batches(step)
        for frames, position, previous in zip(batch.frames, batch.position, batch.previous, strict=True):
            same = [(DATA.frames(slice(None))[:, t : t + 4] == frames).flatten(1).all(1) for t in range(3)]
            start, row = torch.stack(same).nonzero()[0].tolist()
            torch.testing.assert_close(position, found[row, start : start + 4])
            before = found[row, start - 1] if start else torch.zeros_like(previous)
            torch.testing.assert_close(previous, before)
            starts.add(start)
    assert starts == {0, 1, 2}


def test_a_lesson_depends_on_seed_and_step_alone() -> None:
    """So that a resumed training is the same training, with draws of descriptions that differ from step to step."""
    tracker, first = lesson()
    batches = lesson_batches(BatchSource(tracker, DATA, IMITATION, 1, 1.0, CPU))
    later = batches(1)
    assert all(torch.equal(a, b) for a, b in zip(first, batches(0), strict=True))
    assert not torch.equal(first.description, later.description)


def test_imitation_heeds_what_is_seen_and_nothing_else() -> None:
    """Places of objects that are absent or hidden do not count; the others' are scored by the finder's proposals."""
    tracker, batch = lesson()
    counts = torch.zeros_like(batch.counts)
    counts[0, 1, 0] = True
    batch = batch._replace(counts=counts)

    def score(position: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        return imitate(tracker, batch._replace(position=position), IMITATION, Scheduled())["imitation"]

    moved = batch.position + 0.1 * ~counts.unsqueeze(-1)
    assert torch.equal(score(batch.position), score(moved))
    torch.manual_seed(3)
    objects = tracker.scene.counted(Objects(batch.count, batch.size, batch.description))
    sight = tracker.finder.look(tracker.picture, batch.frames, objects)
    first = tracker.finder.step(sight, 0, {"position": batch.previous}).sample()
    expected = tracker.finder.step(sight, 1, {"position": first}).log_prob(batch.position[:, 1])[0, 0]
    torch.testing.assert_close(score(batch.position), expected)


def test_a_finder_learns_by_imitation() -> None:
    """Some steps on one lesson make its proposals likelier by nats an object."""
    tracker, batch = lesson()
    batch = batch._replace(counts=torch.ones_like(batch.counts))
    adam = torch.optim.Adam(tracker.finder.parameters(), 1e-2)
    scores = []
    for _ in range(30):
        adam.zero_grad()
        score = imitate(tracker, batch, IMITATION, Scheduled())["imitation"] / batch.counts.sum()
        (-score).backward()
        adam.step()
        scores.append(score.item())
    assert scores[-1] > scores[0] + 1
    assert all(p.grad is None for name, p in tracker.named_parameters() if not name.startswith("finder"))
