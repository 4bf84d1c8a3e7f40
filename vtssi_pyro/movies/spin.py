"""How fast slender objects turn, by the axes of their regions in neighbouring frames."""

from collections.abc import Iterable

import numpy as np
from scipy.spatial import cKDTree

from vtssi_pyro.movies.regions import Regions

# Ratio of the axes from which on an object has a direction.
SLENDER = 1.5


def turns(first: Regions, second: Regions) -> np.ndarray:
    """Measure by how much the slender regions of a frame, (n,), have turned in the next one, radians, either way.

    Each is compared with the nearest region there; one that the frame's border cuts off has another shape.
    """
    if not len(first) or not len(second):
        return np.zeros(0)
    second = second.chosen(cKDTree(second.centre).query(first.centre)[1])
    clear = (np.minimum(first.slender, second.slender) >= SLENDER) & ~(first.cut | second.cut)
    apart = (second.angle - first.angle)[clear]
    return np.abs((apart + np.pi / 2) % np.pi - np.pi / 2)


def spin(pairs: Iterable[tuple[Regions, Regions, int]]) -> float:
    """The angular speed of most slender objects, radians a frame; 0 if most objects are not.

    Args:
        pairs: regions of two frames, and how many frames these are apart.
    """
    found, objects = [], 0
    for first, second, apart in pairs:
        found.append(turns(first, second) / apart)
        objects += len(first)
    measured = np.concatenate([*found, np.zeros(0)])
    return float(np.median(measured)) if 2 * len(measured) > objects else 0.0
