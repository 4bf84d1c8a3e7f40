"""Inspection of a movie before any training: its background, and the objects that move in front of it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from itertools import chain
from typing import Annotated, Any, NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from vtssi_pyro.config import Declared, OneOf, Range
from vtssi_pyro.config.ranges import OBJECT_SIZE, OBJECTS, STORED_SIDE
from vtssi_pyro.errors import Argument, DataError, UsageError
from vtssi_pyro.movies import arena, background, kinds, margins, oddity, steadiness
from vtssi_pyro.movies.background import KINDS
from vtssi_pyro.movies.kinds import MOST, Kind, Told
from vtssi_pyro.movies.movie import (
    Movie,
    brightness,
    colours,
    cropped,
    each_channel,
    luminance,
    shrink,
    tinted,
)
from vtssi_pyro.movies.regions import (
    CHANCE,
    MIDDLE,
    SIGMAS,
    Regions,
    Sight,
    deviation,
    regions,
    sight,
    spread,
    unblurred,
)
from vtssi_pyro.movies.spin import spin
from vtssi_pyro.movies.stored import COLOUR, GREY

# Of neighbouring frames, spread over the movie: the median of half as many is noisier, of twice as many slower.
PAIRS = 32
FEWEST = 5  # frames: the median of fewer shows, as a ghost, an object that covers a pixel in two of them
WIDEST = 512  # px: larger frames are averaged down for the inspection, which bounds its memory and time
FAINTEST = 0.04  # threshold without noise, share of the range of intensities: ten grey levels of 8 bits
ONE_SIDED = 0.2  # share of all contrast: so little of the other sign may be noise and shadows
# Share of the threshold by which the usual pixel of a frame may differ from the background: two standard deviations of
# noise. By a half, noise exceeds the threshold in dozens of specks.
LIT = 1 / 3
# Quantile of the residual above the threshold that counts as the objects' brightness; edges are below.
FULL_CONTRAST = 0.9
FEW = 10  # objects: a fit of more takes longer than minutes, since its time grows with their number
# The numbers from here on are rules of thumb, of which no measurement is on record.
# Quantiles of intensity that count as the darkest and the brightest: objects may be a ten-thousandth of the pixels.
DARKEST, BRIGHTEST = 0.01, 0.9999
PART = 3  # a region so many times smaller than the usual one is a speck, or an edge of a larger object
# Share of the objects that a crowd's frames may lack because some cover others: of 20 drawn beads one, at times.
CROWDED = 0.1

# Share of the moving contrast beyond brightness from which on colours are used: objects of one hue leave 5 % in drawn
# movies, compressed ones, too, red and orange ones 12 %, red and green ones 35 % and more.
COLOURFUL = 0.1
BRIGHTENED = (
    3  # how much brighter than others a faint channel is made at most, since noise and shadows are, too
)

NAMED = 5  # odd frames that are named, of more the first

# Degrees a frame. Of drawn rods that turn, 8.7 to 17 are measured, also with noise of an eighth of their contrast; of
# upright ones 0.4 to 1.2 without noise, and 2.5 with it, of digits 0.6 to 0.7.
TURNING = 4.0

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
    # (h, w), in units of full scale; (h, w, 3) in colour
    background_image: np.ndarray = field(repr=False, compare=False)
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
    # number at once and size of each kind of objects, the smallest first; (): told by a former version, which knew one
    kinds: tuple[tuple[int, float], ...] = ()
    doubts: tuple[str, ...] = ()  # why number or size may be wrong, for people
    repeated: tuple[int, ...] = ()  # frames that are the ones before them
    stamps: tuple[
        tuple[int, int, int, int], ...
    ] = ()  # left, top, width, height of what is written in, in the inspected part
    shaken: float = 0.0  # by which the camera shakes or drifts at most
    barred: bool = False  # whether ``crop`` leaves out bars along the border
    company: Annotated[int, COUNT] = 0  # shadows and reflections at once, which are no objects
    # degrees a frame by which slender objects turn, either way; 0: objects are not slender
    turning: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the fields except the background image, ready for JSON."""
        return {key: value for key, value in asdict(self).items() if key != "background_image"}

    @property
    def changes(self) -> bool:
        """Whether some frames show clearly fewer objects than others, because objects come, go or hide."""
        return self.fewest is not None and self.objects - self.fewest >= max(1, CROWDED * self.objects)

    @property
    def turns(self) -> bool:
        """Whether objects turn; by less, noise turns the regions of upright ones."""
        return self.turning >= TURNING

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
        sizes = ", ".join(f"{number} of about {size:.0f} pixels" for number, size in self.kinds)
        return [
            f"{self.name}: {self.length} frames of {width}x{height} pixels{rate}",
            f"intensities from {self.low:.3g} to {self.high:.3g}, noise {self.noise:.2g}{scale}; "
            f"background: {self.background}",
            f"moving objects: {self._numbers} at once, {self.polarity} before the background, about "
            f"{self.object_size:.0f} pixels large, {self.speed:.2g} pixels a frame",
            *([f"of different sizes: {sizes}"] if len(self.kinds) > 1 else []),
            *(
                [f"slender ones, which turn by about {self.turning:.0f} degrees a frame"]
                if self.turns
                else []
            ),
            *self._colours,
            *([many] if self.objects > FEW else []),
            *([smaller] if self.smaller else []),
            *([f"{_numbered(odd)} unlike the rest, and left out"] if self.odd else []),
            *self._surroundings,
            *(f"in doubt: {doubt}" for doubt in self.doubts),
        ]

    @property
    def _surroundings(self) -> list[str]:
        lines = []
        if self.barred and self.crop:
            left, top, width, height = self.crop
            lines.append(f"bars along the border are left out: --crop {left},{top},{width},{height}")
        for left, top, width, height in self.stamps:
            corner = self.crop[:2] if self.crop else (0, 0)
            lines.append(
                f"something is written anew at {left + corner[0]},{top + corner[1]}, {width}x{height} pixels, as the "
                "time of a frame; it is no object"
            )
        if self.shaken:
            lines.append(
                f"the camera shakes or drifts by up to {self.shaken:.1f} pixels, by which frames are shifted back"
            )
        if self.company:
            lines.append(
                f"{self.company} shadows or reflections at once move along with objects, and are left out"
            )
        if self.repeated:
            again = tuple(self.first + self.step * k for k in self.repeated)
            lines.append(f"{_numbered(again)} the same as before")
        return lines


