"""SQAIR (Kosiorek et al. 2018): attend, infer, repeat over time, by propagation and discovery."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from itertools import pairwise

import pyro
import torch
from pyro import poutine
from pyro.nn import pyro_method
from torch import Tensor

from vtssi_pyro.baselines.sqair import sites
from vtssi_pyro.baselines.sqair.config import SQAIRConfig
from vtssi_pyro.baselines.sqair.dynamics import GuideDynamics, PriorDynamics, Summary
from vtssi_pyro.baselines.sqair.networks import InferenceNetworks, PictureNetworks, PriorNetworks
from vtssi_pyro.baselines.sqair.picture import Picture
from vtssi_pyro.baselines.sqair.state import (
    Discovered,
    Dynamics,
    Propagated,
    Slots,
    joined,
    merge,
    taken,
)
from vtssi_pyro.baselines.sqair.tracks import columns, in_columns, pixels, tracks_of
from vtssi_pyro.errors import DataError
from vtssi_pyro.inference.estimate import Estimate, seeded
from vtssi_pyro.inference.standalone import StandaloneTracker
from vtssi_pyro.model.handlers import mode, record, temper
from vtssi_pyro.model.nn import Network
from vtssi_pyro.model.program import TRAINED
from vtssi_pyro.ops.channels import channelled
from vtssi_pyro.ops.pixels import PixelNormal
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.types import Anneal, Plates, Scalar

# Pixels of frames that are read together: some 300 MiB, since no slot holds pictures of a frame's size.
PIXELS = 2**24


class Inference(Network):
    """The guide's networks."""

    def __init__(self, config: SQAIRConfig) -> None:
        super().__init__()
        self.body = InferenceNetworks(config)


class Prior(Network):
    """The prior's networks."""

    def __init__(self, config: SQAIRConfig) -> None:
        super().__init__()
        self.body = PriorNetworks(config)


