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
from vtssi_pyro.model.ascent import ascended
from vtssi_pyro.model.blocks.air import CountedScene, SceneConfig
from vtssi_pyro.model.interfaces import Attention, Motion, Picture, Predict
from vtssi_pyro.model.kinds import SCENES
from vtssi_pyro.model.newcomers import Search
from vtssi_pyro.model.nn import Block
from vtssi_pyro.model.review import Review, better, moving_alike
from vtssi_pyro.model.sites import POSITION, draw
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.model.view import Depicted, View, extents
from vtssi_pyro.ops.gaussian import Drawn, chosen, put
from vtssi_pyro.ops.packing import Packed, some
from vtssi_pyro.ops.spatial import SIZE_LIMITS
from vtssi_pyro.types import Anneal, Objects, Plates, Site, State

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
    climb: Annotated[
        int,
        Range(0, 1000),
        "Gradient steps by which looks and places of young objects climb the joint density, but in training.",
    ] = 0

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
        # Where objects leave, in half sizes of their tight boxes beyond the edge, of which 1 shows nothing any more,
        # and how sharply. Of 400 drawn sequences of visitors, MOTA is 91.9 with 0.8, 91.8 with 0.9 and 91.5 with 1.
        self.border = nn.Parameter(torch.tensor(0.8))
        self.log_slope = nn.Parameter(torch.tensor(math.log(10.0)))
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
        self,
        t: int,
        objects: Objects,
        previous: State | None,
        picture: Picture,
        predict: Predict | None = None,
    ) -> Iterator[State]:
        """Draw presence_t, and size_t and description_t of those who enter."""
        before = self.beginning(objects) if previous is None else previous
        presence = draw(
            PRESENCE, t, self.law(self.outlook(before, picture, None if previous is None else predict))
        )
        turn = self._turn(before, presence)
        with poutine.mask(mask=turn.entering):
            size = draw(SIZE, t, self.size().expand(turn.on.shape))
        prior = self.description().expand(turn.on.shape).base_dist
        change = self._change(before["description"])
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

    def outlook(self, state: State, picture: Picture, predict: Predict | None) -> Tensor:
        """Means (..., N, 1) of the next presences: an object leaves with its drawn extent, whatever its window."""
        enter, stay = self.config.enter, self.config.stay
        present = state["presence"] > 0
        empty = torch.full_like(state["presence"], enter)
        if predict is None:
            return empty
        offset, size = extents(picture, state)
        beyond = ((predict().mean.detach() + offset).abs() - 1) / size.clamp(*SIZE_LIMITS)
        gone = torch.sigmoid(self.log_slope.exp() * (beyond.amax(-1, keepdim=True) - self.border))
        return torch.where(present, stay + (enter - stay) * gone, empty)

    def _change(self, looks: Tensor) -> Normal:
        """The density of descriptions that settle, given those of the frame before."""
        return Normal(looks, torch.full_like(looks, self.config.drift))

    def _turn(self, before: State, presence: Tensor) -> _Turn:
        was, on = (values.squeeze(-1) > 0 for values in (before["presence"], presence))
        entering = on & ~was
        age = torch.where(on & was, before["age"].squeeze(-1) + 1, on.to(presence) - 1)
        last, new = before["identity"].amax(-2, keepdim=True), entering.unsqueeze(-1)
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
        expected, known = self.outlook(before, picture, predict), self.seen(before)
        was = known.present
        way = found if predict is None else predict()  # nobody is known in the first frame
        view = self._view(frame, before, way, picture, motion)
        if predict is not None:
            found = self._followed(view, attention, known, found, predict(), expected)
        with torch.no_grad():
            young = (was & (before["age"].squeeze(-1) + 1 < self.config.settle)).expand(found.batch_shape)
            review = Review(attention, self.config.doubt)
            shown = view.depicted(known, found.mean.detach())
            shown = review(view, shown, young, moving_alike(before, predict))
            shown = ascended(view, shown, young, self._climb)
            likely, drawn = view.weighed(shown, above_zero(expected).squeeze(-1))
        new = self.search(attention)(t, view, shown, likely, drawn, was).seated(was)
        was = was.expand_as(new.gain)
        empty, on = (~was).unsqueeze(-1), torch.where(was, likely, torch.sigmoid(new.gain))
        again = self._described(view, attention, shown, likely, drawn, young)
        looks = chosen(was, again, new.q_looks)
        seen = torch.where(young.unsqueeze(-1), shown.place, found.base_dist.loc)
        q = chosen(was, Normal(seen, found.base_dist.scale), new.q_position)
        q_place = Drawn(q.loc, q.scale, new.position, empty)
        there = on > 0.5
        if self._climb and some(there & ~was):
            size = torch.where(empty, new.size, shown.objects.size)
            looks, q_place = self._climbed(view, was, there, size, looks, q_place)
        loc = self.config.enter + (self.config.stay - self.config.enter) * on.unsqueeze(-1)
        presence = draw(PRESENCE, t, self.law(loc, self.log_scale.exp()))
        q_size = Drawn(new.q_size.loc, new.q_size.scale, new.size, empty)
        size = draw(SIZE, t, q_size.to_event(1))
        description = draw(self._looks, t, looks.to_event(1))
        position = draw(POSITION, t, q_place.to_event(1))
        return _state(before, self._turn(before, presence), presence, size, description), position

    def _view(self, frame: Tensor, before: State, way: Independent, picture: Picture, motion: Motion) -> View:
        """A frame, and what is expected of the known objects in it: ``way`` of their places."""
        looks = self._change(before["description"])
        reach = round(UNSURE * sum(self.sizes.size_loc) / 2 * self.sizes.frame_size)
        return View(picture, motion, frame.unsqueeze(1), before.get("depth"), looks, way.base_dist, reach)

    def search(self, attention: Attention) -> Search:
        """The search for newcomers by an attention."""
        return Search(self.size(), self.description(), self._entrance, self.config.rounds, attention)

    def _climbed(
        self, view: View, was: Tensor, there: Tensor, size: Tensor, looks: Normal, place: Drawn
    ) -> tuple[Normal, Drawn]:
        """The densities of looks and places once newcomers have climbed the joint density, beside the known objects.

        Args:
            view: the frame.
            was: which slots were filled, bool (..., N).
            there: which are, bool (..., N).
            size: of all objects, (..., N, 2).
            looks: the density of descriptions.
            place: the density of places, of which those of newcomers have been drawn.
        """
        with torch.no_grad():
            entering, at = there & ~was, place.mode
            together = Objects(None, size, looks.loc, there.to(size), there)
            met = view.expecting(was, self.description().base_dist, view.motion.walk(None, at).base_dist)
            settled = ascended(met, met.depicted(together, at), entering, self._climb)
            shift = settled.place - at
        described = torch.where(entering.unsqueeze(-1), settled.objects.description, looks.loc)
        moved = Drawn(place.loc + shift, place.scale, place.value + shift, place.known)
        return Normal(described, looks.scale), moved

    def _described(
        self, view: View, attention: Attention, shown: Depicted, likely: Tensor, drawn: Tensor, young: Tensor
    ) -> Normal:
        """The density of known objects' looks; young ones are described anew, and change if that is better."""
        looks, each = self._change(shown.objects.description), Packed(young)
        if not each:
            return looks
        apart, places = each.of(view.apart(shown.layers, likely), 3), each.of(shown.place, 1)
        again = put(each, looks, attention.describe(apart, places, each.of(shown.objects.size, 1)).base_dist)
        with torch.no_grad():
            kept = better(view, shown, drawn, young, again.loc, shown.place)[1]
        return Normal(torch.where(kept.unsqueeze(-1), again.loc, shown.objects.description), again.scale)

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
            leaves = above_zero(expected).clamp(1e-6, 1 - 1e-6).logit().squeeze(-1) - self._entrance
            far = kl_divergence(found, predicted)
            # of others, looks and place cost even more
            each = Packed((known.present & (far > leaves)).expand(far.shape))
            if not each:
                return found
            place = each.of(found.mean, 1)
            looks = attention.describe(each.of(view.frame, 3), place, each.of(known.size, 1))
            at = Normal(place, each.of(found.stddev, 1)).to_event(1)
            comes = kl_divergence(looks, self.description()) + kl_divergence(
                at, view.motion.walk(None, place)
            )
            other = each.mask & (far - leaves > each.put(torch.zeros_like(far), comes))
            # as a finder's proposals, without a gradient into the prediction
            stays = Normal(predicted.mean.detach(), predicted.stddev.detach())
        return chosen(other, stays, found.base_dist).to_event(1)

    @property
    def _entrance(self) -> float:
        """Log odds that an empty slot is filled."""
        return float(above_zero(torch.tensor(self.config.enter)).logit())

    @property
    def _climb(self) -> int:
        """Steps of a climb; training does without: its bound is that of the networks' guide, and cheaper."""
        return 0 if self.training else self.config.climb


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