class _Pair(NamedTuple):
    order: int  # of the first frame among those with values
    times: tuple[int, int]  # neighbours, unless frames between them are missing
    frame: np.ndarray  # (H, W) or (H, W, C) as they are stored, then (H, W, 1) in grey or (H, W, 3) in colour
    following: np.ndarray
    shifts: np.ndarray = np.zeros((2, 2))  # x and y, px, by which a camera's shake shifted both

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
    sample = _sampled(movie)
    pairs, shrunk = sample.pairs, sample.shrunk
    if not pairs:
        raise DataError(
            f"{movie.name}: holds {sample.length} frame, and nothing can be seen to move in fewer than 2"
        )
    if sample.length < FEWEST and hints.background is None:
        raise DataError(
            f"{movie.name}: holds {sample.length} frames, too few to tell objects from the background behind them, for "
            f"which {FEWEST} are needed; or say ",
            Argument("background"),
            " smooth or none",
        )
    hue, in_colour = _hue(movie, pairs)
    pairs = [pair.made(colours if in_colour else _grey) for pair in pairs]
    frames = np.stack([pair.frame for pair in pairs])
    low, high = (float(value) for value in np.quantile(frames, (DARKEST, BRIGHTEST)))
    if high - low <= 0 and frames.min() == frames.max():
        raise DataError(f"{movie.name}: every pixel is {frames.min():g} in every frame: nothing to see")
    barred = None if crop else margins.bars(frames.mean(-1), low, high)
    if barred:
        left, top, width, height = barred
        pairs = [pair.made(lambda frame: cropped(frame, *barred)) for pair in pairs]
        crop = (left * shrunk, top * shrunk, width * shrunk, height * shrunk)
        movie = movie.cropped(*crop)
    pairs, shaken = _steadied(pairs)
    frames = np.stack([pair.frame for pair in pairs])
    kind = hints.background or background.suited(frames)
    if kind == "rolling":  # the light of the whole frame is no object's
        usual = np.median(np.stack([background.level(frame) for frame in frames]), 0)
        pairs = [pair.made(lambda frame: background.relit(frame, usual)) for pair in pairs]
        frames = np.stack([pair.frame for pair in pairs])
    behind = _behind(frames, "static" if kind == "rolling" else kind, FAINTEST * (high - low))
    around = [behind] * len(pairs)
    if kind == "rolling" and background.unsteady(frames, behind):
        around = background.around(frames)
    residual = [(pair.frame - b, pair.following - b) for pair, b in zip(pairs, around, strict=True)]
    noise = float(np.median([deviation(first) for first, _ in residual]))
    threshold = max(SIGMAS * noise, FAINTEST * (high - low))
    pairs, residual = _as_lit(pairs, residual, threshold)
    frames = np.stack([pair.frame for pair in pairs])
    stamps = margins.stamps(frames.mean(-1), np.stack([first.mean(-1) for first, _ in residual]), threshold)
    hidden = margins.covered(behind.shape[:2], stamps)

    def scene(frame: np.ndarray, by: np.ndarray) -> np.ndarray:
        return np.where(hidden[..., None], 0, steadiness.within(frame, -by))

    residual = [
        (scene(first, pair.shifts[0]), scene(second, pair.shifts[1]))
        for (first, second), pair in zip(residual, pairs, strict=True)
    ]
    seen = _seen(residual, FAINTEST * (high - low), threshold, hints.polarity)
    if kind == "static":
        shown = [(pair.frame, pair.following) for pair in pairs]
        behind = background.uncovered(behind, list(chain(*shown)), list(chain(*seen.regions)), noise)
    standing = np.concatenate([signed(first, seen.polarity).max(-1).ravel() for first, _ in residual])
    standing = standing[standing > threshold]
    contrast = float(np.quantile(standing, FULL_CONTRAST)) if len(standing) else high - low
    told = seen.told
    usual = max(told.kinds, key=lambda kind: kind.number * kind.size**2).size if told.kinds else 0.0
    if hints.object_size is not None:
        usual = hints.object_size / shrunk
    followed = [kind for kind in told.kinds if kind.size >= usual / PART]
    smaller = [kind for kind in told.kinds if kind.size < usual / PART]
    regions = [[found.chosen(found.size >= usual / PART) for found in both] for both in seen.regions]
    steps = [
        _step(*(each.centre for each in found)) / pair.apart
        for found, pair in zip(regions, pairs, strict=True)
    ]
    moved = np.concatenate(steps)
    found = Inspection(
        movie.name, movie.size, sample.length, movie.rate, low, high, noise, kind, seen.polarity,
        sum(kind.number for kind in followed), usual * shrunk,
        float(np.median(moved)) * shrunk if len(moved) else 0.0,
        contrast, behind if in_colour else behind[..., 0], shrunk,
        crop, sample.odd,
        sum(kind.number for kind in smaller), max((kind.size for kind in smaller), default=0.0) * shrunk,
        sum(kind.fewest for kind in followed), movie.stored.span.start, movie.stored.span.step, hue,
        _contrasts([first for first, _ in residual], seen.polarity, threshold, contrast) if in_colour else (),
        tuple((kind.number, kind.size * shrunk) for kind in told.kinds),
        (*seen.doubts, *told.doubts), sample.repeated,
        tuple((a * shrunk, b * shrunk, c * shrunk, d * shrunk) for a, b, c, d in stamps),
        shaken * shrunk, barred is not None, seen.company,
        float(np.degrees(spin((a, b, pair.apart) for (a, b), pair in zip(regions, pairs, strict=True)))),
    )  # fmt: skip
    return found if hints.objects is None else found.of_number(hints.objects)


