"""Objects of any hue are found alike: of the channels the brightest counts."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vtssi_pyro.ops.boxes import boxes
from vtssi_pyro.ops.peaks import peaks

Found = tuple[Tensor, Tensor]


@pytest.mark.parametrize("find", [peaks, boxes])
def test_a_hue_stands_out_as_white_does(find: Callable[[Tensor, Tensor, int], Found]) -> None:
    frame = torch.zeros(3, 40, 40)
    frame[:, 5:13, 6:14] = 0.9  # white
    frame[0, 24:32, 10:18] = 0.9  # red
    frame[2, 20:28, 28:36] = 0.9  # blue
    size = torch.tensor([0.2, 0.2])
    places, heights = find(frame, size, 3)
    torch.testing.assert_close(heights, heights[:1].expand(3), rtol=0.02, atol=0)
    expected = torch.tensor([[10.0, 9.0], [14.0, 28.0], [32.0, 24.0]]) / 20 - 1
    order = (places[:, None] - expected).norm(dim=-1).argmin(0)
    torch.testing.assert_close(places[order], expected, rtol=0, atol=0.03)
    grey, one = (
        find(frame.amax(0, keepdim=True).expand(3, -1, -1), size, 3),
        find(frame.amax(0, keepdim=True), size, 3),
    )
    assert all(a.equal(b) for a, b in zip(grey, one, strict=True))
    turned = find(frame[[2, 0, 1]], size, 3)
    assert all(a.equal(b) for a, b in zip(turned, (places, heights), strict=True))
