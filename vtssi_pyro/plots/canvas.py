"""A picture of frames under construction: pixels are colours of the palette, and tracks are drawn on them.

Frames in colour lie beneath: where nothing is drawn, the pixel is ``UNDER``, and the frame shows.
"""

from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from math import ceil, floor

import numpy as np
from PIL import Image, ImageDraw

from vtssi_pyro.plots.style import DIM, OWN, PAGE, SHADES, UNDER, font, identity_base, palette

SMOOTHING = 3  # factor by which trails and dots are drawn larger and shrunk: at 1 their edges are jagged
# Least opacity of a smooth edge that covers a pixel, of 255; far less makes lines a pixel wider.
VISIBLE = 100
LINE = 2  # px, width of a box's line
RIM = 5  # pixels before smoothing: an ellipse's line; a thinner one has holes after smoothing
MARGIN = 4  # px around points that their lines and dots may take
SMALLEST = 3.0  # px: least half axis of an ellipse; a smaller one would be a dot


Corners = tuple[int, int, int, int]  # left, top, right and bottom, px


@lru_cache(maxsize=1024)  # an animation has the same few words and numbers on every page
def _written(
    words: str, size: int, bold: bool, anchor: str, right: float, down: float
) -> tuple[int, int, np.ndarray]:
    """Left and top of words from the pixel of their anchor, and their levels (h, w) uint8, which are read-only.

    Args:
        words: the words.
        size: of their letters, px.
        bold: whether these are bold.
        anchor: in Pillow's letters.
        right: share of a pixel by which the anchor is right of that pixel's edge.
        down: share of a pixel by which it is below.
    """
    face = font(size, bold)
    x0, y0, x1, y1 = face.getbbox(words, anchor=anchor)
    left, top = floor(x0), floor(y0)
    mask = Image.new("L", (max(ceil(x1 + right) - left, 1), max(ceil(y1 + down) - top, 1)))
    ImageDraw.Draw(mask).text((right - left, down - top), words, fill=255, font=face, anchor=anchor)
    levels = np.array(mask)
    levels.setflags(write=False)
    return left, top, levels


def _shared(one: Corners, other: Corners) -> int:
    """The pixels that two rectangles share."""
    (a, b, c, d), (left, top, right, bottom) = one, other
    return max(min(c, right) - max(a, left), 0) * max(min(d, bottom) - max(b, top), 0)


