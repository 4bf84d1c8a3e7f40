"""The review of known objects: young ones are seen anew, and of two tracks of one object one goes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vtssi_pyro.model.interfaces import Attention, Predict
from vtssi_pyro.model.view import Depicted, View
from vtssi_pyro.ops.packing import Packed, some
from vtssi_pyro.ops.spatial import SIZE_LIMITS
from vtssi_pyro.types import Objects, State

# Half sizes of a window by which the ways of two parts of one object may differ from a frame to the next: of a digit in
# 50 px some 2 px, the least speed of a visitor.
ALIKE = 0.15
# Half sizes of a window within which two objects may be parts of one: of young ones, which show parts, two windows that
# touch; of others, which show the whole, a quarter of a window, with which two tracks of one object begin.
NEAR, SAME = 2.0, 0.5


@dataclass(frozen=True)
class Review:
    """The review of a frame's known objects.

    Args:
        attention: sees young ones anew.
        doubt: evidence that may be lost where one object takes the place of two, nats.
    """

    attention: Attention
    doubt: float

    def __call__(self, view: View, shown: Depicted, young: Tensor, alike: Tensor) -> Depicted:
        """Known objects after a review of the young and of the close ones.

        Args:
            view: the frame.
            shown: the known objects.
            young: whose looks are not settled, bool (..., N).
            alike: which two move alike, bool (..., N, N); see :func:`moving_alike`.
        """
        shown = self.settled(view, shown, young)
        return self.single(view, shown, close(shown.objects, shown.place, young, alike), young)

    def settled(self, view: View, shown: Depicted, young: Tensor) -> Depicted:
        """Known objects; the attention sees young ones anew, in what the others leave of the frame.

        What it sees is kept if it lies within an object's size, and is better: see :func:`better`.
        """
        each = Packed(young)
        if not each:
            return shown
        known, place = shown.objects, shown.place
        apart = each.of(view.apart(shown.layers, shown.there), 3)  # (P, C, H, W)
        size, at = each.of(known.size, 1), each.of(place, 1)
        seen = self.attention.locate(apart)[1].mean  # (P, N', 2)
        far = ((seen - at.unsqueeze(-2)).abs() / size.clamp(*SIZE_LIMITS).unsqueeze(-2)).amax(-1)
        nearest = far.argmin(-1, keepdim=True)  # (P, 1)
        near = far.gather(-1, nearest).squeeze(-1) < 1
        new = seen.gather(-2, nearest.unsqueeze(-1).expand(*nearest.shape, 2)).squeeze(-2)
        looks = self.attention.describe(apart, new, size).mean
        tried = each.put(torch.zeros_like(young), near)
        other, where = each.put(known.description, looks), each.put(place, new)
        return better(view, shown, shown.there, tried, other, where)[0]

    def single(self, view: View, shown: Depicted, close: Tensor, young: Tensor) -> Depicted:
        """Known objects without those close ones without which the others explain as much of the frame.

        Young ones are seen anew for that. Two halves of an object that has just come are thus one again, and so are two
        tracks of one object, whatever their age; the evidence lost may be as much as ``doubt``. Of a frame's objects
        the last one goes first; those before it are then tried without it.

        Args:
            view: the frame.
            shown: the known objects.
            close: which two may be parts of one, bool (..., N, N).
            young: whose looks are not settled, bool (..., N).
        """
        slots = torch.arange(young.shape[-1], device=young.device)
        renewed = waiting = close.any(-1)
        renewed = renewed & young
        for _ in slots:
            each = Packed(waiting)
            if not each:
                break
            scenes, one = each.rows(), each.index[-1]
            own, before = view.of(scenes), shown.of(scenes)
            present = before.objects.present & (slots != one.unsqueeze(-1))  # (P, N)
            rest = before._replace(objects=before.objects._replace(present=present))
            after = self.settled(own, rest, scenes.of(renewed, 1) & present)
            moved = ((after.place != before.place).any(-1) & present).any(-1)
            lost = own.gain(after.layers, rest.there, before.layers, before.there)
            gone = (moved | ~each.of(young, 0)) & (lost < self.doubt)
            if not some(gone):
                break
            last = torch.where(each.put(torch.zeros_like(waiting), gone), slots, -1).amax(-1)  # (...,)
            number = each.put(
                torch.zeros_like(waiting, dtype=one.dtype), torch.arange(len(one), device=one.device)
            )
            scene = number.gather(-1, last.clamp_min(0).unsqueeze(-1)).squeeze(-1)
            shown = _chosen(last >= 0, after.at(scene), shown)
            there = shown.objects.present
            beside = there & (close & there.unsqueeze(-2)).any(-1)
            waiting = (slots < last.unsqueeze(-1)) & beside
        return shown


def _chosen(where: Tensor, one: Depicted, other: Depicted) -> Depicted:
    """The objects ``one`` where a mask (...,) holds, else the ``other``, of the same sizes."""

    def chosen(first: Tensor, second: Tensor, own: int) -> Tensor:
        return torch.where(where[(..., *(None,) * own)], first, second)

    objects = other.objects._replace(
        description=chosen(one.objects.description, other.objects.description, 2),
        present=chosen(one.objects.present, other.objects.present, 1),
    )
    return Depicted(objects, chosen(one.place, other.place, 2), chosen(one.layers, other.layers, 5))


def moving_alike(before: State, predict: Predict | None) -> Tensor:
    """Which objects move alike, (..., N, N), as parts of one do, as far as the motion of both is known."""
    fresh = before["age"] < 1  # (..., N, 1): its place is known from one frame
    unknown = fresh | fresh.mT
    if predict is None:
        return unknown
    way = (predict().mean - before["position"]) / before["size"].clamp(*SIZE_LIMITS)
    return unknown | ((way.unsqueeze(-2) - way.unsqueeze(-3)).abs().amax(-1) < ALIKE)


def close(known: Objects, place: Tensor, young: Tensor, alike: Tensor) -> Tensor:
    """Which two objects (..., N, N) may be parts of one: they move alike, and are as near as their ages ask for."""
    size = known.size.clamp(*SIZE_LIMITS).unsqueeze(-2)
    apart = ((place.unsqueeze(-2) - place.unsqueeze(-3)).abs() / size).amax(-1)
    there, fresh = (mask.unsqueeze(-1) & mask.unsqueeze(-2) for mask in (known.present, young))
    reach = torch.where(fresh, NEAR, torch.full_like(apart, SAME))
    itself = torch.eye(place.shape[-2], dtype=torch.bool, device=place.device)
    return there & (apart < reach) & alike & ~itself


def better(
    view: View, shown: Depicted, there: Tensor, tried: Tensor, looks: Tensor, where: Tensor
) -> tuple[Depicted, Tensor]:
    """Objects with other looks at other places where these are likelier, each beside those changed before it.

    The joint density decides, of the frame and of looks and places given the frame before: a look that fits the part of
    an object which the frame shows does not replace one that fits the whole as well.

    Args:
        view: the frame.
        shown: the objects as they are.
        there: their shares, (..., N).
        tried: which of them may change, bool (..., N).
        looks: the other descriptions, (..., N, D).
        where: the other places, (..., N, 2).

    Returns:
        the objects, and which of them have changed, bool (..., N).
    """
    rows, unchanged = Packed(tried.any(-1)), torch.zeros_like(tried)
    if not rows:
        return shown, unchanged
    slots = torch.arange(tried.shape[-1], device=tried.device)
    own, now, share = view.of(rows), shown.of(rows), rows.of(there, 1)
    may, looks_, where_ = rows.of(tried, 1), rows.of(looks, 2), rows.of(where, 2)
    other = own.depicted(now.objects._replace(description=looks_), where_).layers
    gain = own.expected(looks_, where_) - own.expected(now.objects.description, now.place)
    layers, kept, before = now.layers, torch.zeros_like(may), own.evidence(now.layers, share)
    for i in range(tried.shape[-1]):
        if not some(may[..., i]):
            continue
        mine = may & (slots == i)
        after = own.evidence(torch.where(mine[..., None, :, None, None, None], other, layers), share)
        wins = mine & (after + gain[..., i] > before).unsqueeze(-1)
        layers = torch.where(wins[..., None, :, None, None, None], other, layers)
        before, kept = torch.where(wins.any(-1), after, before), kept | wins
    kept = rows.put(unchanged, kept)
    change = kept.unsqueeze(-1)
    objects = shown.objects._replace(description=torch.where(change, looks, shown.objects.description))
    changed = Depicted(objects, torch.where(change, where, shown.place), rows.put(shown.layers, layers))
    return changed, kept
