"""SQAIR's recipes and their steps."""

import math
from dataclasses import replace

import pytest
import torch
from tiny_sqair import frames, tiny

from vtssi_pyro.baselines.sqair import FAST, PUBLISHED, VIMCO, Learner, SQAIRConfig, SQAIRRecipe
from vtssi_pyro.baselines.sqair.rmsprop import RMSProp
from vtssi_pyro.config import from_dict, to_dict
from vtssi_pyro.config.schedules import Constant
from vtssi_pyro.errors import UsageError


def test_the_published_recipe_is_the_official_programs() -> None:
    rates = [PUBLISHED.learning_rate(step) for step in (0, 399_999, 400_000, 999_999, 1_000_000, 2_000_000)]
    assert rates == pytest.approx([1e-5, 1e-5, 1e-5 / 3, 1e-5 / 3, 1e-5 / 9, 1e-5 / 9])
    assert [PUBLISHED.length(step) for step in (0, 99_999, 100_000, 700_000, 1e6)] == [3, 3, 4, 10, 10]
    assert (PUBLISHED.batch, PUBLISHED.particles, PUBLISHED.optimizer) == (32, 5, "rmsprop")
    assert FAST.length(FAST.steps) == 10
    assert FAST.steps < PUBLISHED.steps / 20


@pytest.mark.parametrize("recipe", [PUBLISHED, FAST], ids=lambda recipe: recipe.name)
def test_recipes_and_sizes_are_data(recipe: SQAIRRecipe) -> None:
    assert from_dict(to_dict(recipe), SQAIRRecipe) == recipe
    assert from_dict(to_dict(SQAIRConfig(what=7)), SQAIRConfig) == SQAIRConfig(what=7)


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


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam"])
def test_a_step_is_the_objective_per_frame(optimizer: str) -> None:
    sqair, x = tiny(), frames(sequences=3, length=5)
    recipe = replace(FAST, optimizer=optimizer, particles=3, learning_rate=Constant(0.0))
    torch.manual_seed(5)
    bound = VIMCO(3).bound(sqair.model, sqair.guide, x[:, :3]).mean() / 3  # the recipe's first length
    torch.manual_seed(5)
    assert Learner(sqair, recipe).step(x, 0) == pytest.approx(bound.item())


def test_a_resumed_training_is_the_same() -> None:
    x = frames()
    recipe = replace(FAST, learning_rate=Constant(1e-2), optimizer="rmsprop")
    torch.manual_seed(0)
    straight, resumed = tiny(), tiny()
    resumed.load_state_dict(straight.state_dict())
    first, second = Learner(straight, recipe), Learner(resumed, recipe)
    for step in range(3):
        torch.manual_seed(step)
        first.step(x, step)
        if step == 2:  # a new optimiser goes on from the state of the first
            state = second.optimizer.state_dict()
            second = Learner(resumed, recipe)
            second.optimizer.load_state_dict(state)
        torch.manual_seed(step)
        second.step(x, step)
    for one, other in zip(straight.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_the_background_starts_at_the_mean_frame() -> None:
    sqair, x = tiny(), frames()
    sqair.set_background(x)
    torch.testing.assert_close(sqair.picture.body.background.detach(), x.mean((0, 1)))


def test_wrong_options_are_refused() -> None:
    with pytest.raises(UsageError, match="rmsprop or adam"):
        Learner(tiny(), replace(FAST, optimizer="sgd"))
    with pytest.raises(UsageError, match="official or textbook"):
        Learner(tiny(), replace(FAST, vimco="none"))
