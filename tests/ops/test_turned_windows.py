"""Turned windows: their spatial transformer, the search over angles, and registration in place and angle."""

import math

import pytest
import torch
from torch import Tensor

from vtssi_pyro.ops.ink import long_axis
from vtssi_pyro.ops.spatial import extract_glimpses, paste
from vtssi_pyro.ops.turning import (
    around_expected,
    extract_turned,
    match_angles,
    paste_turned,
    register_turned,
    slopes,
    turned,
)

F64 = torch.float64
SIDE = 25
QUARTER = torch.tensor(math.pi / 2, dtype=F64)


def windows(*lead: int) -> tuple[Tensor, Tensor]:
    """Places and sizes at random."""
    return torch.rand(*lead, 2, dtype=F64) - 0.5, 0.4 * torch.rand(*lead, 2, dtype=F64) + 0.1


def wedge() -> Tensor:
    """A smooth look (1, G, G) that is the same at no two angles: long, and thicker at its left end."""
    axis = torch.linspace(-1, 1, SIDE, dtype=F64)
    width = 0.15 + 0.15 * (1 - axis)
    return (torch.exp(-((axis / 0.75) ** 4)) * torch.exp(-((axis[:, None] / width) ** 2)))[None]


@pytest.mark.parametrize("frame", [(20, 30), (25, 25)])
def test_unturned_windows_are_the_spatial_transformers(frame: tuple[int, int]) -> None:
    glimpses, (position, size) = torch.rand(3, 2, 1, 9, 9, dtype=F64), windows(3, 2)
    upright = torch.zeros(3, 2, dtype=F64)
    pasted = paste_turned(glimpses, position, size, upright, frame)
    expected = paste(glimpses.unsqueeze(-4), position[:, :, None, None], size.unsqueeze(-2), frame)
    torch.testing.assert_close(pasted, expected.squeeze(-4), rtol=0, atol=1e-12)
    frames = torch.rand(3, 2, *frame, dtype=F64)
    found = extract_turned(frames, position, size, upright, 9)
    expected = extract_glimpses(frames.unsqueeze(1), position, size, 9)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_a_quarter_turn_goes_from_right_to_below() -> None:
    """From x towards y, which points down; and a window that is wide then is high."""
    glimpse = torch.zeros(1, 9, 9, dtype=F64)
    glimpse[0, 4, 8] = 1  # on the right
    glimpse[0, 1, 2] = 0.5
    middle, size = torch.zeros(2, dtype=F64), torch.tensor([0.6, 0.2], dtype=F64)
    once = paste_turned(glimpse, middle, size, QUARTER, (45, 45))
    upright = paste_turned(glimpse, middle, size, 0 * QUARTER, (45, 45))
    torch.testing.assert_close(once, torch.rot90(upright, -1, (-2, -1)), rtol=0, atol=1e-9)
    rows, columns = (once.amax(axis).flatten().nonzero().flatten() for axis in (-1, -2))
    assert rows.max() - rows.min() > 2 * (columns.max() - columns.min())
    assert once[0, -18:].sum() > 0.9  # the bright pixel is below


def test_what_is_pasted_is_found_again() -> None:
    """In the same turned window, wide or high, whatever the frame's own proportions."""
    look, (position, size) = wedge(), windows(4)
    size, angle = size + 0.1, 3 * torch.randn(4, dtype=F64)
    for frame in ((160, 160), (120, 200)):
        drawn = paste_turned(look, position / 2, size, angle, frame)
        again = extract_turned(drawn, position[:, None] / 2, size[:, None], angle[:, None], SIDE).squeeze(1)
        torch.testing.assert_close(again, look.expand(4, 1, SIDE, SIDE), rtol=0, atol=0.06)


def test_turns_add_up() -> None:
    size, middle = torch.tensor([0.5, 0.3], dtype=F64), torch.zeros(2, dtype=F64)
    first, window = turned(wedge(), size, torch.tensor(0.4, dtype=F64))
    twice = paste_turned(first, middle, window, torch.tensor(0.7, dtype=F64), (60, 60))
    once = paste_turned(wedge(), middle, size, torch.tensor(1.1, dtype=F64), (60, 60))
    torch.testing.assert_close(twice, once, rtol=0, atol=0.05)
    assert (twice - paste_turned(wedge(), middle, size, torch.tensor(-1.1, dtype=F64), (60, 60))).max() > 0.5


