"""Overlapping objects share the frame: crosstalk of templates, and places by matching pursuit."""

import pytest
import torch
from torch import Tensor

from vtssi_pyro.ops.correlate import correlate_template
from vtssi_pyro.ops.explaining import FAINT, ROUNDS, Placed, _Left, crosstalk, cubic, matching_pursuit
from vtssi_pyro.ops.peaks import summit

SIDE = 32


def blobs(places: Tensor, bright: Tensor, side: int = SIDE) -> Tensor:
    """Pictures (N, 1, side, side) of blobs at rows and columns (N, 2)."""
    axis = torch.arange(side)
    down, across = (torch.exp(-0.5 * ((axis - at) / 1.5) ** 2) for at in places.split(1, -1))
    return (bright[:, None, None] * down.unsqueeze(-1) * across.unsqueeze(-2)).unsqueeze(1)


def looked_for(places: Tensor, bright: Tensor) -> tuple[Tensor, ...]:
    """Arguments of :func:`matching_pursuit` for a frame with all of these blobs: share, mixed and energy."""
    pictures = blobs(torch.full_like(places, 6.0), bright, 13).unsqueeze(0)
    energy = pictures.square().sum((-3, -2, -1))
    templates = pictures / energy[..., None, None, None]
    frame = blobs(places, bright).sum(0)[None, None]
    return correlate_template(frame, templates)[:, 0], crosstalk(pictures, templates), energy


