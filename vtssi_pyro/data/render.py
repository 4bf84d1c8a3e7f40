"""Sprites drawn at real-valued positions and angles by bilinear interpolation."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import grid_sample


def draw(images: Tensor, boxes: Tensor, position: Tensor, frame_size: tuple[int, int]) -> Tensor:
    """Sum the objects' sprites, each with its tight box centred on its position; not clipped to [0, 1].

    A sprite is only translated, so each axis is one matrix of at most two weights per row.

    Args:
        images: (B, N, G, G) float, sprites at the top left of their squares; zeros draw nothing.
        boxes: (B, N, 2), width and height of the tight boxes, pixels.
        position: (B, T, N, 2), centres of the tight boxes, pixels.
        frame_size: (H, W), pixels.

    Returns:
        frames (B, T, H, W), cut off at their edges.
    """
    height, width = frame_size
    side, num_frames = images.shape[-1], position.shape[1]
    corner = (position - boxes.unsqueeze(1) / 2).permute(0, 2, 1, 3)  # (B, N, T, 2)
    rows = _weights(corner[..., 1], height, side)  # (B, N, T, H, G)
    tall = rows.flatten(2, 3) @ images  # (B, N, T H, G)
    tall = tall.unflatten(2, (num_frames, height)).permute(0, 2, 3, 1, 4).flatten(-2)  # (B, T, H, N G)
    columns = _weights(corner[..., 0], width, side).permute(0, 2, 3, 1, 4).flatten(-2)  # (B, T, W, N G)
    return tall @ columns.mT


class Cast(NamedTuple):
    """The objects of b sequences in t frames, ready to be drawn; turned ones are b T sequences of one frame."""

    images: Tensor  # (b, N, P, G, G), colours and, behind them, opacity; of grey sprites one plane is both
    boxes: Tensor  # (b, N, 2)
    position: Tensor  # (b, t, N, 2), far outside the frame where there is no object
    order: Tensor  # (b, N) int64, the slots from the nearest to the farthest

    def drawn(self, slots: Tensor, frame_size: tuple[int, int], planes: slice = slice(None)) -> Tensor:
        """Draw one object of each sequence, (b,), alone: (b, t, P, H, W)."""
        every = torch.arange(len(slots), device=slots.device)
        images = self.images[every, slots][:, planes]
        return _draw_planes(images, self.boxes[every, slots], self.position[every, :, slots], frame_size)


def _draw_planes(images: Tensor, boxes: Tensor, position: Tensor, frame_size: tuple[int, int]) -> Tensor:
    """Draw one object of each sequence, whose sprite has several planes, alone.

    Args:
        images: (B, P, G, G) float, sprites at the top left of their squares.
        boxes: (B, 2), width and height of the tight boxes, pixels.
        position: (B, T, 2), centres of the tight boxes, pixels.
        frame_size: (H, W), pixels.

    Returns:
        planes (B, T, P, H, W), cut off at their edges.
    """
    (height, width), (planes, side) = frame_size, images.shape[1:3]
    corner = position - boxes.unsqueeze(1) / 2  # (B, T, 2)
    # (B, T, H or W, G)
    rows, columns = (_weights(corner[..., i], n, side) for i, n in ((1, height), (0, width)))
    tall = rows.flatten(1, 2) @ images.transpose(1, 2).flatten(2)  # (B, T H, P G)
    tall = tall.view(*rows.shape[:3], planes, side).transpose(2, 3)  # (B, T, P, H, G)
    wide = tall.flatten(2, 3) @ columns.mT  # (B, T, P H, W)
    return wide.view(*tall.shape[:4], width)


def turned(images: Tensor, boxes: Tensor, angle: Tensor) -> Tensor:
    """Turn sprites around the middle of their tight boxes.

    Args:
        images: (b, N, P, G, G) float, sprites at the top left of their squares.
        boxes: (b, N, 2), width and height of the tight boxes, pixels.
        angle: (b, N), radians, from x towards y.

    Returns:
        images (b, N, P, F, F), whose middles are those of the boxes; F is as large as the diagonal of a square of G.
    """
    side = images.shape[-1]
    large = math.ceil(math.sqrt(2) * side) + 1  # a turned edge pixel may reach half a pixel further
    axis = torch.arange(large, dtype=images.dtype, device=images.device) + 0.5 - large / 2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    cosine, sine = angle.cos()[..., None, None].to(images), angle.sin()[..., None, None].to(images)
    place = torch.stack([cosine * x + sine * y, cosine * y - sine * x], -1)  # of each pixel, turned back
    place = (place + boxes[:, :, None, None] / 2) * (2 / side) - 1  # grid_sample's edges are at -1 and 1
    sampled = grid_sample(images.flatten(0, 1), place.flatten(0, 1), align_corners=False)
    return sampled.unflatten(0, images.shape[:2])


def _weights(corner: Tensor, pixels: int, side: int) -> Tensor:
    """Bilinear weights (..., pixels, side) of a sprite's pixels whose first one starts at ``corner``.

    A translation moves pixels' edges and centres alike, so that it needs no convention of which is where.
    """
    axis = torch.arange(pixels, dtype=corner.dtype, device=corner.device)
    offset = axis[:, None] - torch.arange(side, dtype=corner.dtype, device=corner.device)  # (pixels, side)
    return (offset - corner[..., None, None]).abs_().neg_().add_(1).clamp_min_(0)
