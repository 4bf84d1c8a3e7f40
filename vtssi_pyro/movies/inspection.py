"""Inspection of a movie before any training: its background, and the objects that move in front of it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from typing import Annotated, Any, NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from vtssi_pyro.config import Declared, OneOf, Range
from vtssi_pyro.config.ranges import OBJECT_SIZE, OBJECTS, STORED_SIDE
from vtssi_pyro.errors import Argument, DataError, UsageError
from vtssi_pyro.movies import arena, background, oddity
from vtssi_pyro.movies.background import KINDS
from vtssi_pyro.movies.movie import Movie, brightness, colours, each_channel, luminance, shrink, tinted
from vtssi_pyro.movies.stored import COLOUR, GREY

# Of neighbouring frames, spread over the movie: the median of half as many is noisier, of twice as many slower.
PAIRS = 32
FEWEST = 5  # frames: the median of fewer shows, as a ghost, an object that covers a pixel in two of them
WIDEST = 512  # px: larger frames are averaged down for the inspection, which bounds its memory and time
# Noise's standard deviations to the threshold: at half, a frame of 512 x 512 pixels exceeds it in over
# 1,000 pixels by chance.
SIGMAS = 5.0
FAINTEST = 0.04  # threshold without noise, share of the range of intensities: ten grey levels of 8 bits
ONE_SIDED = 0.2  # share of all contrast: so little of the other sign may be noise and shadows
# Quantile of the residual above the threshold that counts as the objects' brightness; edges are below.
FULL_CONTRAST = 0.9
FEW = 10  # objects: a fit of more takes longer than minutes, since its time grows with their number
# Share of pixels that differ from the background above which the others count as cut off at black.
NOISY = 0.25
# The numbers from here on are rules of thumb, of which no measurement is on record.
# Quantiles of intensity that count as the darkest and the brightest: objects may be a ten-thousandth of the pixels.
DARKEST, BRIGHTEST = 0.01, 0.9999
PART = 3  # a region so many times smaller than the usual one is a speck, or an edge of a larger object
SPECK = 3.0  # px: smaller regions are noise, and not worth a word
# Quantile of the frames' numbers of regions from which on frames tell the objects' size: objects that touch are one
# region, larger than any of them, and fewer then.
APART = 0.75
MOST = 0.95  # quantile of the frames' numbers of objects that counts as the largest: a frame in 20 may show specks, too
LEAST = 0.1  # quantile that counts as the least number: in a tenth of the frames, one object may hide another
# Share of the objects that a crowd's frames may lack because some cover others: of 20 drawn beads one, at times.
CROWDED = 0.1
GAP = 2  # dilations, and erosions, that close a region: an object with gaps of up to four pixels is one

# Share of the moving contrast beyond brightness from which on colours are used: objects of one hue leave 5 % in drawn
# movies, compressed ones, too, red and orange ones 12 %, red and green ones 35 % and more.
COLOURFUL = 0.1
BRIGHTENED = (
    3  # how much brighter than others a faint channel is made at most, since noise and shadows are, too
)

NAMED = 5  # odd frames that are named, of more the first

COUNT = Range(0, 2**53)  # of frames, or of objects in a file that anybody may have written
POLARITIES = ("bright", "dark", "both")


@dataclass(frozen=True)
class Hints(Declared):
    """A user's knowledge of a movie; a None is estimated from the frames.

    Example:
        >>> from vtssi_pyro import Hints
        >>> Hints(objects=3, object_size=14.0).objects
        3
    """

    objects: Annotated[int | None, OBJECTS, "Largest number of objects at once."] = None
    object_size: Annotated[float | None, OBJECT_SIZE, "Longer side of the box around an object, pixels."] = (
        None
    )
    background: Annotated[str | None, OneOf(*KINDS), "Kind of the background."] = None
    polarity: Annotated[str | None, OneOf(*POLARITIES), "Whether objects are brighter, darker or both."] = (
        None
    )
    crop: Annotated[
        tuple[int, int, int, int] | None, Range(0, STORED_SIDE.high),
        "Left, top, width and height of the inspected part, pixels.",
    ] = None  # fmt: skip

    def __post_init__(self) -> None:
        """Refuse a part without pixels, too."""
        super().__post_init__()
        if self.crop is not None and min(self.crop[2:]) < 1:
            raise UsageError(
                f"Hints.crop: expected a width and a height of 1 or more, found {','.join(map(str, self.crop))}"
            )

    @property
    def said(self) -> str | None:
        """The name of the first property that is known; None if none is."""
        return next((field.name for field in fields(self) if getattr(self, field.name) is not None), None)


@dataclass(frozen=True)
class Inspection:
    """The findings of an inspection; lengths in pixels of the movie."""

    name: str
    size: Annotated[tuple[int, int], STORED_SIDE]  # (H, W) of the inspected part
    length: Annotated[int, COUNT]  # frames
    rate: float | None  # frames per second
    low: float  # 1st and 99.99th percentile of intensity, in units of the movie's own full scale
    high: float
    noise: float  # standard deviation about the background, likewise
    background: str  # of background.KINDS
    polarity: str  # of POLARITIES, of moving objects before the background
    objects: Annotated[int, COUNT]  # largest number of moving objects visible at once
    object_size: float  # the longer side of the box around one, median
    speed: float  # per frame, median
    contrast: float  # of moving objects to the background, in units of full scale
    background_image: np.ndarray = field(
        repr=False, compare=False
    )  # (h, w), in units of full scale; (h, w, 3) in colour
    shrunk: Annotated[int, STORED_SIDE]  # side in pixels of the movie of one pixel of ``background_image``
    crop: tuple[int, int, int, int] | None = None  # left, top, width, height of the inspected part
    odd: tuple[
        int, ...
    ] = ()  # frames unlike the rest, as black ones and flashes are; nothing is estimated from them
    smaller: Annotated[int, COUNT] = 0  # smaller regions at once, which are left out
    smaller_size: float = 0.0  # their size
    fewest: Annotated[int | None, COUNT] = None  # least number of moving objects at once; None: not known
    first: Annotated[int, COUNT] = 0  # the number in the movie of the first inspected frame
    step: Annotated[int, COUNT] = 1  # and of frames from one inspected to the next
    hue: float | None = (
        None  # share of the moving contrast that brightness does not tell; None: frames are grey
    )
    # of each channel, if colours are used: red, green and blue, or what is more of each and what is less
    contrasts: tuple[float, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the fields except the background image, ready for JSON."""
        return {key: value for key, value in asdict(self).items() if key != "background_image"}

    @property
    def changes(self) -> bool:
        """Whether some frames show clearly fewer objects than others, because objects come, go or hide."""
        return self.fewest is not None and self.objects - self.fewest >= max(1, CROWDED * self.objects)

    def of_number(self, objects: int) -> "Inspection":
        """The findings with another largest number of objects; what a user knows better by is there in all frames."""
        fewest = None if self.fewest is None else max(self.fewest + objects - self.objects, 0)
        return replace(self, objects=objects, fewest=fewest)

    @property
    def in_colour(self) -> bool:
        """Whether colours are used, and not brightness alone."""
        return bool(self.contrasts)

    @property
    def _numbers(self) -> str:
        return f"{self.fewest} to {self.objects}" if self.changes else f"{self.objects}"

    @property
    def _colours(self) -> list[str]:
        if self.hue is None:
            return []
        used, other = ("colours are used", GREY) if self.in_colour else ("that alone is used", COLOUR)
        return [
            f"colours: {self.hue:.0%} of the moving contrast is beyond brightness; {used} (else say --channel {other})"
        ]

    def lines(self) -> list[str]:
        """Describe the findings, line by line, for people."""
        height, width = self.size
        rate = f", {self.rate:g} frames per second" if self.rate else ""
        scale = ", of full scale" if self.high <= 1 else ""  # floats are taken as they are
        many = "those are many, and minutes grow with their number: crop a part, or say how many you want"
        odd = tuple(self.first + self.step * k for k in self.odd)
        smaller = (
            f"{self.smaller} more of about {self.smaller_size:.0f} pixels are left out; to follow those instead, say "
            f"--object-size {self.smaller_size:.0f}"
        )
        return [
            f"{self.name}: {self.length} frames of {width}x{height} pixels{rate}",
            f"intensities from {self.low:.3g} to {self.high:.3g}, noise {self.noise:.2g}{scale}; "
            f"background: {self.background}",
            f"moving objects: {self._numbers} at once, {self.polarity} before the background, about "
            f"{self.object_size:.0f} pixels large, {self.speed:.2g} pixels a frame",
            *self._colours,
            *([many] if self.objects > FEW else []),
            *([smaller] if self.smaller else []),
            *([f"{_numbered(odd)} unlike the rest, and left out"] if self.odd else []),
        ]


