"""Assignment of tracks to objects by the least summed distance, on a prefix (App. D.2) or in each frame."""

from itertools import permutations

import torch
from torch import Tensor

from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.tracks.tracks import Tracks

# All 4! = 24 assignments of a batch are tried at once; twice as many slots have 40,320, so the Hungarian method takes
# over.
ENUMERATED_SLOTS = 4
# Relative: sums that differ by less, thousands of roundings, are equal but for the order of addition.
EQUAL = 1e-12


def assign(truth: Tracks, found: Tracks, prefix: int) -> Tensor:
    """Assign slots to objects with the least summed distance on the first frames (Kuhn 1955).

    As many pairs as possible, min(n, n_found), are made of objects and slots that share a frame of the
    prefix. A frame in which only one of a pair is present costs as much as the largest distance in the
    sequence's prefix, so that a slot does not seem close because it is seldom present.

    Args:
        truth: N objects, (B, T, N, 2), px.
        found: M slots, (B, T, M, 2), px.
        prefix: number of frames to assign on; fewer if the tracks are shorter.

    Returns:
        For each object its slot, -1 if unmatched, (B, N), int64; it holds for the whole sequence.

    Raises:
        UsageError: a prefix without a frame.
        DataError: tracks of other frames than the truth, or an object that is present without a position.

    Reference: App. D.2; Kuhn, The Hungarian method for the assignment problem, 1955.
    """
    _check(truth, found, prefix)
    return _solved(*_costs(cut(truth, 0, prefix), cut(found, 0, prefix)))


def pairs(truth: Tracks, found: Tracks, reach: Tensor) -> Tensor:
    """Pair slots with objects frame by frame: as many as possible, of equally many those of least summed distance.

    Args:
        truth: N objects, (B, T, N, 2), px.
        found: M slots, (B, T, M, 2), px.
        reach: largest distance of a slot from its object, (B, T, N), px.

    Returns:
        For each object its slot in each frame, -1 if unmatched, (B, T, N), int64.

    Raises:
        DataError: tracks of other frames than the truth, or an object that is present without a position.
    """
    _check(truth, found, 1)
    truth, found = cut(truth, 0), cut(found, 0)
    shared = truth.present[..., :, None] & found.present[..., None, :]  # (B, T, N, M)
    distance = (truth.position[..., :, None, :] - found.position[..., None, :, :]).norm(dim=-1)
    feasible = (shared & (distance <= reach[..., None])).flatten(0, 1)  # (B T, N, M)
    distance = distance.flatten(0, 1).where(feasible, torch.zeros(()))
    slots = _solved(_dear(distance, feasible), feasible)
    return slots.unflatten(0, truth.present.shape[:2])


def slot_distances(truth: Tracks, found: Tracks, slots: Tensor) -> Tensor:
    """Distances of objects from their slots, px, float64, (B, T, N); NaN where there is no slot, or it is absent.

    Args:
        truth: N objects, (B, T, N, 2), px, on the CPU.
        found: M slots, (B, T, M, 2), px, on the CPU.
        slots: the slot of each object in each frame, -1 without one, (B, T, N).
    """
    if not found.present.shape[2]:
        return torch.full(slots.shape, torch.nan, dtype=torch.float64)
    index = slots.clamp_min(0)
    distance = (found.position.take_along_dim(index.unsqueeze(-1), 2) - truth.position).double().norm(dim=-1)
    return distance.where((slots >= 0) & found.present.gather(2, index), torch.nan)