class _Seen(NamedTuple):
    polarity: str
    regions: list[tuple[Regions, Regions]]  # of each pair of frames
    told: Told
    company: int  # shadows and reflections at once
    doubts: tuple[str, ...]


def _seen(
    residual: list[tuple[np.ndarray, np.ndarray]], faintest: float, threshold: float, said: str | None
) -> _Seen:
    """Find the regions that are objects, and tell their kinds."""
    view = sight([first for first, _ in residual], faintest)
    smoothed = [(view.smoothed(first), view.smoothed(second)) for first, second in residual]
    firsts = np.stack([first for first, _ in smoothed])
    polarity = said or _polarity(firsts, view.least)

    def found(middle: bool) -> list[tuple[Regions, Regions]]:
        def each(frame: np.ndarray) -> Regions:
            return regions(signed(frame, polarity).max(-1), view.least, middle)

        return [(each(first), each(second)) for first, second in smoothed]

    seen, doubts, company = found(False), [], 0
    fringed = kinds.fringed([first for first, _ in seen])
    if fringed:
        if polarity == "both" and said is None:
            polarity = _polarity(firsts, MIDDLE * kinds.heights(seen))
        seen = found(True)
    followers = kinds.followers([first for first, _ in seen])
    if followers is not None:
        company = round(float(np.quantile([which.sum() for which in followers], MOST)))
        seen = [
            (first.chosen(~which), second) for (first, second), which in zip(seen, followers, strict=True)
        ]
    told = kinds.told([first for first, _ in seen], view.least)
    if not told.kinds:
        doubts.append("nothing stands out from noise for long")
    strong = [signed(first, polarity).max(-1) for first, _ in residual]
    if view.scale and told.kinds:
        doubts.append(
            "objects are hardly brighter than noise: number and size are estimated from frames that are smoothed by "
            f"{view.scale:g} px"
        )
        if not all(kind.edged for kind in told.kinds):
            false = np.mean([len(regions(-signed(first, polarity).min(-1), view.least)) for first in firsts])
            told = _faint(seen, view, told, float(false) if polarity != "both" else CHANCE, strong[0].size)
    if polarity != "both":  # the noise of a contrast without sign is no zero around a spot
        own = [first for first, _ in seen]
        told = told._replace(kinds=tuple(_sized(kind, own, strong, view) for kind in told.kinds))
    doubts += kinds.too_fine(told.kinds)
    return _Seen(
        polarity,
        seen,
        told,
        company or (told.kinds[-1].number if fringed and told.kinds else 0),
        tuple(doubts),
    )