class _Pair(NamedTuple):
    order: int  # of the first frame among those with values
    times: tuple[int, int]  # neighbours, unless frames between them are missing
    frame: np.ndarray  # (H, W) or (H, W, C) as they are stored, then (H, W, 1) in grey or (H, W, 3) in colour
    following: np.ndarray

    def made(self, change: Callable[[np.ndarray], np.ndarray]) -> "_Pair":
        """The pair with both frames changed."""
        return self._replace(frame=change(self.frame), following=change(self.following))

    @property
    def apart(self) -> int:
        return self.times[1] - self.times[0]


def inspect(movie: Movie, hints: Hints = Hints()) -> Inspection:
    """Inspect a movie in one pass that holds a few dozen frames at most.

    Args:
        movie: any movie.
        hints: known properties, which are not estimated.

    Returns:
        The findings.

    Raises:
        DataError: a movie of fewer than two frames, or a movie whose pixels are all the same.
    """
    crop = hints.crop or (arena.extent(movie.within) if movie.within is not None else None)
    if crop:
        movie = movie.cropped(*crop)
    pairs, odd, length, shrunk = _sampled(movie)
    if not pairs:
        raise DataError(
            f"{movie.name}: holds {length} frame, and nothing can be seen to move in fewer than 2"
        )
    if length < FEWEST and hints.background is None:
        raise DataError(
            f"{movie.name}: holds {length} frames, too few to tell objects from the background behind them, for which "
            f"{FEWEST} are needed; or say ",
            Argument("background"),
            " smooth or none",
        )
    hue, in_colour = _hue(movie, pairs)
    pairs = [pair.made(colours if in_colour else _grey) for pair in pairs]
    frames = np.stack([pair.frame for pair in pairs])
    low, high = (float(value) for value in np.quantile(frames, (DARKEST, BRIGHTEST)))
    if high - low <= 0 and frames.min() == frames.max():
        raise DataError(f"{movie.name}: every pixel is {frames.min():g} in every frame: nothing to see")
    kind = hints.background or background.suited(frames)
    if kind == "rolling":  # the light of the whole frame is no object's
        pairs = [pair.made(background.level) for pair in pairs]
        frames = np.stack([pair.frame for pair in pairs])
    behind = _behind(frames, kind, FAINTEST * (high - low))
    around = background.around(frames) if kind == "rolling" else [behind] * len(pairs)
    residual = [(pair.frame - b, pair.following - b) for pair, b in zip(pairs, around, strict=True)]
    noise = float(np.median([_noise(first) for first, _ in residual]))
    threshold = max(SIGMAS * noise, FAINTEST * (high - low))
    polarity = hints.polarity or _polarity(np.stack([first for first, _ in residual]), threshold)
    standing = np.concatenate([signed(first, polarity).max(-1).ravel() for first, _ in residual])
    standing = standing[standing > threshold]
    contrast = float(np.quantile(standing, FULL_CONTRAST)) if len(standing) else high - low
    regions = [[_regions(frame, threshold, polarity) for frame in pair] for pair in residual]
    usual = _usual([first.size for first, _ in regions])
    if hints.object_size is not None:
        usual = hints.object_size / shrunk
    left = [first.size[(first.size >= SPECK) & (first.size < usual / PART)] for first, _ in regions]
    numbers = [len(sizes) for sizes in left]
    # what half of the frames lack is noise
    smaller = round(float(np.quantile(numbers, MOST))) if np.median(numbers) else 0
    regions = [[found.above(usual / PART) for found in pair] for pair in regions]
    objects = round(float(np.quantile([len(first.size) for first, _ in regions], MOST)))
    fewest = round(float(np.quantile([_shown(first.size, usual) for first, _ in regions], LEAST)))
    steps = [
        _step(*(each.centre for each in found)) / pair.apart
        for found, pair in zip(regions, pairs, strict=True)
    ]
    moved = np.concatenate(steps)
    found = Inspection(
        movie.name, movie.size, length, movie.rate, low, high, noise, kind, polarity,
        objects, usual * shrunk,
        float(np.median(moved)) * shrunk if len(moved) else 0.0,
        contrast, behind if in_colour else behind[..., 0], shrunk,
        crop, odd, smaller, float(np.median(np.concatenate(left))) * shrunk if smaller else 0.0,
        fewest, movie.stored.span.start, movie.stored.span.step, hue,
        _contrasts([first for first, _ in residual], polarity, threshold, contrast) if in_colour else (),
    )  # fmt: skip
    return found if hints.objects is None else found.of_number(hints.objects)