class Canvas:
    """A drawing in pixels from the top left, cut off at its edges."""

    def __init__(self, width: int, height: int) -> None:
        """Start with an empty page, px."""
        self.pixels = np.full((height, width), PAGE, np.uint8)
        self.frames: np.ndarray | None = None  # (H, W, 3), red, green and blue; None: all frames are grey

    @classmethod
    def of(cls, frame: np.ndarray, scale: int) -> "Canvas":
        """Make a canvas of a frame, (H, W) of greys or (H, W, 3) of colours, each pixel ``scale`` pixels wide."""
        canvas = cls(frame.shape[1] * scale, frame.shape[0] * scale)
        large = frame.repeat(scale, 0).repeat(scale, 1)
        if large.ndim == 3:
            canvas.frames, canvas.pixels[:] = large, UNDER
        else:
            canvas.pixels[:] = large
        return canvas

    def put(self, other: "Canvas", x: int, y: int) -> None:
        """Lay another canvas on this one."""
        height, width = other.pixels.shape
        self.pixels[y : y + height, x : x + width] = other.pixels
        if other.frames is not None:
            if self.frames is None:
                self.frames = np.zeros((*self.pixels.shape, 3), np.uint8)
            self.frames[y : y + height, x : x + width] = other.frames

    def fill(self, left: int, top: int, right: int, bottom: int, colour: int) -> None:
        """Fill the pixels from (left, top) up to, but not with, (right, bottom)."""
        self.pixels[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = colour

    def dashes(self, left: int, top: int, right: int, bottom: int, colour: int, dash: int = 6) -> None:
        """Fill the same pixels in dashes along the longer side."""
        along_x = right - left > bottom - top
        for begin in range(left if along_x else top, right if along_x else bottom, 2 * dash):
            end = min(begin + dash, right if along_x else bottom)
            self.fill(*((begin, top, end, bottom) if along_x else (left, begin, right, end)), colour)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: int,
        grey: int = DIM,
        anchor: str = "la",
        bold: bool = False,
    ) -> None:
        """Write on the page, in Pillow's anchors."""
        (column, right), (row, down) = divmod(x, 1), divmod(y, 1)
        left, top, mask = _written(words, size, bold, anchor, right, down)
        level, area = self._within(mask, int(column) + left, int(row) + top)
        weight = level / 255
        on = weight > 0
        below = np.where(area[on] == UNDER, PAGE, area[on].astype(float))
        area[on] = (below + weight[on] * (grey - below)).round().astype(np.uint8)

    def box(
        self, left: float, top: float, right: float, bottom: float, identity: int, hidden: bool = False
    ) -> Corners | None:
        """Outline an area by the pixels just around it, within the canvas; dashed if ``hidden``.

        Returns:
            the outline's own edges; None of an area beyond the canvas.
        """
        height, width = self.pixels.shape
        if right <= 0 or bottom <= 0 or left >= width or top >= height:
            return None
        l, t = max(round(left) - LINE, 0), max(round(top) - LINE, 0)  # noqa: E741
        r, b = min(round(right) + LINE, width), min(round(bottom) + LINE, height)
        colour = identity_base(identity) + SHADES - 1
        for edge in ((l, t, r, t + LINE), (l, b - LINE, r, b), (l, t, l + LINE, b), (r - LINE, t, r, b)):
            if hidden:
                self.dashes(*edge, colour)
            else:
                self.fill(*edge, colour)
        return l, t, r, b

    def ring(self, x: float, y: float, across: float, down: float, identity: int) -> None:
        """Outline an ellipse with half axes ``across`` and ``down``, at least :data:`SMALLEST`."""
        a, b = max(across, SMALLEST), max(down, SMALLEST)
        left, top, mask = self._smooth(np.array([[x - a, y - b], [x + a, y + b]]))
        x, y, a, b = ((value * SMOOTHING) for value in (x - left, y - top, a, b))
        ImageDraw.Draw(mask).ellipse((x - a, y - b, x + a, y + b), outline=255, width=RIM)
        self._stamp(mask, identity, left, top)

    def cross(self, x: float, y: float, identity: int, arm: int = 5) -> None:
        """Mark a point."""
        colour, column, row = identity_base(identity) + SHADES - 1, round(x), round(y)
        self.fill(column - arm, row - 1, column + arm, row + 1, colour)
        self.fill(column - 1, row - arm, column + 1, row + arm, colour)

    def trail(self, points: np.ndarray, identity: int) -> None:
        """Draw a path (L, 2), oldest first, that fades into the past; NaN breaks it."""
        left, top, mask = self._smooth(points)
        draw = ImageDraw.Draw(mask)
        for step, (a, b) in enumerate(pairwise((points - (left, top)) * SMOOTHING), start=1):
            if np.isfinite([a, b]).all():
                # from an opacity of 110, above VISIBLE, to the full 255
                draw.line([tuple(a), tuple(b)], fill=110 + 145 * step // len(points), width=2 * SMOOTHING)
        self._stamp(mask, identity, left, top)

    def dots(self, points: np.ndarray, identity: int, radius: float = 1.4) -> None:
        """Draw faint dots at points (S, 2), with radius and opacity chosen by eye."""
        left, top, mask = self._smooth(points)
        draw = ImageDraw.Draw(mask)
        for x, y in (points[np.isfinite(points).all(-1)] - (left, top)) * SMOOTHING:
            draw.circle((x, y), radius * SMOOTHING, fill=215)
        self._stamp(mask, identity, left, top)

    def image(self) -> Image.Image:
        """Return the finished picture, whose palette ends with the colours of its frames that suit them best."""
        pixels, colours, under = self.pixels.copy(), palette(), self.pixels == UNDER
        if self.frames is not None and under.any():
            own = Image.fromarray(self.frames[under][None]).quantize(OWN, dither=Image.Dither.NONE)
            pixels[under] = len(colours) // 3 + np.asarray(own)[0]
            colours += own.getpalette()[: 3 * OWN]  # type: ignore[index]
        image = Image.fromarray(pixels)
        image.putpalette(colours)
        return image

    def tabs(self, boxes: Mapping[int, Corners], letters: int = 10) -> None:
        """Write the number of each box on its colour, beside the box where it hides no other one, if there is room.

        Above a box is the usual place, then below it, to the right, and to the left.
        """
        taken = list(boxes.values())
        for identity, (left, top, right, bottom) in boxes.items():
            name = str(identity + 1)
            tall, wide = letters + 2, round(font(letters, bold=True).getlength(name)) + 4
            places = [(left, top - tall), (left, bottom), (right, top), (left - wide, top)]
            height, width = self.pixels.shape
            within = [(min(max(x, 0), width - wide), min(max(y, 0), height - tall)) for x, y in places]
            corners = [(x, y, x + wide, y + tall) for x, y in within]
            tab = min(corners, key=lambda tab: sum(_shared(tab, other) for other in taken))
            taken.append(tab)
            self.fill(*tab, identity_base(identity) + SHADES - 1)
            x, y = tab[0] + wide / 2, tab[1] + tall / 2
            self.text(x, y, name, letters, identity_base(identity), "mm", bold=True)

    def _smooth(self, points: np.ndarray) -> tuple[int, int, Image.Image]:
        """Left and top of the canvas around points (L, 2), and its mask, :data:`SMOOTHING` times as large."""
        within = points[np.isfinite(points).all(-1)].clip(-MARGIN, np.array(self.pixels.shape[::-1]) + MARGIN)
        if not len(within):
            return 0, 0, Image.new("L", (SMOOTHING, SMOOTHING))
        low = np.floor(within.min(0)).astype(int) - MARGIN
        high = np.ceil(within.max(0)).astype(int) + MARGIN
        width, height = ((high - low) * SMOOTHING).tolist()
        return int(low[0]), int(low[1]), Image.new("L", (width, height))

    def _stamp(self, mask: Image.Image, identity: int, left: int, top: int) -> None:
        level, area = self._within(np.asarray(mask.reduce(SMOOTHING)), left, top)
        on = level >= VISIBLE
        area[on] = identity_base(identity) + level[on] // (256 // SHADES)

    def _within(self, mask: np.ndarray, left: int, top: int) -> tuple[np.ndarray, np.ndarray]:
        """The part of a mask that is on the canvas, and the pixels under it."""
        height, width = mask.shape
        area = self.pixels[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
        row, column = max(-top, 0), max(-left, 0)
        return mask[row : row + area.shape[0], column : column + area.shape[1]], area