def _sized(kind: Kind, seen: list[Regions], strong: list[np.ndarray], view: Sight) -> Kind:
    """Correct the size of objects that frames were smoothed for, or whose edges noise hides.

    Args:
        kind: the objects.
        seen: regions of smoothed frames.
        strong: (H, W), contrast to the background in the frames as they are.
        view: how the regions were found.
    """
    if kind.edged:
        return kind._replace(size=unblurred(kind.size, view.scale)) if view.scale else kind
    reach = round(max(1.5 * kind.size, 6 * view.scale))
    fitted = spread(strong, [kind.of(found) for found in seen], reach)
    # what stands out from noise is the object's, whatever its shape; smoothed frames show more than that
    return kind._replace(size=fitted if view.scale else max(fitted, kind.size))


def _faint(seen: list[tuple[Regions, Regions]], view: Sight, told: Told, false: float, pixels: int) -> Told:
    """Correct the number of objects that noise hides now and then; ``false`` regions of a frame are noise."""
    firsts, seconds = (list(side) for side in zip(*seen, strict=True))
    usual = max(told.kinds, key=lambda kind: kind.number)
    most = max(round(kinds.recaptured(firsts, seconds, 3 * view.scale + 1, pixels, false)), 1)
    fewest = min(most, max(usual.fewest + most - usual.number, 0))
    return told._replace(kinds=(usual._replace(number=most, fewest=fewest),))


