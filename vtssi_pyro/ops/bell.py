"""The bell-curve mask that centres objects in their glimpses (section 3.1, App. B.1)."""

import torch
from torch import Tensor

from vtssi_pyro.types import Scalar


def bell_mask(glimpse: int, sigma: float, flatness: Scalar, like: Tensor) -> Tensor:
    """Return a Gaussian bump with maximum 1 on the glimpse grid [-1, 1]^2, flattened towards 1.

    The paper writes K(t) = (K + p) / (1 + p) with p growing; with flatness f = p / (1 + p) that is
    1 - (1 - f) (1 - K), in which "fully flat" is the number 1 (reading D7 for the grid).

    Args:
        glimpse: side G in pixels.
        sigma: width of the bump in units of half a glimpse.
        flatness: f in [0, 1].
        like: a tensor whose dtype and device the mask takes.

    Returns:
        mask (G, G), in (0, 1].

    Reference: section 3.1, App. B.1, Alg. 2.
    """
    axis = torch.linspace(-1, 1, glimpse, dtype=like.dtype, device=like.device)
    bump = torch.exp(-0.5 * (axis / sigma) ** 2)
    bump = bump / bump.max()
    return 1 - (1 - flatness) * (1 - bump[:, None] * bump)
