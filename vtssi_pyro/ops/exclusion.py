"""Mutual exclusion: a joint posterior of several objects' places by mean-field inference."""

import torch
from torch import Tensor

from vtssi_pyro.ops.compiled import compilable
from vtssi_pyro.ops.peaks import bump

# Share of the old logits that a round keeps; at 0 two equal objects jump to and fro together, at 1 none moves.
DAMPING = 0.5


@compilable
def exclude(
    logits: Tensor, grid: tuple[Tensor, Tensor], reach: Tensor, strength: Tensor, active: Tensor, rounds: int
) -> Tensor:
    """Infer posterior maps of several objects' places when each keeps the others at a distance.

    The joint density is p(p_1..N) ~ exp(sum_i l_i(p_i) - strength sum_{i<j} k(p_i, p_j)), where the proximity
    k is a Gaussian bump; rounds of damped mean-field updates, l_i - strength sum_{j != i} E_{q_j} k(., p_j),
    approximate its marginals. Of two objects that claim one place, the one with the better alternative gives way.
    Gradients reach the evidence and the strength, while the other objects count as constants: gradients through the
    rounds cost as much again and teach no better.

    Args:
        logits: l, each object's evidence by place, (..., N, h, w).
        grid: coordinates of the rows (h,) and of the columns (w,).
        reach: standard deviations of the bumps, (..., N, 2), x first, in the unit of the grid.
        strength: cost of sharing one place, nats, ().
        active: 1 for objects that exist, 0 for empty slots, which keep no object away, (..., N).
        rounds: number of updates.

    Returns:
        logits (..., N, h, w), whose softmax is each object's approximate marginal.
    """
    height, width = logits.shape[-2:]
    # (..., N, h, h), (..., N, w, w)
    rows, columns = (
        bump(axis, axis, reach[..., i, None, None]) for axis, i in zip(grid, (1, 0), strict=True)
    )
    evidence = logits
    for _ in range(rounds):
        with torch.no_grad():
            q = logits.flatten(-2).softmax(-1).unflatten(-1, (height, width)) * active[..., None, None]
            proximity = rows @ q @ columns  # (..., N, h, w)
            others = proximity.sum(-3, keepdim=True) - proximity
        logits = DAMPING * logits + (1 - DAMPING) * (evidence - strength * others)
    return logits
