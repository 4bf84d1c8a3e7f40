"""Regions of a frame that stand out from its background, and what is measured of them."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from vtssi_pyro.ops.gaussian import SIGMA_PER_MAD

GAP = 2  # dilations, and erosions, that close a region: an object with gaps of up to four pixels is one
# Share of an object's peak down to which its pixels are its own: of a Gaussian spot that is four standard deviations
# across (D4sigma, ISO 11146), of a disc its diameter.
EDGE = float(np.exp(-2))
# Noise's standard deviations to the threshold: at half, a frame of 512 x 512 pixels exceeds it in over
# 1,000 pixels by chance.
SIGMAS = 5.0
# Standard deviations, px, of the Gaussian by which frames may be smoothed: spots of three pixels, and of twelve, at a
# signal to noise of 3 are clear after one of them.
SCALES = (0.0, 1.0, 2.0, 4.0)
CLEAR = 9.0  # peaks in standard deviations of the noise from which on nothing is smoothed: objects keep their outlines
SIGN = 0.5  # standard deviations by which extremes of both signs may differ where nothing is
CHANCE = (
    1.0  # regions of noise in a smoothed frame: fewer hide objects, too, more make their number uncertain
)
GRID = 1 / 12  # px, variance of the centres of regions of few pixels: these lie on a grid
MIDDLE = 0.6  # share of a region's peak above which pixels are its middle, and below which its fringe


class Regions(NamedTuple):
    """Connected regions of one frame, n in number; lengths in pixels."""

    centre: np.ndarray  # (n, 2) x, y, weighted by contrast
    size: np.ndarray  # (n,) longer side of the box
    area: np.ndarray  # (n,) pixels
    height: np.ndarray  # (n,) mean contrast of the brightest third
    flat: np.ndarray  # (n,) mean contrast, as a share of that: low of a spot, high of a disc
    slender: np.ndarray  # (n,) ratio of the axes
    angle: np.ndarray  # (n,) of the longer axis, radians from x towards y, of which half a turn is none
    fringe: np.ndarray  # (n, 2) from the middle of what is brightest to the middle of the rest
    cut: np.ndarray  # (n,) whether the frame's border may hide a part

    @property
    def width(self) -> np.ndarray:
        """The diameter of a disc of the same area, (n,): it changes less than a box's side when an object turns."""
        return np.sqrt(4 / np.pi * self.area)

    def __len__(self) -> int:
        """The number of regions."""
        return len(self.size)

    def chosen(self, which: np.ndarray) -> "Regions":
        """Some of the regions."""
        return Regions(*(values[which] for values in self))


class Sight(NamedTuple):
    """How objects are told from noise: what a frame is smoothed by, px, and what they must exceed then."""

    scale: float
    least: float

    def smoothed(self, residual: np.ndarray) -> np.ndarray:
        """Smooth a frame (H, W, C)."""
        return ndimage.gaussian_filter(residual, (self.scale, self.scale, 0)) if self.scale else residual


def deviation(residual: np.ndarray) -> float:
    """Estimate the background's standard deviation by the median absolute deviation (Hampel 1974).

    Black may be cut off at 0, which hides half of the noise, so that pixels of no residual do not count then.
    """
    away = np.abs(residual)
    moving = away[away > 0]
    return float(SIGMA_PER_MAD * np.median(moving if len(moving) > NOISY * away.size else away))


# Share of pixels that differ from the background above which the others count as cut off at black.
NOISY = 0.25


def sight(residual: list[np.ndarray], faintest: float) -> Sight:
    """Choose the least smoothing at which objects are clear, or else that at which they are clearest.

    Args:
        residual: frames (H, W, C), differences from the background.
        faintest: least contrast of an object, whatever the noise.
    """
    found: list[tuple[float, Sight]] = []
    for scale in SCALES:
        smoothed = [Sight(scale, 0.0).smoothed(frame) for frame in residual]
        noise = float(np.median([deviation(frame) for frame in smoothed]))
        sigmas = SIGMAS if scale == 0 else _exceeded(residual[0][..., 0].size, scale)
        high, low = (float(np.median([(sign * frame).max() for frame in smoothed])) for sign in (1, -1))
        unit = max(noise, faintest / SIGMAS, 1e-12)
        # noise has no sign: objects make the extremes of one larger
        found.append((abs(high - low) / unit, Sight(scale, max(sigmas * noise, faintest))))
        if max(high, low) >= CLEAR * unit:
            return found[-1][1]
    clearest = max(found, key=lambda each: each[0])
    return clearest[1] if clearest[0] > SIGN else found[0][1]


def _exceeded(pixels: int, scale: float) -> float:
    """The standard deviations that noise, smoothed by a Gaussian, exceeds at :data:`CHANCE` places of a frame.

    It is the level of that expected Euler characteristic of a Gaussian field (Worsley et al. 1992).
    """
    levels = np.arange(2.0, 8.0, 0.01)
    expected = pixels / (2 * scale**2) * (2 * np.pi) ** -1.5 * levels * np.exp(-(levels**2) / 2)
    return float(levels[np.searchsorted(-expected, -CHANCE)])


def regions(strength: np.ndarray, least: float, middle: bool = False) -> Regions:
    """Find connected regions; a hole within one, as rings have, belongs to it.

    Args:
        strength: (H, W), contrast to the background.
        least: least contrast.
        middle: whether only the middle of each counts, since their fringes are shadows.
    """
    labels, number = _labelled(strength > least)
    if number:
        peak, inside = np.zeros(number + 1), np.nonzero(labels)
        np.maximum.at(peak, labels[inside], strength[inside])
        edge = np.maximum(least, (MIDDLE if middle else EDGE) * peak)
        edge[0] = np.inf  # what is outside of all
        labels, number = _labelled(strength > edge[labels])
    return _measured(strength, labels, number)


