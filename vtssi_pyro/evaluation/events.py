"""Metrics of objects that come and go, hide and turn, from tracks alone.

Objects and tracks are paired frame by frame, since no assignment of a first part holds for objects that come later.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vtssi_pyro.evaluation.statistics import mean, standard_error
from vtssi_pyro.tracks.matching import pairs, slot_distances
from vtssi_pyro.tracks.tracks import Tracks

SEEN = 0.5  # share of an object above which a frame shows it; below, it is hidden
# Share of an object below which a tracker may count it or not: a frame shows hardly anything of it.
FAINT = 0.1
WITHIN = 1  # frames after an entrance in which the object must be found
REACH = 10.0  # px: half of a large digit, within which a track finds an object without a box


@dataclass(frozen=True)
class Events:
    """The numbers of one evaluation; None if no value is known."""

    count_per_frame: float | None  # share of frames with the right number of tracks; see judged_counts
    count_per_frame_sem: float | None
    found: float | None  # share of objects and frames, of objects that are seen, with a track
    found_error: float | None  # mean distance of these tracks, px
    entrances: int  # after the first frame
    entrances_found: float | None  # share that has a track in the frame of the entrance or in the next
    occlusions: int  # objects that are seen, then not seen, hidden or outside the frame, and then seen again
    occlusions_found: float | None  # share whose object has a track in the frame before and in that after
    switches_per_occlusion: float | None  # of these, the share whose track is another one after than before
    hidden_error: float | None  # mean distance of the track of a hidden object, px; see hidden_errors
    hidden_straight: float | None  # that of a straight path of constant velocity in these frames, px
    hidden_found: float | None  # share of objects and frames, of hidden objects seen before, with that track
    angle_error: float | None  # mean difference of axes, degrees, from 0 to 90


def eventful(truth: Tracks) -> bool:
    """Tell whether objects come and go, or truth tells how visible or how turned they are."""
    return truth.visible is not None or truth.angle is not None or comes_and_goes(truth)


def comes_and_goes(truth: Tracks) -> bool:
    """Tell whether an object is present in some frames of a sequence and not in others."""
    return bool((truth.present != truth.present[:, :1]).any())


def events(truth: Tracks, found: Tracks) -> Events:
    """Compare tracks with the truth, frame by frame.

    A track finds an object if it is at most half of the longer side of its true box away (without a box,
    :data:`REACH`); each track finds one object, so that as many as possible are found, and of equally many at the least
    distance.

    Args:
        truth: true tracks, (B, T, N, 2), px.
        found: tracks, (B, T, M, 2), px.

    Returns:
        The numbers.
    """
    truth, found = truth.cpu(), found.cpu()
    slots = pairs(truth, found, reach(truth))
    right = judged_counts(truth, found).double()
    sight = seen(truth)
    come, early = entrances(truth), prompt(slots)
    before, after, occluded = occlusions(truth, slots)
    kept = occluded & (before >= 0) & (after >= 0)
    off, straight = hidden_errors(truth, found, slots)
    hidden, followed = ~straight.isnan(), ~off.isnan()
    return Events(
        mean(right),
        standard_error(right),
        mean((slots >= 0)[sight].double()),
        mean(slot_distances(truth, found, slots)[sight]),
        int(come.sum()),
        mean(early[come].double()),
        int(occluded.sum()),
        mean(kept[occluded].double()),
        mean((before != after)[kept].double()),
        mean(off[followed]),
        mean(straight[followed]),
        mean(followed[hidden].double()),
        mean(axis_errors(truth, found, slots).rad2deg()),
    )


def right_counts(truth: Tracks, found: Tracks) -> Tensor:
    """Tell in which frames there are as many tracks as objects, (B, T) bool."""
    return truth.present.cpu().sum(-1) == found.present.cpu().sum(-1)


def judged_counts(truth: Tracks, found: Tracks) -> Tensor:
    """Tell in which frames there are as many tracks as objects, (B, T) bool; those that are :data:`FAINT` are optional.

    Without a truth about visibility, these are :func:`right_counts`.
    """
    present, number = truth.present.cpu(), found.present.cpu().sum(-1)
    clear = present if truth.visible is None else present & (truth.visible.cpu() >= FAINT)
    return (clear.sum(-1) <= number) & (number <= present.sum(-1))


def seen(truth: Tracks) -> Tensor:
    """Tell which objects a frame shows, at least a share of :data:`SEEN` of each, (B, T, N) bool."""
    return truth.present if truth.visible is None else truth.present & (truth.visible >= SEEN)


def entrances(truth: Tracks) -> Tensor:
    """Tell which objects are present that were not so in the frame before, (B, T, N) bool; not of the first frame."""
    come = truth.present.clone()
    come[:, 1:] &= ~truth.present[:, :-1]
    come[:, :1] = False
    return come


def prompt(slots: Tensor, within: int = WITHIN) -> Tensor:
    """Tell which objects have a slot in a frame or in one of the next, (B, T, N) bool.

    Args:
        slots: the slot of each object in each frame, -1 without one, (B, T, N).
        within: number of further frames.
    """
    known = slots >= 0
    late = torch.nn.functional.pad(known, (0, 0, 0, within))
    return torch.stack([late[:, i : i + known.shape[1]] for i in range(within + 1)]).any(0)


def occlusions(truth: Tracks, slots: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find the frames in which objects are seen again.

    Args:
        truth: N objects, (B, T, N, 2), px.
        slots: the slot of each object in each frame, -1 without one, (B, T, N).

    Returns:
        the slot in the last frame in which the object was seen before, -1 without any, the slot now, and whether it is
        seen now, was not so in the frame before, but earlier: (B, T, N) each.
    """
    sight = seen(truth)
    last, time = _last_seen(sight)
    before = slots.gather(1, last.clamp_min(0)).where(last >= 0, -1)
    return before, slots, sight & (last >= 0) & (last < time - 1)