def _contrasts(
    residual: list[np.ndarray], polarity: str, threshold: float, contrast: float
) -> tuple[float, ...]:
    """The contrast of objects in each channel: colours of the same brightness differ much in red, green and blue."""
    found = []
    for channel in zip(*(np.moveaxis(parted(frame, polarity), -1, 0) for frame in residual), strict=True):
        values = np.stack(channel)
        standing = values[values > threshold]
        own = float(np.quantile(standing, FULL_CONTRAST)) if len(standing) else contrast
        found.append(max(own, contrast / BRIGHTENED))
    return tuple(found)


def _hue(movie: Movie, pairs: list[_Pair]) -> tuple[float | None, bool]:
    """The share of the moving contrast that brightness does not tell, None of grey frames; whether colours are used.

    Colours are used if a user says so, or the share exceeds :data:`COLOURFUL`.
    """
    said = movie.stored.channel
    if not any(tinted(pair.frame) for pair in pairs):
        if said == COLOUR:
            raise DataError(f"{movie.name}: has no colours: leave out ", Argument("channel"), f" {COLOUR}")
        return None, False
    share = beyond_brightness(np.stack([colours(pair.frame) for pair in pairs]))
    return share, said == COLOUR if said in (GREY, COLOUR) else share > COLOURFUL