def in_order(tracks: Tracks, reference: Tracks, prefix: int) -> Tracks:
    """Reorder the slots of tracks as in a reference.

    Objects that look alike may come in another order each time they are tracked.

    Args:
        tracks: (B, T, N, 2), px.
        reference: tracks of the same frames with as many slots, (B, T, N, 2), px.
        prefix: number of frames to assign on.

    Returns:
        tracks (B, T, N, 2), px.
    """
    observed = slice(prefix)
    slots = assign(reference.part(frames=observed), tracks.part(frames=observed), prefix)
    for b in (slots < 0).any(1).nonzero()[:, 0].tolist():
        used = set(slots[b].tolist())
        slots[b, slots[b] < 0] = torch.tensor([n for n in range(slots.shape[1]) if n not in used])
    flat = slots.to(tracks.position.device).unsqueeze(1)  # (B, 1, N)

    def put(values: Tensor, axis: int) -> Tensor:
        order = flat.reshape(*(1,) * axis, *flat.shape, *(1,) * (values.dim() - axis - 3))
        return values.take_along_dim(order, axis + 2)

    return tracks.mapped(put)


def cut(tracks: Tracks, first: int, last: int | None = None) -> Tracks:
    """Cut out the positions of some frames, float64 on the CPU, present only if they are finite."""
    position = tracks.position[:, first:last].detach().double().cpu()
    return Tracks(position, tracks.present[:, first:last].cpu() & position.isfinite().all(-1))


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


def _costs(truth: Tracks, found: Tracks) -> tuple[Tensor, Tensor]:
    """Return the cost of each pair on these frames, and whether it shares one; both (B, N, M)."""
    a, b = truth.present[..., :, None], found.present[..., None, :]
    shared = a & b  # (B, T, N, M)
    distance = (truth.position[..., :, None, :] - found.position[..., None, :, :]).norm(dim=-1)
    distance = distance.where(shared, torch.zeros_like(distance))
    feasible = shared.any(1)  # (B, N, M)
    if not feasible.numel():
        return feasible.double(), feasible
    largest = distance.amax((1, 2, 3), keepdim=True)  # (B, 1, 1, 1)
    cost = (distance + largest * (a ^ b)).sum(1)
    return _dear(cost, feasible), feasible


def _dear(cost: Tensor, feasible: Tensor) -> Tensor:
    """Costs (B, N, M) in which a pair that is not feasible is dearer than any set of feasible pairs."""
    return torch.where(feasible, cost, 1 + cost.sum((1, 2), keepdim=True))


def _solved(cost: Tensor, feasible: Tensor) -> Tensor:
    """Find the least assignment of objects to slots, (B, N); -1 for objects without a feasible one."""
    _, N, M = feasible.shape
    solve = _by_enumeration if max(N, M) <= ENUMERATED_SLOTS else _by_hungarian
    slots = solve(cost)  # (B, N), M and above: padding
    padded = torch.cat([feasible, feasible.new_zeros(*feasible.shape[:2], 1)], -1)  # (B, N, M + 1)
    kept = padded.gather(-1, slots.clamp(max=M)[..., None])[..., 0]
    return slots.where(kept, torch.full_like(slots, -1))


def _by_enumeration(cost: Tensor) -> Tensor:
    """Find the least assignment of objects to slots or padding, (B, N), by trying all; of equal ones the first."""
    B, N, M = cost.shape
    size = max(N, M)
    square = cost.new_zeros(B, size, size)
    square[:, :N, :M] = cost
    orders = torch.tensor(list(permutations(range(size))), dtype=torch.long)  # (P, size)
    totals = square[:, torch.arange(size), orders].sum(-1)  # (B, P)
    least = totals <= totals.amin(-1, keepdim=True) * (1 + EQUAL)
    return orders[least.int().argmax(-1), :N]


def _by_hungarian(cost: Tensor) -> Tensor:
    """Find the same for many slots by the Hungarian method, sequence by sequence."""
    from scipy.optimize import linear_sum_assignment

    B, N, M = cost.shape
    slots = torch.full((B, N), M)
    for b, matrix in enumerate(cost.numpy()):
        rows, columns = linear_sum_assignment(matrix)
        slots[b, torch.from_numpy(rows)] = torch.from_numpy(columns)
    return slots
