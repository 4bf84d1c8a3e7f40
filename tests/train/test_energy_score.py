"""Sampled futures: their score, and scales that learn to mean what they say."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pyro.distributions import Independent, Normal
from small_model import SIDE, small
from torch import Tensor, nn

from vtssi_pyro.config.schedules import Constant
from vtssi_pyro.data import ArrayDataset
from vtssi_pyro.inference.filter import Filter
from vtssi_pyro.model.blocks.mot import StateSpace
from vtssi_pyro.model.config import TestTime
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.tracker import Tracker, build
from vtssi_pyro.train.batches import BatchSource, PathBatch, path_batches, program_of
from vtssi_pyro.train.config import Config, DataConfig
from vtssi_pyro.train.objective import belief, energy_score, futures
from vtssi_pyro.train.paths import paths
from vtssi_pyro.train.recipe import Scheduled, Stage
from vtssi_pyro.train.splits import open_splits
from vtssi_pyro.types import State

STAGE = Stage("futures", 1, "futures", ("motion",), 64, samples=4)
F64 = torch.float64


def test_the_score_is_that_of_two_samples() -> None:
    """The mean distance from the truth, less half the distance of the only pair."""
    samples = torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=F64)
    score = energy_score(samples, torch.tensor([3.0, 0.0], dtype=F64))
    torch.testing.assert_close(score, torch.tensor((3 + 4) / 2 - 5 / 2, dtype=F64), atol=1e-5, rtol=0)


@pytest.mark.parametrize("number", [2, 5])
def test_the_score_is_least_for_the_true_density(number: int) -> None:
    """Neither sharper nor wider nor shifted samples score better, however few they are."""
    truth, noise = torch.randn(40_000, 2, dtype=F64), torch.randn(number, 40_000, 2, dtype=F64)
    right = energy_score(noise, truth).mean()
    for wrong in (0.7 * noise, 1.4 * noise, noise + 0.4):
        assert energy_score(wrong, truth).mean() > right + 0.01


class Drift(StateSpace):
    """PathBatch that keep their velocity but for noise of learned scales, in positions and in velocities."""

    def __init__(self, *scales: float) -> None:
        super().__init__(M=3, dims=2)
        self.log_scales = nn.Parameter(torch.tensor(scales, dtype=F64).log())

    def transition(self, previous: State) -> dict[str, Independent]:
        means = {"position": previous["position"] + previous["motion"], "motion": previous["motion"]}
        scales = self.log_scales.exp()
        return {
            name: Normal(mean, scale).to_event(1)
            for (name, mean), scale in zip(means.items(), scales, strict=True)
        }

    def infer(self, static: Tensor, position: Tensor, memory: None = None) -> tuple[Independent, None]:
        velocity = torch.cat([position[..., :1, :, :], position], -3).diff(dim=-3)
        return Normal(velocity, 1e-3).to_event(1), None


def drifting(motion: StateSpace) -> Tracker:
    tracker = build("vtssi", small()).double()
    tracker.motion = motion
    return tracker


@pytest.mark.slow
@pytest.mark.parametrize("start", [0.01, 0.2])
def test_scales_learn_the_noise_of_paths(start: float) -> None:
    """Whether they begin too narrow or too wide, they end at the noise with which the paths were drawn."""
    truth = torch.tensor([0.06, 0.03], dtype=F64)
    motion = Drift(start, start)
    tracker, adam = drifting(motion), torch.optim.Adam(motion.parameters(), 0.2)
    batch = drawn(2000, 10, truth)
    for step in range(120):
        adam.param_groups[0]["lr"] = 0.2 * (1 - step / 120)
        adam.zero_grad()
        (-futures(tracker, batch, STAGE, Scheduled())["futures"]).backward()
        adam.step()
    torch.testing.assert_close(motion.log_scales.exp().detach(), truth, rtol=0.15, atol=0)


def drawn(number: int, length: int, scales: Tensor) -> PathBatch:
    """Paths of single objects that keep a velocity for 4 frames, which are observed, and then drift."""
    place, pace = scales
    at, velocity = torch.zeros(number, 1, 2, dtype=F64), 0.05 * torch.randn(number, 1, 2, dtype=F64)
    path = []
    for t in range(length):
        path.append(at)
        noise = torch.randn(2, number, 1, 2, dtype=F64) * (t >= 3)
        at, velocity = at + velocity + place * noise[0], velocity + pace * noise[1]
    position, yes = torch.stack(path, 1), torch.ones(number, length, 1, dtype=torch.bool)
    static = torch.zeros(number, 1, 1, dtype=F64)
    return PathBatch(yes[:, 0], static, position, yes, torch.full_like(position, 1e-4), 4)


def test_futures_start_from_the_belief_of_test_time(blobs) -> None:
    """The filter's own density after the observed frames, whatever comes later."""
    tracker = build(
        "vtssi", replace(small("template"), fusion="product", test_time=TestTime(refine=2))
    ).eval()
    x, stage = blobs(length=8).float().unsqueeze(2), replace(STAGE, refined=True)
    filter_ = Filter(tracker)
    first = filter_.init(x[:, :5])
    expected = filter_.step(first, x[:, :5])[0].chain
    assert expected is not None
    with torch.no_grad():
        with mode():
            batch = PathBatch(*paths(tracker, program_of(tracker, stage), x), tracker.motion.M)
        inferred, _ = tracker.motion.infer(batch.static, batch.position[..., :5, :, :])
        found = belief(tracker, batch, inferred, 5, Scheduled())
    assert set(found) == set(expected.q) == {"position", "motion"}
    for name, q in found.items():
        torch.testing.assert_close(q.mean, expected.q[name].mean)
        torch.testing.assert_close(q.stddev, expected.q[name].stddev)


