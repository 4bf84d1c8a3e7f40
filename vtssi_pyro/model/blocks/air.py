"""AIR (section 3.1, App. B.1): number, sizes and looks of the objects in one frame.

Its blocks fill three slots of a model. The scene is the prior of the objects' number, sizes and descriptions. The
picture renders the objects. The attention infers them from a frame; the blocks of ``rect.py`` choose its frames.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Annotated, Any

import pyro
import torch
from pyro import poutine
from pyro.distributions import Independent
from torch import Tensor, nn

from vtssi_pyro.config import Declared, OneOf, Range
from vtssi_pyro.config.ranges import DROPOUT, SCALE, UNITS
from vtssi_pyro.errors import UsageError
from vtssi_pyro.model.interfaces import Picture, Predict, Scene
from vtssi_pyro.model.kinds import ATTENTIONS, PICTURES, SCENES
from vtssi_pyro.model.nn import MLP, Block, ConvStack, GaussianMLP, Network, RepeatedInputLSTM
from vtssi_pyro.model.priors import DiagNormal
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.ops import counting
from vtssi_pyro.ops.bell import bell_mask
from vtssi_pyro.ops.ink import tight_box
from vtssi_pyro.ops.pixels import PixelNormal
from vtssi_pyro.ops.resolved import resolved_boxes
from vtssi_pyro.ops.spatial import extract_glimpses, paste
from vtssi_pyro.ops.turning import paste_turned
from vtssi_pyro.types import Anneal, Appearance, Objects, Plates, Pose, Scalar, Site, State

# Least weight of an object's KL under step weights: poutine.scale must be above 0, and a hundredth of a KL is little.
MIN_WEIGHT = 1e-2


@SCENES.register("counted")
@dataclass(frozen=True)
class SceneConfig(Declared):
    """The priors of count, size and description."""

    # N sigmoid(c) objects: beyond 20, that differs from 0 or N by less than single precision
    count_loc: Annotated[
        float, Range(-20, 20), "Mean of the count's prior at the end of training; it starts 1 above."
    ] = -3.0
    count_scale: Annotated[float, SCALE, "Standard deviation of the count's prior."] = 1.0

    def build(self, sizes: Sizes) -> "CountedScene":
        """See :class:`CountedScene`."""
        return CountedScene(self, sizes)


class CountedScene(Block):
    """Continuous counting: n = ceil(N sigmoid(c)) objects, each with a size and a description.

    All objects are there in all frames. The priors ``count``, ``size`` and ``description`` are modules that return a
    distribution with one event axis.
    Assign another module to swap one. The prior of the count is called with the shift of its mean, which training
    anneals.

    Reference: App. B.1.
    """

    changes = False

    def __init__(self, config: SceneConfig, sizes: Sizes) -> None:
        super().__init__()
        self.config, self.num_objects = config, sizes.num_objects
        self.count = DiagNormal([config.count_loc], config.count_scale)
        self.size = DiagNormal(sizes.size_loc, sizes.size_scale)
        self.description = DiagNormal([0.0] * sizes.description, 1.0)

    @contextmanager
    def model(self, plates: Plates, anneal: Anneal, known: Objects | None = None) -> Iterator[Objects]:
        """Draw the objects; within the context, plates and mask are open for the sites of the frames.

        The density is p(c) prod_i p(s_i) p(d_i), over the objects i <= n = ceil(N sigmoid(c)); ``known`` objects are
        not drawn.
        """
        if known is not None:
            known = self.counted(known)
            with plates.sequences, plates.objects, poutine.mask(mask=known.steps > 0):
                yield known
            return
        with plates.sequences:
            count = pyro.sample("count", self.count(anneal.count_shift))  # (..., B, 1, 1)
            number = counting.expected_number(count.squeeze(-2), self.num_objects)  # (..., B, 1)
            weight = self._weight(number, anneal.step_weight)
            with plates.objects, poutine.mask(mask=counting.active(number, self.num_objects)), weight:
                size = pyro.sample("size", self.size())
                description = pyro.sample("description", self.description())
                yield self.counted(Objects(count.squeeze(-2), size, description))

    @contextmanager
    def frame(
        self,
        t: int,
        objects: Objects,
        previous: State | None,
        picture: Picture,
        predict: Predict | None = None,
    ) -> Iterator[State]:
        """Draw nothing: the objects of the first frame are there in all frames."""
        del t, previous, picture, predict
        yield {"steps": objects.steps.unsqueeze(-1)}

    def single(self) -> Scene:
        """The scene itself: a frame has the objects that a sequence has."""
        return self

    def counted(self, objects: Objects) -> Objects:
        """The objects with their step values, and those that count: the count is N sigmoid(c), rounded."""
        number = counting.expected_number(objects.count, self.num_objects)
        return objects._replace(
            steps=counting.steps(number, self.num_objects),
            present=counting.present(objects.count, self.num_objects),
        )

    def count_of(self, number: Tensor) -> Tensor:
        """The c at which ``number`` objects count: (..., 1) from (...,)."""
        return counting.count_of(number, self.num_objects)

    def _weight(self, number: Tensor, step_weight: Scalar) -> AbstractContextManager[Any]:
        """Weight an object's terms fully (0) or by its step value (1), so that half an object costs half."""
        if not isinstance(step_weight, Tensor) and step_weight == 0:
            return nullcontext()
        steps = counting.steps(number, self.num_objects).clamp_min(MIN_WEIGHT)
        return poutine.scale(scale=1 + step_weight * (steps - 1))


