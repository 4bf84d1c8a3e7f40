"""Pictures by matrices are those of torch's spatial transformer with align_corners."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vtssi_pyro.ops.resample import crop, paste, weights


def transformed(pictures: Tensor, zoom: Tensor, shift: Tensor, side: int) -> Tensor:
    """(R, C, S, S) read at zoom (R,) and shift (R, 2) by torch."""
    theta = torch.zeros(len(zoom), 2, 3, dtype=zoom.dtype)
    theta[:, 0, 0] = theta[:, 1, 1] = zoom
    theta[:, :, 2] = shift
    grid = functional.affine_grid(theta, [*pictures.shape[:2], side, side], align_corners=True)
    return functional.grid_sample(pictures, grid, align_corners=True)


@pytest.mark.parametrize("channels", [1, 3])
def test_paste_sums_transformed_pictures(channels: int) -> None:
    pictures = torch.rand(2, 3, channels, 7, 7, dtype=torch.float64)
    zoom = 0.5 + 2 * torch.rand(2, 4, 3, dtype=torch.float64)
    shift = 3 * torch.rand(2, 4, 3, 2, dtype=torch.float64) - 1.5
    columns, rows = (weights(zoom, shift[..., axis], 13, 7) for axis in (0, 1))
    found = paste(pictures, rows, columns)
    every = pictures.unsqueeze(1).expand(2, 4, 3, channels, 7, 7).flatten(0, 2)
    expected = transformed(every, zoom.flatten(), shift.flatten(0, 2), 13).view(2, 4, 3, channels, 13, 13)
    torch.testing.assert_close(found, expected.sum(2))


def test_crop_reads_every_frame_for_every_object() -> None:
    frames = torch.rand(2, 4, 2, 12, 12, dtype=torch.float64)
    zoom = 0.3 + torch.rand(2, 4, 3, dtype=torch.float64)
    shift = 2 * torch.rand(2, 4, 3, 2, dtype=torch.float64) - 1
    columns, rows = (weights(zoom, shift[..., axis], 6, 12) for axis in (0, 1))
    every = frames.unsqueeze(2).expand(2, 4, 3, 2, 12, 12).flatten(0, 2)
    expected = transformed(every, zoom.flatten(), shift.flatten(0, 2), 6).view(2, 4, 3, 2, 6, 6)
    torch.testing.assert_close(crop(frames, rows, columns), expected)


def test_gradients() -> None:
    zoom, shift = (torch.rand(2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda z, s: weights(0.5 + z, 2 * s - 1, 5, 6), (zoom, shift))
