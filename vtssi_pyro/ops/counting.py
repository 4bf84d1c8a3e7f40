"""Continuous counting (section 3.1, App. B.1): a real count as a list of step values."""

import torch
from torch import Tensor


def expected_number(count: Tensor, num_objects: int) -> Tensor:
    """Return n~ = N sigmoid(c), the real-valued number of objects, (..., 1) from c (..., 1)."""
    return num_objects * torch.sigmoid(count)


def steps(number: Tensor, num_objects: int) -> Tensor:
    """Split a real number into steps: 2.4 becomes [1, 1, 0.4, 0, ...].

    Args:
        number: n~ (..., 1), in [0, N].
        num_objects: N.

    Returns:
        step values (..., N) in [0, 1]; only a fractional step carries a gradient.
    """
    return (number - torch.arange(num_objects, device=number.device, dtype=number.dtype)).clamp(0, 1)


def active(number: Tensor, num_objects: int) -> Tensor:
    """Tell which of the N slots hold an object in training, i <= ceil(n~): bool (..., N) from n~ (..., 1)."""
    return number > torch.arange(num_objects, device=number.device, dtype=number.dtype)


def present(count: Tensor, num_objects: int) -> Tensor:
    """Tell which of the N slots hold an object at test time: bool (..., N) from c (..., 1)."""
    return torch.arange(num_objects, device=count.device) < counted(count, num_objects).unsqueeze(-1)


def counted(count: Tensor, num_objects: int) -> Tensor:
    """Count the objects at test time, round(N sigmoid(c)): int64 (...,) from c (..., 1)."""
    return expected_number(count, num_objects).round().long().squeeze(-1)


def count_of(number: Tensor, num_objects: int) -> Tensor:
    """Return the count c (..., 1) at which ``number`` (...,) objects are counted, of a floating type.

    N sigmoid(c) lies between 0 and N; a tenth of an object from either end rounds to the same number.
    """
    return (number.clamp(0.1, num_objects - 0.1) / num_objects).logit().unsqueeze(-1)
