"""Graphs of detections, as other programs keep tracks: nodes are objects in frames, edges lead to the next frame."""

import numpy as np

from vtssi_pyro.tracks.columns import rows_of
from vtssi_pyro.tracks.tracks import Tracks


def identities(edges: np.ndarray, number: int) -> np.ndarray:
    """The identity of each node: an edge continues one unless its source divides or its target is merged.

    Args:
        edges: indices of sources and targets, (E, 2).
        number: number of nodes.

    Returns:
        Numbers from 0, (number,).
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = np.unique(edges.reshape(-1, 2), axis=0)
    ways_on, ways_in = (np.bincount(edges[:, side], minlength=number) for side in (0, 1))
    kept = edges[(ways_on[edges[:, 0]] == 1) & (ways_in[edges[:, 1]] == 1)]
    links = coo_array((np.ones(len(kept)), (kept[:, 0], kept[:, 1])), (number, number))
    return connected_components(links, directed=False)[1]


def edges_of(tracks: Tracks) -> np.ndarray:
    """Indices of the rows that an object has one after another, (E, 2); an edge may span frames without it.

    Args:
        tracks: of one sequence, (1, T, N, 2); rows are in the order of :func:`~vtssi_pyro.tracks.columns.rows_of`.
    """
    _, _, particle = rows_of(tracks)
    order = np.argsort(particle, kind="stable")
    same = particle[order][1:] == particle[order][:-1]
    return np.stack([order[:-1][same], order[1:][same]], -1)
