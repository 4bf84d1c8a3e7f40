"""Selection among several hypotheses about a scene's objects, by their evidence on all frames.

The consensus reads K frames. It may count too few objects if they cover each other in these frames, and too many if one
object is easier to draw as two halves. The hypotheses are therefore:

- the consensus of the first K frames, and those of other frames;
- each of these with two of its objects merged into one;
- that of the first K frames with one more object, and with each object described without the others;
- where objects can be hidden, the best one with each object described in the frames that show most of it.

The one with the most evidence under the model is kept.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Self

import pyro
import torch
from pyro import poutine
from pyro.distributions import Distribution, Independent, Normal
from torch import Tensor
from torch.distributions import kl_divergence

from vtssi_pyro.inference.confidence import counted_pose
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.interfaces import Attention, Scene, looks
from vtssi_pyro.model.program import Program, stacked
from vtssi_pyro.model.sites import POSITION, draw
from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.ops import counting
from vtssi_pyro.types import Appearance, Detections, Latents, Objects, Plates, Pose

# A frame describes an object if it shows at least this share of the most that any frame shows of it; a guess.
IN_SIGHT = 0.95


@dataclass(frozen=True)
class Hypothesis:
    """q(c), q(s) and q(d) of sequences; an index selects sequences."""

    count: Independent  # batch (B, 1), event (1,)
    size: Independent  # batch (B, N), event (2,)
    description: Independent  # batch (B, N), event (D,)

    @property
    def objects(self) -> Objects:
        """The modes of the objects."""
        return Objects(self.count.mode.squeeze(-2), self.size.mode, self.description.mode)

    @property
    def number(self) -> Tensor:
        """The number of objects, (B,)."""
        return counting.counted(self.objects.count, self.size.batch_shape[-1])

    def __getitem__(self, chosen: Tensor) -> Self:
        return self._each(lambda q: Normal(q.loc[chosen], q.scale[chosen]))

    def put(self, chosen: Tensor, other: Self) -> Self:
        """Replace the chosen sequences by those of another hypothesis, which holds only these."""

        def put(q: Normal, new: Normal) -> Normal:
            loc, scale = q.loc.clone(), q.scale.clone()
            loc[chosen], scale[chosen] = new.loc, new.scale
            return Normal(loc, scale)

        return self._each(put, other)

    def _each(self, change: Callable[..., Normal], *others: Self) -> Self:
        parts = ((getattr(x, f.name).base_dist for x in (self, *others)) for f in fields(self))
        return type(self)(*(change(*qs).to_event(1) for qs in parts))


@dataclass(frozen=True)
class Settled:
    """A consensus that was reached before, whatever the frames of the call."""

    hypothesis: Hypothesis
    first: Independent | None = None  # q of the first position, if the consensus proposes one
    config: Any = None
    K: int = 1

    def guide(self, attention: Attention, frames: Tensor, plates: Plates) -> tuple[Objects, Tensor | None]:
        """See :meth:`RECT.guide <vtssi_pyro.model.blocks.rect.RECT.guide>`."""
        del attention, frames
        with plates.sequences:
            count = pyro.sample("count", self.hypothesis.count)
            with plates.objects:
                size = pyro.sample("size", self.hypothesis.size)
                first = None if self.first is None else draw(POSITION, 1, self.first)
                description = pyro.sample("description", self.hypothesis.description)
        return Objects(count.squeeze(-2), size, description), first


def select_hypothesis(
    tracker: Tracker, program: Program, frames: Tensor, number: int, run: int | None = None
) -> Settled:
    """Select the best of several hypotheses about the objects, sequence by sequence.

    Args:
        tracker: a trained tracker in evaluation mode.
        program: the tracker's program at test time.
        frames: (B, T, C, H, W), intensities in [0, 1].
        number: number of consensuses to try, of evenly spread frames.
        run: number of frames in a run of neighbours; None: all frames are one run.
    """
    parts = _parts(frames.shape[1], tracker.consensus.K, number)
    with poutine.block(), mode():
        read, first = zip(*(_read(program, frames[:, part]) for part in parts), strict=True)
        if first[0] is not None:  # the consensus is that of the first frame: other frames are no hypotheses
            return Settled(read[0], first[0])
        numbers = torch.stack([hypothesis.number for hypothesis in read])
        seen, unsure = (numbers > 0).any(0), (numbers != numbers[0]).any(0) | (numbers[0] > 1)
        best = read[0]
        for chosen, tried in ((seen & ~unsure, read[:1]), (unsure, read)):
            if number > 1 and chosen.any():
                its = [hypothesis[chosen] for hypothesis in tried]
                best = best.put(chosen, _best(tracker, program, frames[chosen], its, run))
    return Settled(best)


def _parts(total: int, K: int, number: int) -> list[slice]:
    """The first K frames, and others, evenly spread: K each, or one each where K would be mostly the same."""
    last, others = max(total - K, 0), number - 1
    if 2 * last >= K * others:
        return [
            slice(start, start + K) for start in (round(last * i / max(others, 1)) for i in range(number))
        ]
    single = sorted({round((total - 1) * i / max(others - 1, 1)) for i in range(others)})
    return [slice(0, K), *(slice(t, t + 1) for t in single)]


def _best(
    tracker: Tracker, program: Program, frames: Tensor, hypotheses: list[Hypothesis], run: int | None
) -> Hypothesis:
    """The hypothesis with the most evidence, among the given ones and their alternatives."""
    best, most = hypotheses[0], frames.new_full((len(frames),), -torch.inf)

    def weigh(hypothesis: Hypothesis, chosen: Tensor) -> Detections:
        """Explain chosen sequences by a hypothesis about these, and keep it where it has more evidence."""
        nonlocal best
        found, evidence = log_evidence(tracker, program, frames[chosen], hypothesis, run)
        evidence = evidence.nan_to_num(nan=-torch.inf)
        better = torch.zeros_like(chosen)
        better[chosen] = evidence > most[chosen]
        most[chosen] = evidence.maximum(most[chosen])
        best = best.put(better, hypothesis[better[chosen]])
        return found

    def weigh_merged(hypothesis: Hypothesis, chosen: Tensor) -> tuple[Tensor, Hypothesis, Detections]:
        """Weigh a hypothesis, and with two objects as one; returns the sequences in which it has several."""
        found, several = weigh(hypothesis, chosen), hypothesis.number > 1
        its, where = hypothesis[several], _of(found, several)
        chosen = chosen.masked_scatter(chosen, several)
        if several.any():
            weigh(_merged(tracker, frames[chosen], its, where), chosen)
        return chosen, its, where

    everywhere = torch.ones(len(frames), dtype=torch.bool, device=frames.device)
    for hypothesis in hypotheses[1:]:
        weigh_merged(hypothesis, everywhere)
    more, room = _with_one_more(tracker, hypotheses[0])
    for hypothesis, chosen in ((hypotheses[0], everywhere), (more[room], room)):  # that of the first frames
        if chosen.any():
            several, its, where = weigh_merged(hypothesis, chosen)
            if several.any():
                weigh(_described_apart(tracker, frames[several], its, where), several)
    if tracker.picture.sites:  # objects that may be hidden are described where they are seen
        some = best.number > 0
        if some.any():
            found = log_evidence(tracker, program, frames[some], best[some], run)[0]
            weigh(_described_in_sight(tracker, frames[some], best[some], found), some)
    return best


def _read(program: Program, frames: Tensor) -> tuple[Hypothesis, Independent | None]:
    """The consensus of some frames, and q of the first position if the consensus proposes one."""
    trace = poutine.trace(program.consensus.guide).get_trace(
        program.attention, frames, program.plates(frames)
    )
    first = trace.nodes.get(POSITION.at(1))
    return Hypothesis(*(trace.nodes[f.name]["fn"] for f in fields(Hypothesis))), first and first["fn"]


def log_evidence(
    tracker: Tracker, program: Program, frames: Tensor, hypothesis: Hypothesis, run: int | None = None
) -> tuple[Detections, Tensor]:
    """Compute the objects' places and the evidence (B,) of a hypothesis, nats: likelihood less the objects' KL terms.

    The evidence is the ELBO, at the modes, of the program with this hypothesis as its consensus and a random walk as
    its motion. In the first frame of a run, and after it was hidden, an object may appear anywhere.

    Args:
        tracker: a trained tracker.
        program: the tracker's program, whose finder searches for the objects.
        frames: (B, T, C, H, W), intensities in [0, 1].
        hypothesis: the hypothesis about these sequences.
        run: number of frames in a run of neighbours; None: all frames are one run.
    """
    picture = program.picture
    alone = replace(program, consensus=Settled(hypothesis), motion=tracker.walk())
    with mode():
        latents = alone.guide(frames)
    objects, states, position = latents.objects, stacked(latents.states), latents.position
    appearance = looks(picture, objects, latents.chain.found.appearance)
    visible = program.finder.visible(frames, appearance.glimpses, position, objects) > 0  # (B, T, N)
    pose = program.motion.pose(objects, states, objects.present.to(position))
    shown = (visible & objects.present.unsqueeze(-2)).to(position)
    pose = pose._replace(presence=shown, appearance=appearance.glimpses.unsqueeze(-5))
    if picture.sites:
        pose = picture.ordered(frames, picture.layers(pose, objects), pose)
    fit = picture.likelihood(picture.draw(pose, objects)).log_prob(frames).sum(-1)
    walks = _costs_of_walks(tracker, latents, visible, run or frames.shape[1])
    cost = sum(walks, _cost_of_objects(hypothesis, program.scene, objects))
    return Detections(position, appearance), fit - cost


def _cost_of_objects(hypothesis: Hypothesis, scene: Scene, objects: Objects) -> Tensor:
    """KL (B,), nats, of a hypothesis' count, and of sizes and descriptions of the objects that it counts."""
    cost = _divergence(hypothesis.count, scene.count(0.0)).squeeze(-1)
    for density, prior in ((hypothesis.size, scene.size()), (hypothesis.description, scene.description())):
        cost = cost + (_divergence(density, prior) * objects.present).sum(-1)
    return cost


