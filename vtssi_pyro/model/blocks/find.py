"""The search for known objects in every frame: FIND (section 3.2.1, App. B.2.1) and its null object NoFIND."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from pyro.distributions import Independent, Normal
from torch import Tensor, nn

from vtssi_pyro.config import Declared
from vtssi_pyro.config.ranges import KERNEL, REACH, SCALE, UNITS
from vtssi_pyro.model.interfaces import Picture, Predict, Sight
from vtssi_pyro.model.kinds import FINDERS
from vtssi_pyro.model.nn import MLP, Block, ConvStack, GaussianMLP
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.ops.correlate import correlate
from vtssi_pyro.types import Detections, Objects, State


class FinderBase(Block):
    """The base of most finders, which need one frame at a time and take objects to be visible in all frames."""

    K = 1  # frames that the finder needs at once
    registers = False  # a position depends on the draw of the position before

    def spread_of(
        self,
        frames: Tensor,
        draw: Callable[[Tensor], Tensor],
        glimpses: Tensor,
        position: Tensor,
        objects: Objects,
        searched: Tensor,
    ) -> Tensor:
        """Scales (..., B, T, N, 2) of registered positions: the learned scales of the search."""
        del frames, draw, glimpses, position, objects
        return searched

    def visible(self, frames: Tensor, glimpses: Tensor, position: Tensor, objects: Objects) -> Tensor:
        """Visibility of each object in each frame, in [0, 1], (..., B, T, N); here every present object is visible.

        Args:
            frames: (B, T, C, H, W), intensities in [0, 1].
            glimpses: (..., B, N, C, G, G).
            position: (..., B, T, N, 2), frame coordinates.
            objects: draws.
        """
        del frames, glimpses
        return objects.present.unsqueeze(-2).expand(position.shape[:-1]).to(position)


@FINDERS.register("none")
@dataclass(frozen=True)
class NoFINDConfig:
    """See :class:`NoFIND`."""

    def build(self, sizes: Sizes) -> "NoFIND":
        """See :class:`NoFIND`."""
        del sizes
        return NoFIND(self)


class NoFIND(FinderBase):
    """No search: for the program of single frames, whose only position AIR infers."""

    def __init__(self, config: NoFINDConfig = NoFINDConfig()) -> None:
        super().__init__()
        self.config = config

    def look(
        self, picture: Picture, frames: Tensor, objects: Objects, before: Detections | None = None
    ) -> Sight:
        """No evidence."""
        del picture, frames, objects, before
        return Sight(None)

    def step(self, sight: Sight, index: int, previous: State, predict: Predict | None = None) -> Independent:
        """Raise a ValueError: this finder makes no proposals."""
        raise ValueError("NoFIND serves programs of single frames only: give it one frame and its positions")


@FINDERS.register("find")
@dataclass(frozen=True)
class FINDConfig(Declared):
    """See :class:`FIND`."""

    num_kernels: Annotated[int, UNITS, "Kernels of an object."] = 8
    kernel_side: Annotated[int, KERNEL, "Side of a kernel, pixels."] = 10
    kernel_dense: Annotated[tuple[int, ...], UNITS, "Dense layers that make the kernels."] = (128, 256)
    filters: Annotated[
        tuple[tuple[int, int], ...], UNITS, "Filters and kernel sides of the two learned convolutions."
    ] = ((16, 5), (32, 3))
    dense: Annotated[tuple[int, ...], UNITS, "Dense layers after the convolutions."] = (128, 64)
    features: Annotated[int, UNITS, "Features of a frame, given an object."] = 50
    position_trunk: Annotated[tuple[int, ...], UNITS, "Dense layers of a position's mean and scale."] = (
        64,
        64,
    )
    position_heads: Annotated[tuple[int, ...], UNITS, "Further dense layers of each of the two."] = (32,)
    position_scale: Annotated[
        float, REACH, "Bound of found positions; 1.5 lets objects be partly out of the frame (App. C.2)."
    ] = 1.0
    same_padding: Annotated[bool, "Whether the two learned convolutions are padded (reading D14)."] = False
    scale_init: Annotated[float, SCALE, "First scale of positions (reading D26)."] = 0.1

    def build(self, sizes: Sizes) -> "FIND":
        """See :class:`FIND`."""
        return FIND(self, sizes)


class FIND(FinderBase):
    """Fast weights: convolution kernels made from an object's description find it in every frame.

    Reference: App. B.2.1, Alg. 3.

    Example:
        >>> from vtssi_pyro import FIND, build
        >>> isinstance(build("vtssi").finder, FIND)
        True
    """

    def __init__(self, config: FINDConfig, sizes: Sizes) -> None:
        super().__init__()
        self.config, self.channels = config, sizes.channels
        self.kernels = MLP(
            [sizes.description, *config.kernel_dense],
            config.num_kernels * sizes.channels * config.kernel_side**2,
        )
        self.features = self._convolutions()
        features = self.features.num_features(*self._shape(sizes.frame_size))
        self.readout = MLP([features, *config.dense], config.features)
        self.position = GaussianMLP(
            [config.features + 2, *config.position_trunk], config.position_heads, 2, nn.Tanh, torch.tanh,
            scale_init=config.scale_init, positive=sizes.scale_transform,
        )  # fmt: skip

    def look(
        self, picture: Picture, frames: Tensor, objects: Objects, before: Detections | None = None
    ) -> Sight:
        """Features (..., B, T, N, F) of frames (B, T, C, H, W), filtered by the objects' own kernels."""
        del picture, before
        side = self.config.kernel_side
        shape = (self.config.num_kernels, self.channels, side, side)
        kernels = self.kernels(objects.description).unflatten(-1, shape)
        return Sight(self.readout(self.features(self._responses(frames, kernels))))

    def step(self, sight: Sight, index: int, previous: State, predict: Predict | None = None) -> Independent:
        """q_FIND(p_t | p_{t-1}, x_t, d)."""
        features = sight.evidence[..., index, :, :]
        q = self.position(torch.cat([features, previous["position"]], -1)).base_dist
        return Normal(self.config.position_scale * q.loc, q.scale).to_event(1)

    def _convolutions(self) -> ConvStack:
        """The two learned convolutions, of which the first is followed by max-pooling."""
        config = self.config
        return ConvStack(config.num_kernels, config.filters, (0,), same=config.same_padding)

    def _shape(self, frame_size: int) -> torch.Size:
        """The shape (K, H', W') of an object's responses in a frame of this side."""
        side, count = self.config.kernel_side, self.config.num_kernels
        frames = torch.zeros(1, 1, self.channels, frame_size, frame_size)
        return self._responses(frames, torch.zeros(1, 1, count, self.channels, side, side)).shape[-3:]

    def _responses(self, frames: Tensor, kernels: Tensor) -> Tensor:
        """Responses (..., B, T, N, K, H', W') to the objects' kernels, max-pooled to half their resolution."""
        return per_object(frames, kernels, then=_pooled)


def _pooled(responses: Tensor) -> Tensor:
    """Pool, then activate: in either order the result is the same, and so there is less to activate."""
    return nn.functional.max_pool2d(responses, 2).relu()


def per_object(
    frames: Tensor, kernels: Tensor, stride: int = 1, then: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Filter every frame with the kernels of every object of its sequence.

    Args:
        frames: (B, T, C, H, W).
        kernels: (..., B, N, K, C, h, w).
        stride: of the convolution.
        then: applied to the responses, see :func:`~vtssi_pyro.ops.correlate.correlate`.

    Returns:
        responses (..., B, T, N, K, H', W').
    """
    stacked = kernels.movedim(-6, 0)  # (B, ..., N, K, C, h, w)
    many = stacked.shape[1:-3]
    out = correlate(frames, stacked.flatten(1, -4), stride, then)  # (B, T, ... N K, H', W')
    out = out.unflatten(2, many)  # (B, T, ..., N, K, H', W')
    return out.movedim((0, 1), (-6, -5))
