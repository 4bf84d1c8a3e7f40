"""DDPAE: its sizes, its program, and the estimates that are read off it."""

from dataclasses import replace
from functools import partial

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, Trace_ELBO
from torch import Tensor

from vtssi_pyro import forecast, track
from vtssi_pyro.baselines import DDPAE, DDPAEConfig
from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.train.elbo import Elbo
from vtssi_pyro.train.reporting import Silent

SMALL = DDPAEConfig(frame_size=32, inputs=3, features=12, content=6, hidden=8, filters=4)
B, T = 2, 5


@pytest.fixture
def ddpae() -> DDPAE:
    return SMALL.build().double().eval()


@pytest.fixture
def frames() -> Tensor:
    return torch.rand(B, T, 1, 32, 32, dtype=torch.float64)


def test_it_has_the_official_number_of_parameters() -> None:
    assert sum(p.numel() for p in DDPAEConfig().build().parameters()) == 706_364


def test_initial_weights_are_the_official_ones() -> None:
    named = {name: p.detach() for name, p in DDPAEConfig().build().named_parameters()}
    for name in ("pose.body.encoder.body.11.weight", "content.body.readout.weight", "decoder.body.0.weight"):
        assert float(named[name].std()) == pytest.approx(0.02, rel=0.05)
        assert abs(float(named[name].mean())) < 1e-3
    assert (named["content.body.readout.bias"] == 0).all()
    assert float(named["decoder.body.1.weight"].mean()) == pytest.approx(1, abs=0.02)


def test_sites_and_priors(ddpae: DDPAE, frames: Tensor) -> None:
    """Every latent of the model is in the guide; the priors are the published ones, frame by frame."""
    guided = poutine.trace(ddpae.guide).get_trace(frames)
    modelled = poutine.trace(poutine.replay(ddpae.model, trace=guided)).get_trace(frames)
    latent = {
        "initial_pose",
        "content",
        *(f"input_beta_{t}" for t in (1, 2, 3)),
        "pred_beta_4",
        "pred_beta_5",
    }
    assert set(guided.stochastic_nodes) - {"sequences", "components"} == latent
    assert set(modelled.stochastic_nodes) - {"sequences", "components", "frames"} == latent
    assert modelled.observation_nodes == ["x"]
    for name, loc, scale, size in (
        ("initial_pose", [2.0, 0.0, 0.0], [0.2, 1.0, 1.0], 3),
        ("input_beta_2", [0.0] * 3, [0.1] * 3, 3),
        ("pred_beta_5", [0.0] * 3, [0.1] * 3, 3),
        ("content", [0.0] * 6, [1.0] * 6, 6),
    ):
        site = modelled.nodes[name]
        assert site["value"].shape == (B, 2, size)
        assert site["fn"].base_dist.loc[0, 0].tolist() == pytest.approx(loc)
        assert site["fn"].base_dist.scale[0, 0].tolist() == pytest.approx(scale)
    x = modelled.nodes["x"]["fn"]
    assert (x.batch_shape, x.scale) == ((B, T), 0.3)
    assert x.loc.max() <= 1
    assert not [name for name in dict(ddpae.named_parameters()) if name.startswith("prior")]


def test_the_bound_is_pyros(ddpae: DDPAE, frames: Tensor) -> None:
    torch.manual_seed(1)
    own = Elbo(analytic=False).loss(ddpae.model, ddpae.guide, frames)
    torch.manual_seed(1)
    assert own == pytest.approx(Trace_ELBO().loss(ddpae.model, ddpae.guide, frames))


@pytest.mark.slow
def test_plain_svi_trains_every_parameter(frames: Tensor) -> None:
    """With Pyro's own SVI, Trace_ELBO and Adam, as published."""
    ddpae = SMALL.build().double()
    svi = SVI(ddpae.model, ddpae.guide, pyro.optim.Adam({"lr": 3e-3, "betas": (0.5, 0.999)}), Trace_ELBO())
    before = {name: p.clone() for name, p in ddpae.named_parameters()}
    losses = [svi.step(frames) for _ in range(30)]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    assert all(not torch.equal(p, before[name]) for name, p in ddpae.named_parameters())


def test_the_guide_reads_the_first_frames_alone(ddpae: DDPAE, frames: Tensor) -> None:
    other = frames.clone()
    other[:, SMALL.inputs :] = 0
    found, again = (ddpae.forecasts(x, 0, 0, (1.0,))[0] for x in (frames, other))
    assert torch.equal(found.tracks.position, again.tracks.position)
    other[:, SMALL.inputs - 1] = 0
    assert not torch.equal(found.tracks.position, ddpae.forecasts(other, 0, 0, (1.0,))[0].tracks.position)


def test_poses_equal_a_literal_unrolling(ddpae: DDPAE, frames: Tensor) -> None:
    """One LSTM step after another: frames within components, each fed with the component before at that frame."""
    net = ddpae.pose.body
    start, steps = ddpae.pose(frames[:, :3], 2)
    seen = net["encoder"](frames[:, :3].flatten(0, 1)).view(B, 3, -1)
    before = [torch.zeros(B, 8, dtype=torch.float64)] * 5
    first, found = [], torch.zeros(B, 5, 2, 3, dtype=torch.float64)
    for i in range(2):
        state = (torch.zeros(1, B, 8, dtype=torch.float64),) * 2
        hidden = []
        for t in range(3):
            _, state = net["reader"](torch.cat([seen[:, t], before[t]], -1)[:, None], state)
            hidden.append(state[0][0])
        first.append(hidden[0])
        cell = (state[0][0], state[1][0])
        for t in (3, 4):
            cell = net["predictor"](torch.cat([cell[0], before[t]], -1), cell)
            hidden.append(cell[0])
        before = hidden
        found[:, :, i] = net["step_loc"](torch.stack(hidden, 1))
    torch.testing.assert_close(steps.loc, found)
    state = None
    for i in range(2):
        output, state = net["starter"](first[i][:, None], state)
        torch.testing.assert_close(start.loc[:, i], net["start_loc"](output[:, 0]))


