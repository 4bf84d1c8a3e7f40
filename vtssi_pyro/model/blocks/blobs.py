"""Round bumps in place of learned looks: a movie is tracked before anything is learned. Not in the paper."""

from dataclasses import dataclass
from typing import Annotated

import torch
from pyro.distributions import Independent, Normal
from torch import Tensor

from vtssi_pyro.config import Range
from vtssi_pyro.errors import UsageError
from vtssi_pyro.model.blocks.solid import SolidConfig, SolidPicture
from vtssi_pyro.model.blocks.spots import Spots, SpotsConfig
from vtssi_pyro.model.kinds import ATTENTIONS, PICTURES
from vtssi_pyro.model.nn import Block
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.ops.peaks import bump

# In half sides of a glimpse: objects fill three quarters of it, which four standard deviations of a bump make up.
WIDTH = 0.4
WIDTHS = Range(0.05, 2)
# Brightnesses with finite logits, between which a description is: an object may be black, or saturated.
FAINTEST, BRIGHTEST = 0.02, 0.98
SPREAD = 0.1  # scale of a description, logits: a brightness of one half is known to 0.025
DARK = 1e-6  # brightness of a bump's edges, so that its logit is finite


@PICTURES.register("blobs")
@dataclass(frozen=True)
class BlobsConfig(SolidConfig):
    """See :class:`BlobsPicture`; there is no VAE, and ``decoder`` says nothing."""

    width: Annotated[float, WIDTHS, "Standard deviation of the bump, half sides of a glimpse."] = WIDTH

    def build(self, sizes: Sizes) -> "BlobsPicture":
        """See :class:`BlobsPicture`."""
        return BlobsPicture(self, sizes)


class BlobsPicture(SolidPicture):
    """A round bump for each object, whose brightness in each channel is the sigmoid of a number of the description.

    No network draws it, so that nothing has to be learned. At test time refinement settles the looks on the frames.
    """

    def __init__(self, config: BlobsConfig, sizes: Sizes) -> None:
        super().__init__(config, sizes)
        self.decoder = Bump(config.width, sizes)


@ATTENTIONS.register("blobs")
@dataclass(frozen=True)
class BlobsAttentionConfig(SpotsConfig):
    """See :class:`BlobsAttention`; there is no VAE, and ``encoder`` says nothing."""

    width: Annotated[float, WIDTHS, "Standard deviation of the picture's bump, half sides of a glimpse."] = (
        WIDTH
    )

    def build(self, sizes: Sizes) -> "BlobsAttention":
        """See :class:`BlobsAttention`."""
        return BlobsAttention(self, sizes)


class BlobsAttention(Spots):
    """Attend to spots, and describe each by the brightness in each channel of the bump that fits it best."""

    def __init__(self, config: BlobsAttentionConfig, sizes: Sizes) -> None:
        super().__init__(config, sizes)
        self.encoder = Fit(config.width, sizes)


class _Round(Block):
    """A network's stand-in that knows the bump of brightness 1; one number describes each of the C channels."""

    shape: Tensor

    def __init__(self, width: float, sizes: Sizes) -> None:
        super().__init__()
        if sizes.description < sizes.channels:
            raise UsageError(
                f"model.description: expected {sizes.channels} or more, a brightness of each channel, found "
                f"{sizes.description}"
            )
        grid = (torch.arange(sizes.glimpse) + 0.5) * 2 / sizes.glimpse - 1
        profile = bump(torch.zeros(()), grid, torch.tensor(width))
        flat = (profile[:, None] * profile).flatten()
        self.register_buffer("shape", flat.clone(), persistent=False)  # (G G,)
        self.dims, self.channels = sizes.description, sizes.channels


class Bump(_Round):
    """A decoder: logits of the pixels (..., C G G) from descriptions (..., D)."""

    def forward(self, description: Tensor) -> Tensor:
        """See :class:`Bump`."""
        brightness = torch.sigmoid(description[..., : self.channels]).unsqueeze(-1)  # (..., C, 1)
        return (brightness * self.shape).clamp_min(DARK).logit().flatten(-2)


class Fit(_Round):
    """An encoder: the brightness of each channel by least squares; the description's further numbers are 0."""

    def forward(self, glimpses: Tensor) -> Independent:
        """q(d), batch (...), event (D,), from glimpses (..., C G G)."""
        apart = glimpses.unflatten(-1, (self.channels, -1))  # (..., C, G G)
        brightness = apart @ self.shape / self.shape.square().sum()
        first = brightness.clamp(FAINTEST, BRIGHTEST).logit()
        loc = torch.nn.functional.pad(first, (0, self.dims - self.channels))
        return Normal(loc, torch.full_like(loc, SPREAD)).to_event(1)