def beyond_brightness(frames: np.ndarray) -> float:
    """The share of the moving contrast of colours that brightness does not tell.

    Contrast is what exceeds noise in a frame's difference from the median of all. If objects differ from it by more or
    less of one colour, brightness tells all, as far as it exceeds its own noise: the share is that of the squares which
    remain of a regression of the differences of red, green and blue on those of brightness, less what noise adds.

    Args:
        frames: (n, H, W, 3).
    """
    levelled = np.stack([background.level(frame) for frame in frames])
    residual = levelled - np.median(levelled, 0)
    bright = brightness(residual)[..., None]
    noise, least = _threshold(residual, frames)
    moving = (np.abs(residual) > least).any(-1)
    if not moving.any():
        return 0.0
    found, told = residual[moving].astype(np.float64), bright[moving, 0].astype(np.float64)  # (m, 3), (m,)
    told[np.abs(told) <= _threshold(bright, brightness(frames))[1]] = 0
    usual = told @ found / max(float(told @ told), 1e-12)  # of each colour for one of brightness
    left, total = (float(np.square(x).sum()) for x in (found - told[:, None] * usual, found))
    drawn = noise**2 * len(found)  # of each colour
    return min(max(left - 2 * drawn, 0.0) / max(total - 3 * drawn, 1e-12), 1.0)


def _threshold(residual: np.ndarray, frames: np.ndarray) -> tuple[float, float]:
    """The noise of frames, given their residuals (n, H, W, C), and the least contrast that exceeds it."""
    noise = float(np.median([_noise(frame) for frame in residual]))
    low, high = np.quantile(frames, (DARKEST, BRIGHTEST))
    return noise, max(SIGMAS * noise, FAINTEST * float(high - low))


def _grey(frame: np.ndarray) -> np.ndarray:
    """A frame in grey, (H, W, 1)."""
    return luminance(frame)[..., None]


def _behind(frames: np.ndarray, kind: str, faintest: float) -> np.ndarray:
    """Estimate the background (H, W, C) of a kind from frames (n, H, W, C)."""
    image = np.median(frames, 0)
    if kind == "none":
        return np.full_like(image, np.median(frames, (0, 1, 2)))
    if kind == "smooth":
        return background.smooth(image)
    if kind == "static":
        noise = float(np.median([_noise(frame - image) for frame in frames]))
        mended = partial(background.without_objects, least=max(SIGMAS * noise, faintest))
        return each_channel(mended, image, frames)
    return image