def _costs_of_walks(tracker: Tracker, latents: Latents, visible: Tensor, run: int) -> Iterator[Tensor]:
    """KL (B,) of the visible (B, T, N) objects' positions, nats, frame by frame; the walk starts anew in each run."""
    walk, size, position = tracker.walk(), latents.objects.size, latents.position
    place, before = None, torch.zeros_like(visible[..., 0, :])
    for t in range(visible.shape[-2]):
        q, now = latents.densities[POSITION.at(t + 1)], visible[..., t, :]
        on, anew = (_divergence(q, walk.walk(p, size)) for p in (place, None))
        yield (on.where(before & (t % run > 0), anew) * now).sum(-1)
        place, before = position[..., t, :, :], now


def _divergence(q: Distribution, p: Distribution) -> Tensor:
    try:
        return kl_divergence(q, p)
    except NotImplementedError:  # a swapped-in prior of another family
        return q.log_prob(q.mode) - p.log_prob(q.mode)


def _with_one_more(tracker: Tracker, hypothesis: Hypothesis) -> tuple[Hypothesis, Tensor]:
    """Count one object more, of which each slot holds a size and a description; and whether there is room, (B,)."""
    room = hypothesis.number < tracker.scene.num_objects
    return replace(hypothesis, count=_counting(tracker, hypothesis, hypothesis.number + room)), room


