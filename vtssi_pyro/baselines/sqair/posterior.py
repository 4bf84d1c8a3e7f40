"""The figures by which a SQAIR is compared with the published one, on sequences that it has not learned from."""

from typing import NamedTuple

import pyro
import torch
from torch import Tensor

from vtssi_pyro.baselines.sqair.program import SQAIR
from vtssi_pyro.baselines.sqair.vimco import VIMCO, bound_of
from vtssi_pyro.model.tracker import evaluating

PART = 32  # sequences at a time


class Figures(NamedTuple):
    """Figures of each sequence; all but the bound are averages over particles by their importance weights."""

    bound: Tensor  # (B,) the importance-weighted bound of the sequence, nats
    log_likelihood: Tensor  # (B,) log p(x_t | z_t), mean over frames, nats
    kl: Tensor  # (B,) log q(z | x) - log p(z) per frame, nats
    number: Tensor  # (B, T, N + 1) probability of each number of objects


def figures(sqair: SQAIR, frames: Tensor, particles: int = 5) -> Figures:
    """Infer sequences by draws from the guide.

    Args:
        sqair: a trained SQAIR.
        frames: (B, T, C, H, W), intensities in [0, 1].
        particles: of the bound, 2 or more.
    """
    with evaluating(sqair), pyro.validation_enabled(False):
        parts = [_part(sqair, part, VIMCO(particles)) for part in frames.split(PART)]
    return Figures(*(torch.cat(values) for values in zip(*parts, strict=True)))


def _part(sqair: SQAIR, frames: Tensor, elbo: VIMCO) -> Figures:
    traces = elbo.traces(sqair.model, sqair.guide, frames)
    log_weight = elbo.weigh(*traces).log_weight  # (K, B)
    share = torch.softmax(log_weight, 0)
    likelihood = traces[0].nodes["x"]["log_prob"].mean(-1)  # (K, B)
    kl = likelihood - log_weight / frames.shape[1]
    slots = traces[1].nodes["_RETURN"]["value"]
    present = torch.stack([slot.presence.sum(-1) for slot in slots], -1).long()  # (K, B, T)
    number = torch.nn.functional.one_hot(present, sqair.num_objects + 1)
    return Figures(
        bound_of(log_weight),
        (share * likelihood).sum(0),
        (share * kl).sum(0),
        (share[..., None, None] * number).sum(0),
    )
