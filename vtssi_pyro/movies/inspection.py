"""What a movie looks like before anything is learned from it: its background, and what moves before that."""

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from vtssi_pyro.errors import DataError
from vtssi_pyro.movies import background
from vtssi_pyro.movies.movie import Movie, luminance, shrink

PAIRS = 32  # of neighbouring frames that are looked at, spread over the movie
WIDEST = 512  # px; larger frames are averaged down to look at them
SIGMAS = 5.0  # above the noise: what is no background
FAINTEST = 0.04  # of the range of intensities: what is no background where there is no noise
ONE_SIDED = 0.2  # of all contrast: as much of the other sign is not told apart from noise and shadows
FULL_CONTRAST = 0.9  # quantile, of all that stands out, of what is as bright as things are
FEW = 10  # objects, up to which a fit takes minutes
NOISY = 0.25  # of the pixels must differ from the background before the rest is taken to be cut off


POLARITIES = ("bright", "dark", "both")


@dataclass(frozen=True)
class Hints:
    """What is known of a movie beforehand; None: as it is seen."""

    objects: int | None = None
    object_size: float | None = None  # px
    background: str | None = None  # of background.KINDS
    polarity: str | None = None  # of POLARITIES
    crop: tuple[int, int, int, int] | None = None  # left, top, width, height: what alone is looked at, px


@dataclass(frozen=True)
class Inspection:
    """What was found; lengths in pixels of the movie."""

    name: str
    size: tuple[int, int]  # (H, W), of the part that is looked at
    length: int  # frames
    rate: float | None  # frames per second
    low: float  # 1st and 99.99th percentile of intensity, in units of the movie's own full scale
    high: float
    noise: float  # standard deviation about the background, likewise
    background: str  # of background.KINDS
    polarity: str  # of moving things before it, of POLARITIES
    objects: int  # moving things that are seen at once, at most
    object_size: float  # the longer side of the box around one, median
    speed: float  # per frame, median
    contrast: float  # by how much moving things stand out, in units of full scale
    background_image: np.ndarray = field(repr=False, compare=False)  # (h, w), in units of full scale
    shrunk: int  # pixels of the movie, a side, that one of ``background_image`` is made of
    crop: tuple[int, int, int, int] | None = None  # the part that is looked at: left, top, width, height

    def as_dict(self) -> dict[str, Any]:
        """The fields but the background, ready for JSON."""
        return {key: value for key, value in asdict(self).items() if key != "background_image"}

    def lines(self) -> list[str]:
        """The findings, for people."""
        height, width = self.size
        rate = f", {self.rate:g} frames per second" if self.rate else ""
        scale = ", of full scale" if self.high <= 1 else ""  # floats are taken as they are
        many = "those are many, and minutes grow with their number: --crop a part, or say --objects"
        return [
            f"{self.name}: {self.length} frames of {width}x{height} pixels{rate}",
            f"intensities from {self.low:.3g} to {self.high:.3g}, noise {self.noise:.2g}{scale}; "
            f"background: {self.background}",
            f"moving things: {self.objects} at once, {self.polarity} before the background, about "
            f"{self.object_size:.0f} pixels large, {self.speed:.2g} pixels a frame",
            *([many] if self.objects > FEW else []),
        ]


class _Pair(NamedTuple):
    time: int
    frame: np.ndarray
    following: np.ndarray


def inspect(movie: Movie, hints: Hints = Hints()) -> Inspection:
    """Look at a movie once, from end to end, holding no more of it than a few dozen frames.

    Args:
        movie: any.
        hints: what is known of it.

    Raises:
        DataError: a movie of fewer than two frames, or one in which every pixel always is the same.
    """
    if hints.crop:
        movie = movie.cropped(*hints.crop)
    pairs, length, shrunk = _sampled(movie)
    if not pairs:
        raise DataError(
            f"{movie.name}: holds {length} frame, and nothing can be seen to move in fewer than 2"
        )
    frames = np.stack([pair.frame for pair in pairs])
    low, high = (float(value) for value in np.quantile(frames, (0.01, 0.9999)))
    if high - low <= 0 and frames.min() == frames.max():
        raise DataError(f"{movie.name}: every pixel is {frames.min():g} in every frame: nothing to see")
    kind = hints.background or background.suited(frames)
    if kind == "rolling":  # the light of the whole frame is no thing's
        level = background.level
        pairs = [pair._replace(frame=level(pair.frame), following=level(pair.following)) for pair in pairs]
        frames = np.stack([pair.frame for pair in pairs])
    behind = _behind(frames, kind, FAINTEST * (high - low))
    around = background.around(frames) if kind == "rolling" else [behind] * len(pairs)
    residual = [(pair.frame - b, pair.following - b) for pair, b in zip(pairs, around, strict=True)]
    noise = float(np.median([_noise(here) for here, _ in residual]))
    threshold = max(SIGMAS * noise, FAINTEST * (high - low))
    polarity = hints.polarity or _polarity(np.stack([here for here, _ in residual]), threshold)
    standing = np.concatenate([signed(here, polarity).ravel() for here, _ in residual])
    standing = standing[standing > threshold]
    seen = [[_things(frame, threshold, polarity) for frame in pair] for pair in residual]
    usual = _usual(np.concatenate([here.size for here, _ in seen]))
    if hints.object_size is not None:
        usual = hints.object_size / shrunk
    # what is much smaller than the rest is a speck, or an edge of something larger
    seen = [[things.of(usual / 3) for things in pair] for pair in seen]
    objects = round(float(np.quantile([len(here.size) for here, _ in seen], 0.95)))
    steps = [step for here, then in seen if len(step := _step(here.centre, then.centre))]
    return Inspection(
        movie.name, movie.size, length, movie.rate, low, high, noise, kind, polarity,
        objects if hints.objects is None else hints.objects, usual * shrunk,
        float(np.median(np.concatenate(steps))) * shrunk if steps else 0.0,
        float(np.quantile(standing, FULL_CONTRAST)) if len(standing) else high - low, behind, shrunk,
        hints.crop,
    )  # fmt: skip


