"""The processes that train one tracker together, through ``torch.distributed``; usually there is one."""

from typing import NamedTuple

import torch
from torch import Tensor, distributed


class Group(NamedTuple):
    """This process among its peers."""

    rank: int = 0
    size: int = 1

    def share(self, batch: Tensor) -> Tensor:
        """This process's part of a batch that every process has drawn alike."""
        return batch[self.rank :: self.size]

    def average(self, tensors: list[Tensor]) -> None:
        """Replace tensors, the same in shape everywhere, by their means over the processes, in one exchange.

        The gradient of a mean over the whole batch is the mean of the processes' own, so this one sum is all that
        they need to say to each other in a step.
        """
        if self.size == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        distributed.all_reduce(flat)
        flat /= self.size
        parts = flat.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))


ALONE = Group()
