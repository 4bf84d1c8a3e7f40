"""A strip of one sequence's frames, for paper and README."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vtssi_pyro.plots.canvas import Canvas
from vtssi_pyro.plots.scene import Scene
from vtssi_pyro.plots.style import BRIGHT, DIM, Frames, font, to_shown
from vtssi_pyro.system.atomic import atomic_write
from vtssi_pyro.tracks.tracks import Tracks

TILE = 150  # px, about the width of a frame's picture
MARGIN, GAP, HEADER = 16, 6, 34  # px
HORIZON = 18  # px between the last observed frame and the first predicted one
LETTERS, TAB = 18, 14  # px; an identity's number is smaller on small frames

Row = tuple[str, Frames, Tracks | None]  # label, (T, C, H, W), tracks of that one sequence


def film_strip(
    path: str | Path,
    rows: Sequence[Row],
    observed: int | None = None,
    columns: int = 10,
    scale: int | None = None,
    numbers: Sequence[int] | None = None,
    identities: bool = True,
) -> None:
    """Write rows of frames such as truth, reconstruction, boxes and prediction as a PNG.

    Args:
        path: the file to write.
        rows: label, frames (T, C, H, W), uint8 or in [0, 1], and tracks (1, T, N, 2) or None.
        observed: number of frames after which the horizon is marked, None for no mark.
        columns: largest number of frames, evenly spaced from the first to the last.
        scale: pixels of the picture per pixel of the frame, None for a pleasant size.
        numbers: the number of each frame, None to count them from 1.
        identities: whether colours and numbers tell objects apart from frame to frame.
    """
    frames = [to_shown(row[1]) for row in rows]
    length, H, W = max(len(f) for f in frames), *frames[0].shape[1:3]
    scale = scale or max(1, TILE // W)
    shown = np.unique(np.linspace(0, length - 1, min(columns, length)).round().astype(int)).tolist()
    margin = 2 * MARGIN + max(round(font(LETTERS).getlength(row[0])) for row in rows)
    lefts = [
        margin + column * (W * scale + GAP) + (HORIZON if observed is not None and t >= observed else 0)
        for column, t in enumerate(shown)
    ]
    bottom = HEADER + len(rows) * (H * scale + GAP) - GAP
    page = Canvas(lefts[-1] + W * scale + MARGIN, bottom + MARGIN)
    page.text(margin - MARGIN, HEADER - 9, "frame", LETTERS, DIM, "rs")
    for t, left in zip(shown, lefts, strict=True):
        predicted = observed is not None and t >= observed
        number, grey = numbers[t] if numbers else t + 1, BRIGHT if predicted else DIM
        page.text(left + W * scale // 2, HEADER - 9, str(number), LETTERS, grey, "ms")
    for index, ((label, _, tracks), film) in enumerate(zip(rows, frames, strict=True)):
        top = HEADER + index * (H * scale + GAP)
        page.text(margin - MARGIN, top + H * scale // 2, label, LETTERS, BRIGHT, "rm")
        scene = Scene.of(tracks) if tracks is not None else None
        for t, left in zip(shown, lefts, strict=True):
            tile = Canvas.of(film[t] if t < len(film) else np.zeros_like(film[0]), scale)
            if scene is not None:
                scene.draw(tile, t, scale, letters=min(TAB, 5 * scale) if identities else 0)
            page.put(tile, left, top)
    before = [left for t, left in zip(shown, lefts, strict=True) if observed is not None and t < observed]
    if before and len(before) < len(shown):
        middle = before[-1] + W * scale + (GAP + HORIZON) // 2
        page.dashes(middle - 1, 12, middle + 1, bottom, BRIGHT, dash=8)
    with atomic_write(path) as temporary:
        page.image().save(temporary, "PNG", optimize=True)