def test_content_is_that_of_all_frames_that_are_read(ddpae: DDPAE) -> None:
    pictures = torch.rand(B, 3, 2, 1, 16, 16, dtype=torch.float64)
    net, whole = ddpae.content.body, ddpae.content(pictures)
    for i in range(2):
        state = None
        for t in range(3):
            output, state = net["reader"](net["encoder"](pictures[:, t, i])[:, None], state)
        loc, raw = net["readout"](output[:, 0]).chunk(2, -1)
        torch.testing.assert_close(whole.loc[:, i], loc)
        torch.testing.assert_close(whole.scale[:, i], torch.nn.functional.softplus(raw))


def test_windows_stay_in_the_frame_but_for_a_margin(ddpae: DDPAE) -> None:
    pose = ddpae.constrained(10 * torch.randn(500, 3, dtype=torch.float64))
    assert pose[:, 0].min() == 1
    assert pose[:, 0].max() == 3
    assert (pose[:, 1:].abs() <= pose[:, :1] - 0.5).all()
    plain = torch.tensor([2.5, 0.3, -0.4], dtype=torch.float64)
    expected = [2.5, 2 * float(torch.tensor(0.3).tanh()), -2 * float(torch.tensor(0.4).tanh())]
    assert ddpae.constrained(plain).tolist() == pytest.approx(expected, abs=1e-6)


def test_centres_are_those_of_what_is_drawn(ddpae: DDPAE, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean place of the light of a picture with a spot in its middle, in pixels."""
    spot = torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    spot[..., 7:9, 7:9] = 0.2
    monkeypatch.setattr(ddpae.decoder, "forward", lambda content: spot.expand(len(content), -1, -1, -1))
    pose = torch.tensor([[[[2.0, 0.4, -0.7]]], [[[1.5, -0.2, 0.1]]]], dtype=torch.float64)
    drawn = ddpae.render(torch.zeros(2, 1, 6, dtype=torch.float64), pose)[:, 0, 0]  # (2, 32, 32)
    place = torch.arange(32, dtype=torch.float64) + 0.5
    light = drawn.sum((1, 2))
    x, y = (drawn.sum(1) * place).sum(1) / light, (drawn.sum(2) * place).sum(1) / light
    torch.testing.assert_close(torch.stack([x, y], -1), ddpae.centres(pose)[:, 0, 0], atol=0.05, rtol=0)


def test_forecasts(ddpae: DDPAE, frames: Tensor) -> None:
    """Any horizon; samples at temperature 0 are the modes, and spread by the temperature beyond."""
    shorter, longer = (ddpae.forecasts(frames, horizon, 0, (1.0,))[0] for horizon in (2, 30))
    assert longer.tracks.position.shape == (B, T + 30, 2, 2)
    assert longer.frames.shape == (B, T + 30, 1, 32, 32)
    assert longer.appearance.shape == (B, 2, 6)
    torch.testing.assert_close(longer.tracks.position[:, : T + 2], shorter.tracks.position)
    assert longer.tracks.present.all()
    cold, warm, hot = ddpae.forecasts(frames, 2, 400, (0.0, 0.01, 0.02), seed=3)
    torch.testing.assert_close(cold.tracks.samples[0], shorter.tracks.position)
    torch.testing.assert_close(hot.tracks.scale, 2 * warm.tracks.scale, rtol=0.05, atol=1e-4)
    torch.testing.assert_close(warm.tracks.scale, 0.01 * shorter.tracks.scale, rtol=0.2, atol=1e-4)
    again = ddpae.forecasts(frames, 2, 400, (0.01,), seed=3)[0]
    torch.testing.assert_close(again.tracks.samples, warm.tracks.samples)
    few = ddpae.forecasts(frames[:, :2], 1, 0, (1.0,))[0]  # fewer than it reads
    assert few.tracks.position.shape == (B, 3, 2, 2)


def test_what_cannot_be_built_or_read(ddpae: DDPAE) -> None:
    for change, message in (
        ({"frame_size": 50}, "power of 2"), ({"frame_size": 16}, "from 32"), ({"zoom": 1.0}, "above 1"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=message):
            replace(SMALL, **change).build()
    with pytest.raises(DataError, match="1x50x50"):
        ddpae.guide(torch.zeros(1, 4, 1, 50, 50))


def test_frames_that_are_given_but_not_read_are_told_of(frames: Tensor) -> None:
    tracker = SMALL.build()
    for length in (SMALL.inputs, T):
        for call in (track, partial(forecast, horizon=2)):
            heard = Heard()
            call(tracker, frames[:, :length].float(), report=heard)
            told = f"reads the first {SMALL.inputs} frames alone" in " ".join(heard.lines)
            assert told == (length > SMALL.inputs)


class Heard(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)
