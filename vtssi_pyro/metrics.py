"""How good tracks are: count accuracy and position errors in pixels, from tracks alone (App. D.2)."""

from dataclasses import asdict, dataclass
from itertools import permutations
from typing import Any

import torch
from torch import Tensor

from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.types import Tracks

ENUMERATED_SLOTS = 4  # 4! = 24 assignments are tried at once; beyond that, one linear program a sequence


@dataclass(frozen=True)
class Evaluation:
    """The numbers of one evaluation; errors in pixels, None where there is nothing to average."""

    count_accuracy: float | None
    inference_error: float | None
    prediction_error: float | None
    inference_error_by_frame: list[float | None]  # frames 1..T
    prediction_error_by_frame: list[float | None]  # frames observe+1..T; empty when nothing was predicted
    sequences: int
    counted_right: int
    inference_error_counted_right: float | None
    prediction_error_counted_right: float | None
    inference_error_median: float | None
    prediction_error_median: float | None
    count_accuracy_sem: float | None
    inference_error_sem: float | None
    prediction_error_sem: float | None
    identity_switches: float | None  # share of sequences that end on another assignment than they began with

    def as_dict(self) -> dict[str, Any]:
        """The fields by name, ready for JSON: no NaN."""
        return asdict(self)


def match(truth: Tracks, found: Tracks, prefix: int) -> Tensor:
    """Which slot is which object: the assignment of least summed distance on the first frames.

    As many pairs as possible, min(n, n_found), are made of objects and slots that share a frame of the
    prefix. A frame in which only one of a pair is there costs as much as the largest distance in the
    sequence's prefix, so that a slot does not look near for being seldom there.

    Args:
        truth: N objects, (B, T, N, 2), px.
        found: M slots, (B, T, M, 2), px.
        prefix: number of frames to match on; fewer where the tracks are shorter.

    Returns:
        For each object its slot, -1 if unmatched, (B, N), int64; it holds for the whole sequence.

    Reference: App. D.2.
    """
    _check(truth, found, prefix)
    cost, feasible = _costs(_crop(truth, 0, prefix), _crop(found, 0, prefix))
    _, N, M = feasible.shape
    assign = _by_enumeration if max(N, M) <= ENUMERATED_SLOTS else _by_linear_program
    slots = assign(cost)  # (B, N), M and above: padding
    padded = torch.cat([feasible, feasible.new_zeros(*feasible.shape[:2], 1)], -1)  # (B, N, M + 1)
    kept = padded.gather(-1, slots.clamp(max=M)[..., None])[..., 0]
    return slots.where(kept, torch.full_like(slots, -1))


def evaluate(
    truth: Tracks, inferred: Tracks, predicted: Tracks | None, observe: int, per_frame_count: bool = False
) -> Evaluation:
    """Compare tracks with the truth; each kind is matched on its own first ``observe`` frames.

    Errors are averaged over all matched objects and the frames where both are present, so sequences with more
    objects weigh more. Truth with a known count but unknown (NaN) positions takes part in the count only.

    Args:
        truth: what there is, (B, T, N, 2), px.
        inferred: tracks that have seen all T frames.
        predicted: tracks over T frames of which only the first ``observe`` were seen, or None.
        observe: number of observed frames.
        per_frame_count: the count is right or wrong frame by frame, for trackers without a count per
            sequence; a sequence then counts as right when all its frames do.

    Returns:
        The evaluation; standard errors are over sequences.
    """
    inference = _distances(truth, inferred, observe, first=0)
    prediction = _distances(truth, predicted, observe, first=observe) if predicted is not None else _nothing()
    right = _counts_agree(truth, inferred, per_frame_count)  # (B, 1) or (B, T)
    wholly = right.all(-1)
    return Evaluation(
        count_accuracy=_mean(right.double()),
        inference_error=_mean(inference),
        prediction_error=_mean(prediction),
        inference_error_by_frame=[_mean(frame) for frame in inference.unbind(1)],
        prediction_error_by_frame=[_mean(frame) for frame in prediction.unbind(1)],
        sequences=len(right),
        counted_right=int(wholly.sum()),
        inference_error_counted_right=_mean(inference[wholly]),
        prediction_error_counted_right=_mean(prediction[wholly]) if predicted is not None else None,
        inference_error_median=_median(inference),
        prediction_error_median=_median(prediction),
        count_accuracy_sem=_standard_error(right.double()),
        inference_error_sem=_standard_error(inference),
        prediction_error_sem=_standard_error(prediction),
        identity_switches=_switches(truth, inferred, observe),
    )


def _check(truth: Tracks, found: Tracks, prefix: int) -> None:
    if prefix < 1:
        raise UsageError(f"matching expected 1 observed frame or more, found {prefix}: observe more")
    if truth.position.shape[:2] != found.position.shape[:2]:
        expected, got = tuple(truth.position.shape[:2]), tuple(found.position.shape[:2])
        raise DataError(
            f"tracks do not fit the truth: expected (sequences, frames) {expected}, found {got}:"
            " compare tracks of the same frames"
        )
    lost = found.present & ~found.position.isfinite().all(-1)
    if lost.any():
        b, t, n = lost.nonzero()[0].tolist()
        raise DataError(
            f"tracks hold an object without a position: sequence {b}, frame {t}, object {n} is present but"
            " not finite: mark it absent or mend the tracker"
        )


