"""SQAIR (Kosiorek et al. 2018): attend, infer, repeat over time, by propagation and discovery."""

from dataclasses import dataclass

import pyro
import torch
from pyro import poutine
from pyro.nn import PyroModule, pyro_method
from torch import Tensor

from vtssi_pyro.baselines.kinds import BASELINES
from vtssi_pyro.baselines.sqair import sites
from vtssi_pyro.baselines.sqair.dynamics import GuideDynamics, PriorDynamics, Summary
from vtssi_pyro.baselines.sqair.networks import InferenceNetworks, PictureNetworks, PriorNetworks, window
from vtssi_pyro.baselines.sqair.sizes import SQAIRSizes
from vtssi_pyro.baselines.sqair.state import (
    Discovered,
    Dynamics,
    Propagated,
    Slots,
    joined,
    merge,
)
from vtssi_pyro.errors import DataError
from vtssi_pyro.model.nn import Network
from vtssi_pyro.ops.channels import channelled
from vtssi_pyro.ops.pixels import PixelNormal
from vtssi_pyro.ops.spatial import covered, paste
from vtssi_pyro.types import Plates


class Inference(Network):
    """The guide's networks."""

    def __init__(self, config: SQAIRSizes) -> None:
        super().__init__()
        self.body = InferenceNetworks(config)


class Prior(Network):
    """The prior's networks."""

    def __init__(self, config: SQAIRSizes) -> None:
        super().__init__()
        self.body = PriorNetworks(config)


class Picture(Network):
    """The rendering of objects in front of a background."""

    def __init__(self, config: SQAIRSizes) -> None:
        super().__init__()
        self.config = config
        self.body = PictureNetworks(config)

    def forward(self, what: Tensor, where: Tensor, presence: Tensor) -> Tensor:
        """The mean frames (..., C, H, W) of objects: (..., N, W), (..., N, 4), (..., N).

        The background shows only behind objects, as in the official program.
        """
        networks, side, glimpse = self.layers, self.config.frame_size, self.config.glimpse
        assert isinstance(networks, PictureNetworks)
        place = window(where, side, glimpse)
        glimpses = networks.decoder(what).unflatten(-1, (self.config.channels, glimpse, glimpse))
        drawn = paste(
            glimpses * networks.contrast,
            place.position.unsqueeze(-3),
            place.size,
            (side, side),
            presence.unsqueeze(-2),
        ).squeeze(-4)
        behind = covered(place.position, place.size, glimpse, (side, side), presence)
        return drawn + networks.background * torch.sigmoid(20 * behind - 10).unsqueeze(-3)


@BASELINES.register("sqair")
@dataclass(frozen=True)
class SQAIRConfig(SQAIRSizes):
    """See :class:`SQAIR`."""

    def build(self) -> "SQAIR":
        """Build an untrained model."""
        return SQAIR(self)


