"""Novelty: how unusual frames are against those held out at the end of a training."""

import pytest
import torch

from vtssi_pyro.inference.novelty import SHARE, Familiar, late, misfit, new

GENERATOR = torch.Generator().manual_seed(0)
USUAL = torch.rand(50, 20, 2, generator=GENERATOR) * torch.tensor([0.01, 0.2])
KNOWN = Familiar.of(USUAL)


def test_what_is_explained_does_not_misfit() -> None:
    frames = torch.rand(2, 3, 1, 8, 8, generator=GENERATOR)
    assert not misfit(frames, frames).any()
    error, share = misfit(frames, torch.zeros_like(frames)).unbind(-1)
    torch.testing.assert_close(error, frames.square().mean((-3, -2, -1)))
    torch.testing.assert_close(share, torch.ones(2, 3), atol=1e-3, rtol=0)
    black = torch.zeros_like(frames)
    assert not misfit(black, black).any()


def test_a_faint_frame_that_no_object_explains_has_a_share_of_one() -> None:
    faint = 0.05 * torch.rand(1, 1, 1, 8, 8, generator=GENERATOR)
    error, share = misfit(faint, torch.zeros_like(faint)).flatten().tolist()
    assert error < KNOWN.error
    assert share > KNOWN.share
    assert KNOWN.novelty(misfit(faint, torch.zeros_like(faint))) > 1


def test_familiar_frames_are_seldom_new() -> None:
    novelty = KNOWN.novelty(USUAL)
    assert novelty.shape == USUAL.shape[:2]
    assert (novelty > 1).float().mean() <= 2 * (1 - SHARE)
    assert (novelty > 1).any()
    assert not new(novelty).any()
    assert KNOWN.frames == 1000
    assert Familiar(**KNOWN.as_dict()) == KNOWN


def test_a_larger_misfit_is_a_larger_novelty() -> None:
    novelty = KNOWN.novelty(USUAL.max() * torch.arange(1.0, 6).view(1, 5, 1).expand(1, 5, 2))
    assert (novelty.diff(dim=1) > 0).all()


def test_held_out_frames_without_any_misfit_can_be_compared_with() -> None:
    perfect = Familiar.of(torch.zeros(4, 5, 2))
    assert perfect.novelty(torch.zeros(1, 5, 2)).max() == 0
    assert perfect.novelty(torch.full((1, 5, 2), 0.1)).min() > 1


@pytest.mark.parametrize(
    ("signs", "first"),
    [
        ("....####", 4),
        ("....##.#", 4),
        (".#..####", 4),
        ("........", -1),
        ("########", -1),  # it does not become new, it is
        ("......##", -1),  # too short: an occlusion
        ("...##...", -1),  # it passes
        ("####....", -1),
    ],
)
def test_what_becomes_new_does_so_at_a_frame(signs: str, first: int) -> None:
    novelty = torch.tensor([[5.0 if sign == "#" else 0.2 for sign in signs]])
    assert late(novelty).tolist() == [first]