def _counting(tracker: Tracker, hypothesis: Hypothesis, number: Tensor) -> Independent:
    """The hypothesis' q(c), moved to where it counts another number (B,) of objects."""
    scale = hypothesis.count.base_dist.scale
    return Normal(tracker.scene.count_of(number.to(scale)).unsqueeze(-1), scale).to_event(1)


def _of(found: Detections, chosen: Tensor) -> Detections:
    """The detections in chosen sequences."""
    assert found.appearance is not None
    glimpses, (offset, size) = found.appearance
    return Detections(found.position[chosen], Appearance(glimpses[chosen], (offset[chosen], size[chosen])))


def _described_apart(
    tracker: Tracker, frames: Tensor, hypothesis: Hypothesis, found: Detections
) -> Hypothesis:
    """Describe each object by what the others leave of the first K frames, at the places where they were found."""
    first = slice(tracker.consensus.K)
    frames, found = frames[:, first], found._replace(position=found.position[:, first])
    objects, layers, pose = _rendered(tracker, frames, hypothesis, found)
    left = (frames.unsqueeze(-4) - tracker.picture.others(layers, pose)).clamp(0, 1)  # (B, K, N, C, H, W)
    q = tracker.attention.describe(left, found.position, objects.size.unsqueeze(-3)).base_dist
    return replace(hypothesis, description=Normal(q.loc.mean(-3), q.scale.mean(-3)).to_event(1))


