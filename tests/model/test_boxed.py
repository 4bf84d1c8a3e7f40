"""Glimpses of which training hides a side: what is hidden, when, and of whom."""

from dataclasses import replace

import torch
from small_model import small
from torch import Tensor

from vtssi_pyro.model.blocks.boxed import BoxedConfig, cut_off
from vtssi_pyro.model.tracker import build

MOST = 0.7


def seen(values: Tensor) -> Tensor:
    """Rows and columns that are not black, in order, (..., 2, G) bool."""
    return torch.stack([values.amax((-3, -1)), values.amax((-3, -2))], -2) > 0


def test_one_side_of_half_of_the_glimpses_is_hidden() -> None:
    torch.manual_seed(0)
    glimpses = 0.5 + torch.rand(4000, 2, 20, 20) / 2
    cut = cut_off(glimpses, MOST)
    assert cut[cut > 0].equal(glimpses[cut > 0])
    rest = seen(cut).sum(-1)  # (4000, 2) rows, columns
    assert (rest == 20).any(-1).all(), "one axis at most"
    assert rest.min() == 20 - round(20 * MOST)
    assert 0.45 < (rest == 20).all(-1).float().mean() < 0.57  # of some less than a pixel is hidden
    for axis in (0, 1):
        shown = seen(cut)[(rest[:, axis] < 20), axis]
        assert (shown.int().diff().abs().sum(-1) == 1).all(), "one piece, up to a side"
        assert 0.4 < shown[:, 0].float().mean() < 0.6  # of both sides


def test_glimpses_are_cut_in_training_alone() -> None:
    torch.manual_seed(0)
    attention = build(replace(small("template"), attention=BoxedConfig(encoder=(8,), cut=MOST))).attention
    frames, place, size = torch.rand(64, 1, 20, 20), torch.zeros(64, 2), torch.full((64, 2), 0.5)

    def means() -> Tensor:
        with torch.no_grad():
            return attention.describe(frames, place, size).mean

    attention.eval()
    whole = means()
    assert means().equal(whole)
    attention.train()
    same = (means() == whole).all(-1)
    assert same.any()
    assert not same.all()
    attention.config = replace(attention.config, cut=0.0)
    assert means().equal(whole)
