"""The background behind the moving objects of a movie, estimated from some of its frames; each channel has its own."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from vtssi_pyro.movies.movie import each_channel
from vtssi_pyro.movies.regions import Regions
from vtssi_pyro.ops.gaussian import SIGMA_PER_MAD

KINDS = ("static", "smooth", "rolling", "none")
# Sampled frames whose median is the changing background of the middle one: half of them keep a resting object in it,
# twice as many lag behind the light.
NEIGHBOURS = 11
# A background that follows the light must lower the residual to this share, since it costs resting objects.
STEADIER = 0.7
FITS = 3  # of the light of a frame, each without what the one before does not explain
LEAST_GAIN = 0.2  # of a frame's light, of the usual light; less is no change of the light
# Squares along the longer side, and the width in squares of the median filter: details narrower than about a
# fifth of the frame vanish from a smooth background.
GRAINS, SPAN = 48, 15
SELDOM = 0.1  # share of the frames: less may be noise, or another object that passes by; a rule of thumb
# Share of a region that must look like its surroundings now and then if the region is an object at rest: most of it,
# since an object leaves as a whole.
LEFT = 0.5
SPECK = 9  # pixels: a region smaller than 3 x 3 is noise
# Sizes of a region from its centre to where its object shows nothing any more: a region ends where noise hides the rest
# of a spot, of which half a percent is left at twice that distance.
FRINGE = 1.0
# Frames that show the ground near a pixel, weighed by their distance; of fewer nothing is told.
LEAST_SHOWN = 0.01


def suited(frames: np.ndarray) -> str:
    """Choose the kind of background, ``none``, ``static`` or ``rolling``, that suits frames (n, H, W, C) best."""
    static = np.median(frames, 0)
    if not level(static).any() and (np.median(static, (0, 1)) == frames.min((0, 1, 2))).all():
        return "none"
    levelled = np.stack([level(frame) for frame in frames])
    residual = [np.median(np.abs(some - np.median(some, 0))) for some in (frames, levelled)]
    return "rolling" if residual[1] < STEADIER * residual[0] else "static"


def level(frame: np.ndarray) -> np.ndarray:
    """Subtract a frame's median: a change of the light of the whole frame is no object's."""
    return frame - np.median(frame, (0, 1))


def unsteady(frames: np.ndarray, behind: np.ndarray) -> bool:
    """Whether the medians of neighbours are a better background of frames (n, H, W, C) than one for all of them."""
    changing = float(np.median(np.abs(frames - np.stack(around(frames)))))
    return changing < STEADIER * float(np.median(np.abs(frames - behind)))


def relit(frame: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Give a frame (H, W, C) the light of the usual one: a lamp makes it brighter, a haze adds to it.

    Both are fitted to the pixels that nothing moves over: those that a first fit explains best.
    """
    made = np.empty_like(frame)
    for channel in range(frame.shape[-1]):
        one, two = frame[..., channel].ravel(), usual[..., channel].ravel()
        which = np.ones(len(one), bool)
        for _ in range(FITS):
            x, y = two[which] - two[which].mean(), one[which]
            gain = float(x @ y) / max(float(x @ x), 1e-12)
            gain = gain if float(x @ x) > 1e-6 * len(x) and gain > LEAST_GAIN else 1.0
            haze = float(np.median(y - gain * two[which]))
            away = np.abs(one - gain * two - haze)
            which = away <= 3 * SIGMA_PER_MAD * np.median(away)  # three standard deviations of noise
        made[..., channel] = (frame[..., channel] - haze) / gain
    return made


def around(frames: np.ndarray) -> list[np.ndarray]:
    """Estimate the background at the time of each of the frames (n, H, W, C): the median of its neighbours."""
    span = min(NEIGHBOURS, len(frames))
    firsts = np.clip(np.arange(len(frames)) - span // 2, 0, len(frames) - span)
    return [np.median(frames[first : first + span], 0) for first in firsts]


def smooth(image: np.ndarray) -> np.ndarray:
    """Estimate the light alone: the image (H, W) or (H, W, C) without any detail much smaller than it."""
    from PIL import Image

    if image.ndim == 3:
        return each_channel(smooth, image)
    height, width = image.shape
    grain = max(1, max(height, width) // GRAINS)
    rows, columns = height // grain, width // grain
    coarse = image[: rows * grain, : columns * grain].reshape(rows, grain, columns, grain).mean((1, 3))
    coarse = ndimage.median_filter(coarse, SPAN, mode="nearest").astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR))


