"""Does ``inspect`` see what is there? Sixty drawn movies with truth: kinds of scenes, crossed with formats of files.

A movie is a scene of objects, seen by a camera with defects, in a file. Objects are counted right if the largest
number at once is within a tenth, or one, of the truth, and measured right if their size is within a quarter. A movie
is right if each of its kinds of objects is. Of one that is wrong ``inspect`` must name a doubt.

python benchmarks/eyes.py --out eyes [--seed 0] [--only tiny,odd1] [--keep]
"""

import argparse
import json
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw
from scipy import ndimage

from vtssi_pyro.data.digits import load_digits
from vtssi_pyro.movies import Inspection, inspect, open_movie
from vtssi_pyro.movies.film import pyav

FEW, SHARE, NEAR = 1, 0.1, 0.25  # objects, of their number, and of their size, by which a finding may be off
# Share of an object's peak down to which it counts as the object: of a Gaussian spot that is four standard deviations
# across, its D4sigma width (ISO 11146), of a disc its diameter.
EDGE = np.exp(-2)
ROUND = 3  # digits of figures in lines


@dataclass(frozen=True)
class Objects:
    """Some objects of one kind.

    Args:
        number: objects, all told.
        size: px; of a digit, of its picture.
        look: a name in ``LOOKS``.
        contrast: to the background, of full scale.
        motion: a name in ``MOTIONS``.
        speed: px a frame.
        hue: share of the contrast in red, green and blue.
        company: ``shadow`` or ``reflection`` of each, or none.
        way: of its own size, that an object goes in the whole movie, whatever the speed; None: any.
    """

    number: int
    size: float
    look: str = "disc"
    contrast: float = 0.4
    motion: str = "straight"
    speed: float = 1.5
    hue: tuple[float, float, float] = (1.0, 1.0, 1.0)
    company: str = ""
    way: float | None = None


@dataclass(frozen=True)
class Camera:
    """How a scene is seen.

    Args:
        level: of the background, of full scale.
        texture: standard deviation of what stands in the background.
        noise: standard deviation.
        vignette: share of the light that is lost in the corners.
        light: share by which the light rises over the movie.
        drift: px over the movie.
        shake: px, standard deviation from frame to frame.
        bars: px of black at two sides.
        stamp: whether a counter is written in a corner.
        odd: frames and what befalls them, by names in ``MISHAPS``.
    """

    level: float = 0.3
    texture: float = 0.0
    noise: float = 0.015
    vignette: float = 0.0
    light: float = 0.0
    drift: float = 0.0
    shake: float = 0.0
    bars: int = 0
    stamp: bool = False
    odd: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scene:
    """Objects, and the camera that sees them."""

    objects: tuple[Objects, ...]
    camera: Camera = Camera()
    size: tuple[int, int] = (120, 160)  # (H, W), px
    length: int = 60


class Drawn(NamedTuple):
    """A movie and its truth."""

    frames: np.ndarray  # (T, H, W), or (T, H, W, 3) in colour, in [0, 1]
    # the largest number at once, and the size, of each kind of objects, the smallest first
    kinds: list[tuple[int, float]]


# ---------------------------------------------------------------------------------------------- paths


