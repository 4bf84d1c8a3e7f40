"""What the objects are, settled on all frames at hand: several readings are tried, the one that explains them is kept.

The consensus reads K frames. Where objects cover each other in just these, it may count too few; where one object is
easier to draw as two halves, too many. So the consensus of other K frames is tried too, and two objects that never part
are tried as one; what a reading is worth is its evidence, by the model itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Self

import pyro
import torch
from pyro import poutine
from pyro.distributions import Distribution, Independent, Normal
from torch import Tensor
from torch.distributions import kl_divergence

from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.program import Tracker
from vtssi_pyro.ops import counting
from vtssi_pyro.ops.spatial import paste
from vtssi_pyro.types import Found, Objects, Plates, State

AWAY = 10.0  # frame coordinates: outside


@dataclass(frozen=True)
class Consensus:
    """q(c), q(s) and q(d) of sequences; indexed by sequences."""

    count: Independent  # batch (B, 1), event (1,)
    size: Independent  # batch (B, N), event (2,)
    description: Independent  # batch (B, N), event (D,)

    @property
    def objects(self) -> Objects:
        """The modes."""
        return Objects(self.count.mode.squeeze(-2), self.size.mode, self.description.mode)

    @property
    def number(self) -> Tensor:
        """Of objects, (B,)."""
        return counting.counted(self.objects.count, self.size.batch_shape[-1])

    def __getitem__(self, chosen: Tensor) -> Self:
        return self._each(lambda q: Normal(q.loc[chosen], q.scale[chosen]))

    def put(self, chosen: Tensor, other: Self) -> Self:
        """With the chosen sequences as another reading of just these has them."""

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
    """A consensus that has been reached before: what it says does not depend on the frames it is shown."""

    reading: Consensus

    def guide(self, air: object, frames: Tensor, plates: Plates) -> tuple[Objects, None]:
        """See :meth:`RECT.guide <vtssi_pyro.model.blocks.rect.RECT.guide>`."""
        with plates.sequences:
            count = pyro.sample("count", self.reading.count)
            with plates.objects:
                size = pyro.sample("size", self.reading.size)
                description = pyro.sample("description", self.reading.description)
        return Objects(count.squeeze(-2), size, description), None


def settle(tracker: Tracker, frames: Tensor, run: int | None = None) -> Settled:
    """The best of several readings of what the objects are, sequence by sequence.

    Args:
        tracker: trained, in evaluation mode, with a consensus of several frames.
        frames: (B, T, H, W), intensities in [0, 1].
        run: how many frames follow each other before the next are from elsewhere; all of them unless told.
    """
    K, tries = tracker.consensus.K, tracker.consensus.tries
    last = max(frames.shape[1] - K, 0)
    starts = sorted({round(last * i / max(tries - 1, 1)) for i in range(tries)})
    with poutine.block(), mode():
        readings = [_read(tracker, frames[:, start : start + K]) for start in starts]
        numbers = torch.stack([reading.number for reading in readings])
        unsure = (numbers != numbers[0]).any(0) | (numbers[0] > 1)
        best = readings[0]
        if unsure.any():
            tried = [reading[unsure] for reading in readings]
            best = best.put(unsure, _best(tracker, frames[unsure], tried, run))
    return Settled(best)


def _best(tracker: Tracker, frames: Tensor, readings: list[Consensus], run: int | None) -> Consensus:
    """The reading with the most evidence, of those given and each with two objects as one."""
    best, most = readings[0], frames.new_full((len(frames),), -torch.inf)
    for reading in readings:
        found, evidence = _explain(tracker, frames, reading, run)
        candidates = [(reading, evidence)]
        if (reading.number > 1).any():
            fewer = _merged(tracker, frames, reading, found)
            candidates.append((fewer, _explain(tracker, frames, fewer, run)[1]))
        for candidate, its in candidates:
            its = its.nan_to_num(nan=-torch.inf)
            better = its > most
            best, most = best.put(better, candidate[better]), its.maximum(most)
    return best


def _read(tracker: Tracker, frames: Tensor) -> Consensus:
    """The consensus of some frames."""
    program = tracker.program()
    trace = poutine.trace(tracker.consensus.guide).get_trace(tracker.air, frames, program.plates(frames))
    return Consensus(*(trace.nodes[f.name]["fn"] for f in fields(Consensus)))


def _explain(
    tracker: Tracker, frames: Tensor, reading: Consensus, run: int | None = None
) -> tuple[Found, Tensor]:
    """Where the objects then are, and the evidence (B,) for them, nats: of the frames, less what the objects cost.

    In the first frame of a run, and where it was away, an object may come from anywhere.
    """
    run = run or frames.shape[1]
    air, objects = tracker.air, reading.objects
    plates, walk = tracker.program().plates(frames), tracker.without_motion().motion
    trace = poutine.trace(tracker.find.guide).get_trace(air, frames, objects, None, plates)
    found = trace.nodes["_RETURN"]["value"]
    here = counting.present(objects.count, found.position.shape[-2])
    glimpses = air.glimpses(objects, found)
    seen = _seen(tracker, frames, glimpses, found, objects, here)  # (B, T, N)
    places = found.position.where(seen.unsqueeze(-1), frames.new_tensor(AWAY))
    left = frames - paste(glimpses * here[..., None, None], places, objects.size, frames.shape[-2:])
    fit = left.square().sum((-3, -2, -1)) / (2 * air.config.noise**2)
    cost = _divergence(reading.count, air.count(0.0)).squeeze(-1)
    for q, p in ((reading.size, air.size()), (reading.description, air.description())):
        cost = cost + (_divergence(q, p) * here).sum(-1)
    state, before = None, torch.zeros_like(seen[..., 0, :])
    for t in range(frames.shape[1]):
        q = trace.nodes[f"position_{t + 1}"]["fn"]
        on, anew = (_divergence(q, walk.walk(s, objects.size)) for s in (state, None))
        cost = cost + (on.where(before & (t % run > 0), anew) * seen[..., t, :]).sum(-1)
        state, before = State(found.position[..., t, :, :], None), seen[..., t, :]
    return found, -(fit + cost)


def _seen(
    tracker: Tracker, frames: Tensor, glimpses: Tensor, found: Found, objects: Objects, here: Tensor
) -> Tensor:
    """In which frames objects are seen (B, T, N): in all, but where FIND follows those that may be hidden or gone."""
    visible = getattr(tracker.find, "visible", None)
    if visible is None:
        return here.unsqueeze(-2).expand(found.position.shape[:-1])
    return visible(frames, glimpses, found.position, objects.size, here) > 0


def _divergence(q: Distribution, p: Distribution) -> Tensor:
    try:
        return kl_divergence(q, p)
    except NotImplementedError:  # a swapped-in prior of another family
        return q.log_prob(q.mode) - p.log_prob(q.mode)


def _merged(tracker: Tracker, frames: Tensor, reading: Consensus, found: Found) -> Consensus:
    """The two objects of a sequence that part least from each other as one; in the first one's slot."""
    air, objects, position = tracker.air, reading.objects, found.position
    num_objects, seen = position.shape[-2], frames[:, : tracker.consensus.K]
    slots = torch.arange(num_objects, device=frames.device)
    rows = torch.arange(len(frames), device=frames.device)
    here = counting.present(objects.count, num_objects)
    offset, box = air.box(objects, found)
    centre = position + offset.unsqueeze(-3)
    first, second, between = _steadiest(centre, here)
    # the tight box of both, around the first one's centre; a box is as many frame coordinates wide to either side
    a, b = box[rows, first], box[rows, second]
    low, high = torch.minimum(-a, between - b), torch.maximum(a, between + b)
    where = centre[rows, : seen.shape[1], first] + (low + high).unsqueeze(-2) / 2  # (B, K, 2)
    windows = (objects.size[rows, first] + objects.size[rows, second]) / 2
    size = torch.maximum(windows, (high - low) / 2)
    d = air.describe(seen, where, size.unsqueeze(-2)).base_dist  # (B, K, D)

    kept = slots + (slots >= second.unsqueeze(-1)).long()  # the slots behind the second move up
    kept = kept.clamp(max=num_objects - 1)
    one = (slots == first.unsqueeze(-1)).unsqueeze(-1)  # (B, N, 1)

    def merged(before: Independent, q: Normal) -> Independent:
        old = before.base_dist.loc[rows[:, None], kept], before.base_dist.scale[rows[:, None], kept]
        new = q.loc.unsqueeze(-2), q.scale.unsqueeze(-2)
        return Normal(*map(partial(torch.where, one), new, old)).to_event(1)

    number = (reading.number - 1).to(size).clamp_min(0.1) / num_objects
    fewer = Consensus(
        Normal(number.logit()[:, None, None], reading.count.base_dist.scale).to_event(1),
        merged(reading.size, Normal(size, reading.size.base_dist.scale[rows, first])),
        merged(reading.description, Normal(d.loc.mean(-2), d.scale.mean(-2))),
    )
    single = here.sum(-1) < 2
    return fewer.put(single, reading[single])


def _steadiest(centre: Tensor, here: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of centres (B, T, N, 2) the two slots (B,), (B,) that move least against each other, and how they lie (B, 2)."""
    num_objects = centre.shape[-2]
    i, j = torch.triu_indices(num_objects, num_objects, 1, device=centre.device)
    between = centre[..., j, :] - centre[..., i, :]  # (B, T, pairs, 2)
    usual = between.median(-3).values
    apart = (between - usual.unsqueeze(-3)).norm(dim=-1).mean(-2)  # (B, pairs)
    pair = apart.where(here[:, i] & here[:, j], torch.full_like(apart, torch.inf)).argmin(-1)
    return i[pair], j[pair], usual[torch.arange(len(pair), device=pair.device), pair]
