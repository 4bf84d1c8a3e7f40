"""Where an object is in its glimpse."""

import torch
from torch import Tensor

from vtssi_pyro.ops.ink import middle, without_halo


def spots(*centres: tuple[float, float], high: float = 1.0) -> Tensor:
    """A glimpse (41, 41) of blobs, places from -1 to 1, x first."""
    axis = (torch.arange(41) + 0.5) / 20.5 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return high * sum(torch.exp(-((x - u) ** 2 + (y - v) ** 2) / 0.03) for u, v in centres)


def test_the_middle_is_between_what_little_is_cut_off() -> None:
    size = torch.tensor([0.4, 0.2])
    blob, block = spots((0.2, -0.1)), torch.zeros(41, 41)
    block[10:20, 5:30] = 1
    block[10, 30:36] = 1  # a thin tip, which a tight box would enclose
    edges = torch.tensor([5 + 5.12 / 10, 36 - 5.12])  # 2 % of 256 pixels; the tip holds six
    offset = middle(torch.stack([blob, 1e-9 * blob]).unsqueeze(-3), size)
    torch.testing.assert_close(offset, torch.tensor([0.2, -0.1]).expand(2, 2) * size, atol=2e-3, rtol=0)
    torch.testing.assert_close(
        middle(block[None, None], size)[0, 0], (edges.mean() / 20.5 - 1) * 0.4, atol=0.005, rtol=0
    )
    assert torch.isfinite(middle(torch.zeros(1, 1, 41, 41), size)).all()


def test_faint_separate_regions_are_a_halo() -> None:
    ink, halo, part = spots((-0.3, 0)), spots((0.6, 0), high=0.4), spots((0.6, 0), high=0.7)
    near = torch.where(ink > 0.25, ink, 0)
    assert torch.equal(without_halo((ink + halo)[None, None])[0, 0] > 0.2, near > 0.2)
    assert (without_halo((ink + part)[None])[0] > 0.25).sum() > 1.3 * (
        near > 0.25
    ).sum()  # too bright for that
    bridge = torch.zeros(41, 41)
    bridge[20, 14:33] = 0.3
    kept = without_halo(torch.maximum(ink + halo, bridge)[None])[0]
    assert kept[20, 32] > 0.25  # hangs together with ink that surely is the object
