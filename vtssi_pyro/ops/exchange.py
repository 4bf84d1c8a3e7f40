"""Two objects that have been mistaken for each other."""

import torch
from torch import Tensor


def exchanged(fit: Tensor, pairs: Tensor) -> Tensor:
    """The places of objects after the exchange of two that gains most, if one gains anything.

    Args:
        fit: nats of object i at the place of object j, (..., N, N).
        pairs: which pairs may be exchanged, (..., N, N) bool, symmetric.

    Returns:
        the number of each object's place, (..., N) int64: its own, or that of its partner.
    """
    own = fit.diagonal(dim1=-2, dim2=-1)
    gain = fit + fit.mT - own.unsqueeze(-1) - own.unsqueeze(-2)
    slots = torch.arange(fit.shape[-1], device=fit.device)
    gain = gain.masked_fill(~pairs | (slots == slots[:, None]), -torch.inf).flatten(-2)
    most, pair = gain.max(-1, keepdim=True)
    first, second = pair // len(slots), pair % len(slots)
    partner = torch.where(slots == first, second, torch.where(slots == second, first, slots))
    return torch.where(most > 0, partner, slots)
