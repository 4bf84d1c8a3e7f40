"""Data sets in a device's memory hold the same frames; the CPU stands in for a device."""

import numpy as np
import pytest
import torch

from vtssi_pyro.data import ArrayDataset, load_digits, moving_digits
from vtssi_pyro.data.dataset import Dataset, split_tail


def stored(dtype: str) -> ArrayDataset:
    values = np.random.default_rng(0).random((5, 4, 6, 7))
    return ArrayDataset("frames", values.astype(dtype) if dtype[0] == "f" else (values * 250).astype(dtype))


@pytest.mark.parametrize(
    "data",
    [
        *(stored(dtype) for dtype in ("uint8", "uint16", "float32", "float64")),
        moving_digits("linear", load_digits("embedded", "test"), sequences=5, length=4),
    ],
    ids=["uint8", "uint16", "float32", "float64", "drawn"],
)
def test_the_frames_are_the_same(data: Dataset) -> None:
    index = torch.tensor([3, 0, -1])
    resident = data.to("cpu")
    torch.testing.assert_close(resident.frames(index, 2, 1), data.frames(index, 2, 1))
    assert resident.frames(index).dtype == torch.float32
    for here, there in zip(split_tail(data, 0.4), split_tail(resident, 0.4), strict=True):
        torch.testing.assert_close(there.frames(slice(None)), here.frames(slice(None)))
        torch.testing.assert_close(here.to("cpu").frames(slice(1, 2)), here.frames(slice(1, 2)))
