"""SQAIR's frames: objects in front of a background."""

import torch
from torch import Tensor

from vtssi_pyro.baselines.sqair.config import SQAIRConfig
from vtssi_pyro.baselines.sqair.networks import PictureNetworks, window
from vtssi_pyro.model.nn import Network
from vtssi_pyro.ops.spatial import covered, paste


class Picture(Network):
    """The rendering of objects in front of a background."""

    def __init__(self, config: SQAIRConfig) -> None:
        super().__init__()
        self.config = config
        self.body = PictureNetworks(config)

    def forward(self, what: Tensor, where: Tensor, presence: Tensor) -> Tensor:
        """The mean frames (..., C, H, W) of objects: (..., N, W), (..., N, 4), (..., N).

        The background shows only behind objects, as in the official program.
        """
        networks, side, glimpse = self.layers, self.config.frame_size, self.config.glimpse
        assert isinstance(networks, PictureNetworks)
        place = window(where, side, glimpse)
        glimpses = networks.decoder(what).unflatten(-1, (self.config.channels, glimpse, glimpse))
        drawn = paste(
            glimpses * networks.contrast,
            place.position.unsqueeze(-3),
            place.size,
            (side, side),
            presence.unsqueeze(-2),
        ).squeeze(-4)
        behind = covered(place.position, place.size, glimpse, (side, side), presence)
        return drawn + networks.background * torch.sigmoid(20 * behind - 10).unsqueeze(-3)
