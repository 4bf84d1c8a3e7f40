"""What is in frames but not in the scene: letterbox bars along the border, and stamps of time."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

Box = tuple[int, int, int, int]  # left, top, width, height, px

EVEN = 0.03  # of the range of intensities: what differs less along a bar, and in time, is the codec's
STEP = 0.06  # of that range: a bar differs by more from what is beside it
NARROWEST = 0.5  # share of a side that bars leave
OFTEN = 0.15  # share of the frames in which a pixel of a stamp changes
WRITTEN = 0.5  # share of the pairs of frames between which a stamp changes
BOTH = 0.25  # least share of the pixels that become darker, or brighter, of those that do the other
SHIFTED = 0.5  # share of the change within a box that is left after the best shift, if what is in it moves
TALLEST = 0.2  # share of the frame's height that a stamp may take
GLYPHS = 3  # px between two glyphs at most, twice


def bars(frames: np.ndarray, low: float, high: float) -> Box | None:
    """Find the part of frames (n, H, W) that even bars along the border leave; None: there are no bars."""
    least, most = frames.min(0), frames.max(0)
    span = high - low
    sides = []
    for axis in (1, 0):  # rows, then columns
        bottom, top = least.min(axis), most.max(axis)
        sides.append((_edge(bottom, top, span), len(top) - _edge(bottom[::-1], top[::-1], span)))
    (first, last), (left, right) = sides
    height, width = frames.shape[1:]
    if (first, last, left, right) == (0, height, 0, width):
        return None
    if last - first < NARROWEST * height or right - left < NARROWEST * width:
        return None
    return left, first, right - left, last - first


def _edge(bottom: np.ndarray, top: np.ndarray, span: float) -> int:
    """The number of lines, from the first, that are even; 0 if what follows is as dark."""
    level = (bottom[0] + top[0]) / 2
    other = np.flatnonzero((np.abs(bottom - level) > EVEN * span) | (np.abs(top - level) > EVEN * span))
    if not len(other) or other[0] == 0:
        return 0
    edge = int(other[0])
    # an object that comes near a bar is no scene: the darkest of most lines must differ, too
    beyond = (
        np.median(np.abs((bottom[edge:] + top[edge:]) / 2 - level)),
        np.median(np.abs(bottom[edge:] - level)),
    )
    return edge if min(beyond) > STEP * span else 0


def stamps(frames: np.ndarray, residual: np.ndarray, least: float) -> tuple[Box, ...]:
    """Find boxes in which something is written anew again and again.

    Within a box that never changes its place as many pixels become darker as become brighter, and no shift explains it.

    Args:
        frames: (n, H, W).
        residual: (n, H, W), their differences from the background.
        least: least contrast that exceeds noise.
    """
    changing = np.abs(residual) > least
    often = changing.mean(0)
    glued = ndimage.binary_closing(np.pad(often > OFTEN, GLYPHS), np.ones((3, 3)), iterations=GLYPHS)
    labels, _ = ndimage.label(glued[GLYPHS:-GLYPHS, GLYPHS:-GLYPHS], np.ones((3, 3)))
    height, width = frames.shape[1:]
    found: list[Box] = []
    for rows, columns in ndimage.find_objects(labels):
        tall, wide = rows.stop - rows.start, columns.stop - columns.start
        if tall > TALLEST * height or tall < 4 or wide < 4:
            continue
        around = tuple(slice(max(0, s.start - 2), s.stop + 2) for s in (rows, columns))
        ring = np.ones([s.stop - s.start for s in around], bool)
        ring[rows.start - around[0].start :, columns.start - around[1].start :][:tall, :wide] = False
        beside = often[around][: height - around[0].start, : width - around[1].start]
        if (beside[ring[: beside.shape[0], : beside.shape[1]]] > OFTEN).any():
            continue
        part = frames[:, rows, columns]
        if (
            _inked(part, least)
            and np.mean([_rewritten(one, two, least) for one, two in zip(part[1:], part[:-1], strict=True)])
            > WRITTEN
        ):
            found.append((columns.start, rows.start, wide, tall))
    return tuple(found)


def _inked(part: np.ndarray, least: float) -> bool:
    """Whether pixels of a part of frames (n, h, w) that change are ink or ground, and hardly ever between.

    What passes by, as a crowd of soft spots, is between for longer than it is at its brightest.
    """
    ground, span = part.min(0), np.ptp(part, axis=0)
    changing = span > max(2 * least, span.max() / 2)
    if not changing.any():
        return False
    share = (part[:, changing] - ground[changing]) / np.maximum(span[changing], 1e-9)
    between, high = ((share > 0.25) & (share < 0.75)).mean(), (share > 0.75).mean()
    return bool(between < high)


def _rewritten(one: np.ndarray, two: np.ndarray, least: float) -> bool:
    """Whether a part of a frame (h, w) is another's with some glyphs exchanged."""
    change = one - two
    brighter, darker = (int((side > least).sum()) for side in (change, -change))
    if min(brighter, darker) < max(2, BOTH * max(brighter, darker)):
        return False
    # twice as many pixels, since slow objects go less than one
    one, two = (ndimage.zoom(part, 2, order=1) for part in (one, two))
    reach = max(2, min(one.shape) // 4)
    inner = one[reach:-reach, reach:-reach]
    before = float(np.square(inner - two[reach:-reach, reach:-reach]).mean())
    steps = range(2 * reach + 1)
    left = min(
        float(np.square(inner - two[down : down + inner.shape[0], right : right + inner.shape[1]]).mean())
        for down in steps
        for right in steps
    )
    return left > SHIFTED * before


def covered(shape: tuple[int, ...], boxes: Sequence[Sequence[int]], margin: int = GLYPHS) -> np.ndarray:
    """Whether pixels (H, W) are in one of the boxes, or near it."""
    mask = np.zeros(shape, bool)
    for left, top, width, height in boxes:
        mask[max(0, top - margin) : top + height + margin, max(0, left - margin) : left + width + margin] = (
            True
        )
    return mask
