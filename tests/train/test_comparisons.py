"""Appendix C.2: how the two comparisons change every preset, and nothing else."""

from dataclasses import replace

import pytest

from vtssi_pyro.config.variants import Ablation
from vtssi_pyro.data import FLAVOURS
from vtssi_pyro.inference.filter import Filter
from vtssi_pyro.inference.standalone import build
from vtssi_pyro.model.blocks.find import FINDConfig
from vtssi_pyro.model.blocks.mot import MOTConfig
from vtssi_pyro.model.blocks.residual_mot import ResidualMOTConfig
from vtssi_pyro.model.kinds import SLOTS
from vtssi_pyro.train.checks import check
from vtssi_pyro.train.comparisons import COMPARISONS
from vtssi_pyro.train.presets import PRESETS, ROUTES

CROSSED = [(route, model) for route in ROUTES for model in COMPARISONS]


def test_the_presets_are_all_routes_and_each_under_each_comparison() -> None:
    assert tuple(PRESETS) == (*ROUTES, *(f"{route}-{model}" for model in COMPARISONS for route in ROUTES))


@pytest.mark.parametrize(("route", "model"), CROSSED)
def test_the_papers_variations(route: str, model: str) -> None:
    """Data, frames, glimpses, kernels, K = M, no RECT and 1.5 tanh against SQAIR, whatever the route."""
    config = PRESETS[f"{route}-{model}"]()
    blocks = config.model
    observe, side, glimpse, kernel, reach = (
        (10, 64, 32, 12, 1.0) if model == "ddpae" else (3, 50, 25, 10, 1.5)
    )
    assert (config.observe, blocks.frame_size, blocks.glimpse) == (observe, side, glimpse)
    flavour = FLAVOURS[model]
    assert (config.data.source, config.data.blend, config.data.length) == (
        model,
        flavour.blend,
        flavour.length,
    )
    assert isinstance(blocks.motion, MOTConfig | ResidualMOTConfig)
    assert (blocks.motion.M, blocks.motion.position_scale) == (observe, reach)
    if isinstance(blocks.finder, FINDConfig):
        assert (blocks.finder.kernel_side, blocks.finder.position_scale) == (kernel, reach)
    own = PRESETS[route].system.family
    assert config.variant == own.name(Ablation.WHOLE if model == "ddpae" else Ablation.MOTION)
    tracker = build(blocks)
    assert tracker.consensus.K == (10 if model == "ddpae" else 1)


@pytest.mark.parametrize(("route", "model"), CROSSED)
def test_no_tracker_decides_on_more_than_the_observed_frames(route: str, model: str) -> None:
    preset = PRESETS[f"{route}-{model}"]
    for name in preset.system.family.names:
        config = preset(name)
        check(config)
        filter_ = Filter(build(config.model))
        assert filter_.needed <= config.observe
        assert filter_.count_frames(100, config.observe) <= config.observe


@pytest.mark.parametrize(("route", "model"), CROSSED)
def test_nothing_else_changes(route: str, model: str) -> None:
    """Stages but for w where the whole ELBO is trained, and the published schedules; blocks but for those numbers."""
    for name in PRESETS[route].system.family.names:
        own, varied = PRESETS[route](name), PRESETS[f"{route}-{model}"](name)
        assert varied.variant == own.variant
        drawn = {key: getattr(own.data, key) for key in ("source", "blend", "length", "sequences")}
        assert replace(varied.data, **drawn) == own.data
        assert varied.data.sequences == (50_000 if model == "ddpae" else 60_000)
        for before, after in zip(own.train.stages, varied.train.stages, strict=True):
            same = replace(after, fuse_low=before.fuse_low, fuse_high=before.fuse_high)
            if route == "paper":
                same = replace(same, length=before.length, learning_rate=before.learning_rate)
            assert same == before
            if before.objective == "full":
                bounds = (0.5, 0.5) if model == "ddpae" else (0.1, 0.9)
                assert (after.fuse_low(0), after.fuse_high(0)) == bounds
            else:
                assert after == before
        assert replace(varied.train, stages=()) == replace(own.train, stages=())
        sizes = {"K", "M", "kernel_side", "position_scale"}
        for slot in SLOTS:
            before, after = (vars(getattr(config.model, slot)) for config in (own, varied))
            assert {key for key in before if before[key] != after[key]} <= sizes