def _sampled(movie: Movie) -> tuple[list[_Pair], tuple[int, ...], int, int]:
    """Sample pairs of neighbouring frames evenly, none of them odd or missing.

    Returns:
        the pairs, the numbers of odd frames, the number of frames, and the factor of their reduction.
    """
    shrunk = max(1, -(-max(movie.size) // WIDEST))
    pairs: list[_Pair] = []
    seen: dict[int, np.ndarray] = {}
    stride, before, last, number = 1, None, 0, 0
    for time, frame in enumerate(movie):
        number = time + 1
        if time in movie.levels.missing:  # its neighbours become neighbours of each other
            continue
        order = len(seen)
        seen[time] = oddity.grains(luminance(oddity.sparse(frame)))
        small = np.array(shrink(frame, shrunk)) if before is not None or order % stride == 0 else None
        if before is not None and small is not None:
            pairs.append(_Pair(order - 1, (last, time), before, small))
        if len(pairs) > PAIRS:  # every second pair is enough
            stride *= 2
            pairs = [pair for pair in pairs if pair.order % stride == 0]
        before, last = small if order % stride == 0 else None, time
    odd = oddity.odd(seen)
    fine = [pair for pair in pairs if not set(pair.times) & set(odd)]
    return (fine or pairs), odd if fine else (), number, shrunk


def _noise(residual: np.ndarray) -> float:
    """Estimate the background's standard deviation by the median absolute deviation (Hampel 1974).

    Black may be cut off at 0, which hides half of the noise, so that pixels of no residual do not count then.
    """
    away = np.abs(residual)
    moving = away[away > 0]
    # 1.4826: a normal's standard deviation is that many median absolute deviations
    return float(1.4826 * np.median(moving if len(moving) > NOISY * away.size else away))


def _usual(sizes: list[np.ndarray]) -> float:
    """Estimate the size of objects from the sizes of the regions of each frame.

    Of each frame it is the median of regions that are no specks; specks are much smaller than the median weighted by
    area. Of the frames it is the median of those that show the most such regions, since objects may touch.
    """
    large = [found[found >= _weighted(found) / PART] for found in sizes if len(found)]
    if not large:
        return 0.0
    apart = np.quantile([len(found) for found in large], APART)
    return float(np.median([np.median(found) for found in large if len(found) >= apart]))


def _shown(sizes: np.ndarray, usual: float) -> int:
    """Estimate the number of objects in regions of a frame, of which one may be of several objects that touch."""
    return int(((sizes / usual) ** 2).round().clip(1).sum()) if len(sizes) else 0


def _weighted(sizes: np.ndarray) -> float:
    """Return the median size weighted by area, in which many specks count little."""
    ordered = np.sort(sizes)
    area = np.cumsum(ordered**2)
    return float(ordered[np.searchsorted(area, area[-1] / 2)])


def _numbered(frames: tuple[int, ...]) -> str:
    """Name frames, of many the first ones."""
    first = ", ".join(map(str, frames[:NAMED]))
    more = f" and {len(frames) - NAMED} more" if len(frames) > NAMED else ""
    return f"frame {first} is" if len(frames) == 1 else f"frames {first}{more} are"


def _polarity(residual: np.ndarray, threshold: float) -> str:
    bright, dark = (float(side[side > threshold].sum()) for side in (residual, -residual))
    if bright + dark == 0:
        return "bright"
    share = dark / (bright + dark)
    return "bright" if share < ONE_SIDED else "dark" if share > 1 - ONE_SIDED else "both"


def signed(residual: np.ndarray, polarity: str) -> np.ndarray:
    """Return the residual of a background with the polarity's sign, so that objects are bright."""
    return {"bright": residual, "dark": -residual, "both": np.abs(residual)}[polarity]


def parted(residual: np.ndarray, polarity: str) -> np.ndarray:
    """Return the residual with the polarity's sign; colours of both signs (H, W, C) as (H, W, 2 C), more and less.

    Without sign, two colours on a grey ground would look alike.
    """
    if polarity == "both" and residual.ndim == 3:
        return np.concatenate([residual, -residual], -1).clip(0)
    return signed(residual, polarity)


class _Regions(NamedTuple):
    """Connected regions of one frame that differ from the background."""

    centre: np.ndarray  # (n, 2) x, y
    size: np.ndarray  # (n,) longer side of the box

    def above(self, least: float) -> "_Regions":
        """Keep the regions of at least that size, px."""
        large = self.size >= least
        return _Regions(self.centre[large], self.size[large])


def _regions(residual: np.ndarray, threshold: float, polarity: str) -> _Regions:
    """Find connected regions (H, W, C) above the threshold; a hole within one, as rings have, belongs to it."""
    outside = (signed(residual, polarity) > threshold).any(-1)
    out = ndimage.binary_closing(outside, iterations=GAP) | outside
    labels, number = ndimage.label(ndimage.binary_fill_holes(out), np.ones((3, 3)))
    boxes = [box for box in ndimage.find_objects(labels, number) if box is not None]
    spans = np.array([[(s.start, s.stop) for s in box] for box in boxes], float).reshape(-1, 2, 2)
    size = (spans[..., 1] - spans[..., 0]).max(-1) if len(spans) else np.zeros(0)
    return _Regions(spans.mean(-1)[:, ::-1], size).above(2)  # a single pixel is noise


def _step(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Measure the distance from each region's centre to the nearest centre of the next frame, (n,)."""
    if not len(first) or not len(second):
        return np.zeros(0)
    return cKDTree(second).query(first)[0]
