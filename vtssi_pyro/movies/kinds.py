"""Kinds of objects: how many of which size a movie's frames show at once, from the regions of each."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from vtssi_pyro.movies.regions import EDGE, Regions

# Of the logarithm of widths: objects of one kind differ by a tenth, and outlines are half a pixel off.
ALIKE, PIXEL = 0.1, 0.6
# Two kinds are two if regions between them are so much rarer than those of the rarer kind.
VALLEY = 0.5
SPECK = 3.0  # px: smaller regions are noise, and not worth a word
# Quantile of the frames' numbers of regions from which on frames tell the objects' size: objects that touch are one
# region, larger than any of them, and fewer then.
APART = 0.75
MOST = 0.95  # quantile of the frames' numbers of objects that counts as the largest: a frame in 20 may show specks, too
LEAST = 0.1  # quantile that counts as the least number: in a tenth of the frames, one object may hide another
SEEN = 0.5  # share of the frames that show a kind; what fewer show passes by, or is a part of others now and then
# Least number of a kind's objects in four of five frames, as a share of the largest; else these are some that touch.
LASTING = 0.5
LONGER = 1.25  # ratio of axes, to that of single objects, from which on a region is of two that touch
JOINED = (
    4.0  # times the area of the usual object that a region of touching ones may have, unless they are a crowd
)
PARTS = 0.8  # share of a kind's regions that are at the edge of larger ones, if they are parts of these
WEAKER = 0.7  # contrast, to that of others, of companions: shadows and reflections
FOUND = 0.3  # least share of the objects that a frame may show for their number to be known
DISC = 0.93  # mean contrast of a disc's region, to that of its brightest third
ALMOST = 0.85  # the same of a spot, from which on it differs too little from a disc's to tell
UNLIKE = 0.5  # of the usual width: seven of ten regions of one kind differ less, those that touch left out
FINE = 3.5  # px: a quarter of smaller sizes is less than a pixel, by which outlines of faint objects are off
FLICKER = 0.4  # share of the objects that may be away in half of the frames without a doubt
LEAVING = (
    0.03  # share of a kind's regions that the border cuts, from which on objects are away since they leave
)
FOLLOWS = 0.7  # share of the regions that must be where their company tells


Group = tuple[float, float]  # px, least and largest width


class Kind(NamedTuple):
    """Objects of about one size."""

    number: int  # largest number at once
    fewest: int  # least number at once
    size: float  # px, longer side of the box around one
    low: float  # px, least width of regions that are single objects
    high: float  # px, largest width
    edged: bool  # whether regions reach to the objects' edges, or end where noise hides the rest

    def of(self, found: Regions) -> Regions:
        """The regions that are single objects of this kind."""
        return found.chosen((found.width >= self.low) & (found.width < self.high))


class Told(NamedTuple):
    """What regions of many frames tell."""

    kinds: tuple[Kind, ...]  # the smallest first
    doubts: tuple[str, ...]  # for people


def told(frames: list[Regions], least: float) -> Told:
    """Tell kinds of objects from regions.

    Args:
        frames: the regions of each of some frames.
        least: the contrast above which they were found.
    """
    groups = _grouped(frames)
    counts = [_counts(frames, group, len(groups) == 1) for group in groups]
    lasting = [_lasts(frames, groups, counts, k) for k in range(len(groups))]
    kept = [group for group, lasts in zip(groups, lasting, strict=True) if lasts]
    uppers = [*(group[0] for group in kept), np.inf][1:]
    made = [_kind(frames, group, upper, least) for group, upper in zip(kept, uppers, strict=True)]
    left = [
        group
        for group, lasts, count in zip(groups, lasting, counts, strict=True)
        if not lasts and np.median(count) > 0
    ]
    return Told(tuple(made), tuple(_doubts(frames, made, left)))


def _doubts(frames: list[Regions], made: list[Kind], left: list[Group]) -> list[str]:
    """Tell what makes numbers and sizes uncertain."""
    lines = [
        f"regions from {low:.0f} pixels on are taken for parts of larger objects, or for some that touch"
        for low, _ in left
    ]
    for kind in made:
        own = [kind.of(found) for found in frames]
        low, middle, high = np.quantile(np.concatenate([found.width for found in own]), (0.1, 0.5, 0.8))
        if high - low > UNLIKE * middle:
            lines.append(
                f"objects of about {kind.size:.0f} pixels differ much in size, as parts of larger ones would"
            )
        usual = float(np.median([len(found) for found in own]))
        whole = np.concatenate([found.cut for found in own]).mean() < LEAVING
        if whole and kind.number - usual > max(FLICKER * kind.number, 1):
            lines.append(
                f"mostly {usual:.0f} of {kind.number} objects of about {kind.size:.0f} pixels are seen, not all"
            )
    return lines


def too_fine(made: Sequence[Kind]) -> list[str]:
    """Tell of which kinds the size is uncertain since a pixel is a large part of it."""
    return [
        f"objects of about {kind.size:.0f} pixels are hardly larger than a pixel, which size is off by"
        for kind in made
        if kind.size < FINE
    ]


def _grouped(frames: list[Regions]) -> list[Group]:
    """Divide widths at the valleys of their density, the smallest first."""
    widths = np.concatenate([found.width[~found.cut] for found in frames])
    if not len(widths):
        widths = np.concatenate([found.width for found in frames])
    if not len(widths):
        return []
    grid = np.arange(np.log(widths.min()) - 0.5, np.log(widths.max()) + 0.5, 0.02)
    wide = np.hypot(ALIKE, PIXEL / widths)
    density = np.zeros(len(grid))
    for part in np.array_split(np.arange(len(widths)), len(widths) // 1000 + 1):  # memory
        away = (grid[:, None] - np.log(widths[part])) / wide[part]
        density += (np.exp(-0.5 * away**2) / wide[part]).sum(1)
    peaks = [k for k in range(1, len(grid) - 1) if density[k - 1] < density[k] >= density[k + 1]]
    edges, last = [0.0], peaks[0]
    for peak in peaks[1:]:
        valley = last + int(np.argmin(density[last : peak + 1]))
        if density[valley] < VALLEY * min(density[last], density[peak]):
            edges.append(float(np.exp(grid[valley])))
            last = peak
        elif density[peak] > density[last]:
            last = peak
    return list(zip(edges, [*edges[1:], np.inf], strict=True))


def _of(found: Regions, group: Group) -> np.ndarray:
    return (found.width >= group[0]) & (found.width < group[1])


def _counts(frames: list[Regions], group: Group, alone: bool) -> np.ndarray:
    """Numbers of a group's regions in each frame; what the border cuts counts if no region is of another group."""
    return np.array([(_of(found, group) & (alone | ~found.cut)).sum() for found in frames])


