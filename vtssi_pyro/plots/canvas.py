"""A picture of frames under construction: pixels are colours of the palette, and tracks are drawn on them."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from vtssi_pyro.plots.style import DIM, PAGE, SHADES, font, identity_base, palette
from vtssi_pyro.tracks.tracks import Tracks

SMOOTHING = 3  # factor by which trails and dots are drawn larger and shrunk: at 1 their edges are jagged
# Least opacity of a smooth edge that covers a pixel, of 255; far less makes lines a pixel wider.
VISIBLE = 100
LINE = 2  # px, width of a box's line
RIM = 5  # pixels before smoothing: an ellipse's line; a thinner one has holes after smoothing
REGION = 2.146  # standard deviations: half axes of the ellipse that holds 90 % of a normal density
SMALLEST = 3.0  # px: least half axis of an ellipse; a smaller one would be a dot
HIDDEN = 0.5  # confidence below which an object is drawn as hidden, the same as in the evaluation


class Canvas:
    """A drawing in pixels from the top left, cut off at its edges."""

    def __init__(self, width: int, height: int) -> None:
        """Start with an empty page, px."""
        self.pixels = np.full((height, width), PAGE, np.uint8)

    @classmethod
    def of(cls, frame: np.ndarray, scale: int) -> "Canvas":
        """Make a canvas of a frame (H, W) of greys, each pixel ``scale`` pixels wide."""
        canvas = cls(frame.shape[1] * scale, frame.shape[0] * scale)
        canvas.pixels[:] = frame.repeat(scale, 0).repeat(scale, 1)
        return canvas

    def put(self, other: "Canvas", x: int, y: int) -> None:
        """Lay another canvas on this one."""
        height, width = other.pixels.shape
        self.pixels[y : y + height, x : x + width] = other.pixels

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
        self, x: int, y: int, words: str, size: int, grey: int = DIM, anchor: str = "la", bold: bool = False
    ) -> None:
        """Write on the page, in Pillow's anchors."""
        mask = self._mask()
        ImageDraw.Draw(mask).text((x, y), words, fill=255, font=font(size, bold), anchor=anchor)
        weight = np.asarray(mask) / 255
        on = weight > 0
        blend = self.pixels[on] + weight[on] * (grey - self.pixels[on].astype(float))
        self.pixels[on] = blend.round().astype(np.uint8)

    def box(
        self,
        left: float,
        top: float,
        right: float,
        bottom: float,
        identity: int,
        letters: int = 10,
        hidden: bool = False,
    ) -> None:
        """Outline an area by the pixels just around it, within the canvas, and number it; dashed if ``hidden``."""
        height, width = self.pixels.shape
        if right <= 0 or bottom <= 0 or left >= width or top >= height:
            return
        l, t = max(round(left) - LINE, 0), max(round(top) - LINE, 0)  # noqa: E741
        r, b = min(round(right) + LINE, width), min(round(bottom) + LINE, height)
        colour = identity_base(identity) + SHADES - 1
        for edge in ((l, t, r, t + LINE), (l, b - LINE, r, b), (l, t, l + LINE, b), (r - LINE, t, r, b)):
            if hidden:
                self.dashes(*edge, colour)
            else:
                self.fill(*edge, colour)
        self._tab(l, t, b, identity, letters)

    def ring(self, x: float, y: float, across: float, down: float, identity: int) -> None:
        """Outline an ellipse with half axes ``across`` and ``down``, at least :data:`SMALLEST`."""
        mask = self._mask(SMOOTHING)
        a, b = (max(half, SMALLEST) * SMOOTHING for half in (across, down))
        x, y = x * SMOOTHING, y * SMOOTHING
        ImageDraw.Draw(mask).ellipse((x - a, y - b, x + a, y + b), outline=255, width=RIM)
        self._stamp(mask, identity)

    def cross(self, x: float, y: float, identity: int, arm: int = 5) -> None:
        """Mark a point."""
        colour, column, row = identity_base(identity) + SHADES - 1, round(x), round(y)
        self.fill(column - arm, row - 1, column + arm, row + 1, colour)
        self.fill(column - 1, row - arm, column + 1, row + arm, colour)

    def trail(self, points: np.ndarray, identity: int) -> None:
        """Draw a path (L, 2), oldest first, that fades into the past; NaN breaks it."""
        mask = self._mask(SMOOTHING)
        draw = ImageDraw.Draw(mask)
        for step, (a, b) in enumerate(pairwise(points), start=1):
            if np.isfinite([a, b]).all():
                line = [tuple(a * SMOOTHING), tuple(b * SMOOTHING)]
                # from an opacity of 110, above VISIBLE, to the full 255
                draw.line(line, fill=110 + 145 * step // len(points), width=2 * SMOOTHING)
        self._stamp(mask, identity)

    def dots(self, points: np.ndarray, identity: int, radius: float = 1.4) -> None:
        """Draw faint dots at points (S, 2), with radius and opacity chosen by eye."""
        mask = self._mask(SMOOTHING)
        draw = ImageDraw.Draw(mask)
        for x, y in points[np.isfinite(points).all(-1)] * SMOOTHING:
            draw.circle((x, y), radius * SMOOTHING, fill=215)
        self._stamp(mask, identity)

    def image(self) -> Image.Image:
        """Return the finished picture."""
        image = Image.fromarray(self.pixels)
        image.putpalette(palette())
        return image

    def _tab(self, left: int, top: int, bottom: int, identity: int, size: int) -> None:
        """Write an identity's number on its colour, above the box or, at the upper edge, below it."""
        name = str(identity + 1)
        width, height = 4 + round(font(size, bold=True).getlength(name)), size + 2
        left = min(left, self.pixels.shape[1] - width)
        top = top - height if top >= height else min(bottom, self.pixels.shape[0] - height)
        mask = Image.new("L", (width, height))
        ImageDraw.Draw(mask).text(
            (width / 2, height / 2), name, fill=255, font=font(size, bold=True), anchor="mm"
        )
        area = self.pixels[top : top + height, left : left + width]
        shade = (SHADES - 1) * (1 - np.asarray(mask) / 255)
        area[:] = (identity_base(identity) + shade.round())[: area.shape[0], : area.shape[1]]

    def _mask(self, scale: int = 1) -> Image.Image:
        height, width = self.pixels.shape
        return Image.new("L", (width * scale, height * scale))

    def _stamp(self, mask: Image.Image, identity: int) -> None:
        level = np.asarray(mask.reduce(SMOOTHING))
        on = level >= VISIBLE
        self.pixels[on] = identity_base(identity) + level[on] // (256 // SHADES)


class Scene(NamedTuple):
    """The tracks of one sequence as arrays; None for a field that the tracks lack."""

    position: np.ndarray  # (T, N, 2) px of the source
    present: np.ndarray  # (T, N)
    box: np.ndarray | None  # (T, N, 2)
    samples: np.ndarray | None  # (S, T, N, 2)
    scale: np.ndarray | None = None  # (T, N, 2)
    confidence: np.ndarray | None = None  # (T, N)

    @classmethod
    def of(cls, tracks: Tracks, sequence: int = 0) -> "Scene":
        """Take one sequence out of the tracks."""

        def numbers(values: Tensor | None) -> np.ndarray | None:
            return None if values is None else values.detach().cpu().double().numpy()

        samples, position = tracks.samples, numbers(tracks.position[sequence])
        assert position is not None
        box, scale, sure = (
            numbers(None if field is None else field[sequence])
            for field in (tracks.box, tracks.scale, tracks.confidence)
        )
        drawn = None if samples is None else samples[:, sequence]
        return cls(position, tracks.present[sequence].cpu().numpy(), box, numbers(drawn), scale, sure)

    def draw(self, canvas: Canvas, frame: int, scale: int, trail: int = 0, letters: int = 10) -> None:
        """Draw sampled positions, trails of ``trail`` frames and boxes onto a frame's picture."""
        if frame >= len(self.present):
            return
        visible = self.present[frame] & np.isfinite(self.position[frame]).all(-1)
        identities = visible.nonzero()[0].tolist()
        if self.samples is not None:
            for n in identities:
                canvas.dots(self.samples[:, frame, n] * scale, n)
        path = np.where(self.present[..., None], self.position, np.nan)[max(frame - trail, 0) : frame + 1]
        for n in identities if trail else ():
            canvas.trail(path[:, n] * scale, n)
        for n in identities:
            x, y = self.position[frame, n] * scale
            if self.box is None or not np.isfinite(self.box[frame, n]).all():
                canvas.cross(x, y, n)
            else:
                w, h = self.box[frame, n] * scale / 2
                canvas.box(x - w, y - h, x + w, y + h, n, letters, self._hidden(frame, n))
            if trail and self.scale is not None and np.isfinite(self.scale[frame, n]).all():
                across, down = REGION * self.scale[frame, n] * scale
                canvas.ring(x, y, across, down, n)

    def _hidden(self, frame: int, n: int) -> bool:
        """Tell whether the frame hardly shows the object."""
        return self.confidence is not None and bool(self.confidence[frame, n] < HIDDEN)
