"""The largest value near each pixel."""

import pytest
import torch

from vtssi_pyro.ops.dilation import dilated


@pytest.mark.parametrize("reach", [0, 1, 2, 3, 5])
def test_the_brightest_neighbour(reach: int) -> None:
    frame = torch.rand(2, 1, 3, 7, 9) - 0.5
    found = dilated(frame, reach)
    assert found.shape == frame.shape
    for i, j in ((0, 0), (3, 4), (6, 8)):
        part = frame[..., max(i - reach, 0) : i + reach + 1, max(j - reach, 0) : j + reach + 1]
        assert found[..., i, j].equal(part.amax((-2, -1)))