def _described_in_sight(
    tracker: Tracker, frames: Tensor, hypothesis: Hypothesis, found: Detections
) -> Hypothesis:
    """Describe each object by the mean of the frames that hide least of it, as far as they show it."""
    picture = tracker.picture
    objects, layers, pose = _rendered(tracker, frames, hypothesis, found)
    clear, own = picture.clear(layers, pose), layers[..., : picture.channels, :, :]
    seen = own if clear is None else own * clear
    left = ((frames - picture.compose(layers, pose)).unsqueeze(-4) + seen).clamp(0, 1)  # (B, T, N, C, H, W)
    share = (own * seen).sum((-3, -2, -1)) / own.square().sum((-3, -2, -1)).clamp_min(1e-6)  # (B, T, N)
    weight = (share >= IN_SIGHT * share.amax(-2, keepdim=True)).to(share).unsqueeze(-1)
    q = tracker.attention.describe(left, found.position, objects.size.unsqueeze(-3)).base_dist
    loc, scale = ((value * weight).sum(-3) / weight.sum(-3) for value in (q.loc, q.scale))
    return replace(hypothesis, description=Normal(loc, scale).to_event(1))


def _rendered(
    tracker: Tracker, frames: Tensor, hypothesis: Hypothesis, found: Detections
) -> tuple[Objects, Tensor, Pose]:
    """The counted objects, their layers where they were found, and their pose, in the order that suits the frames."""
    objects, picture = tracker.scene.counted(hypothesis.objects), tracker.picture
    states = {POSITION.name: found.position}
    pose = counted_pose(tracker, objects, states, looks(picture, objects, found.appearance))
    layers = picture.layers(pose, objects)
    return objects, layers, picture.ordered(frames, layers, pose)


def _merged(tracker: Tracker, frames: Tensor, hypothesis: Hypothesis, found: Detections) -> Hypothesis:
    """Merge the two objects of a sequence that part least from each other, in the first one's slot."""
    objects, position = tracker.scene.counted(hypothesis.objects), found.position
    appearance: Appearance | None = found.appearance
    assert appearance is not None
    num_objects, seen = position.shape[-2], frames[:, : tracker.consensus.K]
    slots = torch.arange(num_objects, device=frames.device)
    rows = torch.arange(len(frames), device=frames.device)
    present = objects.present
    offset, box = appearance.box
    centre = position + offset.unsqueeze(-3)
    first, second, between = _steadiest(centre, present)
    # the tight box of both, around the first one's centre; a box is as many frame coordinates wide to either side
    a, b = box[rows, first], box[rows, second]
    low, high = torch.minimum(-a, between - b), torch.maximum(a, between + b)
    where = centre[rows, : seen.shape[1], first] + (low + high).unsqueeze(-2) / 2  # (B, K, 2)
    windows = (objects.size[rows, first] + objects.size[rows, second]) / 2
    size = torch.maximum(windows, (high - low) / 2)
    d = tracker.attention.describe(seen, where, size.unsqueeze(-2)).base_dist  # (B, K, D)

    kept = slots + (slots >= second.unsqueeze(-1)).long()  # the slots behind the second move up
    kept = kept.clamp(max=num_objects - 1)
    one = (slots == first.unsqueeze(-1)).unsqueeze(-1)  # (B, N, 1)

    def merged(before: Independent, q: Normal) -> Independent:
        old = before.base_dist.loc[rows[:, None], kept], before.base_dist.scale[rows[:, None], kept]
        new = q.loc.unsqueeze(-2), q.scale.unsqueeze(-2)
        return Normal(*map(partial(torch.where, one), new, old)).to_event(1)

    fewer = Hypothesis(
        _counting(tracker, hypothesis, hypothesis.number - 1),
        merged(hypothesis.size, Normal(size, hypothesis.size.base_dist.scale[rows, first])),
        merged(hypothesis.description, Normal(d.loc.mean(-2), d.scale.mean(-2))),
    )
    single = present.sum(-1) < 2
    return fewer.put(single, hypothesis[single])


def _steadiest(centre: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find the two slots (B,), (B,) of centres (B, T, N, 2) with the least relative motion, and their offset (B, 2)."""
    num_objects = centre.shape[-2]
    i, j = torch.triu_indices(num_objects, num_objects, 1, device=centre.device)
    between = centre[..., j, :] - centre[..., i, :]  # (B, T, pairs, 2)
    usual = between.median(-3).values
    drift = (between - usual.unsqueeze(-3)).norm(dim=-1).mean(-2)  # (B, pairs)
    pair = drift.where(present[:, i] & present[:, j], torch.full_like(drift, torch.inf)).argmin(-1)
    return i[pair], j[pair], usual[torch.arange(len(pair), device=pair.device), pair]
