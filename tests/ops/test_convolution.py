"""Cubic convolution passes through samples, and is exact for parabolas."""

import torch

from vtssi_pyro.ops.convolution import between, cubic_weights

GRID = torch.arange(12.0, dtype=torch.float64)
PLACES = torch.linspace(2, 9, 50, dtype=torch.float64)  # two samples from the ends


def test_parabolas_and_their_slopes_are_exact() -> None:
    weights, slopes = cubic_weights(PLACES, len(GRID))
    values = 0.3 * GRID**2 - GRID + 2
    torch.testing.assert_close(weights @ values, 0.3 * PLACES**2 - PLACES + 2)
    torch.testing.assert_close(slopes @ values, 0.6 * PLACES - 1)


def test_samples_stay_and_beyond_them_is_nothing() -> None:
    torch.testing.assert_close(cubic_weights(GRID, len(GRID))[0], torch.eye(12, dtype=torch.float64))
    for values in cubic_weights(torch.tensor([-2.5, 13.5]), len(GRID)):
        assert not values.any()


def test_rows_are_downwards_and_columns_across() -> None:
    image = torch.rand(3, 2, 12, 12, dtype=torch.float64)
    down, across = cubic_weights(torch.tensor([[4.0, 6]]), 12)[0], cubic_weights(torch.tensor([[7.0]]), 12)[0]
    torch.testing.assert_close(
        between(image, down.double(), across.double()), image[..., [4, 6], :][..., [7]]
    )
