"""The questions that a training asks a tracker of any kind, and their usual answers."""

from collections.abc import Iterable

from pyro.nn import PyroModule
from torch import Tensor, nn


class Trainable(PyroModule):
    """The base of all trackers."""

    slots: tuple[str, ...] = ()  # the slots that its blocks are in; none: its program is its own
    trained_on: str | None = None  # data and recipe of its training, for people; None: not known

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """The parameters of each part that a stage of a training can name; the empty name is that of the whole."""
        return {name: list(module.parameters()) for name, module in self.named_modules()}

    def priors(self) -> dict[str, Tensor]:
        """Buffers that the configuration decides, not the training; by default none."""
        return {}

    def begin(self, frames: Iterable[Tensor]) -> None:
        """Set what starts from the training data, before the first step of new weights; by default nothing does.

        Args:
            frames: parts of the training data, (b, T, C, H, W) in [0, 1], drawn as they are asked for.
        """
