"""What is behind the moving things of a movie, told from some of its frames."""

import numpy as np
from scipy import ndimage

KINDS = ("static", "smooth", "rolling", "none")
NEIGHBOURS = 11  # pairs of frames whose median is the background of the middle one, where it changes
STEADIER = 0.7  # of the noise must be left where a background follows the light
GRAINS, SPAN = (
    48,
    15,
)  # squares that the longer side is divided into, and how many of them a smooth background spans
SELDOM = 0.1  # of the frames: less is no more than noise, or something that passes by
LEFT = 0.5  # of a region must be seen to be like its surroundings now and then, if a thing rests there
SPECK = 9  # pixels of a region that is none


def suited(frames: np.ndarray) -> str:
    """None, the same all along, or a light that changes: whatever leaves the least of frames (n, H, W)."""
    static = np.median(frames, 0)
    if not np.abs(static - np.median(static)).any() and np.median(static) == frames.min():
        return "none"
    levelled = np.stack([level(frame) for frame in frames])
    left = [np.median(np.abs(some - np.median(some, 0))) for some in (frames, levelled)]
    return "rolling" if left[1] < STEADIER * left[0] else "static"


def level(frame: np.ndarray) -> np.ndarray:
    """A frame less its median: where the light of all of it changes, that is no thing's."""
    return frame - np.median(frame)


def around(frames: np.ndarray) -> list[np.ndarray]:
    """The background at the time of each frame: the median of those next to it."""
    span = min(NEIGHBOURS, len(frames))
    firsts = np.clip(np.arange(len(frames)) - span // 2, 0, len(frames) - span)
    return [np.median(frames[first : first + span], 0) for first in firsts]


def smooth(image: np.ndarray) -> np.ndarray:
    """The light alone: an image (H, W) without whatever is much smaller than it."""
    from PIL import Image

    height, width = image.shape
    grain = max(1, max(height, width) // GRAINS)
    rows, columns = height // grain, width // grain
    coarse = image[: rows * grain, : columns * grain].reshape(rows, grain, columns, grain).mean((1, 3))
    coarse = ndimage.median_filter(coarse, SPAN, mode="nearest").astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR))


def without_things(image: np.ndarray, frames: np.ndarray, least: float) -> np.ndarray:
    """A median of frames without the things in it: what stays for half of a movie is in its median, too.

    A region that stands out of the median's light by ``least`` is such a thing if it is now and then no different from
    its surroundings: dirt never is, nor is it while something else passes by.

    Args:
        image: (H, W), the median.
        frames: (n, H, W), some of those that it is of.
        least: what is more than noise.
    """
    light = smooth(image)
    structure = image - light
    gone = (np.abs(frames - light) < np.abs(structure) / 2).mean(0) > SELDOM
    things = np.zeros(image.shape, bool)
    for side in (structure, -structure):
        labels, number = ndimage.label(side > least)
        index = np.arange(1, number + 1)
        left, area = ndimage.mean(gone, labels, index), ndimage.sum(labels > 0, labels, index)
        things |= np.isin(labels, index[(left > LEFT) & (area >= SPECK)])
    if not things.any():
        return image
    # their faint edges, too: as far again as half of them is wide
    reach = ndimage.distance_transform_edt(things).max() / 2 + 1
    things = ndimage.distance_transform_edt(~things) <= reach
    known = ndimage.gaussian_filter((~things).astype(float), reach) + 1e-3
    rest = ndimage.gaussian_filter(np.where(things, 0.0, structure), reach) / known
    return np.where(things, light + rest, image).astype(image.dtype)