def _lasts(frames: list[Regions], groups: list[Group], counts: list[np.ndarray], k: int) -> bool:
    """Whether a group is of objects, and neither of specks, nor of parts of larger ones, nor of some that touch."""
    group, count = groups[k], counts[k]
    whole = np.concatenate([found.size[_of(found, group)] for found in frames])
    if not len(whole) or (np.median(whole) < SPECK and np.median(count) == 0):
        return False
    if len(groups) == 1:
        return True
    if (count > 0).mean() < SEEN and count.sum() < max(map(np.sum, counts)):
        return False
    larger = [found.chosen(found.width >= group[1]) for found in frames]
    own = [found.chosen(_of(found, group)) for found in frames]
    beside = [_beside(small, large) for small, large in zip(own, larger, strict=True)]
    if np.concatenate(beside).mean() > PARTS:
        return False
    for smaller in range(k):
        if counts[smaller].sum() < counts[k].sum():
            continue
        of = [found.chosen(_of(found, groups[smaller]) & ~found.cut) for found in frames]
        single = np.concatenate([found.slender for found in of])
        joined = np.concatenate([found.slender for found in own])
        area = np.median(np.concatenate([f.area for f in own])) / np.median(
            np.concatenate([f.area for f in of])
        )
        if area > JOINED and len(of[0]) < 30:
            continue
        long = np.median(joined) > LONGER * np.median(single)
        lasting = np.quantile(count, 0.2) >= max(1.0, LASTING * count.max())
        if long or not lasting:
            return False
    return True


def _beside(small: Regions, large: Regions) -> np.ndarray:
    """Whether regions are at the edge of a larger one, (n,)."""
    if not len(small):
        return np.zeros(0, bool)
    away = (
        np.linalg.norm(small.centre[:, None] - large.centre, axis=-1) - (small.size[:, None] + large.size) / 2
    )
    return (away < 0.15 * large.size).any(1)


def _midmean(values: np.ndarray) -> float:
    """The mean of the middle half; scipy.stats, which has it, takes half a second to import."""
    cut = len(values) // 4
    return float(np.sort(values)[cut : len(values) - cut].mean())


def _kind(frames: list[Regions], group: Group, upper: float, least: float) -> Kind:
    """Measure a group; what is larger, up to the next kind, is of some of its objects that touch."""
    own = [found.chosen(_of(found, group)) for found in frames]
    apart = np.quantile([len(found) for found in own], APART)
    whole = [found.chosen(~found.cut) for found in own if len(found) >= min(apart, 1 if apart < 1 else apart)]
    if not any(map(len, whole)):
        whole = own
    area = float(np.median(np.concatenate([found.area for found in whole])))
    # a box of whole pixels is half a pixel larger than what it surrounds
    size = _midmean(np.concatenate([found.size for found in whole])) - 0.5
    numbers, at_most = [], []
    for found in frames:
        joined = found.chosen((found.width >= group[0]) & (found.width < upper))
        # what the border cuts is one at least
        numbers.append((joined.area / area).round().clip(1).sum())
        # objects that overlap cover less than their areas, but their box is larger: none of them is away
        at_most.append(np.maximum(joined.area / area, (joined.size / size) ** 2).round().clip(1).sum())
    most = int(np.quantile(numbers, MOST).round())
    fewest = min(most, int(np.quantile(at_most, LEAST).round()))
    flat, height = (
        np.median(np.concatenate([getattr(f, name) for f in whole])) for name in ("flat", "height")
    )
    pointed = _pointed(least / height)
    edged = bool(EDGE * height > least or (pointed < ALMOST and flat > (DISC + pointed) / 2))
    return Kind(most, fewest, size, *group, edged)