@ATTENTIONS.register("air")
@dataclass(frozen=True)
class AIRConfig(Declared):
    """The sizes of AIR's inference networks."""

    counter_filters: Annotated[
        tuple[tuple[int, int], ...], UNITS, "Filters and kernel sides of the counter's convolutions."
    ] = ((16, 5), (16, 4), (16, 3))
    counter_pad: Annotated[int, Range(0, 100), "Zeros around the counter's frame, pixels."] = 3
    counter_dense: Annotated[tuple[int, ...], UNITS, "Dense layers of the counter."] = (256, 128)
    locator_filters: Annotated[
        tuple[tuple[int, int], ...], UNITS, "Filters and kernel sides of the locator's convolutions."
    ] = ((16, 3), (16, 3))
    locator_units: Annotated[int, UNITS, "Units of the locator's LSTM."] = 256
    locator_head: Annotated[int, UNITS, "Units of the locator's dense layers."] = 64
    dropout: Annotated[float, DROPOUT, "Share of features that training drops."] = 0.4
    encoder: Annotated[tuple[int, ...], UNITS, "Dense layers of the VAE's encoder."] = (256, 128)
    same_padding: Annotated[
        bool, "Whether CNN_pre's convolutions are padded (reading D14); CNN_cnt has counter_pad."
    ] = False
    place_scale: Annotated[float, SCALE, "First scale of size and position (reading D26)."] = 0.1

    def build(self, sizes: Sizes) -> "AIR":
        """See :class:`AIR`."""
        return AIR(self, sizes)


class AIR(Block):
    """Attend, Infer, Repeat: inference of the objects' number, sizes, positions and descriptions from one frame.

    Reference: App. B.1, Alg. 1.

    Example:
        >>> from vtssi_pyro import AIR, build
        >>> isinstance(build("air").attention, AIR)
        True
    """

    def __init__(self, config: AIRConfig, sizes: Sizes) -> None:
        super().__init__()
        self.config, self.glimpse = config, sizes.glimpse
        side, channels, positive = sizes.frame_size, sizes.channels, sizes.scale_transform
        self.counter_features = self._convolutions(channels, config.counter_filters, pad=config.counter_pad)
        features = self.counter_features.num_features(channels, side, side)
        self.counter = GaussianMLP([features, *config.counter_dense], [], 1, positive=positive)
        self.locator_features = self._convolutions(channels, config.locator_filters, same=config.same_padding)
        features = self.locator_features.num_features(channels, side, side)
        self.locator = Locator(features, config, sizes)
        self.encoder = encoder(config.encoder, sizes)

    def infer_count(self, frames: Tensor) -> Independent:
        """q(c | x): frames (..., C, H, W) to a normal with batch (...), event (1,)."""
        return self.counter(self.counter_features(frames))

    def locate(self, frames: Tensor) -> tuple[Independent, Independent]:
        """q(s | x) and q(p | x): frames (..., C, H, W) to normals with batch (..., N), event (2,)."""
        return self.locator(self.locator_features(frames))

    def describe(self, frames: Tensor, position: Tensor, size: Tensor) -> Independent:
        """q(d | x, s, p): frames and places that broadcast, (..., C, H, W) and (..., 2), to batch (...), event (D,)."""
        return self.encoder(extract_glimpses(frames, position, size, self.glimpse).flatten(-3))

    def _convolutions(
        self, channels: int, filters: Sequence[tuple[int, int]], pad: int = 0, same: bool = False
    ) -> ConvStack:
        """CNN_cnt and CNN_pre, whose first two convolutions are each followed by max-pooling."""
        return ConvStack(channels, filters, (0, 1), pad=pad, same=same)


def encoder(dense: tuple[int, ...], sizes: Sizes) -> GaussianMLP:
    """The VAE's encoder: glimpses (..., C G G) to q(d), batch (...), event (D,)."""
    pixels = sizes.channels * sizes.glimpse**2
    return GaussianMLP([pixels, *dense], [], sizes.description, positive=sizes.scale_transform)


