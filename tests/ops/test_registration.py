"""Registration finds a known displacement to a fraction of a pixel, and knows when there is nothing to find."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vtssi_pyro.ops.registration import precision, register, sharpen
from vtssi_pyro.ops.spatial import paste

SIDE = 50
PIXEL = 2 / SIDE  # frame coordinates


def scene(position: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Frames, glimpses and sizes of two unlike blobs at positions (B, T, 2, 2)."""
    axis = torch.linspace(-1, 1, 25, dtype=torch.float64)
    x, y = axis, axis[:, None]
    first = torch.exp(-((x / 0.5) ** 2) - (y / 0.3) ** 2)
    second = torch.exp(-(((x - 0.2) / 0.3) ** 2) - ((y + 0.1) / 0.5) ** 2)
    glimpses = torch.stack([first, second]).unsqueeze(1).expand(len(position), 2, 1, 25, 25)
    size = torch.tensor([[0.3, 0.4], [0.4, 0.3]], dtype=torch.float64).expand(len(position), 2, 2)
    return paste(glimpses, position, size, (SIDE, SIDE)), glimpses, size


def drawing(glimpses: Tensor, size: Tensor) -> Callable[[Tensor], Tensor]:
    """Shows these glimpses at given positions."""
    return lambda position: paste(glimpses, position, size, (SIDE, SIDE))


def alone(glimpses: Tensor, position: Tensor, size: Tensor) -> Tensor:
    """Frames (B, T, N, 1, H, W) with one object each."""
    each = [
        paste(glimpses[:, i : i + 1], position[:, :, i : i + 1], size[:, i : i + 1], (SIDE, SIDE))
        for i in (0, 1)
    ]
    return torch.stack(each, 2)


def sharpened(frames: Tensor, glimpses: Tensor, position: Tensor, size: Tensor, visible: Tensor) -> Tensor:
    """Glimpses as the frames show them, where ``visible`` says which objects are drawn at all."""
    layers = alone(glimpses, position, size) * visible[..., None, None, None]
    drawn = layers.sum(2)
    return sharpen(frames, drawn, drawn.unsqueeze(2) - layers, visible, glimpses, position, size)


def places(*centres: tuple[float, float]) -> Tensor:
    return torch.tensor(centres, dtype=torch.float64).expand(3, 4, 2, 2)


APART, OVERLAPPING = ((-0.4, -0.3), (0.4, 0.5)), ((0.0, 0.0), (0.15, 0.1))


@pytest.mark.parametrize("centres", [APART, OVERLAPPING], ids=["apart", "overlapping"])
def test_a_displacement_is_undone(centres: tuple[tuple[float, float], ...]) -> None:
    truth = places(*centres)
    frames, glimpses, size = scene(truth)
    start = truth + 1.5 * PIXEL * (2 * torch.rand_like(truth) - 1)
    errors = [
        (register(frames, drawing(glimpses, size), glimpses, start, size, steps) - truth).abs().max() / PIXEL
        for steps in (0, 1, 4)
    ]
    assert errors[0] > 1
    assert errors[1] < 0.6 * errors[0]
    assert errors[2] < 0.1


def test_leading_axes_are_particles() -> None:
    truth = places(*APART)
    frames, glimpses, size = scene(truth)
    start = truth + PIXEL * torch.rand(5, *truth.shape, dtype=torch.float64)
    many, sizes = glimpses.expand(5, *glimpses.shape), size.expand(5, *size.shape)
    found = register(frames, drawing(many, sizes), many, start, sizes, 2)
    for i in range(5):
        torch.testing.assert_close(
            found[i], register(frames, drawing(glimpses, size), glimpses, start[i], size, 2)
        )


def test_an_empty_glimpse_stays() -> None:
    truth = places(*APART)
    frames, glimpses, size = scene(truth)
    start = truth + PIXEL
    single = glimpses * torch.tensor([1.0, 0.0], dtype=torch.float64)[:, None, None, None]
    found = register(frames, drawing(single, size), single, start, size, 2)
    torch.testing.assert_close(found[:, :, 1], start[:, :, 1])
    assert (found[:, :, 0] - truth[:, :, 0]).abs().max() < 0.5 * PIXEL


def blurred(glimpses: Tensor) -> Tensor:
    return torch.nn.functional.avg_pool2d(glimpses.squeeze(2), 7, 1, 3).unsqueeze(2)


def test_what_objects_look_like_is_read_off_the_frames() -> None:
    truth = places(*APART) + 0.2 * torch.rand(3, 4, 1, 2, dtype=torch.float64)
    frames, glimpses, size = scene(truth)
    dull, visible = blurred(glimpses), torch.ones(3, 1, 2, dtype=torch.float64)
    sharp = sharpened(frames, dull, truth, size, visible)
    assert (sharp - glimpses).square().mean() < 0.25 * (dull - glimpses).square().mean()


def test_what_is_not_there_looks_as_it_did() -> None:
    frames, glimpses, size = scene(places(*OVERLAPPING))
    visible = torch.tensor([1.0, 0.0], dtype=torch.float64).expand(3, 1, 2)
    sharp = sharpened(frames, blurred(glimpses), places(*OVERLAPPING), size, visible)
    assert torch.equal(sharp[:, 1], blurred(glimpses)[:, 1])
    assert not torch.equal(sharp[:, 0], blurred(glimpses)[:, 0])


@pytest.mark.parametrize("grain", [1, 3])  # px: noise of single pixels, or of patches
@pytest.mark.parametrize("noise", [0.15, 0.3])
def test_precision_is_how_far_noise_moves_positions(noise: float, grain: int) -> None:
    torch.manual_seed(0)
    truth = places(*APART) + 0.1 * torch.rand(3, 4, 2, 2, dtype=torch.float64)
    frames, glimpses, size = scene(truth)
    errors, told = [], []
    for _ in range(20):
        rough = grain * torch.nn.functional.avg_pool2d(
            torch.randn_like(frames).flatten(0, 1), grain, 1, grain // 2
        )
        seen = frames + noise * rough.view_as(frames)
        draw = drawing(glimpses, size)
        found = register(seen, draw, glimpses, truth, size, 2)
        errors.append(found - truth)
        told.append(precision(seen - draw(found), glimpses, found, size))
    actual = torch.stack(errors).square().mean((0, 1, 2)).sqrt()  # (objects, 2)
    ratio = torch.stack(told).mean((0, 1, 2)) / actual
    assert ratio.min() > 0.8
    assert ratio.max() < 1.2


def test_precision_has_a_floor() -> None:
    truth = places(*APART)
    frames, glimpses, size = scene(truth)
    left = frames - drawing(glimpses, size)(truth)
    assert (precision(left, glimpses, truth, size) / PIXEL).min() >= 0.05
