"""Metrics of tracks: count accuracy and position errors in pixels, from tracks alone (App. D.2)."""

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from vtssi_pyro.evaluation.events import Events, eventful, events, right_counts
from vtssi_pyro.evaluation.statistics import mean, standard_error
from vtssi_pyro.tracks.matching import assign, cut, slot_distances
from vtssi_pyro.tracks.tracks import Tracks

# Lower edges of the bins of the smallest distance between objects, px; digits are up to 20 px wide.
CLOSENESS = (0.0, 5.0, 10.0, 15.0, 20.0)


@dataclass(frozen=True)
class Share:
    """The numbers of some of the sequences; errors in pixels, None if no value is known."""

    sequences: int
    count_accuracy: float | None
    inference_error: float | None
    prediction_error: float | None
    count_accuracy_sem: float | None
    inference_error_sem: float | None
    prediction_error_sem: float | None


@dataclass(frozen=True)
class Evaluation(Share):
    """The numbers of one evaluation; errors in pixels, None if no value is known."""

    inference_error_by_frame: list[float | None]  # frames 1..T
    prediction_error_by_frame: list[float | None]  # frames observe+1..T; empty when nothing was predicted
    counted_right: int | None  # None in some files of a former version
    inference_error_counted_right: float | None
    prediction_error_counted_right: float | None
    inference_error_median: float | None
    prediction_error_median: float | None
    identity_switches: float | None  # share of sequences that end on another assignment than they began with
    count_accuracy_observed: float | None  # of the count that the first ``observe`` frames alone give
    count_accuracy_observed_sem: float | None
    predictions_outside: float | None  # share of predicted positions beyond the frame's edges
    predictions_outside_by_frame: list[float | None]  # frames observe+1..T
    count_frames: int | None  # frames of a sequence that decide its count; None if the tracker does not say
    per_frame_count: bool  # whether each frame has a count of its own
    by_objects: dict[str, Share]  # by the true number of objects in the first frame
    by_distance: dict[str, Share]  # by the smallest distance of two objects in the observed frames, px
    events: Events | None = None  # of objects that come and go, hide or turn; None if none does

    def as_dict(self) -> dict[str, Any]:
        """The fields by name, ready for JSON: no NaN."""
        return asdict(self)


def evaluate(
    truth: Tracks,
    inferred: Tracks,
    predicted: Tracks | None,
    observe: int,
    per_frame_count: bool = False,
    begun: Tracks | None = None,
    frame_size: tuple[int, int] | None = None,
    count_frames: int | None = None,
) -> Evaluation:
    """Compare tracks with the truth; each kind is assigned on its own first ``observe`` frames.

    Errors are averaged over all matched objects and the frames where both are present, so sequences with more
    objects weigh more. Truth with a known count but unknown (NaN) positions takes part in the count only. The one count
    of a sequence is that of its first frame. Objects that come later have no slot, and take part in the ``events``.

    Args:
        truth: true tracks, (B, T, N, 2), px.
        inferred: tracks from all T frames, (B, T, M, 2), px.
        predicted: tracks over T frames of which only the first ``observe`` were observed, or None.
        observe: number of observed frames.
        per_frame_count: the count is right or wrong frame by frame, for trackers without a count per
            sequence; a sequence then counts as right when all its frames do.
        begun: tracks from the first ``observe`` frames alone, which hold at least these; None:
            ``predicted`` or, without it, the beginning of ``inferred``.
        frame_size: (H, W), px, to tell which predictions leave the frame; None: these metrics are None.
        count_frames: number of frames of a sequence that decided the count of ``inferred``; None: not known.

    Returns:
        The evaluation; standard errors are over sequences.
    """
    inference = distances(truth, inferred, observe, first=0)
    empty = inference.new_empty(len(inference), 0, 0)
    prediction = empty if predicted is None else distances(truth, predicted, observe, first=observe)
    right = _counts_agree(truth, inferred, per_frame_count)  # (B, 1) or (B, T)
    observed, beginning = (
        tracks.part(frames=slice(observe)) for tracks in (truth, begun or predicted or inferred)
    )
    right_at_once = _counts_agree(observed, beginning, per_frame_count)
    outside = empty if predicted is None or not frame_size else _outside(predicted, observe, frame_size)
    wholly = right.all(-1)

    def share(chosen: Tensor) -> Share:
        return Share(**_means(right[chosen], inference[chosen], prediction[chosen]))

    return Evaluation(
        **_means(right, inference, prediction),
        inference_error_by_frame=[mean(frame) for frame in inference.unbind(1)],
        prediction_error_by_frame=[mean(frame) for frame in prediction.unbind(1)],
        counted_right=int(wholly.sum()),
        inference_error_counted_right=mean(inference[wholly]),
        prediction_error_counted_right=mean(prediction[wholly]),
        inference_error_median=_median(inference),
        prediction_error_median=_median(prediction),
        identity_switches=_switches(truth, inferred, observe),
        count_accuracy_observed=mean(right_at_once.double()),
        count_accuracy_observed_sem=standard_error(right_at_once.double()),
        predictions_outside=mean(outside),
        predictions_outside_by_frame=[mean(frame) for frame in outside.unbind(1)],
        count_frames=count_frames,
        per_frame_count=per_frame_count,
        by_objects={name: share(chosen) for name, chosen in _by_objects(truth).items()},
        by_distance={name: share(chosen) for name, chosen in _by_distance(observed).items()},
        events=events(truth, inferred) if eventful(truth) else None,
    )