class SQAIR(StandaloneTracker):
    """SQAIR as a tracker whose program is its own; the default sizes have 2,952,542 parameters.

    It differs from the official program as follows. A gated cell multiplies its old state by the reset gate after the
    matrix, not before it, as torch's does. A window that is drawn is no smaller than a fiftieth of the frame. Absent
    slots are set to 0, on which nothing depends. A guide's step of discovery takes the objects before it as present,
    which is equal, since it counts only then.
    """

    config: SQAIRConfig
    per_frame = True

    def __init__(self, config: SQAIRConfig) -> None:
        super().__init__(config)
        self.summary = Summary(config)
        self.inference = Inference(config)
        self.prior = Prior(config)
        self.picture = Picture(config)

    @property
    def num_objects(self) -> int:
        """Number of object slots N."""
        return self.config.slots

    @property
    def K(self) -> int:
        """Number of first frames that decide the objects: a frame's own count is its own."""
        return 1

    @property
    def shortest(self) -> int:
        """The least number of frames of a training sequence: nothing is propagated into a single one."""
        return 2

    def at_once(self, length: int) -> int:
        """Number of sequences of ``length`` frames that are read together: of fewer, each would take longer."""
        return max(1, PIXELS // (length * self.channels * self.frame_size**2))

    def begin(self, frames: Iterable[Tensor]) -> None:
        """Start the background at the mean of all frames, as the official training does."""
        networks = self.picture.layers
        assert isinstance(networks, PictureNetworks)
        total, number = torch.zeros_like(networks.background), 0
        for part in frames:
            each = channelled(part).flatten(0, 1)
            total, number = total + each.sum(0), number + len(each)
        with torch.no_grad():
            networks.background.copy_(total / number)

    @pyro_method
    def model(self, frames: Tensor, anneal: Anneal = TRAINED, horizon: int = 0) -> list[Slots]:
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
            anneal: ``discovery_shift`` is added to the logits of the count after the first frame, per object.
            horizon: frames to predict beyond these.

        Returns:
            the objects of T + horizon frames, with the prior's recurrent states.
        """
        frames = self._checked(frames)
        plates, observed = self._plates(frames), frames.shape[1]
        dynamics = self.prior_dynamics(frames, anneal.discovery_shift)
        slots = list(self.chain(dynamics, plates, range(1, observed + horizon + 1)))
        mean = self.render(slots[:observed])  # (..., B, T, C, H, W)
        with plates.sequences, pyro.plate("frames", observed, dim=-1):
            pyro.sample("x", PixelNormal(mean, self.config.noise), obs=frames)
        return slots

    @pyro_method
    def guide(self, frames: Tensor, anneal: Anneal = TRAINED, horizon: int = 0) -> list[Slots]:
        """The guide q(z | x): its sites are the model's; see :class:`GuideDynamics`.

        Args:
            frames: as in the model.
            anneal: ignored.
            horizon: frames to predict beyond these, whose densities are the prior's.

        Returns:
            the objects of T frames, with the guide's recurrent states, and of ``horizon`` more, with the prior's.
        """
        frames = self._checked(frames)
        plates, observed = self._plates(frames), frames.shape[1]
        networks = self.inference.layers
        assert isinstance(networks, InferenceNetworks)
        dynamics = GuideDynamics(networks, self.summary, self.config, plates, frames)
        with sites.drawn(dynamics.draws):
            slots = list(self.chain(dynamics, plates, range(1, observed + 1)))
        if not horizon:
            return slots
        times = range(observed + 1, observed + horizon + 1)
        return [*slots, *self.chain(self.prior_dynamics(frames), plates, times, self.remembered(slots))]

    def remembered(self, slots: list[Slots]) -> Slots:
        """The last of the objects of all frames from the first on, with the prior's recurrent states."""
        networks = self.prior.layers
        assert isinstance(networks, PriorNetworks)
        first, transition = slots[0], networks.transition
        new = transition.start.expand(first.memory.shape)
        memory = new * first.presence.unsqueeze(-1)
        for before, now in pairwise(slots):
            moved = transition(joined(before.what, before.where), memory)
            memory = taken(joined(moved, new, dim=-2), now.origin) * now.presence.unsqueeze(-1)
        return slots[-1]._replace(memory=memory)

    def prior_chain(self, frames: Tensor, times: range, before: Slots | None = None) -> Iterator[Slots]:
        """Sample the objects of frames from the prior.

        Args:
            frames: (B, ..., C, H, W), for the number of sequences, the dtype and the device.
            times: numbers of the frames, from 1.
            before: the objects of the frame before; None: there is none.
        """
        return self.chain(self.prior_dynamics(frames), self._plates(frames), times, before)

    def prior_dynamics(self, like: Tensor, shift: Scalar = 0.0) -> PriorDynamics:
        """The prior's densities, in the dtype and on the device of ``like``; see :class:`PriorDynamics`."""
        networks = self.prior.layers
        assert isinstance(networks, PriorNetworks)
        return PriorDynamics(networks, self.summary, self.config, like, shift)

    def chain(
        self, dynamics: Dynamics, plates: Plates, times: range, before: Slots | None = None
    ) -> Iterator[Slots]:
        """Sample the objects of frames by one kind of densities.

        Args:
            dynamics: the densities.
            plates: of this run.
            times: numbers of the frames.
            before: the objects of the frame before; None: there is none.
        """
        for t in pyro.markov(times):
            moved = given = None
            if before is not None:
                given = dynamics.propagate(t, before)
                moved = self._propagated(t, plates, before, given)
            new = self._discovered(t, plates, dynamics.discover(t, moved, given), dynamics.start)
            before = merge(moved, new)
            yield before

    def render(self, slots: list[Slots]) -> Tensor:
        """The mean frames (..., B, T, C, H, W), all decoded at once."""
        what, where, presence = (
            torch.stack([getattr(slot, name) for slot in slots], dim)
            for name, dim in (("what", -3), ("where", -3), ("presence", -2))
        )
        return self.picture(what, where, presence)

    def read(
        self, frames: Tensor, horizon: int, num_samples: int, temperatures: Sequence[float]
    ) -> list[Estimate]:
        """Estimate the observed frames and ``horizon`` frames beyond them, every variable at its mode.

        Positions and boxes are those of the attention windows. In predicted frames the prior propagates what is there:
        nothing is discovered or dropped. Samples hold the modes of the observed frames, then draws from the prior.
        Standard deviations of positions are, to first order, those of the frame's own density, of the guide or of the
        prior; in predicted frames those of the samples, if there are two or more. An object's looks are those in the
        last observed frame, 0 if it is not there.
        """
        frames = self._checked(frames)
        observed = frames.shape[1]
        times = range(observed + 1, observed + horizon + 1)
        with record() as found, mode():
            # inside the handler of modes, which would decide presence first otherwise
            with sites.keep() if self.config.keeps else nullcontext():
                past = self.guide(frames)
            last = self.remembered(past)
            with sites.keep(), sites.close():
                slots = [*past, *self.prior_chain(frames, times, last)]
        own, config = columns(slots), self.config  # (B, T + horizon, N)
        tracks = tracks_of(slots, own, found.densities, config)
        rendered, looks = self.render(slots), in_columns(past[-1].what, own[:, observed - 1])
        noise = int(torch.randint(2**62, ()))  # the same at all temperatures

        def sampled(temperature: float) -> Tracks:
            column = own[:, observed - 1].expand(num_samples, -1, -1)
            with seeded(noise), temper(temperature), sites.keep(), sites.close():
                with pyro.plate("futures", num_samples, dim=-3):
                    drawn = (pixels(slot.where, config) for slot in self.prior_chain(frames, times, last))
                    ahead = [in_columns(place.position, column).unsqueeze(2) for place in drawn]
            known = tracks.position[:, :observed].expand(num_samples, -1, -1, -1, -1)
            samples = torch.cat([known, *ahead], 2)
            if num_samples == 1:
                return tracks._replace(samples=samples)
            assert tracks.scale is not None
            scale = torch.cat([tracks.scale[:, :observed], samples[:, :, observed:].std(0)], 1)
            return tracks._replace(
                samples=samples, scale=scale.where(tracks.present.unsqueeze(-1), torch.nan)
            )

        return [
            Estimate(sampled(temperature) if num_samples else tracks, rendered, looks)
            for temperature in temperatures
        ]

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
        size, wheres, where = self.config.slots, [], None
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
        return Plates(sequences, pyro.plate("objects", self.config.slots, dim=-1))

    def _checked(self, frames: Tensor) -> Tensor:
        frames = channelled(frames)
        shape = (self.config.channels, self.config.frame_size, self.config.frame_size)
        if frames.shape[-3:] != shape:
            raise DataError(f"frames of {tuple(frames.shape[-3:])} (C, H, W): the model expects {shape}")
        return frames
