"""The figures of held-out sequences, by hand from the weights of the same draws."""

import pytest
import torch
from tiny_sqair import CONFIG, frames, tiny

from vtssi_pyro.baselines.sqair import VIMCO, figures


def test_figures_are_averages_by_importance() -> None:
    sqair, x = tiny(), frames(sequences=3, length=4)
    torch.manual_seed(4)
    found = figures(sqair, x, particles=5)
    torch.manual_seed(4)
    model, guide = VIMCO(5).traces(sqair.model, sqair.guide, x)
    torch.manual_seed(4)
    log_weight = VIMCO(5).weights(sqair.model, sqair.guide, x).log_weight.detach()
    slots = guide.nodes["_RETURN"]["value"]
    for sequence in range(3):
        highest = log_weight[:, sequence].max()
        weight = (log_weight[:, sequence] - highest).exp()
        bound = weight.mean().log() + highest
        weight = weight / weight.sum()
        likelihood = model.nodes["x"]["log_prob"][:, sequence].sum(-1).detach()
        expected = (weight * likelihood).sum() / 4
        torch.testing.assert_close(found.log_likelihood[sequence], expected)
        kl = (weight * (likelihood - log_weight[:, sequence])).sum() / 4
        torch.testing.assert_close(found.kl[sequence], kl)
        torch.testing.assert_close(found.bound[sequence], bound)
        for t, slot in enumerate(slots):
            counts = slot.presence[:, sequence].sum(-1)
            for number in range(CONFIG.slots + 1):
                torch.testing.assert_close(
                    found.number[sequence, t, number], weight[counts == number].sum(), atol=1e-12, rtol=0
                )


def test_sequences_in_parts_have_figures_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vtssi_pyro.baselines.sqair.posterior.PART", 2)
    sqair = tiny()
    found = figures(sqair, frames(sequences=5, length=2), particles=3)
    assert found.bound.shape == (5,)
    torch.testing.assert_close(found.number.sum(-1), torch.ones(5, 2, dtype=torch.float64))