def test_absent_and_hidden_objects_do_not_count() -> None:
    tracker, batch = drifting(Drift(0.1, 0.1)), drawn(3, 8, torch.tensor([0.1, 0.1], dtype=F64))
    present, visible = batch.present.clone(), batch.visible.clone()
    present[0], visible[1, 2], visible[2, 6] = False, False, False

    def score(position: Tensor) -> Tensor:
        torch.manual_seed(0)
        return futures(
            tracker, batch._replace(position=position, present=present, visible=visible), STAGE, Scheduled()
        )["futures"]

    moved = batch.position.clone()
    moved[0, 4:], moved[1, 4:], moved[2, 6] = 9.0, 9.0, 9.0
    assert score(moved) == score(batch.position)
    moved[2, 7] += 1
    assert score(moved) != score(batch.position)


def test_roll_outs_begin_after_any_frame() -> None:
    """With ``later`` after any frame from M on but the last, in about half of the batches after M; else after M."""
    data = ArrayDataset("data", np.random.default_rng(0).random((4, 8, SIDE, SIDE)).astype(np.float32))
    tracker, stage = build("vtssi", small("template")), replace(STAGE, batch=2, cache=4, length=Constant(8))
    M = tracker.motion.M
    plain, later = (
        path_batches(BatchSource(tracker, data, replace(stage, later=on), 1, 1.0, torch.device("cpu")))
        for on in (False, True)
    )
    assert {plain(step).observed for step in range(20)} == {M}
    observed = [later(step).observed for step in range(60)]
    assert set(observed) == set(range(M, 8))
    assert 20 < observed.count(M) < 50
    assert later(3).observed == later(3).observed


def test_a_training_may_see_longer_sequences_than_it_is_judged_on() -> None:
    """Their number and their digits stay the same."""
    data = DataConfig(sequences=6, validation_sequences=3, test_sequences=2, length=8, train_length=30)
    longer = open_splits(Config(data=data), torch.device("cpu"))
    usual = open_splits(Config(data=replace(data, train_length=None)), torch.device("cpu"))
    assert (longer.train.length, usual.train.length) == (30, 8)
    assert len(longer.train) == len(usual.train) == 6
    assert {split.length for split in longer[1:]} == {8}
