"""Mean squared displacements of tracks."""

from typing import NamedTuple

import numpy as np

from vtssi_pyro.tracks.columns import HIDDEN
from vtssi_pyro.tracks.tracks import Tracks, as_array


class Displacements(NamedTuple):
    """Mean squared displacements by lag; arrays (L,)."""

    lag: np.ndarray  # frames, from 1
    mean: np.ndarray  # px^2, mean over tracks; NaN where no track has such a lag
    error: np.ndarray  # px^2, its standard error; NaN where one cannot be told
    tracks: np.ndarray  # number of tracks


def mean_squared_displacement(tracks: Tracks, longest: int | None = None) -> Displacements:
    """Compute the mean squared displacement (MSD) of the objects, lag by lag.

    Each track has its mean over all pairs of frames with that lag; tracks count alike. The standard error is that over
    tracks; of a single track, that of its displacements which do not overlap. Frames that hardly show an object
    (confidence below one half) are left out, since a tracker guesses there.

    The error s of positions (``Tracks.scale``) adds 2 s^2 for each axis to all lags.

    Args:
        tracks: (B, T, N, 2), px.
        longest: largest lag, frames; None: a quarter of the frames, beyond which few displacements are independent.

    Reference: Saxton and Jacobson, Single-particle tracking: applications to membrane dynamics, 1997.
    """
    position = as_array(tracks.position)
    shown = tracks.present.cpu().numpy() & np.isfinite(position).all(-1)
    if tracks.confidence is not None:
        sure = tracks.confidence.detach().cpu().numpy()
        shown &= ~(sure < HIDDEN)  # a NaN is not known, and counts
    sequences, length, slots = shown.shape
    path = np.where(shown[..., None], position, np.nan).transpose(1, 0, 2, 3)
    path = path.reshape(length, sequences * slots, 2)
    last = max(min(longest or max(length // 4, 1), length - 1), 0)
    found = [_of_lag(path, lag) for lag in range(1, last + 1)]
    mean, error, number = np.array(found).reshape(-1, 3).T
    return Displacements(np.arange(1, last + 1), mean, error, number.astype(int))


def _of_lag(path: np.ndarray, lag: int) -> tuple[float, float, int]:
    """Mean, standard error and number of tracks; ``path`` (T, tracks, 2), NaN where an object is not shown."""
    square = np.square(path[lag:] - path[:-lag]).sum(-1)  # (T - lag, tracks)
    known = np.isfinite(square)
    own = square.sum(0, where=known) / np.maximum(known.sum(0), 1)
    own = own[known.any(0)]
    if not len(own):
        return np.nan, np.nan, 0
    apart = own
    if len(own) == 1:
        apart = square[::lag, known.any(0)]
        apart = apart[np.isfinite(apart)]
    error = apart.std(ddof=1) / np.sqrt(len(apart)) if len(apart) > 1 else np.nan
    return float(own.mean()), float(error), len(own)
