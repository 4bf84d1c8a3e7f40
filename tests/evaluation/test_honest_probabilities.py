"""The gap between probabilities and frequencies: none if they are honest, the bias if not, whatever the order."""

import pytest
import torch
from vtssi_pyro.cli.tables import honesty

from vtssi_pyro.evaluation.assessment import assess
from vtssi_pyro.evaluation.reliability import reliability
from vtssi_pyro.tracks.tracks import Tracks


def drawn(number: int = 20_000) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    probability = torch.rand(number, generator=generator).square()
    return probability, torch.rand(number, generator=generator) < probability


def test_honest_probabilities_have_no_gap_and_others_their_bias() -> None:
    probability, happened = drawn()
    honest = reliability(probability, happened)
    assert honest.gap is not None
    assert honest.gap < 0.01
    assert (honest.forecasts, len(honest.probability)) == (20_000, 10)
    assert honest.happened == pytest.approx(1 / 3, abs=0.01)
    biased = reliability(0.8 * probability + 0.2, happened)
    assert biased.gap == pytest.approx(0.2 * 2 / 3, abs=0.01)


def test_the_order_of_equal_forecasts_does_not_matter() -> None:
    """Half of the forecasts are 0, and what happened of them comes first: each of their bins has the share of all."""
    probability, happened = torch.zeros(100), torch.arange(100) < 10
    probability[50:] = 1
    found = reliability(probability, happened)
    assert found.frequency == pytest.approx([0.2] * 5 + [0.0] * 5)
    assert found.gap == pytest.approx(0.5 * 0.2 + 0.5 * 1.0)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(1))
    assert reliability(probability[order], happened[order]) == found


def test_unknown_forecasts_are_passed_over() -> None:
    probability, happened = drawn(100)
    padded = torch.cat([probability, torch.full((20,), torch.nan)])
    assert reliability(padded, torch.cat([happened, torch.ones(20, dtype=torch.bool)])) == reliability(
        probability, happened
    )
    nothing = reliability(padded[100:], torch.ones(20, dtype=torch.bool))
    assert (nothing.forecasts, nothing.gap) == (0, None)


def test_pairs_are_judged_once_whatever_the_slots() -> None:
    """The first two of three objects meet; forecasts know them in other slots, and one future of two has them meet."""
    place = torch.tensor([[0.0, 0.0], [30.0, 0.0], [90.0, 0.0]]).repeat(1, 4, 1, 1)
    place[:, 2:, 1, 0] = 3.0
    there, box = torch.ones(1, 4, 3, dtype=torch.bool), torch.full_like(place, 5.0)
    truth, order = Tracks(place, there, box), [1, 2, 0]
    samples = torch.stack([place, place[:, :1].expand_as(place)])[..., order, :]
    found = assess(truth, Tracks(place[:, :, order], there, box, samples=samples), observed=2).meetings
    assert found is not None
    assert (found.forecasts, found.happened) == (3, pytest.approx(1 / 3))
    assert sorted(found.probability) == [0, 0, 0.5]
    assert found.gap == pytest.approx(0.5 / 3)
    told = {"objects": [], "levels": [0.5, 0.9], "presence": None, "meetings": found.as_dict()}
    assert "16.7 -> 16.7 points off in ten equally filled bins of 3, 33.3 % true" in honesty(told, told)[-1]
    assert assess(truth._replace(box=None), Tracks(place, there, box, samples=samples), 2).meetings is None
