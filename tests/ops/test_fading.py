"""Velocities by filters with fading memory, and reflections at walls."""

import numpy as np
import pytest
import torch
from torch import Tensor

from vtssi_pyro.ops.fading import paces, reflected

LOW, HIGH = torch.tensor([-0.8, -0.9]), torch.tensor([0.9, 0.7])


def straight_on(place: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    return place, step


def between_walls(place: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    return reflected(place, step, LOW, HIGH)


def factors(*each: float) -> Tensor:
    return torch.tensor(each, dtype=torch.float64)


def walk(T: int = 9, N: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, T, N, 2, generator=generator, dtype=torch.float64).cumsum(1)


def test_without_fading_it_is_the_regression_over_all_frames() -> None:
    path = walk()
    told, _ = paces(path, factors(1.0), straight_on)
    for t in range(1, path.shape[1]):
        one = path[0, : t + 1, 1]  # (t + 1, 2)
        slope, start = np.polyfit(np.arange(t + 1), one.numpy(), 1)
        torch.testing.assert_close(told.velocity[0, t, 1, 0], torch.tensor(slope))
        torch.testing.assert_close(told.place[0, t, 1, 0], torch.tensor(start + slope * t))


@pytest.mark.parametrize("fading", [0.3, 0.8])
def test_a_long_memory_weighs_frames_by_their_age(fading: float) -> None:
    path = walk(T=120)
    told, _ = paces(path, factors(fading), straight_on)
    weights = fading ** (np.arange(120)[::-1] / 2)  # polyfit squares them
    slope, start = np.polyfit(np.arange(120), path[1, :, 0].numpy(), 1, w=weights)
    torch.testing.assert_close(told.velocity[1, -1, 0, 0], torch.tensor(slope), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        told.place[1, -1, 0, 0], torch.tensor(start + slope * 119), rtol=1e-4, atol=1e-4
    )


def test_without_memory_it_is_the_last_difference() -> None:
    path = walk()
    told, _ = paces(path, factors(0.0, 0.9), straight_on)
    torch.testing.assert_close(told.velocity[:, 1:, :, 0], path.diff(dim=1))
    assert told.velocity[:, 0].eq(0).all()
    change = path.diff(n=2, dim=1).square().sum(-1)
    torch.testing.assert_close(told.surprise[:, 2:, :, 0], change)  # of its prediction


@pytest.mark.parametrize("cut", [1, 2, 8])
def test_windows_change_nothing(cut: int) -> None:
    path, fading = walk(), factors(0.0, 0.6, 0.9)
    whole, end = paces(path, fading, between_walls)
    first, before = paces(path[:, :cut], fading, between_walls)
    second, last = paces(path[:, cut:], fading, between_walls, before)
    for one, two, all_of_it in zip(first, second, whole, strict=True):
        assert torch.cat([one, two], 1).equal(all_of_it)
    assert all(a.equal(b) for a, b in zip(last, end, strict=True))


def test_who_is_new_begins_anew() -> None:
    path, fading = walk(), factors(0.0, 0.9)
    _, before = paces(path[:, :4], fading, straight_on)
    new = torch.tensor([[True, False, False], [False, True, False]])
    told, _ = paces(path[:, 4:], fading, straight_on, before.anew(new, path[:, 4]))
    kept, _ = paces(path[:, 4:], fading, straight_on, before)
    for values, others in zip(told, kept, strict=True):
        assert values.transpose(1, 2)[~new].equal(others.transpose(1, 2)[~new])
    assert told.velocity[:, 0].transpose(0, 1)[new.T].abs().max() < 1e-12
    fresh, _ = paces(path[:1, 4:, :1], fading, straight_on)
    torch.testing.assert_close(told.velocity[0, :, 0], fresh.velocity[0, :, 0])


def bounced(T: int) -> Tensor:
    """A path between the walls, (1, T, 1, 2), folded."""
    free = torch.tensor([0.05, -0.2]) + torch.arange(T).unsqueeze(-1) * torch.tensor([0.13, -0.09])
    span = HIGH - LOW
    phase = (free - LOW).remainder(2 * span)
    return (LOW + torch.where(phase > span, 2 * span - phase, phase)).view(1, T, 1, 2)


def test_predictions_between_walls_are_right_after_each_turn() -> None:
    path = bounced(60)
    assert (path.diff(dim=1).sign().diff(dim=1) != 0).sum() > 6
    told, _ = paces(path, factors(0.9).float(), between_walls)
    assert told.surprise[:, 2:].max() < 1e-8
    wrong, _ = paces(path, factors(0.9).float(), straight_on)
    assert wrong.surprise[:, 2:].max() > 1e-3


def test_steps_back_in_are_not_reflected() -> None:
    place, step = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.2, 0.1], [-0.2, 0.1]])
    there, turned = reflected(place, step, LOW, HIGH)
    torch.testing.assert_close(there, torch.tensor([[0.8, 0.0], [1.0, 0.0]]))
    torch.testing.assert_close(turned, torch.tensor([[-0.2, 0.1], [-0.2, 0.1]]))
