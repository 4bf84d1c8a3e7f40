"""Drawn movies with truth, similar to scientists'.

They show blobs, rings darker and brighter than the background, digits, or discs that differ by hue alone.
"""

from typing import NamedTuple

import numpy as np

from vtssi_pyro.data.digits import load_digits
from vtssi_pyro.data.moving_mnist import moving_digits

KINDS = ("blobs", "rings", "digits", "hues")
LIGHT = 0.25  # luminance of coloured discs and of the grey behind them
# Red, green and violet of that luminance.
HUES = np.array([[0.836, 0, 0], [0, 0.426, 0], [0.455, 0, 1]])


class Drawn(NamedTuple):
    """A movie and its truth."""

    frames: np.ndarray  # (T, H, W) uint8, or (T, H, W, 3) in colour
    path: np.ndarray  # (T, N, 2) centres, (x, y) in pixels
    size: float  # longer side of the objects, pixels


def scene(
    kind: str, length: int = 120, side: int = 200, objects: int = 3, size: float = 20.0, noise: float = 0.03,
    seed: int = 0,
) -> Drawn:  # fmt: skip
    """Draw a movie of objects that move straight ahead and bounce off the borders.

    Args:
        kind: ``blobs``, bright on a noisy, unevenly lit background; ``rings``, darker and brighter than a grey one;
            ``digits``, which differ from each other, on black; ``hues``, discs that are as bright as the grey behind
            them, each of another hue.
        length: number of frames T.
        side: side of the square frames, pixels.
        objects: number of objects N.
        size: size of blobs and rings, pixels.
        noise: standard deviation of the noise, of full scale.
        seed: the same seed draws the same movie.

    Returns:
        The movie and its truth.

    Example:
        >>> from vtssi_pyro import scene
        >>> drawn = scene("rings", length=5, side=64, objects=1)
        >>> drawn.frames.shape, drawn.path.shape
        ((5, 64, 64), (5, 1, 2))
    """
    if kind == "digits":
        return _digits(length, side, objects, seed)
    rng = np.random.default_rng(seed)
    path = bounced(rng, length, side, objects, size)
    y, x = np.mgrid[0.5:side, 0.5:side]
    if kind == "hues":
        return Drawn(_hues(rng, path, side, size, noise), path, size)
    uneven = 0.2 + 0.2 * x / side + 0.08 * np.sin(4 * y / side)
    background, draw = {"blobs": (uneven, _blob), "rings": (np.full_like(x, 0.5), _ring)}[kind]
    frames = []
    for places in path:
        image = background + noise * rng.standard_normal(x.shape)
        for place in places:
            image += draw(np.hypot(x - place[0], y - place[1]), size)
        frames.append(np.round(255 * image.clip(0, 1)).astype(np.uint8))
    return Drawn(np.stack(frames), path, size)


def _hues(rng: np.random.Generator, path: np.ndarray, side: int, size: float, noise: float) -> np.ndarray:
    """Draw discs of equal luminance, the later before the earlier ones, (T, H, W, 3)."""
    y, x = np.mgrid[0.5:side, 0.5:side]
    frames = []
    for places in path:
        image = np.full((side, side, 3), LIGHT)
        for number, place in enumerate(places):
            # an edge of a pixel's width
            cover = (size / 2 + 0.5 - np.hypot(x - place[0], y - place[1])).clip(0, 1)[..., None]
            image += cover * (HUES[number % len(HUES)] - image)
        image += noise * rng.standard_normal(image.shape)
        frames.append(np.round(255 * image.clip(0, 1)).astype(np.uint8))
    return np.stack(frames)


def _blob(distance: np.ndarray, size: float) -> np.ndarray:
    return 0.5 * np.exp(-0.5 * (distance / (size / 5)) ** 2)


def _ring(distance: np.ndarray, size: float) -> np.ndarray:
    wide = size / 12
    bright, dark = (np.exp(-0.5 * ((distance - r) / wide) ** 2) for r in (0.25 * size, 0.42 * size))
    return 0.35 * bright - 0.35 * dark


def bounced(rng: np.random.Generator, length: int, side: int, objects: int, size: float) -> np.ndarray:
    """Draw paths (T, N, 2) from separate starts at a seventh of the objects' size a frame."""
    low, high = 0.6 * size, side - 0.6 * size
    place = rng.uniform(low, high, (objects, 2))
    while objects > 1 and _nearest(place) < 1.5 * size:
        place = rng.uniform(low, high, (objects, 2))
    angle = rng.uniform(0, 2 * np.pi, objects)
    velocity = size / 7 * np.stack([np.cos(angle), np.sin(angle)], -1)
    # straight paths, folded at the borders
    straight = place + velocity * np.arange(length)[:, None, None] - low
    period = 2 * (high - low)
    return low + np.abs((straight + period / 2) % period - period / 2)


def _nearest(place: np.ndarray) -> float:
    distance = np.linalg.norm(place[:, None] - place[None], axis=-1)
    return float(distance[~np.eye(len(place), dtype=bool)].min())


def _digits(length: int, side: int, objects: int, seed: int) -> Drawn:
    sprites = load_digits("embedded", "test")
    for attempt in range(100):  # a drawn sequence may hold fewer digits; the movie must hold them all
        data = moving_digits(
            "linear",
            sprites,
            sequences=1,
            length=length,
            frame_size=side,
            objects=objects,
            seed=100 * seed + attempt,
        )
        if int(data.counts[0]) == objects:
            break
    truth = data.truth
    assert truth is not None
    assert truth.box is not None
    frames = (255 * data.frames(slice(0, 1))[0, :, 0]).round().byte().numpy()
    path = truth.position[0].numpy()
    return Drawn(frames, path, float(truth.box[0, 0].max()))
