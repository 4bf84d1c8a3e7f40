"""Smoothing: what climbs the joint density of the model itself, and what stays as the filter has it."""

from dataclasses import replace

import pytest
import torch
from pyro import poutine
from small_model import small
from torch import Tensor

from vtssi_pyro.errors import UsageError
from vtssi_pyro.inference.estimate import quiet
from vtssi_pyro.inference.filter import Filter, Stream, estimates, forecast, track
from vtssi_pyro.inference.smoothing import smoothed
from vtssi_pyro.model.blocks.gated import GatedConfig
from vtssi_pyro.model.blocks.presence import PresenceConfig
from vtssi_pyro.model.blocks.residual_mot import ResidualMOTConfig
from vtssi_pyro.model.config import ModelConfig, TestTime
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.program import stacked
from vtssi_pyro.model.tracker import Tracker, build
from vtssi_pyro.types import Latents

STEPS, SETTLE = 4, 3
KINDS = {
    "counted": small(),
    "changing": replace(
        small("template"),
        scene=PresenceConfig(enter=-0.5, settle=SETTLE),
        finder=GatedConfig(kernel_side=5),
        motion=ResidualMOTConfig(M=2, motion=3, units=8, heads=(8,), transition=(8, 8), inertia=True),
        test_time=TestTime(tight=True),
    ),
}


def made(config: ModelConfig, smooth: int = 0) -> Tracker:
    torch.manual_seed(1)
    config = replace(config, test_time=replace(config.test_time, smooth=smooth))
    return build(config).double().eval()


@pytest.fixture
def x() -> Tensor:
    torch.manual_seed(2)
    return torch.rand(3, 6, 1, 20, 20, dtype=torch.float64)


def inferred(tracker: Tracker, x: Tensor, steps: int) -> Latents:
    """Latent variables after some steps of smoothing."""
    with quiet(tracker), mode():
        return smoothed(tracker.program(), x, None, steps)


def density(tracker: Tracker, x: Tensor, latents: Latents) -> Tensor:
    """Log p(x, z) of each sequence, (B,), of what the guide draws, with the looks and positions of latent variables."""
    with quiet(tracker):
        with mode():
            guided = poutine.trace(tracker.guide).get_trace(x)
        nodes = guided.nodes.values()
        values = {node["name"]: node["value"] for node in nodes if node["type"] == "sample"}
        named = [("", {"description": latents.objects.description})]
        named += [(f"_{t}", state) for t, state in enumerate(latents.states, 1)]
        for suffix, state in named:
            values |= {name + suffix: value for name, value in state.items() if name + suffix in values}
        trace = poutine.trace(poutine.condition(tracker.model, data=values)).get_trace(x)
    trace.compute_log_prob()
    terms = [node["log_prob"] for node in trace.nodes.values() if node["type"] == "sample"]
    return torch.stack([term.sum(-1) for term in terms if term.dim() == 2]).sum(0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_joint_density_of_the_model_rises(kind: str, x: Tensor) -> None:
    tracker = made(KINDS[kind])
    first, last = (density(tracker, x, inferred(tracker, x, steps)) for steps in (0, STEPS))
    assert (last > first).all()


@pytest.mark.parametrize("kind", KINDS)
def test_tracks_explain_more_of_the_frames(kind: str, x: Tensor) -> None:
    def left(smooth: int) -> Tensor:
        return (track(made(KINDS[kind], smooth), x).frames - x).square().sum()

    assert left(20) < left(STEPS) < left(0)


def test_a_sequence_whose_density_falls_stays_as_it_was(x: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = made(KINDS["changing"])
    before = inferred(tracker, x, 0)

    def astray(density: object, start: list[Tensor], rates: list[Tensor], steps: int) -> list[Tensor]:
        far = torch.tensor([0.0, 9.0, 0.0], dtype=torch.float64)[
            :, None, None
        ]  # one sequence leaves for nowhere
        return [value + far for value in start]

    monkeypatch.setattr("vtssi_pyro.inference.smoothing.climbed", astray)
    after = inferred(tracker, x, STEPS)
    for name in ("position", "description"):
        torch.testing.assert_close(stacked(after.states)[name], stacked(before.states)[name])


def test_who_is_there_stays_and_settled_looks_do_not_change(x: Tensor) -> None:
    tracker = made(KINDS["changing"])
    before, after = (stacked(inferred(tracker, x, steps).states) for steps in (0, STEPS))
    for name in ("presence", "size", "age", "identity"):
        assert torch.equal(before[name], after[name]), name
    goes_on = (after["identity"][:, 1:] == after["identity"][:, :-1]) & (after["age"][:, 1:] >= SETTLE)
    assert goes_on.any()
    still = after["description"][:, 1:] == after["description"][:, :-1]
    assert (still | ~goes_on).all()
    assert not torch.equal(before["description"], after["description"])


def test_no_step_is_the_guide(x: Tensor) -> None:
    tracker = made(KINDS["changing"])
    with quiet(tracker), mode():
        guided = tracker.guide(x)
    latents = inferred(tracker, x, 0)
    assert all(torch.equal(a[k], b[k]) for a, b in zip(guided.states, latents.states, strict=True) for k in a)


def test_forecasts_and_streams_are_the_filters(x: Tensor) -> None:
    plain, smooth = (made(KINDS["changing"], steps) for steps in (0, STEPS))
    for read in (lambda tracker: forecast(tracker, x, 3), lambda tracker: Stream(tracker).push(x)):
        torch.testing.assert_close(read(smooth).tracks.position, read(plain).tracks.position, equal_nan=True)
    assert not torch.equal(track(smooth, x).frames, track(plain, x).frames)
    (whole,) = estimates(smooth, x)
    torch.testing.assert_close(whole.frames, track(smooth, x).frames)


def test_a_later_part_is_smoothed_given_what_came_before(x: Tensor) -> None:
    filter_ = Filter(made(KINDS["changing"]))
    belief, _ = filter_.step(filter_.init(x), x[:, :3], STEPS)
    plain, smooth = (filter_.step(belief, x[:, 3:], steps) for steps in (0, STEPS))
    left = [(estimate.frames - x[:, 3:]).square().sum() for _, estimate in (plain, smooth)]
    assert left[1] < left[0]
    assert torch.equal(
        plain[0].chain.state["position"], smooth[0].chain.state["position"]
    )  # the belief is the filter's


def test_looks_are_not_settled_in_two_ways() -> None:
    tracker = build(replace(small("template"), test_time=TestTime(refine=2, smooth=STEPS)))
    with pytest.raises(UsageError, match="take one of the two"):
        Filter(tracker)
