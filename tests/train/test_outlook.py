"""The time that is told to remain is the time that remains."""

from types import SimpleNamespace
from typing import cast

import pytest

from vtssi_pyro.config.schedules import Constant, Linear
from vtssi_pyro.train import outlook
from vtssi_pyro.train.group import ALONE
from vtssi_pyro.train.outlook import Outlook, Rehearsal, Rehearsed, scaled, validations
from vtssi_pyro.train.recipe import Stage, TrainConfig
from vtssi_pyro.train.trainer import Trainer

LONG = 10  # frames of the sequences
# the second stage's sequences grow beyond what the data has
RECIPE = TrainConfig(
    (
        Stage("first", 60, length=Constant(1)),
        Stage("second", 100, length=Linear(4, 8, 0, 100)),
        Stage("third", 40),
    ),
    evaluate_every=70,
    log_every=10,
)
TRUE = Rehearsal(
    {"first": Rehearsed(0.0, 2.0), "second": Rehearsed(30.0, 0.5), "third": Rehearsed(7.0, 1.0)}, 11.0, 50.0
)


class Clock:
    """A clock that goes on as it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(outlook, "clock", clock)
    return clock


def told(clock: Clock, rehearsed: Rehearsal) -> list[tuple[int, float | None, float]]:
    """Step, told and true seconds after each record of a training that takes what TRUE says."""
    dataset = SimpleNamespace(length=LONG)
    trainer = SimpleNamespace(
        config=SimpleNamespace(train=RECIPE), step=0, stage=None, group=ALONE, dataset=dataset
    )
    seen = Outlook(cast(Trainer, trainer), lambda number: None, 1, lambda tracker: 0.0)
    seen._rehearse = lambda: rehearsed if clock.now > 20 else None  # type: ignore[method-assign]
    made, whole = list[tuple[int, float | None, float]](), 0.0
    for step in range(1, RECIPE.steps + 1):
        stage, within = RECIPE.locate(step - 1)
        takes = TRUE.stages[stage.name]
        clock.now += takes.pace * min(stage.length(within + 0.5), LONG) + takes.prepare * (within == 0)
        trainer.step, trainer.stage = step, stage
        records = ["train"] if step % RECIPE.log_every == 0 else []
        if validations(RECIPE, step) > validations(RECIPE, step - 1):
            records.append("validation")
        for kind in records:
            clock.now += TRUE.validation if kind == "validation" else 0.0
            made.append((step, seen.remaining({"kind": kind}), clock.now))
    whole = clock.now + TRUE.after
    return [(step, seconds, whole - now) for step, seconds, now in made]


def test_all_that_remains_is_told(clock: Clock) -> None:
    """Preparations, steps of all lengths, validations, and what follows, once it is known."""
    found = told(clock, TRUE)
    assert [step for step, seconds, _ in found if seconds is None] == [10]
    for _, seconds, true in found[1:]:
        assert seconds == pytest.approx(true, abs=1e-6)
    assert found[-1][1] == TRUE.after


def test_a_rehearsal_that_erred_is_corrected_while_the_stages_run(clock: Clock) -> None:
    """A stage's own pace takes over, and the time of the first validation."""
    wrong = Rehearsal(
        {name: stage._replace(pace=3 * stage.pace) for name, stage in TRUE.stages.items()},
        3 * TRUE.validation,
        TRUE.after,
    )
    found = told(clock, wrong)
    error = [abs((seconds or 0.0) - true) for _, seconds, true in found[1:]]
    assert error[0] > 300
    at = {step: abs((seconds or 0.0) - true) for step, seconds, true in found}
    # of the third stage, which has not begun
    left = 2 * sum(TRUE.stages["third"].pace * min(20, LONG) for _ in range(40))
    assert at[150] == pytest.approx(left, rel=0.05)
    assert at[RECIPE.steps] == 0


@pytest.mark.parametrize(
    ("whole", "each", "parts"),
    [(100, 0.01, [2, 8, 32, 100]), (1000, 0.02, [2, 8, 32]), (1, 9.0, [1]), (0, 1.0, [])],
)
def test_work_is_scaled_from_a_part_that_is_long_enough(
    clock: Clock, whole: int, each: float, parts: list[int]
) -> None:
    done = list[int]()

    def work(number: int) -> None:
        done.append(number)
        clock.now += each * number

    assert scaled(work, whole) == pytest.approx(whole * each)
    assert done == parts
