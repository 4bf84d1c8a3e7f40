"""Every number of appendix C as a table step -> value, and the laws of the schedules."""

import itertools
import math

import pytest

from vtssi_pyro.config.schedules import SCHEDULES, Constant, Cosine, Drops, Linear, Schedule, Staircase
from vtssi_pyro.config.variants import Ablation
from vtssi_pyro.train.presets import PRESETS
from vtssi_pyro.train.recipe import Stage, TrainConfig
from vtssi_pyro.types import Anneal

VTSSI, FIND, DDPAE, SQAIR = (
    PRESETS[preset](variant).train.stages[0]
    for preset, variant in (
        ("paper", "vtssi"),
        ("paper", "find"),
        ("paper-ddpae", "vtssi"),
        ("paper-sqair", "find-mot"),
    )
)
PAPER: dict[str, Schedule] = {
    "learning rate": VTSSI.learning_rate,
    "learning rate against DDPAE": DDPAE.learning_rate,
    "count prior above -3": VTSSI.count_shift,
    "length": FIND.length,
    "length of VTSSI": VTSSI.length,
    "length against DDPAE": DDPAE.length,
    "length against SQAIR": SQAIR.length,
    "flatness": VTSSI.bell,
    "joint AIR term": VTSSI.air_weight,
    "joint AIR term of others": FIND.air_weight,
    "fusion weight from": VTSSI.fuse_low,
    "fusion weight to": VTSSI.fuse_high,
}