class _LocatorBody(nn.Module):
    """LSTM_loc and its output dropout as plain modules, without Pyro's attribute access."""

    def __init__(self, features: int, config: AIRConfig) -> None:
        super().__init__()
        self.lstm = RepeatedInputLSTM(features, config.locator_units)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, features: Tensor, num_objects: int) -> Tensor:
        h = self.lstm(features.flatten(0, -2), num_objects)
        return self.dropout(h).unflatten(0, features.shape[:-1])  # (..., N, units)


LARGEST = 0.99  # share of the frame's side: of 1, no number is the sigmoid's


class Locator(Network):
    """LSTM_loc: one object per step, with heads for size and position that all objects share (App. B.1)."""

    def __init__(self, features: int, config: AIRConfig, sizes: Sizes) -> None:
        super().__init__()
        self.num_objects = sizes.num_objects
        self.body = _LocatorBody(features, config)
        units, head = [config.locator_units], [config.locator_head]
        if max(sizes.size_loc) > LARGEST:
            raise UsageError(
                f"model.size_loc: expected {LARGEST} or less with this attention, whose sigmoid begins there, found "
                f"{list(sizes.size_loc)}"
            )
        prior = torch.tensor(sizes.size_loc)
        scale, positive = config.place_scale, sizes.scale_transform
        self.size = GaussianMLP(
            units, head, 2, nn.ReLU, torch.sigmoid, prior.logit().tolist(), scale, positive
        )
        self.position = GaussianMLP(units, head, 2, nn.ReLU, torch.tanh, 0.0, scale, positive)

    def forward(self, features: Tensor) -> tuple[Independent, Independent]:
        """Size and position, batch (..., N), event (2,), from features (..., F)."""
        h = self.layers(features, self.num_objects)
        return self.size(h), self.position(h)


PAPERS_NOISE = 0.3  # sigma_L, intensity, from which a learned one starts


@PICTURES.register("additive")
@dataclass(frozen=True)
class AdditiveConfig(Declared):
    """The likelihood."""

    noise: Annotated[
        float | str,
        SCALE,
        OneOf("learned"),
        "Standard deviation of a pixel sigma_L, intensity; learned: from the paper's 0.3 on.",
    ] = PAPERS_NOISE
    # pasting by interpolation alone leaves errors of hundredths at an object's edges
    noise_floor: Annotated[float, Range(0, PAPERS_NOISE, "()"), "Least learned noise, intensity."] = 0.02
    bell_sigma: Annotated[
        float, SCALE, "Standard deviation of the bell-curve mask sigma_K, half sides of a glimpse."
    ] = 0.5
    decoder: Annotated[tuple[int, ...], UNITS, "Dense layers of the VAE's decoder."] = (128, 256)

    def build(self, sizes: Sizes) -> "AdditivePicture":
        """See :class:`AdditivePicture`."""
        return AdditivePicture(self, sizes)


class LearnedNoise(Block):
    """A learned scale of the likelihood, above a floor; it starts at the paper's."""

    def __init__(self, floor: float) -> None:
        super().__init__()
        self.floor = floor
        self.log_excess = nn.Parameter(torch.tensor(math.log(PAPERS_NOISE - floor)))

    def forward(self) -> Tensor:
        """The scale, intensity, a tensor without axes."""
        return self.floor + self.log_excess.exp()


