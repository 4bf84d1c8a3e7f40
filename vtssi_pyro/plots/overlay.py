"""An animation of sequences and their tracks."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from vtssi_pyro.movies import write_film
from vtssi_pyro.plots.canvas import Canvas
from vtssi_pyro.plots.scene import Scene
from vtssi_pyro.plots.style import BRIGHT, DIM, PAGE, Frames, to_shown
from vtssi_pyro.system.atomic import atomic_write
from vtssi_pyro.tracks.tracks import Tracks

TILE = 200  # px: a frame's picture is at least as wide, if the frame is no wider; its pixels are whole ones
MARGIN, GAP, HEADER, FOOTER = 12, 8, 24, 26  # px
LETTERS = 12  # px
TRAIL = 8  # frames of a path that are drawn behind an object: long enough for a turn, too short for knots


class Panel(NamedTuple):
    """A column of the animation: frames and, if given, tracks drawn on them."""

    title: str
    frames: Frames  # (B, T, C, H, W), uint8 or in [0, 1]; black once they end
    tracks: Tracks | None = None  # (B, T, N, 2)
    observed: int | None = None  # number of observed frames; later ones are marked as predicted. None: all
    first: int = 0  # number of the movie's frames before these
    names: Sequence[str] | None = None  # of the sequences, written on their frames


def overlay_gif(
    path: str | Path, panels: Sequence[Panel], scale: int | None = None, seconds_per_frame: float = 0.2
) -> None:
    """Write a GIF: panels side by side, sequences below one another, a timeline at the bottom.

    Args:
        path: the file to write.
        panels: columns from left to right, all of the same sequences; the longest sets the length.
        scale: pixels of the picture per pixel of the frame, None for a pleasant size.
        seconds_per_frame: pace, by default five frames a second, which eyes can follow; the last frame stays longer.
    """
    pages, pace = _pages(panels, scale), round(1000 * seconds_per_frame)
    durations = [pace] * (_length(panels) - 1) + [6 * pace]
    with atomic_write(path) as temporary:
        next(pages).save(
            temporary, "GIF", save_all=True, append_images=pages, duration=durations, loop=0, optimize=False
        )


def overlay_film(
    path: str | Path, panels: Sequence[Panel], scale: int | None = None, rate: float = 5.0
) -> None:
    """Write the same animation as an MP4; see :func:`overlay_gif`.

    Raises:
        UsageError: PyAV is not installed.
    """
    write_film(path, (np.asarray(page.convert("RGB")) for page in _pages(panels, scale)), rate)


def _pages(panels: Sequence[Panel], scale: int | None) -> Iterator[Image.Image]:
    """Yield the animation picture by picture."""
    frames = [to_shown(panel.frames) for panel in panels]
    B, _, H, W = frames[0].shape[:4]
    scale = scale or math.ceil(TILE / W)
    scenes = [[Scene.of(p.tracks, b) if p.tracks else None for b in range(B)] for p in panels]
    last = _length(panels)
    observed = min((p.observed for p in panels if p.observed is not None), default=last)
    for t in range(last):
        page = _page(panels, B, W * scale, H * scale)
        for column, panel in enumerate(panels):
            for row in range(B):
                tile = _tile(frames[column][row], scenes[column][row], panel, t, scale)
                if panel.names:
                    tile.text(4, 4, panel.names[row], LETTERS)
                page.put(tile, MARGIN + column * (W * scale + GAP), HEADER + row * (H * scale + GAP))
        _captions(page, panels, W * scale, t)
        _timeline(page, t, last, observed, panels[0].first)
        yield page.image()


def _length(panels: Sequence[Panel]) -> int:
    """Return the number of frames of the longest panel."""
    return max(max(p.frames.shape[1], p.tracks.present.shape[1] if p.tracks else 0) for p in panels)


def _page(panels: Sequence[Panel], rows: int, width: int, height: int) -> Canvas:
    columns = len(panels)
    return Canvas(
        2 * MARGIN + columns * width + (columns - 1) * GAP,
        HEADER + rows * height + (rows - 1) * GAP + FOOTER,
    )


def _tile(frames: np.ndarray, scene: Scene | None, panel: Panel, t: int, scale: int) -> Canvas:
    """Draw one frame of one sequence in one panel."""
    tile = Canvas.of(frames[t] if t < len(frames) else np.zeros_like(frames[0]), scale)
    if scene is not None:
        scene.draw(tile, t, scale, TRAIL)
    if panel.observed is not None and t >= panel.observed:
        height, width = tile.pixels.shape
        for edge in (
            (0, 0, width, 2),
            (0, height - 2, width, height),
            (0, 0, 2, height),
            (width - 2, 0, width, height),
        ):
            tile.dashes(*edge, BRIGHT)
    return tile


def _captions(page: Canvas, panels: Sequence[Panel], width: int, t: int) -> None:
    for column, panel in enumerate(panels):
        left = MARGIN + column * (width + GAP)
        page.text(left, HEADER - 7, panel.title, LETTERS, BRIGHT, "ls", bold=True)
        if panel.observed is not None:
            word, grey = ("observing", DIM) if t < panel.observed else ("predicting", BRIGHT)
            page.text(left + width, HEADER - 7, word, LETTERS, grey, "rs")


def _timeline(page: Canvas, t: int, last: int, observed: int, first: int) -> None:
    """Draw the frame's number and a bar of all frames: observed, predicted, still to come."""
    height, width = page.pixels.shape
    middle = height - FOOTER // 2
    page.text(MARGIN, middle, f"frame {first + t + 1} of {first + last}", LETTERS, DIM, "lm")
    left, right = MARGIN + 110, width - MARGIN
    ends, steps = np.linspace(left, right, last + 1).round().astype(int), np.arange(last)
    line = np.where(steps > t, PAGE + 8, np.where(steps < observed, DIM, BRIGHT)).repeat(np.diff(ends))
    line[ends[1:] - left - 1] = PAGE  # a gap between frames
    page.pixels[middle - 2 : middle + 2, left:right] = line
    if observed < last:
        page.fill(ends[observed] - 1, middle - 6, ends[observed], middle + 6, BRIGHT)
