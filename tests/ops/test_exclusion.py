"""Mean-field exclusion: who gives way, who is left alone, and what it approximates."""

import torch
from torch import Tensor

from vtssi_pyro.ops.exclusion import exclude

GRID = torch.linspace(-1, 1, 9, dtype=torch.float64), torch.linspace(-1, 1, 11, dtype=torch.float64)
REACH = torch.full((2, 2), 0.2, dtype=torch.float64)
ACTIVE = torch.ones(2, dtype=torch.float64)


def peaks(*places: tuple[int, int, float]) -> Tensor:
    logits = torch.zeros(9, 11, dtype=torch.float64)
    for row, column, height in places:
        logits[row, column] = height
    return logits


def excluded(logits: Tensor, active: Tensor = ACTIVE, strength: float = 8.0, rounds: int = 8) -> Tensor:
    return exclude(logits, GRID, REACH, torch.tensor(strength), active, rounds)


def best(logits: Tensor) -> list[int]:
    return logits.flatten(-2).argmax(-1).tolist()


A, B = (2, 2), (6, 8)
AT_A, AT_B = 2 * 11 + 2, 6 * 11 + 8


def test_the_one_with_the_better_alternative_gives_way() -> None:
    both_want_a = torch.stack([peaks((*A, 9.0), (*B, 8.0)), peaks((*A, 9.0), (*B, 4.0))])
    assert best(both_want_a) == [AT_A, AT_A]
    assert best(excluded(both_want_a)) == [AT_B, AT_A]
    assert best(excluded(both_want_a.flip(0))) == [AT_A, AT_B]


def test_without_an_alternative_both_stay() -> None:
    crossing = torch.stack([peaks((*A, 30.0)), peaks((*A, 30.0))])
    assert best(excluded(crossing)) == [AT_A, AT_A]


def test_empty_slots_keep_nobody_away() -> None:
    logits = torch.stack([peaks((*A, 9.0)), peaks((*A, 9.0), (*B, 8.0))])
    alone = excluded(logits, torch.tensor([1.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(alone[0], logits[0])


def test_without_strength_or_rounds_nothing_changes() -> None:
    logits = torch.randn(3, 2, 9, 11, dtype=torch.float64)
    torch.testing.assert_close(excluded(logits, strength=0.0), logits)
    assert excluded(logits, rounds=0) is logits


def test_the_maps_approach_the_joint_densitys_marginals() -> None:
    """Against the exact marginals by enumeration, where the evidence is sharp enough for a mean field."""
    torch.manual_seed(0)
    logits = 5 * torch.randn(2, 9, 11, dtype=torch.float64)
    y, x = (axis.view(-1, 1) for axis in GRID)
    near_y = torch.exp(-0.5 * ((y - y.T) / 0.2) ** 2)
    near_x = torch.exp(-0.5 * ((x - x.T) / 0.2) ** 2)
    near = torch.einsum("ac,bd->abcd", near_y, near_x).reshape(99, 99)
    joint = logits[0].flatten()[:, None] + logits[1].flatten() - 4.0 * near
    joint = joint.flatten().softmax(0).view(99, 99)
    exact = torch.stack([joint.sum(1), joint.sum(0)])
    before, after = (
        (x.flatten(-2).softmax(-1) - exact).abs().sum(-1) for x in (logits, excluded(logits, strength=4.0))
    )
    assert (after < 0.2 * before).all()


def test_gradients_take_the_others_as_they_are() -> None:
    """In one round they are exact: l / 2 + (l - strength near(q)) / 2 with q fixed."""
    logits = torch.randn(2, 9, 11, dtype=torch.float64, requires_grad=True)
    strength = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    by_logits, by_strength = torch.autograd.grad(
        exclude(logits, GRID, REACH, strength, ACTIVE, 1)[0].sum(), (logits, strength)
    )
    torch.testing.assert_close(by_logits, torch.stack([torch.ones(9, 11), torch.zeros(9, 11)]).double())
    with torch.no_grad():
        kept_away = (logits - exclude(logits, GRID, REACH, strength, ACTIVE, 1))[0].sum() / strength
    torch.testing.assert_close(by_strength, -kept_away)
