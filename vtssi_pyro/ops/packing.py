"""Work on some elements of a batch alone."""

from functools import cached_property

import torch
from torch import Tensor


class Packed:
    """The true elements of a mask, side by side.

    On a GPU, which would wait for their number, all elements are worked on; results for the others are left out.

    Args:
        mask: bool, (*lead).
    """

    def __init__(self, mask: Tensor, index: tuple[Tensor, ...] | None = None) -> None:
        self.mask = mask
        self._every = index is None and (waits(mask) or bool(mask.all()))
        if index is not None:
            self.index = index

    @cached_property
    def index(self) -> tuple[Tensor, ...]:
        """Their indices, of each axis (P,)."""
        if self._every:
            axes = [torch.arange(number, device=self.mask.device) for number in self.mask.shape]
            return tuple(grid.flatten() for grid in torch.meshgrid(*axes, indexing="ij"))
        return self.mask.nonzero(as_tuple=True)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return some(self.mask)

    def of(self, values: Tensor, own: int) -> Tensor:
        """Their values (P, ...), of values with ``own`` axes each, whose other axes broadcast against the mask's."""
        whole = values.expand(*self.mask.shape, *values.shape[values.dim() - own :])
        return whole.flatten(0, self.mask.dim() - 1) if self._every else whole[self.index]

    def put(self, values: Tensor, packed: Tensor) -> Tensor:
        """Values (*lead, ...), in which theirs are those of ``packed``, (P, ...)."""
        own = packed.dim() - 1
        whole = values.expand(*self.mask.shape, *packed.shape[1:])
        if not self._every:
            return whole.index_put(self.index, packed)
        every = packed.unflatten(0, self.mask.shape)
        return torch.where(self.mask[(..., *(None,) * own)], every, whole) if waits(self.mask) else every

    def rows(self) -> "Packed":
        """For each of them, what its last axis is of: one may be there several times."""
        return Packed(self.mask[..., 0], self.index[:-1])


def some(mask: Tensor) -> bool:
    """Whether work on the true elements has an effect; a GPU is not asked, since the answer would be waited for."""
    return waits(mask) or bool(mask.any())


def waits(mask: Tensor) -> bool:
    """Whether the processor would wait for a device to tell what is true, which it never does."""
    return mask.device.type != "cpu"
