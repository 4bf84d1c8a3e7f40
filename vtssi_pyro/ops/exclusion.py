"""Two things are seldom in one place: a joint reading of several maps by mean-field inference."""

import torch
from torch import Tensor

from vtssi_pyro.ops.compiled import compilable
from vtssi_pyro.ops.peaks import bump

DAMPING = 0.5  # share of the old logits that a round keeps; without it, equals would jump to and fro together


@compilable
def exclude(
    logits: Tensor, grid: tuple[Tensor, Tensor], reach: Tensor, strength: Tensor, there: Tensor, rounds: int
) -> Tensor:
    """Posterior maps of several objects' places when each keeps the others at a distance.

    The joint density is p(p_1..N) ~ exp(sum_i l_i(p_i) - strength sum_{i<j} near(p_i, p_j)), where near is a Gaussian
    bump; rounds of damped mean-field updates, l_i - strength sum_{j != i} E_{q_j} near(., p_j), approximate its
    marginals. Of two objects that claim one place, the one with the better alternative gives way. Gradients reach the
    evidence and the strength with the others where they are: through the rounds they would cost as much again, and
    teach no better.

    Args:
        logits: l, each object's evidence by place, (..., N, h, w).
        grid: coordinates of the rows (h,) and of the columns (w,).
        reach: standard deviations of the bumps, (..., N, 2), x first, in the unit of the grid.
        strength: what the same place costs, nats.
        there: 1 for objects that exist, 0 for empty slots, which keep nobody away, (..., N).
        rounds: number of updates.

    Returns:
        logits (..., N, h, w).
    """
    height, width = logits.shape[-2:]
    rows, columns = (
        bump(axis, axis, reach[..., i, None, None]) for axis, i in zip(grid, (1, 0), strict=True)
    )  # (..., N, h, h), (..., N, w, w)
    evidence = logits
    for _ in range(rounds):
        with torch.no_grad():
            q = logits.flatten(-2).softmax(-1).unflatten(-1, (height, width)) * there[..., None, None]
            near = rows @ q @ columns  # (..., N, h, w)
            others = near.sum(-3, keepdim=True) - near
        logits = DAMPING * logits + (1 - DAMPING) * (evidence - strength * others)
    return logits