def _behind(frames: np.ndarray, kind: str, faintest: float) -> np.ndarray:
    """The background (H, W) of frames (n, H, W), as that kind has it."""
    image = np.median(frames, 0)
    if kind == "none":
        return np.full_like(image, np.median(frames))
    if kind == "smooth":
        return background.smooth(image)
    if kind == "static":
        noise = float(np.median([_noise(frame - image) for frame in frames]))
        return background.without_things(image, frames, max(SIGMAS * noise, faintest))
    return image


def _sampled(movie: Movie) -> tuple[list[_Pair], int, int]:
    """Pairs of neighbouring frames spread evenly, the number of frames, and how many pixels became one a side."""
    shrunk = max(1, -(-max(movie.size) // WIDEST))
    pairs: list[_Pair] = []
    stride, before, wanted, number = 1, None, False, 0
    for time, frame in enumerate(movie):
        number = time + 1
        small = luminance(shrink(frame, shrunk)) if wanted or time % stride == 0 else None
        if wanted and before is not None and small is not None:
            pairs.append(_Pair(time - 1, before, small))
        if len(pairs) > PAIRS:  # every second is enough
            stride *= 2
            pairs = [pair for pair in pairs if pair.time % stride == 0]
        wanted = time % stride == 0
        before = small if wanted else None
    return pairs, number, shrunk


def _noise(residual: np.ndarray) -> float:
    """Standard deviation of what is no object; black may be cut off at 0, which hides half of the noise."""
    away = np.abs(residual)
    moving = away[away > 0]
    return float(1.4826 * np.median(moving if len(moving) > NOISY * away.size else away))


def _usual(sizes: np.ndarray) -> float:
    """The median size, weighted by area: specks are many, and do not count."""
    if not len(sizes):
        return 0.0
    ordered = np.sort(sizes)
    area = np.cumsum(ordered**2)
    return float(ordered[np.searchsorted(area, area[-1] / 2)])


def _polarity(residual: np.ndarray, threshold: float) -> str:
    bright, dark = (float(side[side > threshold].sum()) for side in (residual, -residual))
    if bright + dark == 0:
        return "bright"
    share = dark / (bright + dark)
    return "bright" if share < ONE_SIDED else "dark" if share > 1 - ONE_SIDED else "both"


def signed(residual: np.ndarray, polarity: str) -> np.ndarray:
    """What stands out of a background as something bright."""
    return {"bright": residual, "dark": -residual, "both": np.abs(residual)}[polarity]


class _Things(NamedTuple):
    centre: np.ndarray  # (n, 2) x, y
    size: np.ndarray  # (n,) longer side of the box

    def of(self, least: float) -> "_Things":
        """Those that are so large."""
        large = self.size >= least
        return _Things(self.centre[large], self.size[large])


def _things(residual: np.ndarray, threshold: float, polarity: str) -> _Things:
    """Connected regions that stand out; holes within one, as rings have, are part of it."""
    outside = signed(residual, polarity) > threshold
    out = ndimage.binary_closing(outside, iterations=2) | outside
    labels, number = ndimage.label(ndimage.binary_fill_holes(out), np.ones((3, 3)))
    boxes = [box for box in ndimage.find_objects(labels, number) if box is not None]
    spans = np.array([[(s.start, s.stop) for s in box] for box in boxes], float).reshape(-1, 2, 2)
    size = (spans[..., 1] - spans[..., 0]).max(-1) if len(spans) else np.zeros(0)
    return _Things(spans.mean(-1)[:, ::-1], size).of(2)  # a single pixel is noise


def _step(here: np.ndarray, then: np.ndarray) -> np.ndarray:
    """Distances from things to the nearest of the next frame."""
    if not len(here) or not len(then):
        return np.zeros(0)
    return cKDTree(then).query(here)[0]