TABLE: dict[str, dict[int, float]] = {
    "learning rate": {
        0: 1e-4, 100_000: 1e-4, 200_000: 1e-4, 210_000: 1e-4 * 0.9**0.5, 220_000: 0.9e-4, 240_000: 0.81e-4,
        400_000: 1e-4 * 0.9**10, 637_000: 1.0005e-5, 637_100: 1e-5, 780_000: 1e-5,
    },
    "learning rate against DDPAE": {300_000: 1e-4 * 0.9**5, 331_000: 1e-4 * 0.9**6.55, 332_000: 5e-5},
    "count prior above -3": {0: 1, 100_000: 1, 125_000: 0.75, 150_000: 0.5, 200_000: 0, 780_000: 0},
    "length": {0: 1, 19_999: 1, 20_000: 2, 39_999: 2, 200_000: 11, 379_999: 19, 380_000: 20, 780_000: 20},
    "length of VTSSI": {0: 6, 29_999: 6, 30_000: 7, 60_000: 8, 90_000: 9, 419_999: 19, 420_000: 20},
    "flatness": {
        0: 0.0, 999: 0.0, 1000: 0.1 / 1.1, 10_000: 0.5, 100_000: 10 / 11, 780_000: 78 / 79,
        1_000_000: 100 / 101, 5_000_000: 100 / 101,
    },
    "length against DDPAE": {0: 2, 30_000: 3, 540_000: 20, 780_000: 20},
    "length against SQAIR": {0: 6, 30_000: 7, 120_000: 10, 780_000: 10},
    "joint AIR term": {0: 1, 30_000: 1, 89_999: 1, 90_000: 0, 180_000: 0, 780_000: 0},
    "joint AIR term of others": {0: 0, 780_000: 0},
    "fusion weight from": {0: 0.01, 780_000: 0.01},
    "fusion weight to": {0: 0.99, 780_000: 0.99},
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_numbers_of_appendix_c(name: str) -> None:
    for step, value in TABLE[name].items():
        assert PAPER[name](step) == pytest.approx(value, rel=1e-4 if "rate" in name else 1e-12), step


def test_the_learning_rate_reaches_its_floor_at_637_thousand_steps() -> None:
    """And falls smoothly before it: no jump above 0.9's share of a step."""
    rate = PAPER["learning rate"]
    first = next(step for step in range(630_000, 640_000) if rate(step) == 1e-5)
    assert first == math.ceil(200_000 + 20_000 * math.log(10) / math.log(1 / 0.9)) == 637_087
    for step in range(200_000, 637_000, 9_973):
        assert rate(step + 1) / rate(step) == pytest.approx(0.9 ** (1 / 20_000), rel=1e-12)


def test_the_papers_other_numbers() -> None:
    """Batch, optimiser, clip, steps; the fusion weights of the two comparisons; sampled KL terms."""
    for preset in ("paper", "paper-ddpae", "paper-sqair"):
        train = PRESETS[preset]().train
        (stage,) = train.stages
        assert (stage.batch, stage.steps, train.beta1, train.clip, train.budget) == (
            64,
            780_000,
            0.5,
            5.0,
            1.0,
        )
        assert not stage.analytic
        assert stage.objective == "full"
        assert stage.step_weight(0) == 0
    assert (DDPAE.fuse_low(0), DDPAE.fuse_high(0)) == (0.5, 0.5)
    assert (SQAIR.fuse_low(0), SQAIR.fuse_high(0)) == (0.1, 0.9)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("ablation", Ablation)
def test_annealed_values_stay_in_range(preset: str, ablation: Ablation) -> None:
    """Weights and flatness in [0, 1], lengths of at least one frame, rates above 0, through every stage."""
    variant = PRESETS[preset].system.family.name(ablation)
    for stage in PRESETS[preset](variant).train.stages:
        for step in range(0, stage.steps, max(1, stage.steps // 97)):
            anneal = stage.anneal(step)
            for value in (
                anneal.bell,
                anneal.fuse_low,
                anneal.fuse_high,
                anneal.step_weight,
                stage.air_weight(step),
            ):
                assert 0 <= value <= 1, (stage.name, step)
            assert anneal.fuse_low <= anneal.fuse_high
            assert stage.rollout_weight(step) >= 0
            assert 1 <= stage.length(step) <= 20
            assert stage.learning_rate(step) > 0


def test_stairs_go_down_too() -> None:
    stairs = Staircase(start=3, rise=-1, every=10, end=1)
    assert [stairs(step) for step in (0, 9, 10, 20, 30, 1000)] == [3, 3, 2, 1, 1, 1]


SHAPES: list[Schedule] = [
    *PAPER.values(),
    Constant(0.3),
    Cosine(start=1e-3, end=1e-5, warmup=100, finish=10_000),
    Linear(start=0.0, end=1.0, begin=10, finish=20),
    Drops(start=1.0, factor=0.5, at=(5, 420_000)),
]


@pytest.mark.parametrize("schedule", SHAPES, ids=lambda s: type(s).__name__)
def test_schedules_are_pure(schedule: Schedule) -> None:
    """The value depends on the step alone: any order, any number of calls, equal objects, equal values."""
    steps = [0, 7, 637_087, 5, 420_000, 0, 10**9]
    first = [schedule(step) for step in steps]
    backwards = [schedule(step) for step in reversed(steps)]
    assert first == backwards[::-1]
    fields = vars(schedule)
    again = SCHEDULES.of(type(schedule).__name__)(**fields)
    assert again == schedule
    assert hash(again) == hash(schedule)
    assert [again(step) for step in steps] == first
    with pytest.raises(AttributeError):
        schedule.start = 1.0  # type: ignore[misc,union-attr]


def test_cosine_warms_up_and_comes_down() -> None:
    schedule = Cosine(start=1e-3, end=1e-5, warmup=100, finish=1100)
    values = [schedule(step) for step in range(1300)]
    assert values[0] == pytest.approx(1e-3 / 101)
    assert values[100] == 1e-3 == max(values)
    assert all(a < b for a, b in itertools.pairwise(values[:101]))
    assert all(a > b for a, b in itertools.pairwise(values[100:1101]))
    assert values[600] == pytest.approx((1e-3 + 1e-5) / 2)
    assert values[1100] == values[-1] == pytest.approx(1e-5)


@pytest.mark.parametrize("budget", [0.01, 0.1, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("name", TABLE)
def test_a_budget_stretches_every_schedule(name: str, budget: float) -> None:
    """``schedule(step / budget)``: a tenth of the steps see the whole of appendix C."""
    for step, value in TABLE[name].items():
        if step % 1000 == 0:
            found = PAPER[name](round(step * budget) / budget)
            assert found == pytest.approx(value, rel=1e-4 if "rate" in name else 1e-12), step


def test_stages_follow_one_another() -> None:
    config = TrainConfig(stages=(Stage("a", 10), Stage("b", 4), Stage("c", 1)))
    located = [config.locate(step) for step in range(config.steps)]
    assert [(stage.name, step) for stage, step in located] == (
        [("a", i) for i in range(10)] + [("b", i) for i in range(4)] + [("c", 0)]
    )
    with pytest.raises(IndexError):
        config.locate(15)
    half = TrainConfig(stages=config.stages, budget=0.5)
    assert [half.steps_of(stage) for stage in half.stages] == [5, 2, 1]  # no stage vanishes
    assert half.steps == 8
    assert half.locate(5)[0].name == "b"


def test_a_stage_anneals_by_its_own_schedules() -> None:
    stage = Stage(
        "paper",
        780_000,
        count_shift=PAPER["count prior above -3"],
        bell=PAPER["flatness"],
        fuse_low=Constant(0.1),
        fuse_high=Constant(0.9),
        step_weight=Constant(0.5),
    )
    assert stage.anneal(150_000) == Anneal(0.5, pytest.approx(15 / 16), 0.1, 0.9, 0.5)
    trained = Stage("default", 1).anneal(0)
    assert trained == Anneal(fuse_low=0.01, fuse_high=0.99)  # but for w, what a trained program sees
