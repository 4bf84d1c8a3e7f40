"""Sprites that are drawn by rules, not cut from images: textured discs, rods; and the bar that covers discs."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from vtssi_pyro.data.digits import Sprites

FINE = 8  # points along each side of a pixel by which the share of it that a shape covers is measured
# Fractions of the frame's shorter side, so that a disc is as large as a digit of 12 of 50 pixels.
DISC = 0.24
BAR = 0.28  # width: a disc vanishes behind it
TEXTURES = 64  # discs of different textures
WAVES = (0.25, 0.75)  # wavelengths of a texture, fractions of the disc: one to four stripes
DARKEST = 0.3  # of a texture's stripes: still brighter than the background
# Length and width, fractions of the frame's shorter side: 18 x 4 and 12 x 6 of 50 pixels.
RODS = ((0.36, 0.08), (0.24, 0.12))
DIM = 0.4  # intensity of the middle half of a rod of the second kind, whose ends are bright


def discs(sprites: Sprites, frame_size: tuple[int, int]) -> Sprites:
    """Return opaque discs of different textures, stripes of any direction, for frames of a size (H, W).

    The textures are the same in all calls, whatever the sprites.
    """
    side = round(DISC * min(frame_size))
    generator = torch.Generator().manual_seed(0)
    direction, wave, phase = torch.rand(3, TEXTURES, 1, 1, generator=generator)
    axis = torch.arange(side) + 0.5 - side / 2
    along = (math.pi * direction).cos() * axis + (math.pi * direction).sin() * axis[:, None]
    length = side * (WAVES[0] + (WAVES[1] - WAVES[0]) * wave)
    stripes = (2 * math.pi * (along / length + phase)).sin()  # (TEXTURES, G, G)
    texture = DARKEST + (1 - DARKEST) * (1 + stripes) / 2
    opacity = covered(lambda x, y: x**2 + y**2 <= 1, side, side)
    images = torch.stack([texture * opacity, opacity.expand_as(texture)], 1)
    size = torch.full((TEXTURES, 2), side)
    return Sprites((255 * images).round().byte(), size, torch.zeros_like(size))


def bar(frame_size: tuple[int, int]) -> Tensor:
    """Return an upright bar in the middle of frames of a size (H, W), intensity and opacity, (2, H, W).

    It is as black as the background, so that a model without a background need not explain it as an object.
    """
    height, width = frame_size
    wide = round(BAR * min(frame_size))
    left = (width - wide) // 2
    drawn = torch.zeros(2, height, width)
    drawn[1, :, left : left + wide] = 1
    return drawn


def rods(sprites: Sprites, frame_size: tuple[int, int]) -> Sprites:
    """Return rods of two kinds along x, whatever the sprites: a long bright one, and a short one with bright ends."""
    scale = min(frame_size)
    size = torch.tensor([[round(scale * part) for part in rod] for rod in RODS])
    side = int(size.max())
    images = torch.zeros(len(RODS), side, side)
    for image, (length, width) in zip(images, size.tolist(), strict=True):
        image[:width, :length] = 1
    length, width = size[1].tolist()
    images[1, :width, length // 4 : length - length // 4] *= DIM
    return Sprites((255 * images).round().byte(), size, torch.zeros_like(size))


def covered(shape: Callable[[Tensor, Tensor], Tensor], height: int, width: int) -> Tensor:
    """Measure the share of each pixel that a shape covers.

    Args:
        shape: tells of places x and y in [-1, 1], of any shape, whether they are inside.
        height: of the picture, pixels.
        width: of the picture, pixels.

    Returns:
        shares (height, width).
    """
    y, x = ((2 * torch.arange(FINE * n) + 1) / (FINE * n) - 1 for n in (height, width))
    inside = shape(*(axis.expand(len(y), len(x)) for axis in (x, y[:, None]))).float()
    return inside.unflatten(1, (width, FINE)).unflatten(0, (height, FINE)).mean((1, 3))