def hidden_errors(truth: Tracks, found: Tracks, slots: Tensor) -> tuple[Tensor, Tensor]:
    """Distances of the tracks of hidden objects, and of straight paths, from where the objects are.

    An object's track is the one that found it when it was last seen. Its straight path has the true velocity between
    the last two frames in which it was seen, which must follow each other.

    Args:
        truth: N objects, (B, T, N, 2), px.
        found: M tracks, (B, T, M, 2), px.
        slots: the slot of each object in each frame, -1 without one, (B, T, N).

    Returns:
        the distances, px, (B, T, N); those of straight paths are NaN unless the object is hidden, those of tracks also
        if there is none in the frame.
    """
    sight = seen(truth)
    last, time = _last_seen(sight)
    begun = last.clamp_min(1)  # the frame of the last sight; one before it there must be another

    def at(values: Tensor, frame: Tensor) -> Tensor:
        index = frame.reshape(*frame.shape, *(1,) * (values.dim() - 3)).expand(
            *frame.shape, *values.shape[3:]
        )
        return values.gather(1, index)

    hidden = truth.present & ~sight & (last >= 1) & at(sight, begun - 1)
    place, before = at(truth.position, begun), at(truth.position, begun - 1)
    straight = place + (place - before) * (time - begun).unsqueeze(-1)
    errors = (straight - truth.position).double().norm(dim=-1).where(hidden, torch.nan)
    own = at(slots, begun).where(hidden, -1)
    return slot_distances(truth, found, own), errors


def axis_errors(truth: Tracks, found: Tracks, slots: Tensor) -> Tensor:
    """Angles between the axes of objects and of their tracks, radians from 0 to pi / 2; an axis has no direction.

    Args:
        truth: N objects, (B, T, N, 2), px.
        found: M tracks, (B, T, M, 2), px.
        slots: the slot of each object in each frame, -1 without one, (B, T, N).

    Returns:
        the angles, (B, T, N); NaN where an object has no slot, or one of the angles is not known.
    """
    if truth.angle is None or found.angle is None or not found.angle.shape[2]:
        return torch.full(slots.shape, torch.nan)
    turned = (found.angle.gather(2, slots.clamp_min(0)) - truth.angle).remainder(math.pi)
    return torch.minimum(turned, math.pi - turned).masked_fill(slots < 0, torch.nan)


def _last_seen(sight: Tensor) -> tuple[Tensor, Tensor]:
    """The last frame before each in which an object was seen, -1 without any, and the frame itself, (B, T, N)."""
    time = torch.arange(sight.shape[1])[:, None].expand_as(sight)
    last = torch.where(sight, time, -1).cummax(1).values.roll(1, 1)
    last[:, :1] = -1
    return last, time


def reach(truth: Tracks) -> Tensor:
    """Largest distance at which a track finds an object, px, (B, T, N)."""
    if truth.box is None:
        return torch.full(truth.present.shape, REACH)
    return truth.box.amax(-1).div(2).nan_to_num(REACH)