def without_objects(image: np.ndarray, frames: np.ndarray, least: float) -> np.ndarray:
    """Remove objects from a median of frames: an object that rests for half of a movie is in its median, too.

    A region that differs from the median's light by ``least`` is an object if it sometimes looks like its surroundings;
    dirt never does, not even while another object passes by.

    Args:
        image: (H, W), the median.
        frames: (n, H, W), some of the frames of the median.
        least: least contrast that exceeds noise, units of intensity.

    Returns:
        image (H, W).
    """
    light = smooth(image)
    structure = image - light
    # gone: nearer to the light than to the median
    gone = (np.abs(frames - light) < np.abs(structure) / 2).mean(0) > SELDOM
    objects = np.zeros(image.shape, bool)
    for side in (structure, -structure):
        labels, number = ndimage.label(ndimage.binary_closing(side > least), np.ones((3, 3)))
        index = np.arange(1, number + 1)
        # an object that moves by less than its size uncovers its outline alone: half of the time each part of it
        outline = np.where(ndimage.binary_erosion(labels > 0), 0, labels)
        absent = np.fmax(ndimage.mean(gone, labels, index), ndimage.mean(gone, outline, index))
        area = ndimage.sum(labels > 0, labels, index)
        objects |= np.isin(labels, index[(absent > LEFT) & (area >= SPECK)])
    if not objects.any():
        return image
    # faint edges go, too: the mask grows by half of the widest object's width
    reach = ndimage.distance_transform_edt(objects).max() / 2 + 1
    objects = ndimage.distance_transform_edt(~objects) <= reach
    known = ndimage.gaussian_filter((~objects).astype(float), reach) + 1e-3  # 0 deep inside a large object
    rest = ndimage.gaussian_filter(np.where(objects, 0.0, structure), reach) / known
    return np.where(objects, light + rest, image).astype(image.dtype)


def uncovered(
    image: np.ndarray, frames: Sequence[np.ndarray], found: Sequence[Regions], noise: float
) -> np.ndarray:
    """Estimate the background again, from what objects leave uncovered.

    A median of frames is drawn towards whatever covers a pixel now and then, which later draws objects away from there.
    A pixel is the mean of the frames that show it, as far as noise leaves that surer than the ground around it: the
    mean of a normal's posterior, whose prior has the variance of the background's texture.

    Args:
        image: (H, W, C), the background by which objects were found; kept where nothing near is ever shown.
        frames: (H, W, C) each.
        found: the objects in each frame.
        noise: standard deviation of a pixel of a frame.

    Returns:
        image (H, W, C).
    """
    total, number = np.zeros(image.shape), np.zeros((*image.shape[:2], 1))
    for frame, regions in zip(frames, found, strict=True):
        free = np.ones(number.shape, bool)
        for (x, y), size in zip(regions.centre, FRINGE * regions.size, strict=True):
            rows, columns = (slice(max(0, int(c - size)), int(c + size) + 1) for c in (y, x))
            part = free[rows, columns]
            row, column = np.ogrid[: part.shape[0], : part.shape[1]]
            away = np.hypot(row + 0.5 + rows.start - y, column + 0.5 + columns.start - x)
            part[away < size] = False
        total += np.where(free, frame, 0)
        number += free
    sizes = np.concatenate([regions.size for regions in found])
    if not len(sizes):
        return image
    reach = (float(np.median(sizes)),) * 2 + (0,)  # an object's size: farther away the light is another one
    near, weight = (ndimage.gaussian_filter(each, reach) for each in (total, number))
    around = near / np.maximum(weight, LEAST_SHOWN)
    away, error = total / np.maximum(number, 1) - around, noise**2 / np.maximum(number, 1)
    often = number[..., 0] >= len(frames) / 2
    texture = max(float((away**2 - error)[often].mean()), 0.0) if often.any() else 0.0
    share = np.where(number > 0, texture / np.maximum(texture + error, 1e-12), 0)
    return np.where(weight > LEAST_SHOWN, around + share * away, image).astype(image.dtype)
