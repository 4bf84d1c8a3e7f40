"""Every key of every configuration declares its type, its range and its meaning, and all doors keep to them."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
from every_key import FIELDS, RECIPES, base_of, classes, filled, typed, wrong

from vtssi_pyro import api, moving_digits, register
from vtssi_pyro.config import Kinds, OneOf, Range, checked_config, from_dict, override, to_dict
from vtssi_pyro.config.declared import Declaration, Declared, declarations
from vtssi_pyro.config.describing import keys
from vtssi_pyro.config.schedules import SCHEDULES, Constant, Linear
from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.model.blocks.residual_mot import ACTIVATIONS
from vtssi_pyro.model.config import FUSIONS, PUBLISHED, ModelConfig, TestTime
from vtssi_pyro.model.kinds import MODELS, SLOTS
from vtssi_pyro.model.nn import POSITIVE
from vtssi_pyro.model.proposals import ORDERS
from vtssi_pyro.model.tracker import RULES
from vtssi_pyro.train.checks import check, check_frames
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.elbo import ELBOS
from vtssi_pyro.train.objective import OBJECTIVES
from vtssi_pyro.train.optimizers import OPTIMIZERS
from vtssi_pyro.train.recipe import Stage, TrainConfig


def name_of(entry: Any) -> str:
    return f"{entry[0].__name__}.{entry[1]}"


def test_the_walk_meets_all_kinds() -> None:
    """Blocks of all slots, schedules and whole models."""
    met = {kind for kind, _, _ in FIELDS}
    every = {kinds.of(name) for kinds in (*SLOTS.values(), SCHEDULES, MODELS) for name in kinds.names}
    own = {kind for kind in every if kind.__module__.startswith("vtssi_pyro.")}
    assert {kind for kind in own if dataclasses.fields(kind)} <= met | {Config}
    assert {Config, Stage, TrainConfig, TestTime, ModelConfig} <= met
    assert len(FIELDS) > 150


@pytest.mark.parametrize("kind", classes(Config, {}), ids=lambda kind: kind.__name__)
def test_every_key_has_a_sentence_and_a_range(kind: type) -> None:
    """Or a closed set of values: names, kinds, or true and false; a part has keys of its own."""
    assert issubclass(kind, Declared) or not dataclasses.fields(kind)
    for name, asked in declarations(kind).items():
        assert asked.sentence, name
        assert asked.sentence.endswith("."), name
        for option in asked.options:
            base = base_of(option)
            if asked.kinds:
                assert asked.kinds.number is None or asked.range, name
            elif base in (int, float):
                assert asked.range is not None, name
                assert all(map(math.isfinite, (asked.range.low, asked.range.high))), name
            elif base is str:
                assert asked.texts is not None, name
            else:
                assert base in (bool, type(None)) or dataclasses.is_dataclass(base), name


@pytest.mark.parametrize("entry", FIELDS, ids=name_of)
def test_values_just_outside_are_refused_in_files_and_in_python(entry: tuple[type, str, Declaration]) -> None:
    """By the reading of plain values with the key, and where it is a number or a text by the class itself."""
    kind, name, asked = entry
    for value in wrong(asked):
        with pytest.raises(UsageError, match=name):
            from_dict(values(kind) | {name: value}, kind, "somewhere")
        if asked.limited and not asked.kinds:
            with pytest.raises(UsageError, match=f"^{kind.__name__}.{name}: expected"):
                kind(**values(kind) | {name: value})


@pytest.mark.parametrize("entry", FIELDS, ids=name_of)
def test_values_at_the_ends_are_taken(entry: tuple[type, str, Declaration]) -> None:
    """What is the law of one key alone: relations between keys come later."""
    kind, name, asked = entry
    if asked.range is None or asked.kinds:
        return
    is_float = any(base_of(option) is float for option in asked.options)
    low = math.nextafter(asked.range.low, math.inf) if asked.range.ends[0] == "(" else asked.range.low
    high = math.nextafter(asked.range.high, -math.inf) if asked.range.ends[1] == ")" else asked.range.high
    for end in (low, high):
        value = filled(asked)(float(end) if is_float else int(end))
        made = kind(**values(kind) | {name: value})
        assert json.dumps(getattr(made, name)) == json.dumps(value)  # a list may become a tuple


def values(kind: type) -> dict[str, Any]:
    """Values of those keys of a dataclass that have no default."""
    without = {
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    some = {"name": "some", "at": (5.0,), "finish": 5.0, "every": 5.0, "rate": 0.5}
    return {name: some.get(name, 1.0 if kind is not Stage else 1) for name in without}


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_presets_keep_to_their_declarations(recipe: str) -> None:
    config = RECIPES[recipe]
    assert checked_config(config) == config
    check_frames(config, check(config))


@pytest.mark.parametrize("recipe", RECIPES)
def test_set_refuses_a_value_outside_of_every_key(recipe: str) -> None:
    for key, value in typed(recipe):
        with pytest.raises(UsageError, match=key.replace(".", r"\.")):
            override(RECIPES[recipe], [f"{key}={json.dumps(value)}"])


# Of these the names are declared where the objects cannot be imported.
def test_declared_names_are_those_that_there_are() -> None:
    def names(kind: type, key: str) -> set[str]:
        texts = declarations(kind)[key].texts
        assert isinstance(texts, OneOf)
        return set(texts.names)

    assert set(FUSIONS.names) == set(RULES)
    assert names(ModelConfig, "order") == set(ORDERS)
    assert names(ModelConfig, "scale_transform") == set(POSITIVE)
    assert names(Stage, "objective") == set(OBJECTIVES)
    assert names(Stage, "optimizer") == set(OPTIMIZERS)
    assert names(TrainConfig, "elbo") == set(ELBOS)
    assert names(MOTIONS_OF("residual-mot"), "activation") == set(ACTIVATIONS)


def MOTIONS_OF(kind: str) -> type:
    return SLOTS["motion"].of(kind)


STAGES = json.dumps([{"name": "a", "steps": 3}, {"name": "a", "steps": 2}])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            f"train.stages={STAGES}",
            "train.stages: expected a name of its own for each, found a more than once",
        ),
        (
            "observe=1000",
            "observe: expected 19 or less, for sequences have 20 frames (data.length), found 1000",
        ),
        ("model.size_loc=[0.99,0.5]", ""),
        ("model.size_loc=[0.5,1]", "model.size_loc: expected 0.99 or less with this attention"),
        ("observe=20", "observe: expected 19 or less"),
        ("model.consensus.K=21", "model.consensus.K: expected 20 or less"),
        ("model.motion.M=20", "model.motion.M: expected 19 or less"),
        ("data.length=8", ""),
        ("data.train_length=4", "model.consensus.K: expected 4 or less"),
        ("data.length=1", "needs 2 or more"),
        ("train.stages.motion.fuse_low=0.9", "which is 0.5 at step 0, found 0.9"),
        ("train.stages.objects.bell.finish=3", "train.stages.objects.bell.finish: expected a step after"),
        ("train.stages.objects.learning_rate.finish=50", "learning_rate.finish: expected a step after"),
        ("train.stages.motion.learning_rate=-1", "from 0 to 1 at every step, found -1"),
        (
            'train.stages.motion.length={"kind": "Linear", "start": 0, "end": 9, "begin": 0, "finish": 9}',
            "0 to 9",
        ),
        ("calibration=1", "calibration: expected 0, or 2 futures or more"),
        ("model.motion.differences=0", ""),
        (
            'model.motion={"kind": "residual-mot", "differences": 0, "inertia": true}',
            "model.motion.inertia: needs",
        ),
        ("model.finder.kernel_side=4", "model.finder.kernel_side: expected an odd number"),
    ],
)
def test_keys_that_make_no_sense_together_are_refused(change: str, words: str) -> None:
    """And those beside them, with no words here, are taken."""

    def made() -> None:
        config = override(RECIPES["quick"], [change])
        check_frames(config, check(config))

    if not words:
        made()
        return
    with pytest.raises((UsageError, DataError)) as error:
        made()
    assert words in str(error.value)


def test_keys_are_related_after_all_changes() -> None:
    changes = ["train.stages.motion.fuse_low=0.9", "train.stages.motion.fuse_high=0.95"]
    assert override(RECIPES["quick"], changes).train.stages[-2].fuse_low == Constant(0.9)


@pytest.mark.parametrize(
    "text",
    ["9" * 5000, "[" * 100_000, "1e999", "-1e999", "NaN", "Infinity", "null", "true", "", "\0", "0x10"],
)
def test_no_text_is_too_odd_to_be_refused(text: str) -> None:
    """In one short line, whatever its length."""
    with pytest.raises(UsageError) as error:
        override(RECIPES["quick"], [f"seed={text}"])
    assert str(error.value).startswith("seed: expected a whole number from 0 to 1,099,511,627,775, found ")
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("part", ["data", "model", "train", "train.stages"])
def test_parts_are_no_way_round(part: str) -> None:
    """Neither to a key with an argument of its own, nor to a value out of its range."""
    with pytest.raises(UsageError):
        override(RECIPES["quick"], [f'{part}={{"observe": -3}}'])
    if part == "data":
        with pytest.raises(UsageError, match=r"data.source is chosen with"):
            api.configuration(changes=['data={"source": "elliptic"}'])


def test_a_schedule_is_within_its_bounds() -> None:
    for config in RECIPES.values():
        for stage in config.train.stages:
            for name, asked in declarations(Stage).items():
                if asked.kinds is SCHEDULES:
                    schedule = getattr(stage, name)
                    low, high = schedule.bounds()
                    found = [schedule(step) for step in range(0, stage.steps + 1, max(1, stage.steps // 50))]
                    assert low - 1e-12 <= min(found) <= max(found) <= high + 1e-12


OWN = Kinds("a part of somebody else's")


@OWN.register("mine")
@dataclasses.dataclass(frozen=True)
class Mine:
    """Without a base, a sentence or a range."""

    width: int = 3
    share: float = 0.5


def test_a_foreign_part_goes_on_as_before() -> None:
    """It has its types, and no number that is not finite."""
    register("motion", "mine")(Mine)
    try:
        config = override(RECIPES["quick"], ["model.motion=mine", "model.motion.width=-7"])
        assert config.model.motion == Mine(width=-7)
        assert from_dict(json.loads(json.dumps(to_dict(config))), Config) == config
        for change in ("model.motion.width=wide", "model.motion.share=NaN", "model.motion.width=1.5"):
            with pytest.raises(UsageError, match=r"model\.motion\."):
                override(config, [change])
        assert any(key.name == "model.motion.width" for key in keys(config))
    finally:
        del SLOTS["motion"]._known["mine"]


ARGUMENTS: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
    (api.fit, (), {"objects": (0, -1, 1001, 1.5, True)}),
    (api.track, (None, "no file"), {"settle": (0, -1, 10**9)}),
    (
        api.forecast,
        (None, "no file"),
        {
            "horizon": (0, -3, 10**6),
            "num_samples": (-1, 10**6),
            "observe": (0, -3),
            "seed": (-1, 10**20, 2**40),
            "temperature": (-0.1, math.nan, math.inf, 101),
            "settle": (0,),
        },
    ),
    (api.evaluate, (None, "no file"), {"observe": (0, -3), "limit": (0, -1), "settle": (0, -1)}),
    (api.judge, (None, "no file"), {"observe": (0, -3), "limit": (0, -1), "settle": (0, -1)}),
    (
        api.generate,
        ("linear", "file.npz"),
        {"sequences": (0,), "length": (0,), "frame_size": (0,), "objects": (0,), "seed": (-1, 10**20)},
    ),
    (
        api.calibrate,
        ("no run",),
        {"count": (0,), "observe": (0, -3), "samples": (1, 0), "seed": (-1, 10**20)},
    ),
    (
        api.track_live,
        ("no run", "no source", "out"),
        {"patience": (-1, math.nan, math.inf), "size": ((0, 3),)},
    ),
    (api.reproduce, ("table1",), {"sequences": (0, -1)}),
    (moving_digits, ("linear", None), {"sequences": (0,), "objects": (0,), "seed": (-1,), "blend": ("x",)}),
]


@pytest.mark.parametrize("call_", ARGUMENTS, ids=lambda call_: call_[0].__name__)
def test_arguments_out_of_range_are_refused_at_once(call_: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """By name, before anything is opened or made."""
    monkeypatch.chdir(tmp_path)
    function, args, wrong_ones = call_
    for name, several in wrong_ones.items():
        for value in several:
            more = {"sequences": 3} if function is moving_digits else {}
            with pytest.raises(UsageError, match=rf"^{name}: expected "):
                function(*args, **more | {name: value})
    assert not list(tmp_path.iterdir())


def test_what_is_made_in_python_keeps_to_it_too() -> None:
    for made in (
        lambda: ModelConfig(num_objects=-1),
        lambda: dataclasses.replace(PUBLISHED, hypotheses=0),
        lambda: TestTime(fusion="sum"),
        lambda: Stage("a b", 3),
        lambda: Stage("a", 3, learning_rate=Linear(1.0, 2.0, 0, 5)),
        lambda: TrainConfig(beta1=1.0),
    ):
        with pytest.raises(UsageError):
            made()


@pytest.mark.parametrize(
    "entry", [each for each in FIELDS if Ellipsis in getattr(each[2].options[0], "__args__", ())], ids=name_of
)
def test_lists_have_a_largest_length(entry: tuple[type, str, Declaration]) -> None:
    """Beside the range of their entries: networks of so many layers fill any memory."""
    kind, name, asked = entry
    parts = dataclasses.is_dataclass(base_of(asked.type))
    one = to_dict(RECIPES["quick"].train.stages[0]) if parts else filled(asked)(valid(asked))[0]
    several = [one | {"name": f"s{k}"} for k in range(101)] if parts else [one] * 101
    others = values(kind) | NEEDED.get(name, {})
    made = from_dict(others | {name: several[:100]}, kind, "somewhere")
    assert len(getattr(made, name)) == 100
    with pytest.raises(UsageError, match=f"{name}: expected .*at most 100"):
        from_dict(others | {name: several}, kind, "somewhere")


NEEDED = {"fading": {"inertia": True}}  # keys that a list needs beside it


def valid(asked: Declaration) -> Any:
    """A value within a declaration."""
    if asked.range is None:
        return "objects"
    return min(3.0, float(asked.range.high)) if base_of(asked.type) is float else 3


def test_a_range_spells_its_ends() -> None:
    assert str(Range(0, 1e6)) == "from 0 to 1,000,000"
    assert str(Range(0, 1, "(]")) == "above 0 and at most 1"
    assert str(Range(0.5, 1, "[)")) == "at least 0.5 and below 1"
    assert str(OneOf("a", lambda: ["b", "c"])) == "a, b or c"
