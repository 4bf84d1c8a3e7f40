"""The likelihood's scale: the paper's number, or a parameter above a floor; every part reads the same value."""

import math
from dataclasses import replace

import pytest
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam
from small_model import small
from torch import Tensor

from vtssi_pyro.config import from_dict, to_dict
from vtssi_pyro.config.serial import override
from vtssi_pyro.errors import UsageError
from vtssi_pyro.inference.filter import Filter
from vtssi_pyro.inference.hypotheses import log_evidence
from vtssi_pyro.model.blocks.air import LearnedNoise
from vtssi_pyro.model.config import ModelConfig
from vtssi_pyro.model.tracker import Tracker, build, evaluating
from vtssi_pyro.ops.channels import channelled
from vtssi_pyro.ops.pixels import PixelNormal
from vtssi_pyro.train.checks import check
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.elbo import Elbo
from vtssi_pyro.train.presets import PRESETS

PARAMETER = "picture.learned_noise.log_excess"


def learning(config: ModelConfig | None = None, **changes: float) -> Tracker:
    config = config or small("template")
    picture = replace(config.picture, noise="learned", **changes)
    return build(replace(config, picture=picture)).double().eval()


def at(tracker: Tracker, noise: float) -> Tracker:
    """The tracker with another noise."""
    parameter = tracker.get_parameter(PARAMETER)
    with torch.no_grad():
        parameter.fill_(math.log(noise - tracker.config.picture.noise_floor))
    return tracker


def test_it_is_the_papers_number_unless_it_is_learned() -> None:
    for preset, make in PRESETS.items():
        if preset.startswith("paper"):
            assert make("vtssi").model.picture.noise == 0.3
    fixed, learned = build(small("template")), learning()
    assert fixed.picture.noise == 0.3
    assert learned.picture.noise.item() == pytest.approx(0.3)
    assert {name for name, _ in learned.named_parameters()} - {
        name for name, _ in fixed.named_parameters()
    } == {PARAMETER}


def test_it_never_falls_below_its_floor() -> None:
    tracker = learning(noise_floor=0.05)
    with torch.no_grad():
        tracker.get_parameter(PARAMETER).fill_(-1e3)
    assert tracker.picture.noise == 0.05


def test_it_is_one_key_of_the_configuration() -> None:
    config = override(Config(), ["model.picture.noise=learned", "model.picture.noise_floor=0.04"])
    assert from_dict(to_dict(config), Config) == config
    assert isinstance(build(config.model).picture.learned_noise, LearnedNoise)
    for wrong in ("model.picture.noise=loud", "model.picture.noise_floor=0", "model.picture.noise_floor=0.3"):
        with pytest.raises(UsageError):
            build_checked(override(config, [wrong]))


def build_checked(config: Config) -> None:
    check(config)


@pytest.mark.parametrize("scale", [0.05, 0.2])
def test_its_best_value_is_the_residuals(scale: float) -> None:
    """The likelihood's own maximum: the root mean square of what the mean leaves over."""
    noise = LearnedNoise(0.02).double()
    mean = torch.rand(4, 1, 30, 30, dtype=torch.float64)
    x = mean + scale * torch.randn_like(mean)
    adam = torch.optim.Adam(noise.parameters(), 0.1)
    for _ in range(150):
        adam.zero_grad()
        (-PixelNormal(mean, noise()).log_prob(x).sum()).backward()
        adam.step()
    assert noise().item() == pytest.approx((x - mean).square().mean().sqrt().item(), rel=1e-3)


@pytest.mark.parametrize("kind", ["ours", "pyro's"])
def test_it_is_learned_with_the_elbo(kind: str, frames: Tensor) -> None:
    tracker = learning()
    tracker.requires_grad_(False)
    tracker.picture.requires_grad_(True)
    before = tracker.get_parameter(PARAMETER).item()
    if kind == "ours":
        elbo, parameter = Elbo(), tracker.get_parameter(PARAMETER)
        elbo.differentiable_loss(tracker.model, tracker.guide, frames).backward()
        assert parameter.grad is not None
        assert parameter.grad != 0
    else:
        SVI(tracker.model, tracker.guide, Adam({"lr": 1e-2}), Trace_ELBO()).step(frames)
        assert tracker.get_parameter(PARAMETER).item() != before


def test_evidence_weighs_residuals_by_the_same_value(frames: Tensor) -> None:
    """As if the learned value were the configuration's number."""
    x, tracker = channelled(frames), at(learning(), 0.07)
    settled = Filter(tracker).init(x).consensus
    assert settled is not None
    known = settled.hypothesis
    config = replace(small("template"), picture=replace(small("template").picture, noise=0.07))
    fixed = build(config).double()
    missing, unexpected = fixed.load_state_dict(tracker.state_dict(), strict=False)
    assert (missing, unexpected) == ([], [PARAMETER])
    found = []
    for one in (tracker, fixed):
        with evaluating(one):
            found.append(log_evidence(one, one.program(), x, known)[1])
    torch.testing.assert_close(*found)
    with evaluating(tracker):
        other = log_evidence(at(tracker, 0.3), tracker.program(), x, known)[1]
    assert (other - found[0]).abs().min() > 1


def test_weights_keep_it() -> None:
    tracker, other = at(learning(), 0.11), learning()
    other.load_state_dict(tracker.state_dict())
    assert other.picture.noise.item() == pytest.approx(0.11)
    assert tracker.config.picture.noise == "learned"