class SQAIR(PyroModule):
    """SQAIR as a Pyro program: the root module; the default sizes have 2,952,542 parameters.

    It differs from the official program as follows. A gated cell multiplies its old state by the reset gate after the
    matrix, not before it, as torch's does. A window that is drawn is no smaller than a fiftieth of the frame. Absent
    slots are set to 0, on which nothing depends. A guide's step of discovery takes the objects before it as present,
    which is equal, since it counts only then.
    """

    def __init__(self, config: SQAIRConfig) -> None:
        super().__init__()
        self.config = config
        self.summary = Summary(config)
        self.inference = Inference(config)
        self.prior = Prior(config)
        self.picture = Picture(config)

    def set_background(self, frames: Tensor) -> None:
        """Start the background at the mean of frames (..., C, H, W), as the official training does."""
        networks = self.picture.layers
        assert isinstance(networks, PictureNetworks)
        with torch.no_grad():
            networks.background.copy_(frames.flatten(0, -4).mean(0))

    @pyro_method
    def model(self, frames: Tensor) -> list[Slots]:
        """The generative model p(x, z).

        =====================  ================  =================================================  ==================
        site                   shape             prior                                              scored if
        =====================  ================  =================================================  ==================
        ``prop_pres_t``        (..., B, N)       Bernoulli, by a GRU on the object's past           present at t - 1
        ``prop_where_t``       (..., B, N, 4)    normal, by the same                                present at t
        ``prop_what_t``        (..., B, N, W)    normal, by the same                                present at t
        ``disc_count_t``       (..., B, 1)       categorical on 0..N, by the objects' prior         always
        ``disc_where_t_k``     (..., B, 1, 4)    normal, given discovery k - 1 and the others       k <= count
        ``disc_what_t``        (..., B, N, W)    N(0, 1)                                            k <= count
        ``x``                  (..., B, T, C, H, W)  N(rendered objects, 0.3)                       observed
        =====================  ================  =================================================  ==================

        ``where`` holds logits: sigmoid of the first two is the size, tanh of the last two the centre. Frames count
        from 1, and nothing is propagated into the first. Propagated objects are exchangeable under the prior, hence
        their plate; discoveries are a chain. Present objects then come first, and N slots are kept.

        Args:
            frames: (B, T, C, H, W), or (B, T, H, W) in grey; intensities in [0, 1].

        Returns:
            the objects of every frame, with the prior's recurrent states.
        """
        frames = self._checked(frames)
        plates = self._plates(frames)
        slots = self.chain(self.prior_dynamics(frames), plates, range(1, frames.shape[1] + 1))
        mean = self.render(slots)  # (..., B, T, C, H, W)
        with plates.sequences, pyro.plate("frames", frames.shape[1], dim=-1):
            pyro.sample("x", PixelNormal(mean, self.config.noise), obs=frames)
        return slots

    @pyro_method
    def guide(self, frames: Tensor) -> list[Slots]:
        """The guide q(z | x): its sites are the model's; see :class:`GuideDynamics`.

        Args:
            frames: as in the model.

        Returns:
            the objects of every frame, with the guide's recurrent states.
        """
        frames = self._checked(frames)
        plates = self._plates(frames)
        networks = self.inference.layers
        assert isinstance(networks, InferenceNetworks)
        dynamics = GuideDynamics(networks, self.summary, self.config, plates, frames)
        with sites.drawn(dynamics.draws):
            return self.chain(dynamics, plates, range(1, frames.shape[1] + 1))

    def prior_chain(self, frames: Tensor, times: range, before: Slots | None = None) -> list[Slots]:
        """Sample the objects of frames from the prior.

        Args:
            frames: (B, ..., C, H, W), for the number of sequences, the dtype and the device.
            times: numbers of the frames, from 1.
            before: the objects of the frame before; None: there is none.
        """
        return self.chain(self.prior_dynamics(frames), self._plates(frames), times, before)

    def prior_dynamics(self, like: Tensor) -> PriorDynamics:
        """The prior's densities, in the dtype and on the device of ``like``."""
        networks = self.prior.layers
        assert isinstance(networks, PriorNetworks)
        return PriorDynamics(networks, self.summary, self.config, like)

    def chain(
        self, dynamics: Dynamics, plates: Plates, times: range, before: Slots | None = None
    ) -> list[Slots]:
        """Sample the objects of frames by one kind of densities.

        Args:
            dynamics: the densities.
            plates: of this run.
            times: numbers of the frames.
            before: the objects of the frame before; None: there is none.
        """
        slots = []
        for t in pyro.markov(times):
            moved = given = None
            if before is not None:
                given = dynamics.propagate(t, before)
                moved = self._propagated(t, plates, before, given)
            new = self._discovered(t, plates, dynamics.discover(t, moved, given), dynamics.start)
            before = merge(moved, new)
            slots.append(before)
        return slots

    def render(self, slots: list[Slots]) -> Tensor:
        """The mean frames (..., B, T, C, H, W), all decoded at once."""
        what, where, presence = (
            torch.stack([getattr(slot, name) for slot in slots], dim)
            for name, dim in (("what", -3), ("where", -3), ("presence", -2))
        )
        return self.picture(what, where, presence)

    def _propagated(self, t: int, plates: Plates, before: Slots, given: Propagated) -> Slots:
        there = before.presence > 0
        with plates.sequences, plates.objects:
            with poutine.mask(mask=there):
                presence = sites.sample(sites.PRESENCE, t, given.presence, before=before.presence)
            with poutine.mask(mask=there & (presence > 0)):
                where = sites.sample(sites.WHERE, t, given.where)
                what = sites.sample(sites.WHAT, t, given.what)
        return Slots(what, where, presence, given.memory, before.origin)

    def _discovered(self, t: int, plates: Plates, given: Discovered, start: Tensor) -> Slots:
        size, wheres, where = self.config.num_objects, [], None
        with plates.sequences:
            count = sites.sample(sites.COUNT, t, given.count)  # (..., B, 1)
            there = torch.arange(size, device=count.device) < count
            for k in range(size):
                with poutine.mask(mask=there[..., k : k + 1]):
                    where = sites.sample(sites.NEW_WHERE, t, given.where(k, where), k + 1)
                wheres.append(where)
            with plates.objects, poutine.mask(mask=there):
                what = sites.sample(sites.NEW_WHAT, t, given.what)
        presence = there.to(what.dtype)
        return Slots(what, joined(*wheres, dim=-2), presence, start.expand(*there.shape, -1), there.long())

    def _plates(self, frames: Tensor) -> Plates:
        sequences = pyro.plate("sequences", len(frames), dim=-2)
        return Plates(sequences, pyro.plate("objects", self.config.num_objects, dim=-1))

    def _checked(self, frames: Tensor) -> Tensor:
        frames = channelled(frames)
        shape = (self.config.channels, self.config.frame_size, self.config.frame_size)
        if frames.shape[-3:] != shape:
            raise DataError(f"frames of {tuple(frames.shape[-3:])} (C, H, W): the model expects {shape}")
        return frames