class AdditivePicture(Block):
    """The sum of all objects' decoded glimpses, pasted at their positions.

    Reference: App. B.1, Alg. 2.
    """

    # A tight box spans whole pixels. Each edge of an object is therefore known to a pixel, with a variance of 1/12, and
    # the middle of two edges with half of that.
    box_error = 24**-0.5
    resolves = True  # whether frames tell tight boxes finer than looks do: ink adds up
    sites: tuple[Site, ...] = ()

    def __init__(self, config: AdditiveConfig, sizes: Sizes) -> None:
        super().__init__()
        self.config = config
        self.learned_noise = LearnedNoise(config.noise_floor) if isinstance(config.noise, str) else None
        self.frame_size, self.channels, self.glimpse = sizes.frame_size, sizes.channels, sizes.glimpse
        self.decoder = MLP([sizes.description, *config.decoder], sizes.channels * sizes.glimpse**2)

    @property
    def noise(self) -> float | Tensor:
        """Scale of the likelihood, intensity: the configuration's number, or the learned one."""
        if self.learned_noise is not None:
            return self.learned_noise()
        assert isinstance(self.config.noise, float)
        return self.config.noise

    def decode(self, description: Tensor) -> Tensor:
        """Glimpses (..., C, G, G) in [0, 1] from descriptions (..., D)."""
        shape = (self.channels, self.glimpse, self.glimpse)
        return torch.sigmoid(self.decoder(description)).unflatten(-1, shape)

    def planes(self, description: Tensor) -> Tensor:
        """Glimpses alone: no further planes."""
        return self.decode(description)

    def render(self, objects: Objects, pose: Pose, flatness: Scalar = 1.0) -> Tensor:
        """Mean of the likelihood, (..., T, C, H, W), under a bell-curve mask of this ``flatness``, 1 at test time."""
        glimpses = self._glimpses(pose, objects)
        mask = bell_mask(self.glimpse, self.config.bell_sigma, flatness, glimpses)
        return self.draw(pose._replace(appearance=glimpses * mask), objects)

    def draw(self, pose: Pose, objects: Objects) -> Tensor:
        """Draw ``compose(layers(pose, objects))``, without the layers if glimpses are the same in all frames."""
        glimpses = self._glimpses(pose, objects)
        if pose.angle is not None or glimpses.shape[-5] > 1:
            return self.compose(self.layers(pose, objects), pose)
        glimpses, frame = glimpses.squeeze(-5), (self.frame_size, self.frame_size)
        if pose.presence.shape[-2] > 1:
            return paste(glimpses, pose.position, pose.size, frame, pose.presence)
        scaled = glimpses * pose.presence.squeeze(-2)[..., None, None, None]
        return paste(scaled, pose.position, pose.size, frame)

    def layers(self, pose: Pose, objects: Objects) -> Tensor:
        """Each object by itself, (..., T, N, C, H, W)."""
        glimpses, frame = self._glimpses(pose, objects), (self.frame_size, self.frame_size)
        if pose.angle is not None:
            each = paste_turned(glimpses, pose.position, pose.size.unsqueeze(-3), pose.angle, frame)
            return each * pose.presence[..., None, None, None]
        places = pose.position.transpose(-3, -2)  # (..., N, T, 2)
        size = pose.size.unsqueeze(-2)  # (..., N, 1, 2)
        if glimpses.shape[-5] == 1:
            each = paste(glimpses.squeeze(-5).unsqueeze(-4), places.unsqueeze(-2), size, frame)
        else:  # one glimpse a frame: every frame is a sequence of its own
            own = glimpses.transpose(-5, -4).unsqueeze(-4)  # (..., N, T, 1, C, G, G)
            each = paste(own, places[..., None, None, :], size.unsqueeze(-2), frame).squeeze(-4)
        return each.transpose(-5, -4) * pose.presence[..., None, None, None]

    def compose(self, layers: Tensor, pose: Pose) -> Tensor:
        """Frames (..., T, C, H, W) of layers (..., T, N, C, H, W)."""
        del pose
        return layers.sum(-4)

    def others(self, layers: Tensor, pose: Pose) -> Tensor:
        """The rendered frames without each object, (..., T, N, C, H, W)."""
        return self.compose(layers, pose).unsqueeze(-4) - layers

    def shown(self, layers: Tensor, pose: Pose) -> Tensor:
        """What each object adds to the frame, (..., T, N, C, H, W)."""
        del pose
        return layers

    def clear(self, layers: Tensor, pose: Pose) -> Tensor | None:
        """Nothing hides an object."""
        del layers, pose
        return None

    def model(self, t: int, previous: State | None, like: Tensor, age: Tensor | None = None) -> State:
        """Draw nothing: a sum has no order."""
        del t, previous, like, age
        return {}

    def guide(
        self, frames: Tensor, objects: Objects, pose: Pose, first: int, previous: State | None,
        age: Tensor | None = None,
    ) -> None:  # fmt: skip
        """Make no proposals."""

    def ordered(self, frames: Tensor, layers: Tensor, pose: Pose, previous: State | None = None) -> Pose:
        """The pose as it is."""
        del frames, layers, previous
        return pose

    def likelihood(self, mean: Tensor) -> PixelNormal:
        """p(x | mean), batch (...), event (C, H, W)."""
        return PixelNormal(mean, self.noise)

    def appearance(self, objects: Objects) -> Appearance:
        """The objects' looks as decoded from their descriptions."""
        glimpses = self.decode(objects.description)
        return Appearance(glimpses, self.box(glimpses, objects.size))

    def box(self, glimpses: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
        """Tight boxes of glimpses (..., N, C, G, G), see :func:`~vtssi_pyro.ops.ink.tight_box`."""
        return tight_box(glimpses, size)

    def box_within(self, frames: Tensor, glimpses: Tensor, pose: Pose) -> tuple[Tensor, Tensor]:
        """Tight boxes by the frames, see :func:`~vtssi_pyro.ops.resolved.resolved_boxes`, or else by the looks."""
        box = self.box(glimpses, pose.size)
        return resolved_boxes(frames, glimpses, pose, box) if self.resolves else box

    def _glimpses(self, pose: Pose, objects: Objects) -> Tensor:
        """(..., T or 1, N, C, G, G)."""
        if pose.appearance is not None:
            return pose.appearance
        return self.decode(objects.description).unsqueeze(-5)