def distances(truth: Tracks, found: Tracks, observe: int, first: int) -> Tensor:
    """Distance of each object to its slot from frame ``first`` on, px, (B, T - first, N); NaN without a slot."""
    slots = assign(truth, found, observe)
    truth, found = cut(truth, first), cut(found, first)
    distance = slot_distances(truth, found, slots.unsqueeze(1).expand(truth.present.shape))
    return distance.where(truth.present, torch.nan)


def _counts_agree(truth: Tracks, found: Tracks, per_frame: bool) -> Tensor:
    """Whether the count is right, (B, T) frame by frame, else (B, 1)."""
    true, slots = truth.present.cpu(), found.present.cpu()
    if per_frame:
        return right_counts(truth, found)
    return (true[:, 0].sum(-1) == slots.any(1).sum(-1))[:, None]


def _switches(truth: Tracks, found: Tracks, prefix: int) -> float | None:
    """Share of sequences whose best assignment on the last frames contradicts that on the first."""
    last = max(truth.position.shape[1] - prefix, 0)
    before, after = assign(truth, found, prefix), assign(cut(truth, last), cut(found, last), prefix)
    return mean(((before != after) & (before >= 0) & (after >= 0)).any(-1).double())


def _outside(predicted: Tracks, observe: int, frame_size: tuple[int, int]) -> Tensor:
    """1 where a predicted centre is outside the frame, 0 inside, NaN without an object, (B, T - observe, M)."""
    tracks = cut(predicted, observe)
    height, width = frame_size
    edge = torch.tensor([width, height], dtype=tracks.position.dtype)
    outside = ((tracks.position < 0) | (tracks.position > edge)).any(-1).double()
    return outside.where(tracks.present, torch.full_like(outside, torch.nan))


def _by_objects(truth: Tracks) -> dict[str, Tensor]:
    """Tell for each number of objects, 0 to N, which sequences begin with it, (B,) bool."""
    count = truth.present[:, 0].sum(-1).cpu()
    return {str(number): count == number for number in range(truth.present.shape[-1] + 1)}


def _by_distance(observed: Tracks) -> dict[str, Tensor]:
    """Tell which sequences fall into each bin of the smallest distance of two objects in any frame, (B,) bool.

    Sequences that never show two objects at once are in no bin.
    """
    tracks = cut(observed, 0)
    first, second = tracks.present[..., :, None], tracks.present[..., None, :]
    distance = (tracks.position[..., :, None, :] - tracks.position[..., None, :, :]).norm(dim=-1)
    pairs = (first & second).triu(1)  # (B, T, N, N)
    distance = distance.where(pairs, torch.full_like(distance, torch.inf)).flatten(1)
    if not distance.shape[1]:
        distance = distance.new_full((len(distance), 1), torch.inf)
    smallest = distance.amin(1)
    bins = {f"{low:g}-{high:g}": (low <= smallest) & (smallest < high) for low, high in pairwise(CLOSENESS)}
    return bins | {f"{CLOSENESS[-1]:g}+": (smallest >= CLOSENESS[-1]) & smallest.isfinite()}


def _means(right: Tensor, inference: Tensor, prediction: Tensor) -> dict[str, Any]:
    """Return the fields of :class:`Share` from the values of some sequences, each (B, ...)."""
    values = {
        "count_accuracy": right.double(),
        "inference_error": inference,
        "prediction_error": prediction,
    }
    means: dict[str, Any] = {name: mean(value) for name, value in values.items()}
    errors = {f"{name}_sem": standard_error(value) for name, value in values.items()}
    return {"sequences": len(right), **means, **errors}


def _median(values: Tensor) -> float | None:
    values = values[~values.isnan()].sort().values
    count = values.numel()
    return ((values[(count - 1) // 2] + values[count // 2]) / 2).item() if count else None
