"""How much of the frames each object explains: what a track's confidence is."""

from torch import Tensor

from vtssi_pyro.ops.spatial import paste
from vtssi_pyro.types import Latents

DIMMEST, BRIGHTEST = 0.5, 2.0  # that an object may be in a frame, beside what it is on the whole


def explain(x: Tensor, glimpses: Tensor, latents: Latents, here: Tensor) -> tuple[Tensor, Tensor]:
    """Rendered frames, and each object's confidence: the share of the squared error it removes where it is.

    With r_i the residual without object i, whose glimpse is g_i, on the pixels that i paints,
    confidence_i = 1 - sum (r_i - a g_i)^2 / sum r_i^2, clipped to [0, 1], with the brightness a between 0.5 and 2 that
    makes it largest, since light changes and dyes bleach: near 1 when the object explains its pixels, near 0 when they
    would be as well explained without it (hidden or gone).
    """
    size = (x.shape[-2], x.shape[-1])
    places = latents.position.transpose(-3, -2).unsqueeze(-2)  # (..., N, T, 1, 2)
    each = paste(
        glimpses.unsqueeze(-3), places, latents.objects.size.unsqueeze(-2), size
    )  # (..., N, T, H, W)
    each = each.transpose(-4, -3) * here[..., None, None]  # (..., T, N, H, W)
    rendered = each.sum(-3)
    observed = x.reshape(len(each), -1, *size)
    each = each[:, : observed.shape[1]]
    residual = (observed - rendered[:, : observed.shape[1]]).unsqueeze(-3)  # (..., T, 1, H, W)
    share = each.clamp(0, 1)
    without = residual + each
    product, square = ((share * factor * each).sum((-2, -1), keepdim=True) for factor in (without, each))
    brightness = (product / square.clamp_min(1e-6)).clamp(DIMMEST, BRIGHTEST)
    left, there = ((share * rest.square()).sum((-2, -1)) for rest in (without - brightness * each, without))
    return rendered, (1 - left / there.clamp_min(1e-6)).clamp(0, 1)
