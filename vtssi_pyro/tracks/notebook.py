"""Tracks as a notebook shows them: their numbers, a table of the first tracks, and the paths of a sequence."""

import math

import numpy as np

from vtssi_pyro.system.markup import grid, terms
from vtssi_pyro.tracks.columns import spelled_unit
from vtssi_pyro.tracks.summary import Life, lives
from vtssi_pyro.tracks.tracks import Tracks, as_array
from vtssi_pyro.tracks.units import NO_UNITS, Units

ROWS = 10  # tracks in the table, about a screen
POINTS = 200  # of a path, more than a picture of SIDE pixels shows
SIDE = 240  # px, longer side of the picture
HEADER = ("sequence", "particle", "first", "last", "frames", "seen", "confidence")


def html(tracks: Tracks, units: Units = NO_UNITS) -> str:
    """Describe tracks, their lengths and speeds in known units."""
    found = lives(tracks)
    B, T, N = tracks.present.shape
    known = [name for name, value in tracks._asdict().items() if value is not None]
    samples = {} if tracks.samples is None else {"samples": f"{len(tracks.samples)} of each"}
    rest = f"the first {ROWS} of {len(found)}" if len(found) > ROWS else f"{len(found)}"
    told = {
        "sequences": f"{B} of {T} frames", "slots": f"{N} in each", "known": ", ".join(known), **samples,
        "tracks": rest,
    }  # fmt: skip
    units, names = units.even, Life.quantities()
    header = [*HEADER, *(f"{name}, {spelled_unit(units.name(*powers))}" for name, powers in names.items())]
    rows = []
    for life in found[:ROWS]:
        plain = [_number(getattr(life, name)) for name in HEADER]
        lengths = [
            _number(getattr(life, name) * float(units.factor(*powers, np.zeros(1))))
            for name, powers in names.items()
        ]
        rows.append([*plain, *lengths])
    first = found[0].sequence if found else 0
    return terms("Tracks", told) + (grid(header, rows) + paths(tracks, first) if found else "")


def paths(tracks: Tracks, sequence: int) -> str:
    """The paths of a sequence as a picture (SVG) in the page's own colour, each with a dot at its last place."""
    position = as_array(tracks.position[sequence])
    present = tracks.present[sequence].cpu().numpy() & np.isfinite(position).all(-1)
    known = position[present]
    if not len(known):
        return ""
    low, high = known.min(0) - 1, known.max(0) + 1
    scale = SIDE / (high - low).max()
    width, height = (high - low) * scale
    every, drawn = max(1, math.ceil(len(position) / POINTS)), []
    for n in range(position.shape[1]):
        steps, pen, place = [], "M", (0.0, 0.0)
        for t in range(0, len(position), every):
            if present[t, n]:
                place = tuple(((position[t, n] - low) * scale).tolist())
                steps.append(f"{pen}{place[0]:.1f},{place[1]:.1f}")
            pen = "L" if present[t, n] else "M"
        if steps:
            drawn.append(
                f"<path d='{' '.join(steps)}' fill='none' stroke='currentColor'><title>{n}</title></path>"
                f"<circle cx='{place[0]:.1f}' cy='{place[1]:.1f}' r='3' fill='currentColor'/>"
            )
    about = f"paths of sequence {sequence}"
    return (
        f"<svg width='{width:.0f}' height='{height:.0f}' role='img' aria-label='{about}'>{''.join(drawn)}</svg>"
        f"<div>{about}</div>"
    )


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return "" if math.isnan(value) else f"{value:.3g}"
