"""What a movie looks like before anything is learned from it: its background, and what moves before that."""

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from vtssi_pyro.errors import DataError
from vtssi_pyro.movies.movie import Movie, luminance, shrink

PAIRS = 32  # of neighbouring frames that are looked at, spread over the movie
WIDEST = 512  # px; larger frames are averaged down to look at them
SIGMAS = 5.0  # above the noise: what is no background
FAINTEST = 0.04  # of the range of intensities: what is no background where there is no noise
ONE_SIDED = 0.2  # of all contrast: as much of the other sign is not told apart from noise and shadows
FULL_CONTRAST = 0.9  # quantile, of all that stands out, of what is as bright as things are
NOISY = 0.25  # of the pixels must differ from the background before the rest is taken to be cut off
NEIGHBOURS = 11  # pairs of frames whose median is the background of the middle one, where it changes
STEADIER = 0.7  # of the noise must be left where a background follows the light


@dataclass(frozen=True)
class Inspection:
    """What was found; lengths in pixels of the movie."""

    name: str
    size: tuple[int, int]  # (H, W)
    length: int  # frames
    rate: float | None  # frames per second
    low: float  # 1st and 99.99th percentile of intensity, in units of the movie's own full scale
    high: float
    noise: float  # standard deviation about the background, likewise
    background: str  # "static", "rolling" or "none"
    polarity: str  # of moving things before it: "bright", "dark" or "both"
    objects: int  # moving things that are seen at once, at most
    object_size: float  # the longer side of the box around one, median
    speed: float  # per frame, median
    contrast: float  # by how much moving things stand out, in units of full scale
    background_image: np.ndarray = field(repr=False, compare=False)  # (h, w), in units of full scale
    shrunk: int  # pixels of the movie, a side, that one of ``background_image`` is made of

    def as_dict(self) -> dict[str, Any]:
        """The fields but the background, ready for JSON."""
        return {key: value for key, value in asdict(self).items() if key != "background_image"}


class _Pair(NamedTuple):
    time: int
    frame: np.ndarray
    following: np.ndarray


def inspect(movie: Movie) -> Inspection:
    """Look at a movie once, from end to end, holding no more of it than a few dozen frames.

    Raises:
        DataError: a movie of fewer than two frames, or one in which every pixel always is the same.
    """
    pairs, length, shrunk = _sampled(movie)
    if not pairs:
        raise DataError(
            f"{movie.name}: holds {length} frame, and nothing can be seen to move in fewer than 2"
        )
    frames = np.stack([pair.frame for pair in pairs])
    low, high = (float(value) for value in np.quantile(frames, (0.01, 0.9999)))
    if high - low <= 0 and frames.min() == frames.max():
        raise DataError(f"{movie.name}: every pixel is {frames.min():g} in every frame: nothing to see")
    kind = _background(frames)
    if kind == "rolling":  # the light of the whole frame is no thing's
        pairs = [pair._replace(frame=_level(pair.frame), following=_level(pair.following)) for pair in pairs]
        frames = np.stack([pair.frame for pair in pairs])
    background = np.median(frames, 0) if kind != "none" else np.full_like(frames[0], np.median(frames))
    around = _around(frames) if kind == "rolling" else [background] * len(pairs)
    residual = [(pair.frame - b, pair.following - b) for pair, b in zip(pairs, around, strict=True)]
    noise = float(np.median([_noise(here) for here, _ in residual]))
    threshold = max(SIGMAS * noise, FAINTEST * (high - low))
    polarity = _polarity(np.stack([here for here, _ in residual]), threshold)
    standing = np.concatenate([signed(here, polarity).ravel() for here, _ in residual])
    standing = standing[standing > threshold]
    seen = [[_things(frame, threshold, polarity) for frame in pair] for pair in residual]
    sizes = np.concatenate([here.size for here, _ in seen])
    usual = _usual(sizes)
    # what is much smaller than the rest is a speck, or an edge of something larger
    counts = [int((here.size >= usual / 3).sum()) for here, _ in seen]
    steps = [_step(here.centre, then.centre) for here, then in seen]
    steps = [step for step in steps if len(step)]
    return Inspection(
        movie.name, movie.size, length, movie.rate, low, high, noise, kind, polarity,
        round(float(np.quantile(counts, 0.95))), usual * shrunk,
        float(np.median(np.concatenate(steps))) * shrunk if steps else 0.0,
        float(np.quantile(standing, FULL_CONTRAST)) if len(standing) else high - low, background, shrunk,
    )  # fmt: skip


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


def _level(frame: np.ndarray) -> np.ndarray:
    return frame - np.median(frame)


def _background(frames: np.ndarray) -> str:
    """Flat and dark, the same all along, or with a light that changes: whatever leaves the least."""
    static = np.median(frames, 0)
    if not np.abs(static - np.median(static)).any() and np.median(static) == frames.min():
        return "none"
    levelled = np.stack([_level(frame) for frame in frames])
    left = [np.median(np.abs(some - np.median(some, 0))) for some in (frames, levelled)]
    return "rolling" if left[1] < STEADIER * left[0] else "static"


def _around(frames: np.ndarray) -> list[np.ndarray]:
    """The background at the time of each frame: the median of those next to it."""
    span = min(NEIGHBOURS, len(frames))
    firsts = np.clip(np.arange(len(frames)) - span // 2, 0, len(frames) - span)
    return [np.median(frames[first : first + span], 0) for first in firsts]


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


def _things(residual: np.ndarray, threshold: float, polarity: str) -> _Things:
    """Connected regions that stand out; holes within one, as rings have, are part of it."""
    outside = signed(residual, polarity) > threshold
    out = ndimage.binary_closing(outside, iterations=2) | outside
    labels, number = ndimage.label(ndimage.binary_fill_holes(out), np.ones((3, 3)))
    boxes = [box for box in ndimage.find_objects(labels, number) if box is not None]
    spans = np.array([[(s.start, s.stop) for s in box] for box in boxes], float).reshape(-1, 2, 2)
    size = (spans[..., 1] - spans[..., 0]).max(-1) if len(spans) else np.zeros(0)
    large = size >= 2  # a single pixel is noise
    return _Things(spans[large].mean(-1)[:, ::-1], size[large])


def _step(here: np.ndarray, then: np.ndarray) -> np.ndarray:
    """Distances from things to the nearest of the next frame."""
    if not len(here) or not len(then):
        return np.zeros(0)
    return cKDTree(then).query(here)[0]
