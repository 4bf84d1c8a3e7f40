import numpy as np
import pytest
import torch

from vtssi_pyro.data.digits import Sprites, load_digits, tight


@pytest.fixture(scope="session")
def shapes() -> Sprites:
    """40 ragged blobs of many sizes: cheaper than digits, and less regular."""
    random = np.random.default_rng(0)
    images = np.zeros((40, 28, 28), np.uint8)
    for image in images:
        height, width = random.integers(4, 21, 2)
        top, left = random.integers(0, 8, 2)
        blob = random.integers(1, 256, (height, width)) * (random.random((height, width)) < 0.6)
        image[top : top + height, left : left + width] = blob
        image[top, left] = image[top + height - 1, left + width - 1] = 200
    return tight(images)


@pytest.fixture(scope="session")
def embedded() -> dict[str, Sprites]:
    return {split: load_digits("embedded", split) for split in ("train", "validation", "test")}


@pytest.fixture
def one_sprite() -> Sprites:
    images = torch.zeros(1, 28, 28, dtype=torch.uint8)
    images[0, :5, :4] = torch.arange(1, 21).view(5, 4) * 12
    return Sprites(images, torch.tensor([[4, 5]]), torch.zeros(1, 2, dtype=torch.int64))