def _labelled(out: np.ndarray) -> tuple[np.ndarray, int]:
    """Numbered regions (H, W) of a mask (H, W), closed and filled, and their number."""
    labels, number = ndimage.label(_filled(_closed(out)), np.ones((3, 3)))
    return labels, int(number)


def _closed(out: np.ndarray) -> np.ndarray:
    """Close gaps in a mask (H, W), as SciPy's ``binary_closing`` does, in a tenth of the time; nothing gets lost."""
    wide = out
    for _ in range(GAP):
        wide = _grown(wide)
    rest = np.pad(~wide, 1, constant_values=True)  # beyond the border there is no object
    for _ in range(GAP):
        rest = _grown(rest)
    return ~rest[1:-1, 1:-1] | out


def _grown(mask: np.ndarray) -> np.ndarray:
    """A mask (H, W) with the four neighbours of its pixels."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


def _filled(mask: np.ndarray) -> np.ndarray:
    """Fill holes in a mask (H, W): all that no path leads out of, as SciPy's ``binary_fill_holes`` does, in a sixth."""
    labels, number = ndimage.label(~mask)
    leading = np.zeros(number + 1, bool)
    for line in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        leading[line] = True
    leading[0] = False
    return ~leading[labels]


def _measured(strength: np.ndarray, labels: np.ndarray, number: int) -> Regions:
    row, column = np.nonzero(labels)
    which = labels[row, column] - 1
    # from the brightest to the faintest pixel of each region
    order = np.lexsort((-strength[row, column], which))
    row, column, which = row[order], column[order], which[order]
    value = strength[row, column].clip(0)
    area = np.bincount(which, minlength=number).astype(float)
    rank = np.arange(len(which)) - np.repeat(np.cumsum(area) - area, area.astype(int))
    top = rank < np.ceil(area / 3)[which]

    def mean(of: np.ndarray, weight: np.ndarray) -> np.ndarray:
        total = np.bincount(which, weight, number)
        return np.bincount(which, weight * of, number) / np.maximum(total, 1e-12)

    ones = np.ones(len(which))
    height = mean(value, top * ones)
    middle = value > MIDDLE * height[which]
    place = np.stack([column, row], -1) + 0.5
    at = np.stack([mean(place[:, k], ones) for k in (0, 1)], -1)
    fringe = np.stack(
        [mean(place[:, k], ~middle * ones) - mean(place[:, k], middle * ones) for k in (0, 1)], -1
    )
    fringe[np.bincount(which, ~middle * ones, number) == 0] = 0
    off = place - at[which]
    xx, yy, xy = (mean(off[:, a] * off[:, b], ones) + (a == b) / 12 for a, b in ((0, 0), (1, 1), (0, 1)))
    away, half = np.hypot((xx - yy) / 2, xy), (xx + yy) / 2
    low = np.full((number, 2), np.inf)
    high = np.zeros((number, 2))
    for k, values in enumerate((column, row)):
        np.minimum.at(low[:, k], which, values)
        np.maximum.at(high[:, k], which, values + 1)
    border = np.array(strength.shape[::-1])
    cut = np.asarray(np.logical_or(low <= 0, high >= border).any(-1))
    middles = np.stack([mean(place[:, k], value) for k in (0, 1)], -1)
    flat = mean(value, ones) / np.maximum(height, 1e-12)
    slender = np.sqrt((half + away) / np.maximum(half - away, 1e-12))
    angle = np.arctan2(2 * xy, xx - yy) / 2
    found = Regions(
        middles, (high - low).max(-1, initial=0.0), area, height, flat, slender, angle, fringe, cut
    )
    return found.chosen(found.size >= 2)  # a single pixel is noise


def spread(strengths: list[np.ndarray], found: list[Regions], reach: int) -> float:
    """Measure the size of spots whose edges noise hides, by a Gaussian, or a disc, that is fitted to all of them.

    Args:
        strengths: frames (H, W).
        found: the regions of each.
        reach: px, how far from their centres a spot may reach.

    Returns:
        Four standard deviations of the Gaussian, less those of the centres, which noise displaces; or the diameter.
    """
    away, value = [], []
    for strength, of in zip(strengths, found, strict=True):
        for x, y in of.centre[~of.cut]:
            rows, columns = (slice(max(0, int(c) - reach), int(c) + reach + 1) for c in (y, x))
            part = strength[rows, columns]
            row, column = np.mgrid[: part.shape[0], : part.shape[1]] + 0.5
            away.append(((column + columns.start - x) ** 2 + (row + rows.start - y) ** 2).ravel())
            value.append(part.ravel())
    if not away:
        return 0.0
    square, values = np.concatenate(away), np.concatenate(value)
    fits = []
    for size in np.geomspace(1.6, 2 * reach, 60):  # px, that are tried
        for spot, shape in (
            (True, np.exp(-square / (2 * (size / 4) ** 2))),
            (False, (size / 2 + 0.5 - np.sqrt(square)).clip(0, 1)),
        ):
            height = float(shape @ values) / float(shape @ shape)
            fits.append((float(np.square(values - height * shape).mean()), float(size), height, spot))
    left, size, height, spot = min(fits)
    # the least variance of a place (Cramer and Rao), of a Gaussian in white noise; a disc's edge it moves both ways
    displaced = (2 / np.pi * left / max(height, 1e-12) ** 2 + GRID) if spot else 0.0
    return float(np.sqrt(max(size**2 - 16 * displaced, 4.0)))


def unblurred(size: float, scale: float) -> float:
    """The size that an object has before it is smoothed by a Gaussian, px: variances add."""
    return max(size**2 - (4 * scale) ** 2, 1.0) ** 0.5