def around(responses: Tensor, cell: Tensor, side: int) -> Tensor:
    """Responses (..., h', w') by displacement as maps (..., side, side) around a cell (2,)."""
    grids = (torch.arange(length) - length // 2 for length in responses.shape[-2:])
    down, across = (cubic(torch.arange(side) - at, grid) for at, grid in zip(cell, grids, strict=True))
    return down @ responses @ across.mT


def at(field: Tensor, cell: Tensor) -> Tensor:
    """The value of a map (h, w) at a cell (2,)."""
    down, across = (cubic(place, torch.arange(side)) for place, side in zip(cell, field.shape, strict=True))
    return down @ field @ across


def explained(places: Tensor, bright: Tensor, before: Placed | None = None, active: Tensor | None = None):
    share, mixed, energy = looked_for(places, bright)
    active = torch.ones_like(energy, dtype=torch.bool) if active is None else active
    explained, placed = matching_pursuit(share, torch.zeros_like(share), mixed, energy, active, before)
    return share, explained, placed


def test_crosstalk_is_how_each_template_fits_the_others_pictures() -> None:
    bright = torch.tensor([1.0, 0.5])
    _, mixed, energy = looked_for(torch.tensor([[8.0, 8.0], [20.0, 20.0]]), bright)
    assert mixed.shape == (1, 2, 2, 25, 25)
    assert mixed[0, [0, 1], [0, 1]].abs().max() == 0
    torch.testing.assert_close(mixed[0, 0, 1, 12, 12], torch.tensor(2.0))  # of a picture twice as bright
    torch.testing.assert_close(mixed[0, 1, 0, 12, 12], torch.tensor(0.5))
    torch.testing.assert_close(mixed[0, 0, 1] * energy[0, 1], mixed[0, 1, 0].flip(-2, -1) * energy[0, 0])


@pytest.mark.parametrize("bright", [(1.0, 1.0), (0.5, 1.0), (1.0, 0.4)])
@pytest.mark.parametrize("apart", [4.0, 6.5, 14.0])
def test_overlapping_objects_leave_each_other_what_is_theirs(
    bright: tuple[float, float], apart: float
) -> None:
    places = torch.tensor([[16.0, 16.0 - apart / 2], [15.3, 16.0 + apart / 2]])
    share, others, placed = explained(places, torch.tensor(bright))
    cells = placed.cell[0]
    if bright[0] == bright[1]:  # then either may be the other
        cells = cells[cells[:, 1].argsort()]
    assert (cells - places).norm(dim=-1).max() < 0.7
    assert placed.visible.min() > 0.75
    left = (share - others)[0]
    rows, columns = cells.round().long().unbind(-1)
    assert left[[0, 1], rows, columns].sub(1).abs().max() < 0.25 or bright[0] == bright[1]


def test_a_hidden_object_is_not_visible() -> None:
    place = torch.tensor([[16.0, 16.4]])
    share = looked_for(place, torch.ones(1))[0].expand(-1, 2, -1, -1)  # one is shown
    _, mixed, energy = looked_for(place.expand(2, -1), torch.ones(2))
    _, placed = matching_pursuit(share, torch.zeros_like(share), mixed, energy, torch.ones(1, 2) > 0)
    assert sorted(placed.visible[0].tolist()) == pytest.approx([0, 1], abs=0.1)


@pytest.mark.parametrize("swapped", [False, True])
def test_objects_that_look_alike_are_where_they_were_expected(swapped: bool) -> None:
    places = torch.tensor([[16.0, 14.0], [16.0, 18.0]])
    order = [1, 0] if swapped else [0, 1]
    away = torch.tensor([[1.0, 0.0], [0.0, 1.0]])  # expected where they are not quite
    share, mixed, energy = looked_for(places, torch.ones(2))
    near = -0.05 * torch.stack([(torch.arange(SIDE) - at).square() for at in places[order, 1]])
    prior = near[None, :, None, :].expand_as(share)
    expected = Placed((places + away)[order][None], torch.ones(1, 2))
    _, placed = matching_pursuit(share, prior, mixed, energy, torch.ones(1, 2) > 0, expected)
    assert (placed.cell[0] - places[order]).norm(dim=-1).max() < 1


def test_two_faint_objects_do_not_stand_in_for_a_bright_one() -> None:
    bright = torch.tensor([1.0, 0.5, 0.5])
    places = torch.tensor([[16.0, 16.0], [6.0, 26.0], [26.0, 6.0]])
    share, mixed, energy = looked_for(places, bright)
    expected = Placed(
        torch.tensor([[[4.0, 4.0], [16.0, 15.0], [16.0, 17.0]]]), torch.tensor([[0.0, 0.9, 0.9]])
    )
    squares = [(torch.arange(SIDE) - at).square() for at in expected.cell[0].T.unsqueeze(-1)]
    prior = (-0.02 * (squares[0].unsqueeze(-1) + squares[1].unsqueeze(-2))).clamp_min(-0.45).unsqueeze(0)
    _, placed = matching_pursuit(share, prior, mixed, energy, torch.ones(1, 3) > 0, expected)
    assert (placed.cell[0, 0] - places[0]).norm() < 0.5
    assert placed.visible[0, 0] > 0.9


def test_empty_slots_explain_nothing() -> None:
    places = torch.tensor([[16.0, 14.0], [16.0, 17.0]])
    active = torch.tensor([[True, False]])
    for before in (None, Placed(places[None], torch.ones(1, 2))):
        _, others, placed = explained(places, torch.ones(2), before, active)
        assert others[0, 0].abs().max() == 0
        assert placed.visible[0, 1] == 0


@pytest.mark.parametrize("side", [24, 90])  # in the larger frames most objects are too far apart to meet
@pytest.mark.parametrize("expecting", [False, True])
def test_each_is_placed_in_what_the_others_leave(expecting: bool, side: int) -> None:
    """The pursuit step by step, with all that is explained summed anew for every object of every scene."""
    generator = torch.Generator().manual_seed(1)
    B, N = 3, 4

    def drawn(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    share, prior, mixed = drawn(B, N, side, side), -drawn(B, N, side, side), 0.4 * drawn(B, N, N, 9, 9)
    energy, active = 0.3 + drawn(B, N), torch.tensor([[True] * 4, [True, False, True, True], [False] * 4])
    expected = Placed(side * drawn(B, N, 2), drawn(B, N)) if expecting else None
    others, placed = matching_pursuit(share, prior, mixed, energy, active, expected)
    for b in range(B):
        cells = expected.cell[b].clone() if expected else torch.zeros(N, 2, dtype=torch.float64)
        shown = expected.visible[b] * active[b] if expected else torch.zeros(N, dtype=torch.float64)
        least = energy[b].masked_fill(~active[b], torch.inf).amin()
        along = prior[b] * (least / energy[b]).clamp(max=1)[:, None, None]

        def explains(one: int, cells: Tensor = cells, shown: Tensor = shown, b: int = b) -> Tensor:
            return shown[one] * around(mixed[b, one], cells[one], side)  # (N, h, w)

        for _ in range(1 if expected else ROUNDS):
            waiting = active[b].tolist()
            while any(waiting):
                left = share[b].clone()
                for one in range(N):
                    heeds = (energy[b, one] > FAINT * energy[b]) | (not waiting[one])
                    left -= explains(one) * heeds[:, None, None]
                height, cell = summit(left + along)
                gain = [energy[b, n] * (2 * height[n] - 1) if waiting[n] else -torch.inf for n in range(N)]
                chosen = max(range(N), key=lambda n: float(gain[n]))
                cells[chosen], shown[chosen] = cell[chosen], at(left[chosen], cell[chosen]).clamp(0, 1)
                waiting[chosen] = False
        torch.testing.assert_close(placed.cell[b], cells)
        torch.testing.assert_close(placed.visible[b], shown)
        torch.testing.assert_close(others[b], sum(explains(one) for one in range(N)))


def test_objects_beyond_the_edges_are_cut_there() -> None:
    places = torch.tensor([[16.0, 16.0], [-4.0, 31.5], [90.0, -70.0]])
    share, mixed, _ = looked_for(places, torch.ones(3))
    left = _Left(share, mixed)
    left.begin(Placed(places[None], torch.ones(1, 3)), torch.ones(1, 3, 3))
    told = share - sum(around(mixed[0, one], places[one], SIDE) for one in range(3))
    torch.testing.assert_close(left.maps, told, atol=1e-5, rtol=0)


def test_only_objects_that_meet_wait_for_each_other() -> None:
    """Of three in a row the middle one meets both others, and of two that meet the one that gains less waits."""
    places = torch.tensor([[16.0, 9.0], [16.0, 16.0], [16.0, 23.0]])
    share, mixed, _ = looked_for(places, torch.ones(3))
    left = _Left(share, mixed[..., 8:-8, 8:-8])
    nowhere = Placed(torch.full((1, 3, 2), -99.0), torch.ones(1, 3))
    for gain, waits in (
        ([3.0, 2.0, 1.0], [0, 1, 1]),
        ([2.0, 3.0, 1.0], [1, 0, 1]),
        ([2.0, 1.0, 3.0], [0, 1, 0]),
    ):
        assert left.disturbed(torch.tensor([gain]), places[None], nowhere)[0].tolist() == [
            bool(w) for w in waits
        ]
    # one that is placed already disturbs nobody; one that was expected there does
    placed = torch.tensor([[-torch.inf, 2.0, 1.0]])
    assert left.disturbed(placed, places[None], nowhere)[0, 1:].tolist() == [False, True]
    there = Placed(torch.tensor([[[-99.0, 0.0], [-99.0, 0.0], [16.0, 16.0]]]), torch.ones(1, 3))
    apart = torch.tensor([[[16.0, 9.0], [16.0, 16.0], [90.0, 90.0]]])
    assert left.disturbed(torch.tensor([[1.0, 2.0, 3.0]]), apart, there)[0, 1]
