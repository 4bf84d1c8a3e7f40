"""Metrics of multi-object tracking as TrackEval computes them: HOTA, CLEAR MOT and IDF1 of boxes."""

from typing import Any

import numpy as np
from torch import Tensor

from vtssi_pyro.errors import DataError
from vtssi_pyro.evaluation.events import seen
from vtssi_pyro.system.extras import extra
from vtssi_pyro.tracks.tracks import Tracks

# Our names for TrackEval's metrics and fields; those of HOTA are means over its thresholds.
FIELDS = {
    "hota": ("HOTA", "HOTA"),
    "detection_accuracy": ("HOTA", "DetA"),
    "association_accuracy": ("HOTA", "AssA"),
    "mota": ("CLEAR", "MOTA"),
    "motp": ("CLEAR", "MOTP"),
    "recall": ("CLEAR", "CLR_Re"),
    "precision": ("CLEAR", "CLR_Pr"),
    "identity_switches": ("CLEAR", "IDSW"),
    "fragmentations": ("CLEAR", "Frag"),
    "idf1": ("Identity", "IDF1"),
}
HALF = 0.5  # of a union, or of a box
TINY = np.finfo(float).tiny


def mot_metrics(truth: Tracks, tracks: Tracks) -> dict[str, float]:
    """Compare boxes with the true ones, over all sequences together.

    Boxes are compared by intersection over union; CLEAR MOT and IDF1 count one half and more as a match. Each slot is
    one object throughout its sequence.

    An object of which a frame shows less than half (:data:`~vtssi_pyro.evaluation.events.SEEN`), as far as the truth
    tells, is not judged in that frame: nobody can tell its box. It counts neither as missed nor, with a box that it
    covers by more than half, as a false alarm.

    Args:
        truth: boxes (B, T, N, 2), px.
        tracks: boxes (B, T, M, 2), px.

    Returns:
        ``hota``, ``detection_accuracy``, ``association_accuracy``, ``mota``, ``motp``, ``recall``, ``precision`` and
        ``idf1``, of which 1 is best; ``identity_switches`` and ``fragmentations``, which are counts.

    Raises:
        DataError: the truth or the tracks have no boxes.
        UsageError: TrackEval is not installed.

    Reference: the unjudged regions of KITTI's benchmark (Geiger, Lenz and Urtasun 2012).
    """
    metrics, sight = library(), seen(truth)
    shown, hidden = (truth._replace(present=truth.present & judged) for judged in (sight, ~sight))
    results: dict[str, dict[str, Any]] = {name: {} for name in metrics}
    for b in range(len(truth.present)):
        true, unjudged = (_boxes(some, b, "the truth") for some in (shown, hidden))
        sequence = _sequence(true, _judged(_boxes(tracks, b, "the tracks"), true, unjudged))
        for name, metric in metrics.items():
            results[name][str(b)] = metric.eval_sequence(sequence)
    whole = {name: metric.combine_sequences(results[name]) for name, metric in metrics.items()}
    return {name: float(np.mean(whole[metric][field])) for name, (metric, field) in FIELDS.items()}


def library() -> dict[str, Any]:
    """Return TrackEval's metrics by name.

    Raises:
        UsageError: TrackEval is not installed; the message tells how to install it.
    """
    metrics = extra("trackeval", "mot", "these metrics need TrackEval").metrics
    quiet = {"PRINT_CONFIG": False}
    return {
        "HOTA": metrics.HOTA(),
        "CLEAR": metrics.CLEAR(quiet),
        "Identity": metrics.Identity(quiet),
    }


Boxes = list[tuple[np.ndarray, np.ndarray]]  # identities (n,) and boxes (n, 4) of each frame


def _boxes(tracks: Tracks, b: int, what: str) -> Boxes:
    """Identities (n,) and boxes (n, 4), left, top, right, bottom, of each frame of a sequence."""
    if tracks.box is None:
        raise DataError(f"{what} has no boxes, which these metrics compare")
    position, box = _numpy(tracks.position[b]), _numpy(tracks.box[b])
    corners = np.concatenate([position - box / 2, position + box / 2], -1)  # (T, N, 4)
    present = tracks.present[b].cpu().numpy() & np.isfinite(corners).all(-1)
    return [(frame.nonzero()[0], corners[t, frame]) for t, frame in enumerate(present)]


def _numpy(values: Tensor) -> np.ndarray:
    return values.detach().double().cpu().numpy()


def _judged(tracks: Boxes, truth: Boxes, unjudged: Boxes) -> Boxes:
    """The tracks without those on objects that are not judged, unless they match one that is."""
    kept = []
    for (identity, box), (_, true), (_, hidden) in zip(tracks, truth, unjudged, strict=True):
        common, area = _common(box, hidden), _area(box)[:, None].clip(TINY)
        judged = ~(common / area > HALF).any(1) | (_overlap(true, box) >= HALF).any(0)
        kept.append((identity[judged], box[judged]))
    return kept


def _sequence(truth: Boxes, tracks: Boxes) -> Any:
    """Convert a sequence to the form of TrackEval's metrics; identities count up from 0 without a gap."""
    data: dict[str, Any] = {"num_timesteps": len(truth)}
    for name, frames in (("gt", truth), ("tracker", tracks)):
        known = np.unique(np.concatenate([identity for identity, _ in frames]))
        data[f"{name}_ids"] = [np.searchsorted(known, identity) for identity, _ in frames]
        data[f"num_{name}_ids"] = len(known)
        data[f"num_{name}_dets"] = sum(len(identity) for identity, _ in frames)
    data["similarity_scores"] = [_overlap(a, b) for (_, a), (_, b) in zip(truth, tracks, strict=True)]
    return data


def _overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (n, 4) and (m, 4): (n, m)."""
    common = _common(a, b)
    either = _area(a)[:, None] + _area(b)[None] - common
    return common / either.clip(TINY)


def _common(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The area that boxes (n, 4) and (m, 4) have in common, (n, m)."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    return (high - low).clip(0).prod(-1)


def _area(box: np.ndarray) -> np.ndarray:
    """(n,), of boxes (n, 4)."""
    return (box[:, 2:] - box[:, :2]).prod(-1)
