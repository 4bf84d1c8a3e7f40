"""Objects that come and go: who is there is a chain over the frames, as positions are. Not in the paper."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from pyro import poutine
from pyro.distributions import Bernoulli, Distribution, Independent, Normal
from torch import Tensor, nn
from torch.distributions import kl_divergence

from vtssi_pyro.config import Range
from vtssi_pyro.config.ranges import NATS, SCALE, WINDOW
from vtssi_pyro.model.blocks.air import CountedScene, SceneConfig
from vtssi_pyro.model.interfaces import Attention, Motion, Picture, Predict
from vtssi_pyro.model.kinds import SCENES
from vtssi_pyro.model.nn import Block
from vtssi_pyro.model.review import Review, better, moving_alike
from vtssi_pyro.model.sites import POSITION, draw, draw_intermediate
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.model.view import Depicted, View
from vtssi_pyro.ops.gaussian import Drawn, chosen
from vtssi_pyro.ops.registration import register
from vtssi_pyro.ops.spatial import SIZE_LIMITS
from vtssi_pyro.types import Anneal, Objects, Plates, Pose, Site, State

STEPS = 2  # of a registration, see ops.registration; its next round goes on
# Sizes of an attention window within which a drawing may be wrong by its brightness.
UNSURE = 0.1
PRESENCE, SIZE = Site("presence", 1), Site("size", 2)


@SCENES.register("presence")
@dataclass(frozen=True)
class PresenceConfig(SceneConfig):
    """See :class:`PresenceScene`."""

    # Within five deviations of 0, a probability differs from 0 or 1 by less than single precision.
    enter: Annotated[
        float, Range(-5, 0), "Mean of an empty slot's presence; of -3, it is filled in one of 740 frames."
    ] = -3.0
    stay: Annotated[
        float, Range(0, 5), "Mean of the presence of an object in the frame; of 2.5, one of 160 vanishes."
    ] = 2.5
    # An object that enters shows a part of itself, and a slow one takes many frames. Of 60 drawn sequences of visitors,
    # IDF1 is 0.89, 0.88 and 0.86 with 8, 12 and 16 frames, and MOTA 0.81, 0.82 and 0.81.
    settle: Annotated[int, WINDOW, "Frames after its entrance in which an object's looks are settled."] = 12
    drift: Annotated[float, SCALE, "Scale of a change of looks in one of these frames."] = 0.5
    rounds: Annotated[
        int, Range(0, 10), "Rounds in which newcomers are registered on the frame and described in turn."
    ] = 1
    # half of what a newcomer of usual looks pays for these, by their KL terms
    doubt: Annotated[
        float,
        NATS,
        "Evidence that may be lost, nats, where one object takes the place of two that have just come.",
    ] = 45.0

    def build(self, sizes: Sizes) -> "PresenceScene":
        """See :class:`PresenceScene`."""
        return PresenceScene(self, sizes)


class Real(Block):
    """A presence is a real number, present above 0: N(loc, scale), which is reparameterised."""

    def forward(self, loc: Tensor, scale: Tensor | float = 1.0) -> Distribution:
        """The density, batch (..., N), event (1,), of means (..., N, 1)."""
        return Normal(loc, loc.new_ones(()) * scale).to_event(1)


class Binary(Block):
    """A presence is 0 or 1, with the probability that :class:`Real` is above 0; an ELBO needs its score function."""

    def forward(self, loc: Tensor, scale: Tensor | float = 1.0) -> Distribution:
        """The density, batch (..., N), event (1,), of means (..., N, 1)."""
        low = torch.finfo(loc.dtype).eps
        return Bernoulli(probs=above_zero(loc / scale).clamp(low, 1 - low)).to_event(1)


class _Turn(NamedTuple):
    """Who comes and who stays from one frame to the next, (..., N)."""

    on: Tensor  # bool
    entering: Tensor  # bool
    settling: Tensor  # bool: whose looks are not settled yet
    age: Tensor  # (..., N, 1) frames since the entrance, -1 of empty slots
    identity: Tensor  # (..., N, 1) of the object that a slot holds, or held last, -1 before any


class PresenceScene(CountedScene):
    """Every frame has objects of its own: presence_t,i ~ N(loc_t,i, 1); slot i holds an object where it is above 0.

    The mean is ``enter`` in an empty slot. Of an object in the frame it is ``stay``; it falls to ``enter`` as the
    predicted place leaves the frame, which is learned. An object is drawn with the intensity clamp(presence, 0, 1).

    Size and description are drawn where a slot is filled. The description then settles for some frames, by a random
    walk: who enters shows only a part. After these, both are constant until the slot is empty. A slot may be filled
    again, by another object: ``identity`` counts the objects of a sequence from 0.

    The count serves training on single frames alone, whose objects are counted as the paper does (:meth:`single`).
    Assign :class:`Binary` to ``law`` for presences of 0 and 1.
    """

    changes = True
    config: PresenceConfig

    def __init__(self, config: PresenceConfig, sizes: Sizes) -> None:
        super().__init__(config, sizes)
        self.sizes, self.law = sizes, Real()
        self._looks = Site("description", sizes.description)
        # Where objects leave, in half sizes beyond the edge, of which 1 shows nothing any more; and how sharply.
        self.border, self.log_slope = (
            nn.Parameter(torch.tensor(0.62)),
            nn.Parameter(torch.tensor(math.log(10.0))),
        )
        self.log_scale = nn.Parameter(torch.tensor(math.log(0.5)))  # of proposed presences; a first guess

    def single(self) -> CountedScene:
        """The scene of frames that are sequences of their own: the paper's, with the same priors."""
        scene = CountedScene(self.config, self.sizes)
        scene.count, scene.size, scene.description = self.count, self.size, self.description
        return scene

    @contextmanager
    def model(self, plates: Plates, anneal: Anneal, known: Objects | None = None) -> Iterator[Objects]:
        """Open the plates; nobody is there before the first frame."""
        del anneal
        with plates.sequences, plates.objects:
            yield self.nobody(plates) if known is None else known

    def nobody(self, plates: Plates) -> Objects:
        """Empty slots (B, N)."""
        empty = self.size().mean.new_zeros(plates.sequences.size, plates.objects.size, 1)
        size, description = (empty + prior().mean for prior in (self.size, self.description))
        return self.seen({"presence": empty - 1, "size": size, "description": description})

    def counted(self, objects: Objects) -> Objects:
        """The objects as they are: each frame says by itself who is there."""
        return objects

    def seen(self, state: State) -> Objects:
        """The objects of the frames of a state."""
        presence = state["presence"].squeeze(-1)
        present = presence > 0
        count = self.count_of(present.sum(-1).to(presence))
        return Objects(count, state["size"], state["description"], presence.clamp(0, 1), present)

    @contextmanager
    def frame(
        self, t: int, objects: Objects, previous: State | None, predict: Predict | None = None
    ) -> Iterator[State]:
        """Draw presence_t, and size_t and description_t of those who enter."""
        before = self.beginning(objects) if previous is None else previous
        presence = draw(PRESENCE, t, self.law(self.outlook(before, None if previous is None else predict)))
        turn = self._turn(before, presence)
        with poutine.mask(mask=turn.entering):
            size = draw(SIZE, t, self.size().expand(turn.on.shape))
        prior, change = (
            self.description().expand(turn.on.shape).base_dist,
            self._change(before["description"]),
        )
        with poutine.mask(mask=turn.settling):
            description = draw(self._looks, t, chosen(turn.entering, prior, change).to_event(1))
        with poutine.mask(mask=turn.on):
            yield _state(before, turn, presence, size, description)

    def beginning(self, objects: Objects) -> State:
        """The state before the first frame."""
        none = torch.full_like(objects.size[..., :1], -1)
        return {
            "presence": none,
            "size": objects.size,
            "description": objects.description,
            "age": none,
            "identity": none,
        }

    def outlook(self, state: State, predict: Predict | None) -> Tensor:
        """Means (..., N, 1) of the next presences."""
        enter, stay = self.config.enter, self.config.stay
        present = state["presence"] > 0
        empty = torch.full_like(state["presence"], enter)
        if predict is None:
            return empty
        beyond = (predict().mean.detach().abs() - 1) / state["size"].detach().clamp(*SIZE_LIMITS)
        gone = torch.sigmoid(self.log_slope.exp() * (beyond.amax(-1, keepdim=True) - self.border))
        return torch.where(present, stay + (enter - stay) * gone, empty)

    def _change(self, looks: Tensor) -> Normal:
        """The density of descriptions that settle, given those of the frame before."""
        return Normal(looks, torch.full_like(looks, self.config.drift))

    def _turn(self, before: State, presence: Tensor) -> _Turn:
        was, on = (values.squeeze(-1) > 0 for values in (before["presence"], presence))
        entering = on & ~was
        new, age = (
            entering.unsqueeze(-1),
            torch.where(on & was, before["age"].squeeze(-1) + 1, on.to(presence) - 1),
        )
        last = before["identity"].amax(-2, keepdim=True)
        identity = torch.where(new, last + new.cumsum(-2), before["identity"])
        return _Turn(on, entering, on & (age < self.config.settle), age.unsqueeze(-1), identity)

    def guide(
        self, t: int, frame: Tensor, before: State, predict: Predict | None, found: Independent,
        attention: Attention, picture: Picture, motion: Motion,
    ) -> tuple[State, Tensor]:  # fmt: skip
        """Propose who is there, from the evidence of a frame for each known object, then for newcomers.

        The evidence of an object is the gain in log p(x) by drawing it; prior odds turn it into a probability. A
        newcomer also has to pay for its size, looks and place, and is looked for in what the others leave of the frame.

        Args:
            t: number of the frame.
            frame: (B, C, H, W).
            before: the state of the frame before.
            predict: makes the motion's density of the known objects' positions; None in the first frame.
            found: q of these positions, batch (..., B, N), event (2,).
            attention: finds and describes newcomers.
            picture: draws objects.
            motion: poses objects.

        Returns:
            the scene's part of the proposed state, and the proposed positions (..., B, N, 2).
        """
        expected = self.outlook(before, predict)
        known = self.seen(before)
        was = known.present
        way = found if predict is None else predict()  # nobody is known in the first frame
        change = self._change(before["description"])
        reach = round(UNSURE * sum(self.sizes.size_loc) / 2 * self.sizes.frame_size)
        view = View(picture, motion, frame.unsqueeze(1), before.get("depth"), change, way.base_dist, reach)
        if predict is not None:
            found = self._followed(view, attention, known, found, predict(), expected)
        with torch.no_grad():
            young = (was & (before["age"].squeeze(-1) + 1 < self.config.settle)).expand(found.batch_shape)
            review = Review(attention, self.config.doubt)
            shown = view.depicted(known, found.mean.detach())
            shown = review(view, shown, young, moving_alike(before, predict))
            likely, drawn = self._weighed(view, shown, above_zero(expected).squeeze(-1))
            rest = (view.frame - view.compose(shown.layers, likely)).clamp(0, 1).squeeze(-4)
        q_size, q_position = (q.base_dist for q in attention.locate(rest))
        lead = found.batch_shape
        size = draw_intermediate(f"size_new_{t}", _expanded(q_size, lead))
        position = draw_intermediate(f"position_new_{t}", _expanded(q_position, lead))
        with torch.no_grad():
            shift = self._registered(view, attention, rest, position, size) - position
        position = position + shift
        q_position = Normal(q_position.loc + shift, q_position.scale)
        q_looks = attention.describe(rest.unsqueeze(-4), position, size).base_dist
        with torch.no_grad():
            cost = (
                kl_divergence(Normal(q_size.loc, q_size.scale).to_event(1), self.size())
                + kl_divergence(q_looks.to_event(1), self.description())
                + kl_divergence(
                    Normal(q_position.loc, q_position.scale).to_event(1), motion.walk(None, position)
                )
            )
            new = Objects(None, size, q_looks.loc)
            more = view.depicted(new, position).layers
            both = torch.cat(torch.broadcast_tensors(shown.layers, more), -4)
            gain = self._newcomers(view, both, drawn, cost)
            order = gain.argsort(-1, descending=True)  # (..., N) candidates, the likeliest first
            was, likely = was.expand_as(order), likely.expand_as(gain)
            rank = (~was).cumsum(-1).sub(1).clamp_min(0)  # of each slot among the empty ones
            slot = order.gather(-1, rank)  # the candidate of each slot, (..., N)
            enters = torch.sigmoid(gain).gather(-1, slot)
            on = torch.where(was, likely, enters).unsqueeze(-1)
            presence = self.config.enter + (self.config.stay - self.config.enter) * on

        def placed(q: Normal, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            index = slot.unsqueeze(-1).expand(value.shape)
            return tuple(x.expand(value.shape).gather(-2, index) for x in (q.loc, q.scale, value))  # type: ignore[return-value]

        empty = (~was).unsqueeze(-1)
        loc, scale, drawn_at = placed(q_position, position)
        known, place = shown.objects, shown.place
        seen = torch.where(young.unsqueeze(-1), place, found.base_dist.loc)
        loc, scale = (
            torch.where(empty, a, b)
            for a, b in (
                (loc, seen),
                (scale, found.base_dist.scale),
            )
        )
        q_place = Drawn(loc, scale, drawn_at, empty).to_event(1)
        apart = view.apart(shown.layers, likely)
        again = attention.describe(apart, place, known.size).base_dist
        with torch.no_grad():
            kept = better(view, shown, drawn, young, again.loc, place)[1]
        again = Normal(torch.where(kept.unsqueeze(-1), again.loc, known.description), again.scale)
        looks = chosen(was, again, Normal(*placed(q_looks, q_looks.loc)[:2])).to_event(1)
        presence = draw(PRESENCE, t, self.law(presence, self.log_scale.exp()))
        size = draw(SIZE, t, Drawn(*placed(q_size, size), empty).to_event(1))
        description = draw(self._looks, t, looks)
        position = draw(POSITION, t, q_place)
        return _state(before, self._turn(before, presence), presence, size, description), position

    def _followed(
        self, view: View, attention: Attention, known: Objects, found: Independent, predicted: Independent,
        expected: Tensor,
    ) -> Independent:  # fmt: skip
        """The finder's places of known objects; the predicted one of an object that has not gone where it was found.

        The transition makes the way there so unlikely, then, that it is likelier that the object has left and that
        another one, of the same looks, has come: a newcomer pays for its looks and its place, whatever the way.

        Args:
            view: the frame.
            attention: describes what is at the places.
            known: the objects of the frame before.
            found: the finder's q of their positions.
            predicted: the motion's density of them.
            expected: means (..., B, N, 1) of their presences.
        """
        with torch.no_grad():
            place = found.mean
            looks = attention.describe(view.frame, place, known.size)
            comes = kl_divergence(looks, self.description()) - self._entrance
            comes = comes + kl_divergence(found, view.motion.walk(None, place))
            leaves = above_zero(expected).clamp(1e-6, 1 - 1e-6).logit().squeeze(-1)
            other = known.present & (kl_divergence(found, predicted) > comes + leaves)
            # as a finder's proposals, without a gradient into the prediction
            stays = Normal(predicted.mean.detach(), predicted.stddev.detach())
        return chosen(other, stays, found.base_dist).to_event(1)

    @property
    def _entrance(self) -> float:
        """Log odds that an empty slot is filled."""
        return float(above_zero(torch.tensor(self.config.enter)).logit())

    def _registered(
        self, view: View, attention: Attention, rest: Tensor, position: Tensor, size: Tensor
    ) -> Tensor:
        """Places (..., N, 2) of newcomers, each registered by itself on what the known objects leave (..., C, H, W)."""
        picture, alone = view.picture, size.movedim(-2, 0).unsqueeze(-2)  # (N, ..., 1, 2)
        whole = alone.new_ones(1, 1)
        for _ in range(self.config.rounds):
            looks = attention.describe(rest.unsqueeze(-4), position, size).mean
            glimpses = picture.decode(looks).movedim(-4, 0).unsqueeze(-4)  # (N, ..., 1, C, G, G)
            objects = Objects(None, alone, looks.movedim(-2, 0).unsqueeze(-2))

            def drawn(place: Tensor, glimpses: Tensor = glimpses, objects: Objects = objects) -> Tensor:
                pose = Pose(place, objects.size, whole, appearance=glimpses.unsqueeze(-5))
                return picture.draw(pose, objects)

            place = position.movedim(-2, 0)[..., None, None, :]  # (N, ..., 1, 1, 2)
            place = register(rest.unsqueeze(-4), drawn, glimpses, place, alone, STEPS)
            position = place[..., 0, 0, :].movedim(0, -2)
        return position

    def _weighed(self, view: View, shown: Depicted, prior: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior probabilities (..., N) of the known objects, each given those decided before; and the decisions."""
        was, drawn, likely = shown.objects.present, shown.there, []
        odds = prior.clamp(1e-6, 1 - 1e-6).logit()
        slots = torch.arange(was.shape[-1], device=was.device)
        best = view.evidence(shown.layers, drawn)  # with all that are drawn
        for i in slots.tolist():
            without = drawn * (slots != i)
            evidence = view.evidence(shown.layers, without)
            chance = torch.sigmoid(odds[..., i] + best - evidence) * was[..., i]
            stays = chance > 0.5
            drawn = torch.where(stays.unsqueeze(-1), drawn, without)
            best = torch.where(stays, best, evidence)
            likely.append(chance)
        return torch.stack(likely, -1), drawn

    def _newcomers(self, view: View, layers: Tensor, drawn: Tensor, cost: Tensor) -> Tensor:
        """Posterior log odds (..., N) of newcomers, each given those that the attention has found before.

        What is left near an object may be an error of its drawing: a pixel there says little.

        Args:
            view: the frame.
            layers: of the known objects, and of the newcomers, (..., 1, 2N, C, H, W).
            drawn: 1 for known objects that are there, (..., N).
            cost: what each newcomer pays, nats, (..., N).
        """
        num_objects, gains = drawn.shape[-1], []
        drawn = torch.cat([drawn, torch.zeros_like(drawn)], -1)
        for i in range(num_objects):
            tried = drawn.clone()
            tried[..., num_objects + i] = 1
            gain = view.gain(layers, drawn, layers, tried) - cost[..., i] + self._entrance
            drawn = torch.where((gain > 0).unsqueeze(-1), tried, drawn)
            gains.append(gain)
        return torch.stack(gains, -1)


def _state(before: State, turn: _Turn, presence: Tensor, size: Tensor, description: Tensor) -> State:
    """The scene's part of a state; values that are not new are those of the frame before."""
    entering, settling = (mask.unsqueeze(-1) for mask in (turn.entering, turn.settling))
    return {
        "presence": presence,
        "steps": presence.clamp(0, 1),
        "size": torch.where(entering, size, before["size"]),
        "description": torch.where(settling, description, before["description"]),
        "age": turn.age,
        "identity": turn.identity,
    }


def above_zero(loc: Tensor) -> Tensor:
    """The probability that N(loc, 1) is above 0."""
    return torch.special.ndtr(loc)


def _expanded(q: Normal, lead: torch.Size) -> Independent:
    """A density with the batch shape ``lead``."""
    shape = (*lead, q.loc.shape[-1])
    return Normal(q.loc.expand(shape), q.scale.expand(shape)).to_event(1)