def _crop(tracks: Tracks, first: int, last: int | None = None) -> Tracks:
    """Positions of some frames, present only where they are known."""
    position = tracks.position[:, first:last].detach().double().cpu()
    return Tracks(position, tracks.present[:, first:last].cpu() & position.isfinite().all(-1))


def _costs(truth: Tracks, found: Tracks) -> tuple[Tensor, Tensor]:
    """Cost of each pair on these frames, and whether it shares one; both (B, N, M)."""
    a, b = truth.present[..., :, None], found.present[..., None, :]
    shared = a & b  # (B, T, N, M)
    distance = (truth.position[..., :, None, :] - found.position[..., None, :, :]).norm(dim=-1)
    distance = distance.where(shared, torch.zeros_like(distance))
    feasible = shared.any(1)  # (B, N, M)
    if not feasible.numel():
        return feasible.double(), feasible
    largest = distance.amax((1, 2, 3), keepdim=True)  # (B, 1, 1, 1)
    cost = (distance + largest * (a ^ b)).sum(1)
    impossible = 1 + cost.sum((1, 2), keepdim=True)  # dearer than any set of possible pairs
    return torch.where(feasible, cost, impossible), feasible


def _by_enumeration(cost: Tensor) -> Tensor:
    """Least assignment of each object to a slot or to padding, (B, N), by trying all."""
    B, N, M = cost.shape
    size = max(N, M)
    square = cost.new_zeros(B, size, size)
    square[:, :N, :M] = cost
    orders = torch.tensor(list(permutations(range(size))), dtype=torch.long)  # (P, size)
    totals = square[:, torch.arange(size), orders].sum(-1)  # (B, P)
    return orders[totals.argmin(-1), :N]


def _by_linear_program(cost: Tensor) -> Tensor:
    """The same for many slots."""
    from scipy.optimize import linear_sum_assignment

    B, N, M = cost.shape
    slots = torch.full((B, N), M)
    for b, matrix in enumerate(cost.numpy()):
        rows, columns = linear_sum_assignment(matrix)
        slots[b, torch.from_numpy(rows)] = torch.from_numpy(columns)
    return slots


def _distances(truth: Tracks, found: Tracks, observe: int, first: int) -> Tensor:
    """Distance of each object to its slot from frame ``first`` on, (B, T - first, N); NaN where none."""
    slots = match(truth, found, observe)
    truth, found = _crop(truth, first), _crop(found, first)
    B, T, N = truth.present.shape
    # One absent slot at the end is what an unmatched object is compared with.
    position = torch.cat([found.position, found.position.new_full((B, T, 1, 2), torch.nan)], -2)
    present = torch.cat([found.present, found.present.new_zeros(B, T, 1)], -1)
    slots = slots.where(slots >= 0, torch.full_like(slots, present.shape[-1] - 1))
    slots = slots[:, None].expand(B, T, N)
    distance = (position.gather(2, slots[..., None].expand(B, T, N, 2)) - truth.position).norm(dim=-1)
    return distance.where(truth.present & present.gather(2, slots), torch.full_like(distance, torch.nan))


def _nothing() -> Tensor:
    return torch.empty(0, 0, 0, dtype=torch.float64)


def _counts_agree(truth: Tracks, found: Tracks, per_frame: bool) -> Tensor:
    """Whether the count is right, (B, T) frame by frame, else (B, 1)."""
    true, slots = truth.present.cpu(), found.present.cpu()
    if per_frame:
        return true.sum(-1) == slots.sum(-1)
    return (true[:, 0].sum(-1) == slots.any(1).sum(-1))[:, None]


def _switches(truth: Tracks, found: Tracks, prefix: int) -> float | None:
    """Share of sequences whose best assignment on the last frames contradicts that on the first."""
    last = max(truth.position.shape[1] - prefix, 0)
    before, after = match(truth, found, prefix), match(_crop(truth, last), _crop(found, last), prefix)
    return _mean(((before != after) & (before >= 0) & (after >= 0)).any(-1).double())


def _mean(values: Tensor) -> float | None:
    values = values[~values.isnan()]
    return values.mean().item() if values.numel() else None


def _median(values: Tensor) -> float | None:
    values = values[~values.isnan()].sort().values
    count = values.numel()
    return ((values[(count - 1) // 2] + values[count // 2]) / 2).item() if count else None


def _standard_error(values: Tensor) -> float | None:
    """Standard error of the mean over all values, (B, ...), when only sequences are independent.

    The mean is a ratio of two sums over sequences; this is its linearised (delta method) standard error,
    which is the usual s / sqrt(B) when every sequence has as many values.
    """
    known = (~values.isnan()).flatten(1).double() if values.numel() else values.new_zeros(0, 0)
    B, total = int(known.any(-1).sum()), known.sum()
    if B < 2 or not total:
        return None
    sums = values.nan_to_num(0.0).flatten(1).sum(-1)
    residual = sums - sums.sum() / total * known.sum(-1)
    return (residual.square().sum() * B / (B - 1)).sqrt().div(total).item()
