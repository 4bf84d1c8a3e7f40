"""AIR (section 3.1, App. B.1): what the objects are, in one frame.

Model: count, size and description, and how they are rendered. Guide: the networks that read them off a frame; the
blocks of ``rect.py`` decide which frames they read.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pyro
import torch
from pyro import poutine
from pyro.distributions import Independent
from pyro.nn import PyroModule
from torch import Tensor, nn

from vtssi_pyro.config import AIRConfig
from vtssi_pyro.model.nn import MLP, ConvStack, GaussianMLP, Network, RepeatedInputLSTM
from vtssi_pyro.model.priors import DiagNormal
from vtssi_pyro.ops import counting
from vtssi_pyro.ops.bell import bell_mask
from vtssi_pyro.ops.ink import tight_box
from vtssi_pyro.ops.spatial import crop, paste
from vtssi_pyro.types import Anneal, Found, Objects, Plates, Scalar

MIN_WEIGHT = 1e-2  # of an object's KL under step weights; poutine.scale must stay above 0


class AIR(PyroModule):
    """Attend, Infer, Repeat with continuous counting.

    The priors ``count``, ``size`` and ``description`` are modules that return a distribution with one event axis:
    assign another to swap one. That of the count is called with the shift of its mean that training anneals.

    Reference: App. B.1, Alg. 1 and 2.
    """

    def __init__(self, config: AIRConfig) -> None:
        super().__init__()
        self.config = config
        glimpse = config.glimpse
        self.count = DiagNormal([config.count_loc], config.count_scale)
        self.size = DiagNormal(config.size_loc, config.size_scale)
        self.description = DiagNormal([0.0] * config.description, 1.0)
        self._attend(config)
        positive = config.scale_transform
        self.encoder = GaussianMLP([glimpse**2, *config.vae_dense], [], config.description, positive=positive)
        self.decoder = MLP([config.description, *reversed(config.vae_dense)], glimpse**2)

    def _attend(self, config: AIRConfig) -> None:
        """The networks that read a frame: CNN_cnt, CNN_pre and LSTM_loc."""
        side, positive = config.frame_size, config.scale_transform
        self.counter_features = ConvStack(
            1, config.counter_filters, (0, 1), config.stride, pad=config.counter_pad
        )
        features = self.counter_features.num_features(1, side, side)
        self.counter = GaussianMLP([features, *config.counter_dense], [], 1, positive=positive)
        self.locator_features = ConvStack(
            1, config.locator_filters, (0, 1), config.stride, same=config.same_padding
        )
        features = self.locator_features.num_features(1, side, side)
        self.locator = Locator(features, config)

    @contextmanager
    def model(self, plates: Plates, anneal: Anneal, known: Objects | None = None) -> Iterator[Objects]:
        """Draw the objects; within the context, plates and mask are open for what they do over time.

        p(c) prod_i p(s_i) p(d_i), over the objects i <= n = ceil(N sigmoid(c)); ``known`` objects are not drawn.
        """
        num_objects = self.config.num_objects
        if known is not None:
            here = counting.active(counting.expected_number(known.count, num_objects), num_objects)
            with plates.sequences, plates.objects, poutine.mask(mask=here):
                yield known
            return
        with plates.sequences:
            count = pyro.sample("count", self.count(anneal.count_shift))  # (..., B, 1, 1)
            number = counting.expected_number(count.squeeze(-2), num_objects)  # (..., B, 1)
            weight = self._weight(number, anneal.step_weight)
            with plates.objects, poutine.mask(mask=counting.active(number, num_objects)), weight:
                size = pyro.sample("size", self.size())
                description = pyro.sample("description", self.description())
                yield Objects(count.squeeze(-2), size, description)

    def _weight(self, number: Tensor, step_weight: Scalar) -> poutine.messenger.Messenger:
        """Weigh an object's terms between fully (0) and by its step value (1), so that halves cost half."""
        if not isinstance(step_weight, Tensor) and step_weight == 0:
            return poutine.messenger.Messenger()
        steps = counting.steps(number, self.config.num_objects).clamp_min(MIN_WEIGHT)
        return poutine.scale(scale=1 + step_weight * (steps - 1))

    def infer_count(self, frames: Tensor) -> Independent:
        """q(c | x): frames (..., H, W) to a normal with batch (...), event (1,)."""
        return self.counter(self.counter_features(frames.unsqueeze(-3)))

    def locate(self, frames: Tensor) -> tuple[Independent, Independent]:
        """q(s | x) and q(p | x): frames (..., H, W) to normals with batch (..., N), event (2,)."""
        return self.locator(self.locator_features(frames.unsqueeze(-3)))

    def describe(self, frames: Tensor, position: Tensor, size: Tensor) -> Independent:
        """q(d | x, s, p): frames and places that broadcast, (..., H, W) and (..., 2), to batch (...), event (D,)."""
        glimpses = crop(frames, position, size, self.config.glimpse)  # (..., G, G)
        return self.encoder(glimpses.flatten(-2))

    def decode(self, description: Tensor) -> Tensor:
        """Glimpses (..., G, G) in [0, 1] from descriptions (..., D)."""
        side = self.config.glimpse
        return torch.sigmoid(self.decoder(description)).unflatten(-1, (side, side))

    def glimpses(self, objects: Objects, found: Found | None = None) -> Tensor:
        """What the objects look like, (..., N, G, G): as the finder settled it, else as decoded."""
        if found is not None and found.glimpses is not None:
            return found.glimpses
        return self.decode(objects.description)

    def box(self, objects: Objects, found: Found) -> tuple[Tensor, Tensor]:
        """Tight boxes of what the objects look like, see :func:`~vtssi_pyro.ops.ink.tight_box`."""
        return found.box or tight_box(self.glimpses(objects, found), objects.size)

    def render(self, objects: Objects, position: Tensor, flatness: Scalar = 1.0) -> Tensor:
        """Mean of the likelihood: every object decoded once and pasted into all frames.

        Args:
            objects: draws; description (..., N, D).
            position: (..., T, N, 2).
            flatness: of the bell-curve mask, 1 at test.

        Returns:
            frames (..., T, H, W).

        Reference: App. B.1, Alg. 2.
        """
        side = self.config.frame_size
        number = counting.expected_number(objects.count, self.config.num_objects)
        steps = counting.steps(number, self.config.num_objects)  # (..., N)
        glimpses = self.decode(objects.description)  # (..., N, G, G)
        mask = bell_mask(self.config.glimpse, self.config.bell_sigma, flatness, glimpses)
        return paste(glimpses * mask * steps[..., None, None], position, objects.size, (side, side))


