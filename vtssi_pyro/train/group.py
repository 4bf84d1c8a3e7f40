"""The processes that train one tracker together, through ``torch.distributed``; usually there is one."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, distributed

from vtssi_pyro.errors import PeerLost, Told

T = TypeVar("T")
PATIENCE = timedelta(hours=2)  # outlasts an evaluation by the first process; one that died is noticed at once
HOST = torch.device("cpu")


class Group(NamedTuple):
    """This process among its peers, all of which call the same methods in the same order."""

    rank: int = 0
    size: int = 1

    @property
    def command(self) -> str:
        """How the command line is called by so many processes."""
        if self.size == 1:
            return "vtssi-pyro"
        return f"torchrun --nproc-per-node={self.size} -m vtssi_pyro.cli"

    def share(self, batch: Tensor) -> Tensor:
        """This process's part of a batch that every process has drawn alike."""
        return batch[self.rank :: self.size]

    def average(self, tensors: list[Tensor]) -> None:
        """Replace tensors, the same in shape everywhere, by their means over the processes, in one exchange.

        The gradient of a mean over the whole batch is the mean of the processes' own, so this one sum is all that
        they need to say to each other about a step.

        Raises:
            PeerLost: the tensors are as they were.
        """
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        with self._exchange():
            distributed.all_reduce(flat)
        flat /= self.size
        parts = flat.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def highest(self, number: int) -> int:
        """The highest of the processes' numbers; the device, which may be busy, is not waited for."""
        if self.size == 1:
            return number
        found = torch.tensor(number, device=HOST)
        with self._exchange():
            distributed.all_reduce(found, distributed.ReduceOp.MAX)
        return int(found)

    def once(self, do: Callable[[], T]) -> T:
        """Do something in the first process alone, while the others wait; all return what it returned.

        Whatever concerns the run folder or the user goes through here.

        Raises:
            Told: in the others, where the first process met an error.
        """
        if self.size == 1:
            return do()
        answer: list[Any] = [None, None]  # what was returned, the exit code of an error
        if self.rank == 0:
            try:
                answer[0] = do()
            except BaseException as error:
                answer[1] = getattr(error, "exit_code", 1)
                with suppress(PeerLost):
                    self._tell(answer)
                raise
        self._tell(answer)
        if answer[1] is not None:
            raise Told(answer[1])
        return answer[0]

    def first(self, do: Callable[[], T]) -> T:
        """Do something in every process, the first before the others, which need not meet its errors again."""
        done: list[T] = []
        self.once(lambda: done.append(do()))
        return done[0] if done else do()

    def _tell(self, answer: list[Any]) -> None:
        """Replace the entries of a list by the first process's."""
        with self._exchange():
            distributed.broadcast_object_list(answer, src=0, device=HOST)

    @contextmanager
    def _exchange(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            lost = (
                f"process {self.rank + 1} of {self.size} lost contact with another, which has ended or hangs"
            )
            raise PeerLost(lost) from error


ALONE = Group()


@contextmanager
def joined(device: torch.device) -> Iterator[Group]:
    """The group that ``torchrun`` started this process in; :data:`ALONE` where something else did.

    Args:
        device: this process's own.
    """
    if not (distributed.is_available() and distributed.is_torchelastic_launched()):
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # gradients on GPUs go through NCCL; what else is said stays on the host, where nobody waits for a GPU
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE
    )
    with ExitStack() as leaving:
        leaving.callback(distributed.destroy_process_group)
        try:
            yield Group(distributed.get_rank(), distributed.get_world_size())
        except PeerLost:
            leaving.pop_all()  # what was begun with a process that is gone cannot be ended
            raise