def _pointed(share: float) -> float:
    """The mean contrast of a Gaussian spot's region, to that of its brightest third.

    Args:
        share: of the brightest third's contrast, down to which the region goes.
    """
    lowest = np.linspace(0.01, 0.99, 99)  # share of the peak
    third = 3 * (1 - lowest ** (1 / 3)) / -np.log(lowest)  # mean over the brightest third
    at = float(np.interp(share, lowest / third, lowest))
    return (1 - at) / (3 * (1 - at ** (1 / 3)))


def recaptured(first: list[Regions], second: list[Regions], reach: float, area: float, false: float) -> float:
    """Estimate the number of objects of which frames show some, by those that the next frame shows again.

    Lincoln and Petersen's estimate: if a share p of n objects is seen in a frame, n p are in one and n p^2 in both.

    Args:
        first: regions of some frames.
        second: of the frames that follow.
        reach: px, how far an object may go from one to the next.
        area: px, of a frame.
        false: number of regions of a frame that are noise.
    """
    seen, again = 0.0, 0.0
    for one, two in zip(first, second, strict=True):
        seen += (len(one) + len(two)) / 2
        if len(one) and len(two):
            again += float((cKDTree(two.centre).query(one.centre)[0] < reach).sum())
            again -= len(one) * len(two) * min(np.pi * reach**2 / area, 1.0)
    true, both = max(seen / len(first) - false, 0.0), again / len(first)
    # where few are seen again, objects go farther than the reach
    return true / max(min(both / true, 1.0), FOUND) if true else 0.0


LEANING = 0.12  # of the size: fringes that are farther to one side of the objects are shadows
STEADY = 0.6  # length of the mean of their directions, if these are one


def fringed(frames: list[Regions]) -> bool:
    """Whether what is fainter lies at the same side of all regions, always, as shadows do."""
    fringe = np.concatenate([found.fringe[~found.cut] for found in frames])
    size = np.concatenate([found.size[~found.cut] for found in frames])
    away = np.hypot(*fringe.T)
    if not len(away) or np.median(away / np.maximum(size, 1)) < LEANING:
        return False
    direction = fringe / np.maximum(away, 1e-9)[:, None]
    return float(np.hypot(*direction.mean(0))) > STEADY


def heights(frames: list[tuple[Regions, Regions]]) -> float:
    """The usual height of regions."""
    return float(np.median(np.concatenate([first.height for first, _ in frames])))


def followers(frames: list[Regions]) -> list[np.ndarray] | None:
    """Find regions that move with brighter ones: at a constant distance, as shadows, or mirrored in a line.

    Returns:
        of each frame, which regions do; None if none do.
    """
    heights = np.concatenate([found.height for found in frames])
    if not len(heights):
        return None
    area = np.concatenate([found.area for found in frames])
    order = np.argsort(-heights)
    strong = heights[order][np.searchsorted(np.cumsum(area[order]), area.sum() / 4)]
    weak = [found.height < WEAKER * strong for found in frames]
    total = sum(map(np.sum, weak))
    if total < max(4, len(frames) / 3):
        return None
    size = float(np.median(np.concatenate([found.size for found in frames])))
    tolerance = max(1.5, size / 6)
    best = np.zeros(0)
    for mirror in ((1, 1), (1, -1), (-1, 1)):
        from_, to, moved = _offsets(frames, weak, np.array(mirror))
        if not len(to):
            continue
        tree = cKDTree(to)
        # offsets with the most weak regions near them
        near = [np.unique(from_[tree.query_ball_point(each, tolerance)]).size for each in to]
        which = np.unique(from_[tree.query_ball_point(to[int(np.argmax(near))], tolerance)])
        if len(which) > len(best) and moved > 2 * tolerance:
            best = which
    if len(best) < FOLLOWS * total:
        return None
    ends = np.cumsum([len(found) for found in frames])
    marks = np.zeros(ends[-1], bool)
    marks[best.astype(int)] = True
    return np.split(marks, ends[:-1])


def _offsets(
    frames: list[Regions], weak: list[np.ndarray], mirror: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Offsets from strong regions, mirrored, to weak ones, after the numbers of these; how far the weak ones move."""
    from_, to, places, begin = [], [], [], 0
    for found, which in zip(frames, weak, strict=True):
        strong = found.centre[~which] * mirror
        for k in np.flatnonzero(which):
            from_ += [begin + k] * len(strong)
            to.append(found.centre[k] - strong)
            places.append(found.centre[k])
        begin += len(found)
    if not places:
        return np.zeros(0), np.zeros((0, 2)), 0.0
    return np.array(from_), np.concatenate(to), float(np.ptp(np.array(places), axis=0).max())
