"""The densities of the variables of every frame: the prior's, and the guide's with the draws that they rest on."""

from collections.abc import Sequence

import torch
from pyro.distributions import Bernoulli, Categorical, Distribution, Independent, MultivariateNormal, Normal
from torch import Tensor, nn

from vtssi_pyro.baselines.sqair import sites
from vtssi_pyro.baselines.sqair.config import SQAIRConfig
from vtssi_pyro.baselines.sqair.networks import InferenceNetworks, PriorNetworks, forced, initialise, positive
from vtssi_pyro.baselines.sqair.state import WHERE, Discovered, Propagated, Slots, joined
from vtssi_pyro.model.handlers import propose
from vtssi_pyro.model.nn import Network, dense
from vtssi_pyro.types import Plates, Scalar, Site

STAYS = 10.0  # the prior's logit that an object stays, before training


class Number(Categorical):
    """A categorical density whose draws ask the device nothing; torch's ask whether the probabilities are valid."""

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draw by the inverse of the distribution function."""
        logits = self.logits
        drawn = torch.rand(self._extended_shape(sample_shape), dtype=logits.dtype, device=logits.device)
        below = self.probs.cumsum(-1)[..., :-1]
        return (drawn.unsqueeze(-1) >= below).sum(-1)


class Summary(Network):
    """The propagated objects as seen by discovery, in the prior and in the guide."""

    def __init__(self, config: SQAIRConfig) -> None:
        super().__init__()
        self.body = dense([config.what + WHERE, config.units, config.units], nn.ELU)
        self.units = config.units
        initialise(self.body)

    def forward(self, moved: Slots | None, like: Tensor) -> Tensor:
        """Features (..., B, 1, U), summed over the present objects; 0 in the first frame."""
        if moved is None:
            return like.new_zeros(1, 1, self.units)
        features = self.layers(joined(moved.what, moved.where))
        return (features * moved.presence.unsqueeze(-1)).sum(-2, keepdim=True)


class PriorDynamics:
    """p(z_t | z_<t): each object moves by itself, and new ones appear beside those that stay.

    Args:
        networks: the prior's.
        summary: of the propagated objects.
        config: the sizes.
        like: a tensor of the dtype and on the device of the run.
        shift: what is added to the logits of the count after the first frame, per new object, nats.
    """

    def __init__(
        self,
        networks: PriorNetworks,
        summary: Summary,
        config: SQAIRConfig,
        like: Tensor,
        shift: Scalar = 0.0,
    ) -> None:
        self.networks, self.summary, self.config, self.like = networks, summary, config, like
        self.shift = shift
        self.start = networks.transition.start

    def propagate(self, t: int, before: Slots) -> Propagated:
        """See :class:`Dynamics`."""
        networks, what = self.networks, self.config.what
        memory = networks.transition(joined(before.what, before.where), before.memory)
        logit, loc, raw = networks.next(memory).split([1, WHERE + what, WHERE + what], -1)
        scale = positive(raw)
        return Propagated(
            Bernoulli(logits=forced(logit.squeeze(-1) + STAYS, before.presence)),
            Normal(loc[..., :WHERE], scale[..., :WHERE]).to_event(1),
            Normal(loc[..., WHERE:], scale[..., WHERE:]).to_event(1),
            memory,
        )

    def discover(self, t: int, moved: Slots | None, given: Propagated | None) -> Discovered:
        """See :class:`Dynamics`."""
        networks, slots = self.networks, self.config.slots
        staying = self.like.new_zeros(1, slots) if given is None else given.presence.probs
        expected = ((staying - 0.5) / slots).sum(-1)[..., None, None]  # (..., B, 1, 1)
        bias = networks.count if t == 1 else networks.count + networks.later
        logits = nn.functional.elu(bias + networks.count_by_others(expected))
        if t > 1:
            logits = logits + self.shift * torch.arange(slots + 1, dtype=logits.dtype, device=logits.device)
        scene = networks.scene(joined(networks.scene_start, self.summary(moved, self.like), expected))

        def where(k: int, previous: Tensor | None) -> Independent:
            state = networks.place(joined(networks.first if previous is None else previous, scene))
            loc, raw = networks.readout(torch.tanh(state)).chunk(2, -1)
            return Normal(loc, positive(raw)).to_event(1)

        zeros = self.like.new_zeros(1, slots, self.config.what)
        return Discovered(Number(logits=logits), where, Normal(zeros, torch.ones_like(zeros)).to_event(1))


class GuideDynamics:
    """q(z_t | z_<t, x_t): an object after the other, each given those before it in the same frame.

    Densities of a frame rest on draws of the objects before, and a draw is scored only if its object is present,
    which is drawn last. So all draws of a frame are made here, hidden from traces, and kept in ``draws`` by the names
    of the sites that then state them. A step beyond the last present object is drawn but not scored, in the model as in
    the guide: its density cancels, and the weights stay those of a bound.

    Args:
        networks: the guide's.
        summary: of the propagated objects.
        config: the sizes.
        plates: of this run.
        frames: (B, T, C, H, W), intensities in [0, 1].
    """

    def __init__(
        self,
        networks: InferenceNetworks,
        summary: Summary,
        config: SQAIRConfig,
        plates: Plates,
        frames: Tensor,
    ) -> None:
        self.networks, self.summary, self.config, self.plates = networks, summary, config, plates
        self.frames = frames
        self.images = networks.discovery.image(frames.flatten(-3))  # (B, T, U), all frames at once
        self.draws: dict[str, Tensor] = {}
        self.start = networks.propagation.temporal.start

    def propagate(self, t: int, before: Slots) -> Propagated:
        """See :class:`Dynamics`."""
        networks, glimpses = self.networks.propagation, self.networks.glimpses
        frame, temporal = self.frames[:, t - 1 : t], before.memory
        mask = torch.sigmoid(networks.mask(temporal))
        glance, _ = glimpses(frame, before.where + 0.1 * networks.glance(temporal), mask)
        here = before.presence.unsqueeze(-1)
        shared = networks.cell.project(joined(glance, before.what, before.where, here, temporal))
        state, previous = networks.cell.start, self._nothing(present=False)
        logits, wheres, whats, memories = [], [], [], []
        for k in range(self.config.slots):
            own = slice(k, k + 1)
            old, at = temporal[..., own, :], before.where[..., own, :]
            state = networks.cell(shared[..., own, :], previous, state)
            shift, scale = networks.place(joined(state, at, old), below=1.0)
            factor = networks.factor(scale)
            where = self._draw(sites.WHERE, t, k, MultivariateNormal(at + shift, scale_tril=factor))
            seen = glimpses(frame, where, mask[..., own, :])
            memory = networks.temporal(joined(state, where, *seen), old)
            fused = networks.fuse(memory, before.what[..., own, :], *seen)
            what = self._draw(sites.WHAT, t, k, Normal(*fused).to_event(1))
            there = before.presence[..., own]
            logit = forced(networks.presence(joined(state, old, what)).squeeze(-1), there)
            presence = self._draw(sites.PRESENCE, t, k, Bernoulli(logits=logit), before=there)
            previous = joined(what, where, presence.unsqueeze(-1))
            logits.append((logit, presence))
            wheres.append((at + shift, factor, where))
            whats.append((*fused, what))
            memories.append(memory)
        logit, self.draws[sites.PRESENCE.at(t)] = _side_by_side(logits, -1)
        loc, self.draws[sites.WHERE.at(t)] = _side_by_side([(loc, value) for loc, _, value in wheres], -2)
        (factor,) = _side_by_side([(factor,) for _, factor, _ in wheres], -3)
        mean, scale, self.draws[sites.WHAT.at(t)] = _side_by_side(whats, -2)
        return Propagated(
            Bernoulli(logits=logit),
            MultivariateNormal(loc, scale_tril=factor),
            Normal(mean, scale).to_event(1),
            joined(*memories, dim=-2),
        )

    def discover(self, t: int, moved: Slots | None, given: Propagated | None) -> Discovered:
        """See :class:`Dynamics`."""
        networks, frame = self.networks.discovery, self.frames[:, t - 1 : t]
        shared = networks.cell.project(self.images[:, t - 1 : t], self.summary(moved, self.frames))
        state, previous = networks.cell.start, self._nothing(present=True)
        logits, wheres, whats = [], [], []
        for k in range(self.config.slots):
            state = networks.cell(shared, previous, state)
            place = networks.place(state)
            where = self._draw(sites.NEW_WHERE, t, k, Normal(*place).to_event(1))
            seen = self.networks.glimpses(frame, where)
            what = self._draw(sites.NEW_WHAT, t, k, Normal(*seen).to_event(1))
            logits.append(networks.presence(joined(state, what)))
            # a later step counts only if this object is present
            previous = joined(what, where, torch.ones_like(what[..., :1]))
            wheres.append(place)
            whats.append((*seen, what))
        count = Number(logits=count_logits(joined(*logits)))
        self._draw(sites.COUNT, t, None, count)
        loc, scale, self.draws[sites.NEW_WHAT.at(t)] = _side_by_side(whats, -2)

        def where_of(k: int, _: Tensor | None) -> Independent:
            return Normal(*wheres[k]).to_event(1)

        return Discovered(count, where_of, Normal(loc, scale).to_event(1))

    def _draw(self, site: Site, t: int, k: int | None, density: Distribution, **infer: Tensor) -> Tensor:
        """Draw a variable of object k, counted from 0, or of all, and keep the draw."""
        with propose() as hidden, self.plates.sequences:
            value = sites.sample(site, t, density, k if k is None else k + 1, **infer)
        self.draws |= {name: made.value for name, made in hidden.sites.items()}
        return value

    def _nothing(self, present: bool) -> Tensor:
        """The object before the first: what and where are 0."""
        nothing = self.frames.new_zeros(self.config.what + WHERE + 1)
        nothing[-1].fill_(present)
        return nothing.view(1, 1, -1)


def count_logits(logits: Tensor) -> Tensor:
    """Log probabilities (..., N + 1) of the count, if each of N steps stops with the logits (..., N) of going on."""
    goes_on = nn.functional.logsigmoid(logits).cumsum(-1)
    stops = nn.functional.logsigmoid(-logits)
    return torch.cat([stops[..., :1], goes_on[..., :-1] + stops[..., 1:], goes_on[..., -1:]], -1)


def _side_by_side(objects: Sequence[Sequence[Tensor]], dim: int) -> list[Tensor]:
    """Concatenate the values of one object each, value by value."""
    return [joined(*values, dim=dim) for values in zip(*objects, strict=True)]