def _folded(place: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    period = 2 * (high - low)
    return low + np.abs((place - low + period / 2) % period - period / 2)


def _straight(rng: Generator, of: Objects, length: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi, of.number)
    speed = of.speed if of.way is None else of.way * of.size / length
    velocity = speed * np.stack([np.cos(angle), np.sin(angle)], -1)
    place = rng.uniform(low, high, (of.number, 2))
    return _folded(place + velocity * np.arange(length)[:, None, None], low, high)


def _wandering(rng: Generator, of: Objects, length: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    steps = of.speed / np.sqrt(np.pi / 2) * rng.standard_normal((length, of.number, 2))
    return _folded(rng.uniform(low, high, (of.number, 2)) + steps.cumsum(0), low, high)


def _resting(rng: Generator, of: Objects, length: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Each rests for seven tenths of the movie, and goes straight for the others, whenever these are."""
    path = _straight(rng, replace(of, speed=of.speed / 0.3), length, low, high)
    begin = rng.uniform(0, 0.7, of.number) * length
    moved = (np.arange(length)[:, None] - begin).clip(0, 0.3 * length)  # frames of motion so far
    return np.stack([path[np.floor(moved[:, n]).astype(int), n] for n in range(of.number)], 1)


def _leaving(rng: Generator, of: Objects, length: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Straight through a room that is wider than the frame, by a third at each side."""
    beyond = (high - low) / 3 + of.size
    return _straight(rng, of, length, low - beyond, high + beyond)


MOTIONS = {"straight": _straight, "wandering": _wandering, "resting": _resting, "leaving": _leaving}
# Motions whose objects begin apart, so that all can be seen at once in some frame.
APART = {"straight", "resting"}


def paths(rng: Generator, of: Objects, length: int, size: tuple[int, int]) -> np.ndarray:
    """Draw paths (T, N, 2), those of the beginnings that are farthest apart of some."""
    margin = min(0.6 * of.size, min(size) / 2.5)
    low, high = np.full(2, margin), np.array(size[::-1]) - margin
    if of.company == "reflection":
        high[1] = FLOOR * size[0] - margin
    drawn = [MOTIONS[of.motion](rng, of, length, low, high) for _ in range(8 if of.number > 1 else 1)]
    return max(drawn, key=lambda path: _nearest(path[0]))


def _nearest(place: np.ndarray) -> float:
    distance = np.linalg.norm(place[:, None] - place[None], axis=-1)
    return float(distance[~np.eye(len(place), dtype=bool)].min()) if len(place) > 1 else 0.0


# ---------------------------------------------------------------------------------------------- looks

Look = Callable[[np.ndarray, np.ndarray, float, float], np.ndarray]  # x, y about the centre, size, heading


def _disc(x: np.ndarray, y: np.ndarray, size: float, heading: float) -> np.ndarray:
    return (size / 2 + 0.5 - np.hypot(x, y)).clip(0, 1)


def _blob(x: np.ndarray, y: np.ndarray, size: float, heading: float) -> np.ndarray:
    return np.exp(-0.5 * (x**2 + y**2) / (size / 4) ** 2)


def _ring(x: np.ndarray, y: np.ndarray, size: float, heading: float) -> np.ndarray:
    bright, dark = (np.exp(-0.5 * ((np.hypot(x, y) - r * size) / (0.07 * size)) ** 2) for r in (0.18, 0.36))
    return bright - dark


def _animal(x: np.ndarray, y: np.ndarray, size: float, heading: float) -> np.ndarray:
    """A body, a head before it, and a thin tail behind, along the heading."""
    ahead, aside = np.cos(heading) * x + np.sin(heading) * y, np.cos(heading) * y - np.sin(heading) * x
    parts = ((0.0, 0.32, 0.2), (0.36, 0.14, 0.12), (-0.4, 0.1, 0.03))  # middle, half length, half width
    edge = [1 - np.hypot((ahead - m * size) / (a * size), aside / (b * size + 0.3)) for m, a, b in parts]
    return (0.1 * size * np.max(edge, 0) + 0.5).clip(0, 1)


LOOKS: dict[str, Look] = {"disc": _disc, "blob": _blob, "ring": _ring, "animal": _animal}
FLOOR = 0.55  # share of the height above the line in which things are mirrored


class Painter:
    """Draws objects of one kind into frames."""

    def __init__(self, rng: Generator, of: Objects) -> None:
        self.of = of
        self.digits = None
        if of.look == "digit":
            sprites = load_digits("embedded", "test")
            chosen = rng.integers(0, len(sprites.images), of.number)
            pictures = [sprites.images[int(k)].numpy().squeeze() / 255.0 for k in chosen]
            self.digits = [ndimage.zoom(p, of.size / max(p.shape), order=1).clip(0, 1) for p in pictures]

    def opacity(
        self, number: int, place: np.ndarray, heading: float, size: tuple[int, int]
    ) -> tuple[tuple[slice, slice], np.ndarray]:
        """The part of the frame around an object, and the object's share of it, in [-1, 1]."""
        reach = int(np.ceil(0.8 * self.of.size)) + 3
        left, top = (int(np.floor(p)) - reach for p in place)
        part = tuple(
            slice(min(max(a, 0), side), min(max(a + 2 * reach + 1, 0), side))
            for a, side in ((top, size[0]), (left, size[1]))
        )
        y, x = np.mgrid[part[0], part[1]] + 0.5
        x, y = x - place[0], y - place[1]
        if self.digits is None:
            return part, LOOKS[self.of.look](x, y, self.of.size, heading)
        picture = self.digits[number]
        middle = np.array(picture.shape)[:, None, None] / 2 - 0.5
        return part, ndimage.map_coordinates(picture, np.stack([y, x]) + middle, order=1)

    def extent(self, number: int, heading: float) -> float:
        """The longer side of the box around an object of that heading, px."""
        reach = 2 * int(np.ceil(self.of.size))
        _, share = self.opacity(number, np.full(2, reach / 2), heading, (reach, reach))
        rows, columns = (np.flatnonzero((np.abs(share) > EDGE).any(axis)) for axis in (1, 0))
        if self.of.size < 8:  # the box counts whole pixels, of which a spot may cover parts
            return self.of.size
        return float(max(np.ptp(rows), np.ptp(columns)) + 1)

    def paint(
        self,
        image: np.ndarray,
        ground: np.ndarray,
        number: int,
        place: np.ndarray,
        heading: float,
        strength: float = 1.0,
    ) -> None:
        """Draw an object into a frame (H, W, C), as bright as its contrast to the ground (H, W) makes it."""
        part, share = self.opacity(number, place, heading, image.shape[:2])
        hue = np.array(self.of.hue if image.shape[-1] == 3 else (np.mean(self.of.hue),))
        target = strength * self.of.contrast * hue * np.sign(share)[..., None]
        image[part] += np.abs(share)[..., None] * (ground[part][..., None] + target - image[part])

    def shade(self, image: np.ndarray, number: int, place: np.ndarray, heading: float) -> None:
        """Darken the ground beside an object."""
        part, share = self.opacity(number, place + 0.35 * self.of.size, heading, image.shape[:2])
        image[part] *= 1 - 0.3 * np.abs(share)[..., None]


# ---------------------------------------------------------------------------------------------- camera


def _black(frames: np.ndarray, t: int) -> np.ndarray:
    return np.zeros_like(frames[t])


def _flash(frames: np.ndarray, t: int) -> np.ndarray:
    return (frames[t] + 0.5).clip(0, 1)


def _dead(frames: np.ndarray, t: int) -> np.ndarray:
    return np.full_like(frames[t], 0.6)


def _repeated(frames: np.ndarray, t: int) -> np.ndarray:
    return frames[t - 1]


def _bumped(frames: np.ndarray, t: int) -> np.ndarray:
    return np.roll(frames[t], (5, -7), (0, 1))


MISHAPS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "black": _black, "flash": _flash, "dead": _dead, "repeated": _repeated, "bumped": _bumped,
}  # fmt: skip


def draw(scene: Scene, rng: Generator, colour: bool) -> Drawn:
    """Draw a scene as its camera sees it."""
    camera, (height, width), length = scene.camera, scene.size, scene.length
    wide = ndimage.gaussian_filter(rng.standard_normal((height + 80, width + 80)), 3)
    wide *= camera.texture / wide.std()
    shift = camera.shake * rng.standard_normal((length, 2))  # x, y
    shift += camera.drift * np.linspace(0, 1, length)[:, None] * np.array([0.8, -0.6])
    y, x = np.mgrid[0.5:height, 0.5:width]
    away = ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2) / 0.5
    lens = 1 - camera.vignette * away
    painters = [Painter(rng, of) for of in scene.objects]
    roads = [paths(rng, of, length, scene.size) for of in scene.objects]
    heading = [
        np.arctan2(*np.moveaxis(np.gradient(ndimage.uniform_filter1d(r, 5, axis=0), axis=0), -1, 0)[::-1])
        for r in roads
    ]
    frames = np.empty((length, height, width, 3 if colour else 1), np.float32)
    for t in range(length):
        ground = ndimage.shift(wide, shift[t, ::-1], order=1)[40:-40, 40:-40] + camera.level
        image = ground[..., None].repeat(frames.shape[-1], -1)
        for painter, road, toward in zip(painters, roads, heading, strict=True):
            for n in range(painter.of.number):
                place = road[t, n] + shift[t]
                if painter.of.company == "shadow":
                    painter.shade(image, n, place, toward[t, n])
                if painter.of.company == "reflection":
                    mirrored = np.array([place[0], 2 * (FLOOR * height + shift[t, 1]) - place[1]])
                    painter.paint(image, ground, n, mirrored, -toward[t, n], 0.4)
        for painter, road, toward in zip(painters, roads, heading, strict=True):
            for n in range(painter.of.number):
                painter.paint(image, ground, n, road[t, n] + shift[t], toward[t, n])
        image *= (lens * (1 + camera.light * t / length))[..., None]
        image += camera.noise * rng.standard_normal((height, width, 1))
        frames[t] = image.clip(0, 1)
    for t, name in camera.odd.items():
        frames[t] = MISHAPS[name](frames, t)
    if camera.bars:
        frames[:, : camera.bars] = frames[:, -camera.bars :] = 0
    if camera.stamp:
        for t in range(length):
            frames[t] = np.maximum(frames[t], _counter(t, scene.size)[..., None])
    kinds = []
    inside = np.array(scene.size[::-1])
    for painter, road in zip(painters, roads, strict=True):
        seen = ((road > 0) & (road < inside)).all(-1).sum(1)
        turns = np.linspace(0, 2 * np.pi, 12, endpoint=False) if painter.of.look == "animal" else [0.0]
        extents = [painter.extent(n, turn) for n in range(min(painter.of.number, 8)) for turn in turns]
        kinds.append((int(np.quantile(seen, 0.95).round()), float(np.median(extents))))
    return Drawn(frames if colour else frames[..., 0], sorted(kinds, key=lambda kind: kind[1]))


def _counter(t: int, size: tuple[int, int]) -> np.ndarray:
    """The time of a frame as cameras write it, white in the lower left corner, (H, W)."""
    picture = Image.new("L", size[::-1])
    text = f"{t // 1500:02d}:{t // 25 % 60:02d}.{t % 25:02d}"
    ImageDraw.Draw(picture).text((3, size[0] - 14), text, fill=255)
    return np.asarray(picture, np.float32) / 255


# ---------------------------------------------------------------------------------------------- files


def _whole(frames: np.ndarray, bits: int) -> np.ndarray:
    return np.round(frames * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def _tiff(frames: np.ndarray, path: Path) -> None:
    first, *rest = (Image.fromarray(frame) for frame in frames)
    first.save(path, save_all=True, append_images=rest)


def _gif(frames: np.ndarray, path: Path) -> None:
    first, *rest = (Image.fromarray(frame) for frame in frames)
    first.save(path, save_all=True, append_images=rest, duration=40, loop=0)


def _pictures(frames: np.ndarray, path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(path / f"{number}.png")


def _film(codec: str, layout: str, bits_per_pixel: float) -> Callable[[np.ndarray, Path], None]:
    def write(frames: np.ndarray, path: Path) -> None:
        even = np.pad(
            frames,
            ((0, 0), *((0, side % 2) for side in frames.shape[1:3]), *((0, 0),) * (frames.ndim - 3)),
            mode="edge",
        )
        with pyav().open(str(path), "w") as file:
            stream = file.add_stream(codec, rate=25)
            stream.height, stream.width, stream.pix_fmt = *even.shape[1:3], layout
            stream.bit_rate = int(25 * bits_per_pixel * even.shape[1] * even.shape[2])
            for frame in even:
                file.mux(
                    stream.encode(
                        pyav().VideoFrame.from_ndarray(frame, "gray" if frame.ndim == 2 else "rgb24")
                    )
                )
            file.mux(stream.encode(None))

    return write


class Format(NamedTuple):
    """A kind of file."""

    suffix: str
    colour: bool
    bits: int
    write: Callable[[np.ndarray, Path], object]


FORMATS = {
    "npz8": Format(".npz", False, 8, lambda frames, path: np.savez(path, frames)),
    "tiff16": Format(".tif", False, 16, _tiff),
    "mp4": Format(".mp4", True, 8, _film("libx264", "yuv420p", 2.0)),
    "png8": Format("", False, 8, _pictures),
    "gif": Format(".gif", False, 8, _gif),
    "npy12": Format(".npy", False, 12, lambda frames, path: np.save(path, frames)),
    "avi": Format(".avi", True, 8, _film("mjpeg", "yuvj420p", 4.0)),
    "npz-rgb": Format(".npz", True, 8, lambda frames, path: np.savez(path, frames)),
    "tiff8": Format(".tif", False, 8, _tiff),
    "png-rgb": Format("", True, 8, _pictures),
}
LENGTHS = (60, 20, 150, 40, 400)
SOFT, SIGN = ("disc", "blob"), (1, -1)  # looks, and signs of contrasts, in turn


# ---------------------------------------------------------------------------------------------- the sixty


def _some(
    rng: Generator, number: tuple[int, int], size: tuple[float, float], look: str, **more: Any
) -> Objects:
    """As many objects, as large, as two ranges allow."""
    return Objects(int(rng.integers(number[0], number[1] + 1)), float(rng.uniform(*size)), look, **more)


def _two(rng: Generator, turn: int) -> Scene:
    size, look = rng.uniform(6, 9), SOFT[turn % 2]
    small = Objects(int(rng.integers(3, 7)), size, look)
    large = _some(rng, (1, 3), (2.2 * size, 4 * size), look)
    return Scene((small, large), Camera(texture=0.01 * turn), (140, 180))


def _three(rng: Generator, turn: int) -> Scene:
    small, contrast = rng.uniform(4, 5.5), SIGN[turn % 2] * 0.25
    numbers = rng.integers(2, 5, 3)
    kinds = tuple(
        Objects(int(number), small * times, "disc", contrast)
        for number, times in zip(numbers, (1, 2.5, 6), strict=True)
    )
    return Scene(kinds, Camera(level=0.5), (180, 220))


def _tiny(rng: Generator, turn: int) -> Scene:
    noise, look = 0.04, SOFT[(turn + 1) % 2]
    spots = Objects(int(rng.integers(3, 20)), 3.0, look, 3 * noise, "wandering", 1.0)
    return Scene((spots,), Camera(noise=noise), (120, 120))


def _large(rng: Generator, turn: int) -> Scene:
    # a fifth of the frame's area, or less
    size = (0.62, 0.35, 0.5, 0.4)[turn] * 120
    look, contrast = ("animal", "disc", "blob", "animal")[turn], (-0.25, 0.4, 0.4, 0.3)[turn]
    return Scene((Objects(1, size, look, contrast, speed=2.5),), Camera(level=0.4, texture=0.02))


def _company(rng: Generator, turn: int) -> Scene:
    company, contrast = ("shadow", "reflection")[turn % 2], (0.35, -0.3)[turn // 2]
    objects = _some(rng, (1, 3), (12, 18), "disc", contrast=contrast, company=company)
    return Scene((objects,), Camera(level=0.5), (140, 180))


def _slow(rng: Generator, turn: int) -> Scene:
    size = rng.uniform(10, 20)
    # by their size or less over the whole movie
    objects = Objects(int(rng.integers(2, 6)), size, SOFT[(turn + 1) % 2], way=0.5 + 0.2 * turn)
    return Scene((objects,), Camera(texture=0.01), (140, 140))


def _rest(rng: Generator, turn: int) -> Scene:
    look = ("disc", "animal")[turn % 2]
    objects = _some(rng, (2, 5), (8, 18), look, contrast=SIGN[turn % 2] * 0.3, motion="resting")
    return Scene((objects,), Camera(level=0.4, texture=0.015 * (turn // 2)), (140, 180))


def _leave(rng: Generator, turn: int) -> Scene:
    return Scene((_some(rng, (3, 8), (8, 14), SOFT[turn % 2], motion="leaving", speed=2.5),))


def _odd(rng: Generator, turn: int) -> Scene:
    names = ("dead", "repeated", "bumped", "flash")
    odd = {0: "black"} | {int(t): names[(turn + k) % 4] for k, t in enumerate(5 + rng.permutation(14)[:2])}
    objects = _some(rng, (2, 4), (8, 14), "blob", contrast=SIGN[turn % 2] * 0.25)
    return Scene((objects,), Camera(level=0.45, texture=0.03, odd=odd))


def _written(rng: Generator, turn: int) -> Scene:
    camera = Camera(bars=18 if turn % 2 else 0, stamp=turn != 1, vignette=0.3 * (turn > 1))
    return Scene((_some(rng, (2, 4), (9, 15), "disc"),), camera, (140, 160))


def _lit(rng: Generator, turn: int) -> Scene:
    objects = _some(rng, (2, 5), (8, 14), "blob", contrast=SIGN[turn % 2] * 0.25)
    return Scene((objects,), Camera(level=0.4, texture=0.02, vignette=0.6, light=SIGN[turn % 2] * 0.4))


def _unsteady(rng: Generator, turn: int) -> Scene:
    camera = Camera(texture=0.06, drift=(0.0, 14.0, 8.0, 0.0)[turn], shake=(1.5, 0.0, 1.0, 2.5)[turn])
    return Scene((_some(rng, (2, 4), (9, 14), "disc"),), camera, (140, 180))


def _crowd(rng: Generator, turn: int) -> Scene:
    objects = Objects((30, 60, 100, 30)[turn], 7.0, SOFT[turn % 2], motion="wandering")
    return Scene((objects,), Camera(), (200, 240))


def _plain(rng: Generator, turn: int) -> Scene:
    number, size = (1, 3, 10, 3)[turn], (24, 20, 14, 14)[turn]
    look, level = ("ring", "digit", "animal", "disc")[turn], (0.4, 0.0, 0.4, 0.4)[turn]
    hue = (1.0, 0.2, -1.2) if look == "disc" else (1.0, 1.0, 1.0)
    return Scene((Objects(number, size, look, 0.35, hue=hue),), Camera(level=level), (140, 180))


def _all(rng: Generator, turn: int) -> Scene:
    """Everything at once, as it comes."""
    camera = Camera(
        level=0.55, texture=0.05, noise=0.02, vignette=0.3, light=0.1, shake=0.8, bars=10 * (turn % 2),
        odd={0: "black", 11: "flash"},
    )  # fmt: skip
    return Scene(
        (_some(rng, (2, 5), (9, 14), "blob", contrast=-0.3, motion="wandering"),), camera, (140, 160)
    )


KINDS: dict[str, Callable[[Generator, int], Scene]] = {
    "two": _two, "three": _three, "tiny": _tiny, "large": _large, "company": _company, "slow": _slow, "rest": _rest,
    "leave": _leave, "odd": _odd, "written": _written, "lit": _lit, "unsteady": _unsteady, "crowd": _crowd,
    "plain": _plain, "all": _all,
}  # fmt: skip
TURNS = 4  # movies of a kind
# Digits are black and white, and discs of another hue need colours.
FITTING = {("plain", 1): "npz8", ("plain", 3): "npz-rgb"}
LONG = (("lit", 3), ("leave", 2))  # movies of 2,000 frames, which are small


class Case(NamedTuple):
    """A movie of the sixty."""

    kind: str
    turn: int
    form: str
    scene: Scene
    seed: tuple[int, ...]

    @property
    def name(self) -> str:
        """Its kind and number."""
        return f"{self.kind}{self.turn}"

    def drawn(self) -> Drawn:
        """Draw it."""
        return draw(self.scene, np.random.default_rng((*self.seed, 1)), FORMATS[self.form].colour)


def cases(seed: int) -> Iterator[Case]:
    """The movies of a seed; formats and lengths are crossed with kinds."""
    for index, (kind, made) in enumerate(KINDS.items()):
        for turn in range(TURNS):
            own = (seed, zlib.crc32(kind.encode()), turn)
            scene = made(np.random.default_rng(own), turn)
            length = LENGTHS[(index + turn) % len(LENGTHS)]
            if (kind, turn) in LONG:
                length = 2000
                scene = replace(scene, size=(72, 96))
            form = list(FORMATS)[(index + 3 * turn) % len(FORMATS)]
            form = FITTING.get((kind, turn), form)
            yield Case(kind, turn, form, replace(scene, length=length), own)


class Verdict(NamedTuple):
    """What ``inspect`` found in a movie."""

    truth: list[tuple[int, float]]
    found: list[tuple[int, float]]
    doubts: list[str]
    seconds: float  # of the processor

    @property
    def right(self) -> bool:
        """Whether the kinds of objects are those that are there."""
        return len(self.truth) == len(self.found) and all(
            abs(n - m) <= max(FEW, SHARE * m) and abs(s - r) <= NEAR * r
            for (m, r), (n, s) in zip(self.truth, self.found, strict=True)
        )


def seen(found: Inspection) -> list[tuple[int, float]]:
    """The kinds of objects that were found, the smallest first."""
    return sorted(((number, size) for number, size in found.kinds), key=lambda kind: kind[1])


def main() -> None:
    """Draw, write, inspect and judge each movie; a line each, a table by kind, and JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of results, and of the present movie")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default=",".join(KINDS), help="kinds, or single movies")
    parser.add_argument("--keep", action="store_true", help="keep the movies, and take those that are there")
    options = parser.parse_args()
    wanted = options.only.split(",")
    chosen = [case for case in cases(options.seed) if case.kind in wanted or case.name in wanted]
    folder = options.out / f"movies-{options.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for number, case in enumerate(chosen, 1):
        verdict = judged(case, folder, options.keep)
        records.append({"name": case.name, "kind": case.kind, "format": case.form, "length": case.scene.length,
                        "size": case.scene.size, "right": verdict.right, **verdict._asdict()})  # fmt: skip
        told = (
            "right"
            if verdict.right
            else "WRONG, " + ("and doubted" if verdict.doubts else "and nothing said")
        )
        about = f"{number}/{len(chosen)} {case.name}, {case.form}, {case.scene.length} frames"
        sight = f"{_spelled(verdict.truth)}; found {_spelled(verdict.found)}"
        print(f"{about}: {sight}: {told} ({verdict.seconds:.1f} s) {'; '.join(verdict.doubts)}", flush=True)
    (options.out / f"eyes-{options.seed}.json").write_text(json.dumps(records, indent=1))
    print("\n".join(table(records)))


def judged(case: Case, folder: Path, keep: bool) -> Verdict:
    """Draw, write and inspect a movie."""
    form = FORMATS[case.form]
    path, about = folder / f"{case.name}{form.suffix}", folder / f"{case.name}.truth.json"
    if keep and about.exists():
        truth = [(n, s) for n, s in json.loads(about.read_text())]
    else:
        drawn = case.drawn()
        form.write(_whole(drawn.frames, form.bits), path)
        truth = drawn.kinds
        if keep:
            about.write_text(json.dumps(truth))
    began = time.process_time()
    found = inspect(open_movie(path))
    return Verdict(truth, seen(found), list(found.doubts), time.process_time() - began)


def _spelled(kinds: list[tuple[int, float]]) -> str:
    return " and ".join(f"{number} of {size:.{ROUND}g} px" for number, size in kinds) or "nothing"


def table(records: list[dict]) -> list[str]:
    """The figures by kind, in Markdown."""
    lines = [
        "| kind | right | wrong and doubted | wrong, nothing said | right, yet doubted |",
        "|---|---|---|---|---|",
    ]
    for kind in [*dict.fromkeys(record["kind"] for record in records), "all of them"]:
        some = [r for r in records if r["kind"] == kind or kind == "all of them"]
        right = [r for r in some if r["right"]]
        wrong = [bool(r["doubts"]) for r in some if not r["right"]]
        figures = [len(right), sum(wrong), len(wrong) - sum(wrong), sum(bool(r["doubts"]) for r in right)]
        lines.append(f"| {kind} | {figures[0]} of {len(some)} | " + " | ".join(map(str, figures[1:])) + " |")
    return lines


if __name__ == "__main__":
    main()
