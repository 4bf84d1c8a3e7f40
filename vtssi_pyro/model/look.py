"""Known objects, as they are drawn at any places and angles; for blocks that search for these."""

import torch
from torch import Tensor

from vtssi_pyro.model.interfaces import Picture
from vtssi_pyro.types import Appearance, Objects, Pose


class Look:
    """Known objects, and how they are drawn in one frame at any places and angles.

    Args:
        picture: draws the objects.
        objects: draws.
        settled: their looks; None: as they are described.
    """

    def __init__(self, picture: Picture, objects: Objects, settled: Appearance | None = None) -> None:
        self.picture, self.objects = picture, objects
        with torch.no_grad():
            glimpses = picture.decode(objects.description) if settled is None else settled.glimpses
            self.glimpses = glimpses * objects.steps[..., None, None, None]  # (..., N, C, G, G)

    def others(self, position: Tensor, angle: Tensor, there: Tensor) -> Tensor:
        """The frame without each object, (..., N, C, H, W), of those that are there, (..., N) bool."""
        pose = self._pose(position, angle)
        layers = self.picture.layers(pose, self.objects) * there.unsqueeze(-2)[..., None, None, None]
        return self.picture.others(layers, pose).squeeze(-5)

    def draw(self, position: Tensor, angle: Tensor) -> Tensor:
        """The frame with all objects, (..., C, H, W)."""
        return self.picture.draw(self._pose(position, angle), self.objects).squeeze(-4)

    def _pose(self, position: Tensor, angle: Tensor) -> Pose:
        whole = torch.ones_like(angle).unsqueeze(-2)
        look = self.glimpses.unsqueeze(-5)
        return Pose(
            position.unsqueeze(-3), self.objects.size, whole, angle=angle.unsqueeze(-2), appearance=look
        )
