"""SQAIR's recipes, and their steps by hand."""

import math
from dataclasses import fields, replace

import pytest
import torch
from tiny_sqair import frames, tiny

from vtssi_pyro.baselines.sqair import VIMCO
from vtssi_pyro.baselines.sqair.rmsprop import RMSProp
from vtssi_pyro.config.schedules import Constant
from vtssi_pyro.train.baseline_presets import recipe
from vtssi_pyro.train.step import Step


def test_the_published_recipe_is_the_official_programs() -> None:
    train = recipe("sqair", "published").train
    (stage,) = train.stages
    rates = [stage.learning_rate(step) for step in (0, 399_999, 400_000, 999_999, 1_000_000, 2_000_000)]
    assert rates == pytest.approx([1e-5, 1e-5, 1e-5 / 3, 1e-5 / 3, 1e-5 / 9, 1e-5 / 9])
    assert [stage.length(step) for step in (0, 99_999, 100_000, 700_000, 1e6)] == [3, 3, 4, 10, 10]
    assert (stage.batch, stage.optimizer, train.elbo, train.particles) == (32, "rmsprop", "VIMCO-SQAIR", 5)
    assert train.per_frame


def test_the_fast_recipe_begins_with_single_frames_and_ends_with_the_published_program() -> None:
    """Batches, objective and the last lengths are the published ones, and nothing is dear in the end."""
    (published,), (frames, sequences, prior) = (
        recipe("sqair", name).train.stages for name in ("published", "fast")
    )
    assert {frames.length(step) for step in range(frames.steps)} == {1}
    lengths = [sequences.length(step) for step in range(sequences.steps)]
    assert lengths == sorted(lengths)
    assert set(lengths) == set(range(2, 11))
    assert lengths[-1] == prior.length(0) == published.length(published.steps)
    assert sequences.discovery_shift(sequences.steps) == published.discovery_shift(0) == 0
    own = {"name", "steps", "learning_rate", "length", "optimizer", "discovery_shift", "blocks"}
    for stage in (frames, sequences, prior):
        for field in fields(stage):
            assert field.name in own or getattr(stage, field.name) == getattr(published, field.name)


def test_rmsprop_is_tensorflows() -> None:
    """Two numbers by hand: the mean of squares starts at 1, and the rate acts when a step enters the momentum."""
    value = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
    optimizer = RMSProp([value], lr=0.1)
    by_hand, mean, moment = [1.0, -2.0], [1.0, 1.0], [0.0, 0.0]
    for rate in (0.1, 0.1, 0.02):
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        (value**3).sum().backward()
        for i in range(2):
            gradient = 3 * by_hand[i] ** 2
            mean[i] = 0.9 * mean[i] + 0.1 * gradient**2
            moment[i] = 0.9 * moment[i] + rate * gradient / math.sqrt(mean[i] + 1e-10)
            by_hand[i] -= moment[i]
        optimizer.step()
    assert value.tolist() == pytest.approx(by_hand)


@pytest.mark.parametrize(
    ("preset", "optimizer", "elbo", "signal"),
    [("published", RMSProp, "VIMCO-SQAIR", "official"), ("fast", torch.optim.Adam, "VIMCO", "textbook")],
)
def test_a_step_is_the_objective_per_frame(preset: str, optimizer: type, elbo: str, signal: str) -> None:
    """Two steps by hand: the same bound, and the same weights; the ELBO's name decides the learning signal."""
    x, ours, theirs = frames(sequences=3, length=3), tiny(), tiny()
    theirs.load_state_dict(ours.state_dict())
    train = replace(recipe("sqair", preset).train, elbo=elbo, particles=3)
    stage = replace(train.stages[0], learning_rate=Constant(1e-2))
    step, plain = Step(ours, ours, train, stage), optimizer(theirs.parameters(), lr=1e-2)
    bound = VIMCO(3, signal)
    for i in range(2):
        torch.manual_seed(i)
        terms, _ = step(x, train.scheduled(stage, i, i))
        torch.manual_seed(i)
        plain.zero_grad()
        loss = bound.differentiable_loss(theirs.model, theirs.guide, x)
        (loss / 9).backward()
        plain.step()
        assert terms["elbo"].item() == pytest.approx(-loss.item() / 3)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


def test_the_background_begins_at_the_mean_frame() -> None:
    sqair, x = tiny(), frames(sequences=3)
    sqair.begin([x[:2], x[2:]])
    torch.testing.assert_close(sqair.picture.body.background.detach(), x.mean((0, 1)))