def test_slopes_are_the_changes_of_a_look() -> None:
    """By finite differences of what is drawn, in a window that is no square."""
    size, middle = torch.tensor([0.6, 0.4], dtype=F64), torch.zeros(2, dtype=F64)
    pixels, step, zero = 50, 0.2, torch.zeros((), dtype=F64)
    slope = slopes(wedge(), size * pixels / 2).view(SIDE, SIDE, 3)

    def seen(move: Tensor, angle: Tensor) -> Tensor:
        """The still window's content as the object moves by px and turns."""
        fine = paste_turned(wedge(), 2 * move / pixels, size, angle, (400, 400))
        return extract_turned(fine, middle[None], size[None], zero[None], SIDE)[0, 0]

    moves = [
        (torch.tensor([step, 0.0], dtype=F64), zero),
        (torch.tensor([0.0, step], dtype=F64), zero),
        (middle, zero + step / 5),
    ]
    for index, (move, angle) in enumerate(moves):
        change = (seen(move, angle) - seen(-move, -angle)) / (2 * (move.sum() + angle))
        inner = slice(2, -2)
        error = (slope[inner, inner, index] - change[inner, inner]).abs().max()
        assert error < 0.15 * change.abs().max(), index


def test_angles_are_tried_around_the_expected_one() -> None:
    mean, scale = torch.tensor([7.0, -1.0], dtype=F64), torch.tensor([0.1, 0.2], dtype=F64)
    angles, prior = around_expected(mean, scale, 8, -5.0)
    assert angles.shape == prior.shape == (2, 8)
    torch.testing.assert_close(angles[:, 4], mean)
    steps = angles.diff(dim=-1)
    torch.testing.assert_close(steps, torch.full_like(steps, math.pi / 4))
    assert (prior.argmax(-1) == 4).all()
    assert prior.min() >= -5
    torch.testing.assert_close(prior[:, 0], torch.full((2,), -5.0, dtype=F64), rtol=0, atol=1e-6)


def test_the_best_match_is_at_the_true_angle() -> None:
    position, size = windows(2, 3)
    angle = around_expected(torch.zeros(2, 3, dtype=F64), torch.ones(2, 3, dtype=F64), 16, -9.0)[0]
    truth = torch.tensor([[0, 3, 9], [15, 8, 4]])
    looks = wedge().expand(2, 3, 1, SIDE, SIDE)
    at = angle.gather(-1, truth.unsqueeze(-1)).squeeze(-1)
    frames = paste_turned(looks, position, size + 0.2, at, (60, 60))
    share = match_angles(frames, looks, position, size + 0.2, angle)
    assert torch.equal(share.argmax(-1), truth)
    torch.testing.assert_close(share.amax(-1), torch.ones(2, 3, dtype=F64), rtol=0, atol=0.05)


@pytest.mark.parametrize("still", [False, True])
def test_registration_finds_place_and_angle(still: bool) -> None:
    """To hundredths of a pixel and of a degree, of objects that overlap."""
    size = torch.tensor([[0.4, 0.3], [0.35, 0.4]], dtype=F64)
    position = torch.tensor([[-0.2, 0.1], [0.3, -0.1]], dtype=F64)
    angle = torch.tensor([0.7, -4.2], dtype=F64)
    looks = wedge().expand(2, 1, SIDE, SIDE)

    def draw(place: Tensor, turn: Tensor) -> Tensor:
        return paste_turned(looks, place, size, turn, (50, 50)).sum(-4)

    off = torch.tensor([[0.05, -0.03], [-0.04, 0.05]], dtype=F64) * (not still)
    start = angle + torch.tensor([0.2, -0.2], dtype=F64)
    found = register_turned(draw(position, angle)[None], draw, looks[None], (position + off)[None], start[None],
                            size[None], 8, still)  # fmt: skip
    assert (found[0] - position).abs().max() < 1e-3
    assert (found[1] - angle).abs().max() < 1e-3
    if still:
        assert torch.equal(found[0][0], position)
    noisy = draw(position, angle)[None] + 0.05 * torch.randn(200, 1, 50, 50, dtype=F64)
    _, angles, errors = register_turned(
        noisy, draw, looks.expand(200, 2, 1, SIDE, SIDE), position.expand(200, 2, 2), angle.expand(200, 2),
        size.expand(200, 2, 2), 4, still,
    )  # fmt: skip
    ratio = (angles - angle).std(0) / errors.mean(0)
    assert ((ratio > 0.8) & (ratio < 1.25)).all()


def test_the_long_axis_turns_with_the_object() -> None:
    size = torch.tensor([0.5, 0.25], dtype=F64)
    for angle in (-1.2, -0.3, 0.0, 0.8, 1.5):
        look, window = turned(wedge(), size, torch.tensor(angle, dtype=F64))
        assert long_axis(look, window).item() == pytest.approx(angle, abs=0.01)
    tall = long_axis(wedge(), torch.tensor([0.1, 0.9], dtype=F64))
    assert abs(tall.item()) == pytest.approx(math.pi / 2, abs=0.01), "sizes count, not pixels"