def _steadied(pairs: list[_Pair]) -> tuple[list[_Pair], float]:
    """Shift frames back by what a camera shakes and drifts, and tell by how many pixels it does at most."""
    grey = [frame.mean(-1) for pair in pairs for frame in (pair.frame, pair.following)]
    shifts = steadiness.shifts(np.stack(grey))
    if shifts is None:
        return pairs, 0.0
    steady = [
        pair._replace(
            frame=steadiness.moved(pair.frame, -by[0]),
            following=steadiness.moved(pair.following, -by[1]),
            shifts=by,
        )
        for pair, by in zip(pairs, shifts.reshape(-1, 2, 2), strict=True)
    ]
    return steady, float(np.abs(shifts).max())


Residual = tuple[np.ndarray, np.ndarray]  # of both frames of a pair


def _as_lit(
    pairs: list[_Pair], residual: list[Residual], threshold: float
) -> tuple[list[_Pair], list[Residual]]:
    """The pairs whose frames differ from the background by objects, and not by their light, as while it fades in.

    All of them, unless most are such pairs.
    """

    def lit(both: Residual) -> bool:
        return all(float(np.median(np.abs(frame).max(-1))) < LIT * threshold for frame in both)

    kept = [number for number, both in enumerate(residual) if lit(both)]
    if 2 * len(kept) < len(pairs):
        return pairs, residual
    return [pairs[number] for number in kept], [residual[number] for number in kept]


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
    noise = float(np.median([deviation(frame) for frame in residual]))
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
        noise = float(np.median([deviation(frame - image) for frame in frames]))
        mended = partial(background.without_objects, least=max(SIGMAS * noise, faintest))
        return each_channel(mended, image, frames)
    return image


class _Sample(NamedTuple):
    pairs: list[_Pair]
    odd: tuple[int, ...]  # numbers of frames unlike the rest
    repeated: tuple[int, ...]  # numbers of frames that are the ones before them
    length: int  # frames
    shrunk: int  # factor of the frames' reduction


def _sampled(movie: Movie) -> _Sample:
    """Sample pairs of neighbouring frames evenly, none of them odd or missing."""
    shrunk = max(1, -(-max(movie.size) // WIDEST))
    pairs: list[_Pair] = []
    watch = oddity.Watch()
    stride, before, last, number, order = 1, None, 0, 0, 0
    for time, frame in enumerate(movie):
        number = time + 1
        if time in movie.levels.missing:  # its neighbours become neighbours of each other
            continue
        watch.add(time, luminance(oddity.sparse(frame)))
        small = np.array(shrink(frame, shrunk)) if before is not None or order % stride == 0 else None
        if before is not None and small is not None:
            pairs.append(_Pair(order - 1, (last, time), before, small))
        if len(pairs) > PAIRS:  # every second pair is enough
            stride *= 2
            pairs = [pair for pair in pairs if pair.order % stride == 0]
        before, last = small if order % stride == 0 else None, time
        order += 1
    odd = watch.odd()
    repeated = tuple(number for number in watch.repeated() if number not in odd)
    fine = [pair for pair in pairs if not set(pair.times) & set(odd)]
    return _Sample(fine or pairs, odd if fine else (), repeated, number, shrunk)


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


def _step(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Measure the distance from each region's centre to the nearest centre of the next frame, (n,)."""
    if not len(first) or not len(second):
        return np.zeros(0)
    return cKDTree(second).query(first)[0]
