"""The processes that train one tracker together, through ``torch.distributed``; usually there is one."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, distributed

from vtssi_pyro.errors import PeerLost, Told

T = TypeVar("T")
# Longer than any evaluation by the first process; a process that ended is noticed at once.
PATIENCE = timedelta(hours=2)
HOST = torch.device("cpu")


class Group(NamedTuple):
    """This process among its peers, all of which call the same methods in the same order."""

    rank: int = 0
    size: int = 1

    @property
    def command(self) -> str:
        """The command line's name in a call with this number of processes."""
        if self.size == 1:
            return "vtssi-pyro"
        return f"torchrun --nproc-per-node={self.size} -m vtssi_pyro.cli"

    def share(self, batch: Tensor) -> Tensor:
        """This process's part of a batch; every process has drawn the same batch."""
        return batch[self.rank :: self.size]

    def average(self, tensors: list[Tensor]) -> None:
        """Replace tensors by their means over the processes, in one exchange; shapes agree in all processes.

        The gradient of a mean over the whole batch is the mean of the processes' gradients, so a step needs no other
        exchange.

        Raises:
            PeerLost: another process was lost; the tensors are unchanged.
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
        """The highest of the processes' numbers, exchanged by the hosts without waiting for the device."""
        if self.size == 1:
            return number
        found = torch.tensor(number, device=HOST)
        with self._exchange():
            distributed.all_reduce(found, distributed.ReduceOp.MAX)
        return int(found)

    def once(self, do: Callable[[], T]) -> T:
        """Call a function in the first process alone while the others wait; all return its result.

        All access to the run folder and all messages to the user go through this method.

        Raises:
            Told: in the other processes, if the first process met an error.
        """
        if self.size == 1:
            return do()
        answer: list[Any] = [None, None]  # the result, the exit code of an error
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
        """Call a function in every process, in the first before the others, which do not run if the first fails."""
        done: list[T] = []
        self.once(lambda: done.append(do()))
        return done[0] if done else do()

    def _tell(self, answer: list[Any]) -> None:
        """Replace the entries of a list by those of the first process."""
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
    """The group in which ``torchrun`` started this process; :data:`ALONE` without ``torchrun``.

    Args:
        device: the device of this process.
    """
    if not (distributed.is_available() and distributed.is_torchelastic_launched()):
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # gradients on GPUs go through NCCL; all other messages stay on the host, which then need not wait for a GPU
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE
    )
    with ExitStack() as leaving:
        leaving.callback(distributed.destroy_process_group)
        try:
            yield Group(distributed.get_rank(), distributed.get_world_size())
        except PeerLost:
            leaving.pop_all()  # an exchange with a lost process cannot be ended
            raise
