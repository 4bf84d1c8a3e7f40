"""Training steps captured as CUDA graphs: the whole step becomes one launch."""

import warnings
from typing import Any

import torch
from torch import Tensor

from vtssi_pyro.model.bound import Terms
from vtssi_pyro.train.recipe import Scheduled
from vtssi_pyro.train.step import Step
from vtssi_pyro.types import Anneal

# Steps of each kind before capture, in which libraries and the optimiser set up their state; as many as in the example
# of torch's notes on CUDA graphs.
EAGER_STEPS = 3


class Captured:
    """A step that is captured once per kind of batch and then replayed.

    Steps are of one kind if their batches have the same shapes and numbers, and the same extra terms have a weight.
    The batch and the scheduled numbers of a step are copied to the tensors that the graph reads. The graph draws its
    noise from the device's default generator, seeded before each step, as the eager step does. If a capture fails, all
    steps stay eager, after one warning.
    """

    def __init__(self, step: Step) -> None:
        self.step = step
        self.device = step.optim.parameters[0].device
        self.kinds: dict[Any, _Kind] = {}
        with torch.cuda.device(self.device):
            self.pool = torch.cuda.graph_pool_handle()
            self.stream = torch.cuda.Stream()
        self.failed = False

    def __call__(self, batch: Any, now: Scheduled) -> tuple[Terms, Tensor]:
        """Make the step; see :class:`~vtssi_pyro.train.step.Step`."""
        with torch.cuda.device(self.device):
            found = None if self.failed else self._fast(batch, now)
        return found or self.step(batch, now)

    def _fast(self, batch: Any, now: Scheduled) -> tuple[Terms, Tensor] | None:
        """Make the step by a graph, or eagerly before the capture; None if the capture failed and no step was made."""
        tensors = _leaves(batch)
        fixed = () if isinstance(batch, Tensor) else (value for value in batch if isinstance(value, int))
        key = (*(tensor.shape for tensor in tensors), *fixed, now.air_weight == 0, now.rollout_weight == 0)
        kind = self.kinds.get(key)
        if kind is None:
            kind = self.kinds[key] = _Kind(batch, now)
        kind.load(tensors, now)
        if kind.graph is None and kind.seen < EAGER_STEPS:
            kind.seen += 1
            return self._aside(kind)
        if kind.graph is None:
            try:
                self._capture(kind)
            except RuntimeError as error:
                self.failed = True
                self._restore_generator()
                cause = error.__context__ or error  # the end of a failed capture raises a second error
                reason = (str(cause).splitlines() or [type(cause).__name__])[0]
                warnings.warn(f"steps are not captured as CUDA graphs: {reason}", stacklevel=2)
                return None
        assert kind.graph is not None
        kind.graph.replay()
        terms, norm = kind.found
        return {name: value.clone() for name, value in terms.items()}, norm

    def _restore_generator(self) -> None:
        """Give the device's generator a new state, since the end of a failed capture leaves it refusing eager draws."""
        index = torch.cuda.current_device()
        generator = torch.cuda.default_generators[index]
        state = torch.Generator(torch.device("cuda", index)).manual_seed(generator.initial_seed())
        generator.graphsafe_set_state(state)

    def _aside(self, kind: "_Kind") -> tuple[Terms, Tensor]:
        """Make the step eagerly on the stream that will be captured."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            found = self.step(kind.batch, kind.now)
        torch.cuda.current_stream().wait_stream(self.stream)
        return found

    def _capture(self, kind: "_Kind") -> None:
        graph = torch.cuda.CUDAGraph()
        # the outer context restores the stream even if the end of a failed capture raises
        with torch.cuda.stream(self.stream), torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
            kind.found = self.step(kind.batch, kind.now)
        kind.graph = graph


class _Kind:
    """The tensors that a graph reads: a batch, and the scheduled numbers as scalars of one device tensor."""

    def __init__(self, batch: Any, now: Scheduled) -> None:
        self.batch = _copied(batch)
        self.tensors = _leaves(self.batch)
        # float32 whatever the default dtype: the fused optimiser reads its learning rate as float32
        self.values = torch.tensor(numbers(now), dtype=torch.float32, device=self.tensors[0].device)
        self.now = on_device(now, self.values)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.found: tuple[Terms, Tensor]
        self.seen = 0

    def load(self, tensors: list[Tensor], now: Scheduled) -> None:
        for place, tensor in zip(self.tensors, tensors, strict=True):
            place.copy_(tensor)
        # from pinned memory, so that the host prepares the next step while the device makes this one
        values = torch.tensor(numbers(now), dtype=torch.float32).pin_memory()
        self.values.copy_(values, non_blocking=True)


def on_device(now: Scheduled, values: Tensor) -> Scheduled:
    """The scheduled numbers as scalars on the device; weights of 0 stay numbers, which drop their terms.

    Args:
        now: the numbers.
        values: the same numbers in one tensor, in the flat order of the fields of Scheduled.
    """
    anneal, rest = values[: len(Anneal._fields)], values[len(Anneal._fields) :]
    made = Scheduled(Anneal(*anneal), *rest)
    return made._replace(
        air_weight=now.air_weight and made.air_weight,
        rollout_weight=now.rollout_weight and made.rollout_weight,
    )


def numbers(now: Scheduled) -> list[float]:
    """The scheduled numbers, flat, in the order of their fields."""
    return [float(value) for value in (*now.anneal, *now[1:])]


def _leaves(batch: Any) -> list[Tensor]:
    return [value for value in ([batch] if isinstance(batch, Tensor) else batch) if isinstance(value, Tensor)]


def _copied(batch: Any) -> Any:
    if isinstance(batch, Tensor):
        return batch.clone()
    return type(batch)(*(value.clone() if isinstance(value, Tensor) else value for value in batch))
