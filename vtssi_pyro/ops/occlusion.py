"""Who hides whom: soft orders of depth, transmittances, and the moments of depths after a comparison."""

import math
from collections.abc import Container, Sequence

import torch
from pyro.distributions import Normal
from torch import Tensor


def nearer(depth: Tensor, softness: float) -> Tensor:
    """How far object j is nearer than object i, from 0 to 1, (..., N, N) by i and j; both orders sum to 1.

    Args:
        depth: (..., N), the smaller, the nearer.
        softness: differences of depth that are a multiple of this are an order without doubt.
    """
    return torch.sigmoid((depth.unsqueeze(-1) - depth.unsqueeze(-2)) / softness)


def transmittance(opacity: Tensor, before: Tensor) -> Tensor:
    """The share of each object that nearer objects let through: prod_{j != i} (1 - before_ij a_j).

    Args:
        opacity: a, (..., N, 1, H, W), from 0 to 1.
        before: how far object j is nearer than object i, (..., N, N).

    Returns:
        shares (..., N, 1, H, W).

    Reference: Porter and Duff, Compositing digital images, 1984, of whose operator "over" it is a soft order.
    """
    opacities = opacity.unbind(-4)
    whole = torch.ones_like(opacities[0])
    return torch.stack([shaded(whole, opacities, before[..., i, :], (i,)) for i in range(len(opacities))], -4)


def shaded(layer: Tensor, opacities: Sequence[Tensor], before: Tensor, without: Container[int]) -> Tensor:
    """What objects let through of a layer.

    Args:
        layer: (..., P, H, W).
        opacities: of the objects, (..., 1, H, W) each.
        before: how far each object is nearer than the layer, (..., N).
        without: the objects that do not count.

    Returns:
        the layer (..., P, H, W), dimmed.
    """
    weights = before[..., None, None, None].unbind(-4)
    for j, (weight, opacity) in enumerate(zip(weights, opacities, strict=True)):
        if j not in without:
            layer = torch.addcmul(layer, layer, weight * opacity, value=-1)
    return layer


def compared(prior: Normal, evidence: Tensor) -> Tensor:
    """The means of depths (..., N, 1) after each pair has been compared, by moments of a normal cut in two at a tie.

    Of a pair, let d = z_j - z_i ~ N(d_0, s^2), and let a frame favour d > 0 by e nats. Then d > 0 has the odds
    e^e P(d > 0) / P(d < 0), and the mean of d is that of the two halves. Pairs move an object together.

    Args:
        prior: depths before the comparison, batch (..., N, 1).
        evidence: e, nats by which a frame favours that object i is nearer than object j, (..., N, N).

    Reference: Herbrich, Minka and Graepel, TrueSkill: a Bayesian skill rating system, 2006; its update of a match.
    """
    loc, variance = prior.loc.squeeze(-1), prior.scale.squeeze(-1).square()
    scale = (variance.unsqueeze(-1) + variance.unsqueeze(-2)).sqrt()  # (..., N, N)
    ahead = (loc.unsqueeze(-2) - loc.unsqueeze(-1)) / scale
    low, high = torch.special.log_ndtr(-ahead), torch.special.log_ndtr(ahead)
    wins = torch.sigmoid(evidence + high - low)
    density = -0.5 * ahead.square() - 0.5 * math.log(2 * math.pi)
    pull = wins * (density - high).exp() - (1 - wins) * (density - low).exp()
    return (loc - variance * (pull / scale).sum(-1)).unsqueeze(-1)
