"""A name promises its blocks: FIND, RECT, MOT and VTSSI are the paper's, and every other name is of what it holds."""

from dataclasses import replace

import pytest

from vtssi_pyro import PRESETS, Config, build, fit
from vtssi_pyro.config import override
from vtssi_pyro.config.variants import CUSTOM, FAMILIES, NAMES, OURS, PAPER, Ablation, ablation_of
from vtssi_pyro.errors import UsageError
from vtssi_pyro.model.blocks.air import AIRConfig
from vtssi_pyro.model.blocks.find import FINDConfig, NoFINDConfig
from vtssi_pyro.model.blocks.mot import MOTConfig, RandomWalkConfig
from vtssi_pyro.model.blocks.rect import FirstFrameConfig, RECTConfig
from vtssi_pyro.model.config import ABLATIONS, SYSTEMS, VARIANTS, System, variant_of
from vtssi_pyro.model.kinds import SLOTS

MEMBERS = [(system, ablation) for system in SYSTEMS for ablation in Ablation]
IDS = [f"{system.family.name(ablation)} of {system.family.blocks}" for system, ablation in MEMBERS]


@pytest.mark.parametrize(("system", "ablation"), MEMBERS, ids=IDS)
def test_a_variant_is_named_by_its_kinds(system: System, ablation: Ablation) -> None:
    """Other numbers have the same name; a block of the other system has not."""
    name, model = system.family.name(ablation), ABLATIONS[ablation](system.model)
    assert variant_of(model) == name
    assert variant_of(replace(model, num_objects=5, frame_size=64)) == name
    assert VARIANTS[name](system.model) == model
    (other,) = (each for each in SYSTEMS if each is not system)
    for slot in SLOTS:
        theirs = getattr(ABLATIONS[ablation](other.model), slot)
        if theirs != getattr(model, slot) and not (ablation is Ablation.FRAMES and slot == "attention"):
            assert variant_of(replace(model, **{slot: theirs})) == CUSTOM, slot


@pytest.mark.parametrize("name", PAPER.names)
def test_the_papers_names_are_of_the_papers_blocks(name: str) -> None:
    held = {
        "find": (FirstFrameConfig, FINDConfig, RandomWalkConfig),
        "rect-find": (RECTConfig, FINDConfig, RandomWalkConfig),
        "find-mot": (FirstFrameConfig, FINDConfig, MOTConfig),
        "vtssi": (RECTConfig, FINDConfig, MOTConfig),
        "air": (FirstFrameConfig, NoFINDConfig, RandomWalkConfig),
    }
    config = build(name).config
    assert tuple(type(getattr(config, slot)) for slot in ("consensus", "finder", "motion")) == held[name]
    assert type(config.attention) is AIRConfig


def test_no_name_of_ours_is_one_of_the_papers() -> None:
    assert set(PAPER.names) & set(OURS.names) == {"air"}
    assert set(PAPER.titles.values()) & set(OURS.titles.values()) == {"AIR"}
    for family in FAMILIES:
        assert len(set(family.titles)) == len(set(family.titles.values())) == len(Ablation) + 1
        assert [ablation_of(name) for name in family.names] == list(Ablation)
    words = {word for title in OURS.titles.values() for word in title.split(" + ")}
    assert not words & {"FIND", "RECT", "MOT", "VTSSI", "RECT/FIND", "FIND/MOT"}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_has_the_variants_of_its_system(preset: str) -> None:
    chosen = PRESETS[preset]
    for name in chosen.system.family.names:
        config = chosen(name)
        assert (config.variant, config.preset) == (name, preset)
        assert variant_of(config.model) == name
    assert chosen() == chosen(chosen.system.family.name(chosen.default))
    papers = preset.startswith("paper")
    if preset.endswith("-sqair"):
        assert chosen().variant == ("find-mot" if papers else "template-search-residual-mot")
    else:
        assert chosen().variant == ("vtssi" if papers else "ours")


@pytest.mark.parametrize(
    ("preset", "variant", "words"),
    [
        ("quick", "vtssi", "take preset paper-fast, or tracker ours"),
        ("standard", "rect-find", "take preset paper-fast, or tracker count-rect-template-search"),
        ("paper", "ours", "take preset quick, or tracker vtssi"),
        ("paper-sqair", "template-search", "take preset quick, or tracker find"),
        ("quick", "vtsi", "unknown variant 'vtsi': preset quick has air, template-search, "),
    ],
)
def test_a_variant_that_a_preset_has_not(preset: str, variant: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        PRESETS[preset](variant)
    if variant in NAMES:
        with pytest.raises(UsageError, match=words):
            fit(tracker=variant, preset=preset)


def test_a_model_of_ones_own_goes_through_the_stages_of_its_null_objects() -> None:
    for preset in ("quick", "paper-fast"):
        for system, ablation in MEMBERS:
            model = ABLATIONS[ablation](system.model)
            config = PRESETS[preset].for_model(model)
            own = PRESETS[preset].system.family.name(ablation)
            assert (config.model, config.variant) == (model, system.family.name(ablation))
            assert config.train == PRESETS[preset](own).train
    mixed = override(Config(), ["model.finder=template"]).model
    assert PRESETS["quick"].for_model(mixed).variant == CUSTOM