class _LocatorBody(nn.Module):
    """LSTM_loc and its output dropout, which no Pyro attribute access need see."""

    def __init__(self, features: int, config: AIRConfig) -> None:
        super().__init__()
        self.lstm = RepeatedInputLSTM(features, config.locator_units)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, features: Tensor, num_objects: int) -> Tensor:
        h = self.lstm(features.flatten(0, -2), num_objects)
        return self.dropout(h).unflatten(0, features.shape[:-1])  # (..., N, units)


class Locator(Network):
    """LSTM_loc: one object a step, with heads for size and position shared over the objects (App. B.1)."""

    def __init__(self, features: int, config: AIRConfig) -> None:
        super().__init__()
        self.num_objects = config.num_objects
        self.body = _LocatorBody(features, config)
        units, head = [config.locator_units], [config.locator_head]
        prior = torch.tensor(config.size_loc)
        scale, positive = config.place_scale, config.scale_transform
        self.size = GaussianMLP(
            units, head, 2, nn.ReLU, torch.sigmoid, prior.logit().tolist(), scale, positive
        )
        self.position = GaussianMLP(units, head, 2, nn.ReLU, torch.tanh, 0.0, scale, positive)

    def forward(self, features: Tensor) -> tuple[Independent, Independent]:
        """Size and position, batch (..., N), event (2,), from features (..., F)."""
        h = self.layers(features, self.num_objects)
        return self.size(h), self.position(h)
