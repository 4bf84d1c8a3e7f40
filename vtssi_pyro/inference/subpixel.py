"""Registration of tracks on a movie's own pixels: centres as exact as its noise allows, and error bars that say so.

A model's frames are reduced, cut off at black and rounded, and its looks are as coarse. What it has found there is
settled here where nothing was lost. Each object has one look, about as fine as pixels, in all frames of a part of the
movie. Looks and places are those that leave the least squares of all objects together, which is the likelihood of the
model's picture at the movie's own resolution. A place that this does not make more likely stays as it was.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from vtssi_pyro.model.blocks.following import FollowingConfig
from vtssi_pyro.movies.prepared import PreparedMovie, to_prepared, to_source
from vtssi_pyro.movies.stored import COLOUR, GREY
from vtssi_pyro.ops.channels import channels_first
from vtssi_pyro.ops.convolution import between, cubic_weights
from vtssi_pyro.ops.ink import SURE, tight_box, without_halo
from vtssi_pyro.ops.registration import mean_square_pull
from vtssi_pyro.ops.resolved import FAINT, resolved_boxes
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.types import Pose

Boxes = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # what a picture says of glimpses; see Picture.box

ROOM = 1.6  # sides of a tight box that a look has: a spot's box ends at a quarter of its height, its skirts go on
# Least and largest number of samples of a look's side, between which there is one for a pixel: of more, noise is drawn
# into looks (20 for 12 pixels: places are off by a tenth more), of fewer the shape of a small object is lost.
COARSEST, FINEST = 12, 32
# Px of a look's side beyond which frames are reduced, for the sake of time: reduced by half, digits of 20 px shake by
# 0.04 to 0.1 px, else by 0.01
WHOLE = 64
# Objects whose widths at half of their brightness and at a tenth of it have a higher ratio have sharp edges. Of a spot
# it is 0.55; of drawn digits 0.7 to 0.95, of rings 0.86.
SHARP = 0.65
SOLE = 24  # windows on which the boxes of such objects are resolved: a guess
# Shares of the brightest pixel from which on a pixel is ink: half and twice as much as that of digits in small frames
# (ops/resolved.py). Of drawn digits, middles of boxes at the first are 0.13 px off, of those at 0.1 0.17 px.
FAINTEST, PLAIN = FAINT / 2, 2 * FAINT
FINER = 4  # times as many samples, of which the centre of a box is read off: its lines lie between samples
# Share of a look's side by which a place may move at most: farther, a spot's slopes no longer lead back.
REACH = 1 / 8
SETTLING = 64  # frames on which looks are settled: they add an eighth of a frame's noise to a centre
FEWEST = 8  # frames with an object from which on it is registered; the look of fewer is mostly their noise
ROUNDS = 2  # in which looks and places are settled in turn; a third moves centres by thousandths of a pixel
DRAWINGS = 4  # of looks in a round, after which smooth ones are right to a hundredth
STEPS = 2  # of a registration; they leave thousandths of a pixel
# Standard deviation that looks and their interpolation leave, in the distance of their samples: without it 90 %
# intervals hold 88 % of the truth for drawn beads, and 79 % for rings.
INTERPOLATED = 0.01
# Px, of what lossy compression leaves no trace of: films move blocks by quarters of a pixel, then mend what shows. Of
# drawn ones tracks are 0.075 and 0.072 px off where noise tells 0.057 and 0.052. Planes of colour have half the pixels.
LOSSY = {GREY: 0.05, COLOUR: 0.1}
SEEN = FollowingConfig.seen  # least share of an object's look in a frame that shows it, as finders have it
ODD = 3.0  # times the usual squares that a look leaves; where more is left, something else is beside it
RIDGE = 1e-3  # of the normal equations, relative: an object that another one hides wholly stays in place
SPARSE = 64  # pixels along an axis, whose median is a frame's level: to a fiftieth of their noise
BLOCK = 2**12  # windows that are registered together: some 100 MiB
MOST = 2**24  # pixels of windows that are kept for one part of a movie: 64 MiB


def refined(tracks: Tracks, movie: PreparedMovie, boxes: Boxes) -> Tracks:
    """Register the tracks of a movie on its own pixels; see :func:`registered`.

    Args:
        tracks: in the movie's own pixels.
        movie: the movie; its frames are read once more.
        boxes: see :func:`registered`.

    Returns:
        tracks in the movie's own pixels. Those of objects that turn stay as they are, since their looks are not the
        same in all frames, and so do those of movies without finer frames (:meth:`Preparation.fine`).
    """
    own = movie.preparation.fine()
    if own is None or tracks.angle is not None or tracks.box is None or not tracks.present.any():
        return tracks
    box = to_prepared(tracks, own).box
    assert box is not None
    fine = movie.preparation.fine(math.ceil(Grid.around(box[tracks.present]).extent / WHOLE))
    assert fine is not None
    frames = map(_levelled, movie.through(fine))
    error = LOSSY[fine.channel or GREY] * fine.ratio if movie.movie.lossy else 0.0
    return to_source(registered(to_prepared(tracks, fine), frames, boxes, error), fine)


def _levelled(frame: np.ndarray) -> Tensor:
    """A frame (H, W) or (H, W, C) less the level of its ground, which is no object's: planes (C, H, W)."""
    planes = channels_first(frame).astype(np.float32)
    down, across = (max(1, side // SPARSE) for side in planes.shape[1:])
    return torch.from_numpy(planes - np.median(planes[:, ::down, ::across], (1, 2), keepdims=True))


def registered(tracks: Tracks, frames: Iterable[Tensor], boxes: Boxes, error: float = 0.0) -> Tracks:
    """Register the tracks of one movie on its frames.

    Args:
        tracks: B = 1, in pixels of these frames, with standard deviations and boxes.
        frames: (C, H, W) each, as many as the tracks', differences from the background, of either sign.
        boxes: says where in a look the centre of what tracks are read off is.
        error: standard deviation of what moves objects in these frames without a trace, px.

    Returns:
        the tracks with other positions and standard deviations, where objects are seen, and often enough.
    """
    assert tracks.scale is not None
    assert tracks.box is not None
    position, scale, present = tracks.position[0].clone(), tracks.scale[0].clone(), tracks.present[0]
    shown = present & position.isfinite().all(-1)
    if int(shown.sum()) < FEWEST:
        return tracks
    grid = Grid.around(tracks.box[0][shown])
    each, stream = _parts(shown, grid.side**2), iter(frames)
    for part in each:
        windows = grid.cut(stream, position[part], shown[part])
        if not len(windows.slot):
            continue
        found = _Registration(grid, windows, boxes, math.hypot(error, INTERPOLATED * grid.pitch))
        rows, slots = windows.time + part.start, windows.slot
        position[rows, slots], scale[rows, slots] = found(position[rows, slots], scale[rows, slots])
    return tracks._replace(position=position[None], scale=scale[None])


def _parts(shown: Tensor, pixels: int) -> Iterator[slice]:
    """Parts of a movie, as even as can be, whose windows are kept at once."""
    length = len(shown)
    number = max(1, math.ceil(int(shown.sum()) * pixels / MOST))
    size = math.ceil(length / number)
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))


class Weights(NamedTuple):
    """Weights (E, k, G) of a look's samples in a window's pixels, and how they change with its place, by px."""

    rows: Tensor
    columns: Tensor
    down: Tensor
    across: Tensor


class Windows(NamedTuple):
    """Squares of pixels around objects, one for each object in each frame, E in number, ordered by frame."""

    time: Tensor  # (E,) frame
    slot: Tensor  # (E,) object
    corner: Tensor  # (E, 2) x, y of the first pixel
    pixels: Tensor  # (E, C, k, k)
    inside: Tensor  # (E, 1, k, k) 1 where the frame has such a pixel

    def of(self, chosen: Tensor) -> "Windows":
        """Some of the windows."""
        return Windows(*(values[chosen] for values in self))


@dataclass(frozen=True)
class Grid:
    """The pixels of a window, ``side`` each way, and the finer samples of a look, ``pitch`` pixels apart."""

    side: int
    samples: int
    pitch: float

    @property
    def reach(self) -> float:
        """Px by which a place may move at most."""
        return REACH * self.extent

    @property
    def extent(self) -> float:
        """The side of a look, px."""
        return self.samples * self.pitch

    @classmethod
    def around(cls, boxes: Tensor) -> "Grid":
        """The grid that holds the largest of some objects, whose tight boxes are (..., 2), px."""
        extent = ROOM * float(boxes.amax(-1).median())
        samples = min(max(math.ceil(extent), COARSEST), FINEST)
        return cls(math.ceil((1 + 2 * REACH) * extent) + 1, samples, extent / samples)

    def cut(self, frames: Iterator[Tensor], position: Tensor, shown: Tensor) -> Windows:
        """Cut windows (E,) out of the next frames, around positions (T, N, 2) that are ``shown`` (T, N)."""
        time, slot = shown.nonzero(as_tuple=True)
        corner = (position[time, slot] - self.side / 2).round().long()
        number, pixels, inside = shown.sum(-1).tolist(), [], []
        for its, frame in zip(corner.split(number), islice(frames, len(shown)), strict=True):
            column, row = (its.unsqueeze(-1) + torch.arange(self.side)).unbind(-2)  # (n, k)
            limits = zip((row, column), frame.shape[-2:], strict=True)
            there = [(index >= 0) & (index < length) for index, length in limits]
            row, column = row.clamp(0, frame.shape[-2] - 1), column.clamp(0, frame.shape[-1] - 1)
            pixels.append(frame[:, row.unsqueeze(-1), column.unsqueeze(-2)].transpose(0, 1))
            inside.append((there[0].unsqueeze(-1) & there[1].unsqueeze(-2)).unsqueeze(1))
        return Windows(time, slot, corner, torch.cat(pixels), torch.cat(inside).float())

    def weights(self, corner: Tensor, position: Tensor) -> Weights:
        """Weights of looks at positions (E, 2) in windows whose first pixels are at corners (E, 2)."""
        pixel = corner.unsqueeze(-1) + 0.5 + torch.arange(self.side)  # (E, 2, k)
        index = (pixel - position.unsqueeze(-1)) / self.pitch + (self.samples - 1) / 2
        weight, slope = cubic_weights(index, self.samples)
        (columns, rows), (across, down) = weight.unbind(1), (slope / -self.pitch).unbind(1)
        return Weights(rows, columns, down, across)

    def bright(self, looks: Tensor) -> Tensor:
        """Looks (N, C, G, G) on finer samples, of strengths up to 1, whatever the sign of the contrast."""
        finer, _ = cubic_weights((torch.arange(FINER * self.samples) + 0.5) / FINER - 0.5, self.samples)
        strength = between(looks, finer, finer).abs()
        return strength / strength.amax((-3, -2, -1), keepdim=True).clamp_min(1e-12)

    def centres(self, looks: Tensor, boxes: Boxes) -> Tensor:
        """Where in looks (N, C, G, G) the centres of their boxes are, px from the middle, (N, 2)."""
        return boxes(self.bright(looks), torch.full((len(looks), 2), self.extent / 2))[0]


class _Drawn(NamedTuple):
    """The objects of some windows, drawn at some places."""

    weights: Weights  # of each window's own object
    first: Tensor  # (P,) windows into which other objects reach
    second: Tensor  # (P,) the windows of these objects
    beside: Weights  # of these objects in the first windows
    residual: Tensor  # (E, C, k, k) what all objects leave, 0 beyond the frame

    @property
    def left(self) -> Tensor:
        """The sum of squares that is left of each window, (E,)."""
        return self.residual.square().sum((1, 2, 3))


class _Registration:
    """The objects of a part of a movie: settles their looks on some of its frames, then their places in all."""

    def __init__(self, grid: Grid, windows: Windows, boxes: Boxes, error: float) -> None:
        self.grid, self.windows, self.boxes, self.error = grid, windows, boxes, error
        number = int(windows.slot.max()) + 1
        self.looks = windows.pixels.new_zeros(number, windows.pixels.shape[1], grid.samples, grid.samples)

    def __call__(self, position: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Positions and standard deviations (E, 2) after registration, of those before it."""
        # of objects that are together in all frames none could tell which part is whose
        close, _ = _pairs(self.windows, position, self.grid.extent / ROOM)
        alone = torch.ones(len(position)).index_fill(0, close, 0)
        wider, often, sole = self._settle(position, alone)
        centre, doubt = self._centres(sole)
        parts = []
        for block in self._blocks():
            windows, before = self.windows.of(block), position[block]
            place, error, better = self._placed(windows, before)
            better = (better & often[windows.slot]).unsqueeze(-1)
            parts.append((
                (place + centre[windows.slot]).where(better, before),
                (error * wider[windows.slot].unsqueeze(-1)).hypot(doubt[windows.slot]).where(better, scale[block]),
            ))  # fmt: skip
        places, scales = zip(*parts, strict=True)
        return torch.cat(places), torch.cat(scales)

    def _blocks(self) -> Iterator[Tensor]:
        """Windows of whole frames, some thousands at a time."""
        block = self.windows.time.bincount().cumsum(0)[self.windows.time] // BLOCK
        for number in block.unique().tolist():
            yield (block == number).nonzero().squeeze(-1)

    def _settle(self, position: Tensor, alone: Tensor) -> "tuple[Tensor, Tensor, _Sole]":
        """Settle looks where objects are ``alone``, (E,).

        Returns:
            by how much grainy residuals widen errors, (N,); who is seen often enough, (N,); and the windows that show
            an object alone.
        """
        chosen = self._settling(alone > 0)
        windows, place, alone = self.windows.of(chosen), position[chosen], alone[chosen]
        there, sure = torch.ones(len(place)), alone
        for _ in range(ROUNDS):
            for _ in range(DRAWINGS):
                self._sharpen(windows, self._draw(windows, place, there), sure)
            there = self._visible(windows, place)
            step, _, drawn = self._step(windows, place, there)
            left = drawn.left / windows.inside.sum((1, 2, 3)).clamp_min(1)
            sure = alone * there * (left <= ODD * left.median()).float()
            place = place + step
        number = torch.zeros(len(self.looks)).index_add(0, windows.slot, sure)
        drawn, parts = self._draw(windows, place, there), torch.arange(len(place)).split(BLOCK // 8)
        grain = torch.cat([self._grain(windows, drawn, part) for part in parts]) * sure
        mean = torch.zeros_like(number).index_add(0, windows.slot, grain) / number.clamp_min(1)
        whole = (sure > 0) & (windows.inside > 0).flatten(1).all(1)
        return mean.clamp_min(1).sqrt(), number >= FEWEST, _Sole(windows.of(whole), place[whole])

    def _centres(self, sole: "_Sole") -> tuple[Tensor, Tensor]:
        """Where in looks the centres of objects are, px from the middle, (N, 2), and the error of all frames, (N, 1).

        The tight box of an object with sharp edges is resolved on windows. Where its edges fade, its middle depends on
        how faint ink may be. It is read twice, and their mean square difference, of all such objects of the movie, is
        the variance of the reading: half of it would do if their errors were independent, but both miss the same tails.
        """
        grid, bright = self.grid, self.grid.bright(self.looks)
        extent = torch.full((len(self.looks), 2), grid.extent / 2)
        rough, known = self.boxes(bright, extent)[0], torch.full((len(self.looks), 1), self.error)
        width = [tight_box(without_halo(bright, least), extent, least)[1] for least in (SURE, FAINT)]
        # (N, C) the colour, in grey the sign of the contrast
        tone = normalize(self.looks.sum((-2, -1)), dim=-1)
        own = (self.looks * tone[..., None, None]).sum(1)
        # else it is darker and brighter than the ground
        one = own.sum((-2, -1)) > own.abs().sum((-2, -1)) / 2
        sharp = ((width[0] / width[1].clamp_min(1e-12)).mean(-1) > SHARP) & one
        chosen = sharp.nonzero().squeeze(-1)
        if not len(chosen) or not len(sole.place):
            return rough, known
        frames, pose = sole.frames(chosen, tone, grid)
        unit = 2 / grid.side  # frame coordinates of a window, in a pixel
        box = (rough[chosen] * unit).unsqueeze(1), (width[1][chosen] * unit).unsqueeze(1)
        glimpses = bright[chosen].amax(1)[:, None, None]
        first, second = (
            resolved_boxes(frames, glimpses, pose, box, least)[0].squeeze(1) / unit
            for least in (FAINTEST, PLAIN)
        )
        error = (first - second).square().mean().sqrt()
        doubt = math.hypot(self.error, float(error))
        return rough.index_copy(0, chosen, first), known.index_fill(0, chosen, doubt)

    def _settling(self, alone: Tensor) -> Tensor:
        """The windows of evenly spread frames, and of further ones in which those are alone who seldom are."""
        time, slot = self.windows.time, self.windows.slot
        frames = _some(torch.arange(int(time.max()) + 1), SETTLING).bincount() > 0
        for one in slot.unique().tolist():
            its = time[(slot == one) & alone]
            if len(its) and int(frames[its].sum()) < 2 * FEWEST:  # half of them may show too little
                frames[_some(its, 2 * FEWEST)] = True
        return frames[time].nonzero().squeeze(-1)

    def _draw(self, windows: Windows, place: Tensor, there: Tensor) -> _Drawn:
        """Draw the objects at places (E, 2), as far as they are ``there``, (E,)."""
        weights = self.grid.weights(windows.corner, place)
        first, second = _pairs(windows, place, self.grid.side)
        beside = self.grid.weights(windows.corner[first], place[second])
        shown = self.looks[windows.slot] * there[:, None, None, None]
        drawn = between(shown, weights.rows, weights.columns)
        drawn = drawn.index_add(0, first, between(shown[second], beside.rows, beside.columns))
        return _Drawn(weights, first, second, beside, (windows.pixels - drawn) * windows.inside)

    def _sharpen(self, windows: Windows, drawn: _Drawn, sure: Tensor) -> None:
        """Take one step of the looks towards those of least squares (Landweber iteration, scaled as in SIRT)."""
        rows, columns = drawn.weights.rows, drawn.weights.columns
        weight = windows.inside * sure[:, None, None, None]
        pull = between(drawn.residual * weight, rows.mT, columns.mT)
        rows, columns = rows.abs(), columns.abs()
        sums = rows.sum(-1).unsqueeze(-1) * columns.sum(-1).unsqueeze(-2)
        mass = between(weight * sums.unsqueeze(1), rows.mT, columns.mT)
        change = torch.zeros_like(self.looks).index_add(0, windows.slot, pull)
        total = torch.zeros_like(self.looks[:, :1]).index_add(0, windows.slot, mass)
        self.looks = self.looks + change / total.clamp_min(1e-6)

    def _visible(self, windows: Windows, place: Tensor) -> Tensor:
        """1 where a window shows its object in full or in part, (E,)."""
        weights = self.grid.weights(windows.corner, place)
        own = between(self.looks[windows.slot], weights.rows, weights.columns) * windows.inside
        share = (own * windows.pixels).sum((1, 2, 3)) / own.square().sum((1, 2, 3)).clamp_min(1e-12)
        return (share > SEEN).float()

    def _slopes(self, slot: Tensor, weights: Weights) -> Tensor:
        """How objects (n,) as drawn change with their places in x and in y, (n, 2, C, k, k)."""
        looks = self.looks[slot]
        across = between(looks, weights.rows, weights.across)
        return torch.stack([across, between(looks, weights.down, weights.columns)], 1)

    def _step(self, windows: Windows, place: Tensor, there: Tensor) -> tuple[Tensor, Tensor, _Drawn]:
        """One Gauss-Newton step (E, 2) of all objects of each frame together, px, from what was drawn before it.

        Returns also the variances (E, 2) of places if a pixel's is 1.
        """
        drawn = self._draw(windows, place, there)
        mask = windows.inside.unsqueeze(1) * there[:, None, None, None, None]
        own = (self._slopes(windows.slot, drawn.weights) * mask).flatten(2)  # (E, 2, C k k)
        first, second = drawn.first, drawn.second
        others = self._slopes(windows.slot[second], drawn.beside) * there[second, None, None, None, None]
        frame, rank, most = _ranked(windows.time)
        normal = own.new_zeros(int(frame.max()) + 1, most, most, 2, 2)
        normal[frame, rank, rank] = own @ own.mT
        normal[frame[first], rank[first], rank[second]] = own[first] @ others.flatten(2).mT
        normal = normal.transpose(2, 3).flatten(3, 4).flatten(1, 2)  # (T, 2 M, 2 M)
        diagonal = normal.diagonal(dim1=-2, dim2=-1)
        ridge = RIDGE * diagonal + (diagonal <= 0).float()  # who is not there stays
        inverse = torch.linalg.inv((normal + normal.mT) / 2 + ridge.diag_embed())
        pull = own.new_zeros(len(normal), most, 2)
        pull[frame, rank] = (own @ drawn.residual.flatten(1).unsqueeze(-1)).squeeze(-1)
        step = (inverse @ pull.flatten(1).unsqueeze(-1)).unflatten(1, (most, 2)).squeeze(-1)
        variance = inverse.diagonal(dim1=-2, dim2=-1).unflatten(1, (most, 2))
        return step[frame, rank].clamp(-self.grid.reach, self.grid.reach), variance[frame, rank], drawn

    def _placed(self, windows: Windows, before: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Places (E, 2), their standard deviations in white noise (E, 2), and whether they are likelier than before."""
        place, there = before, self._visible(windows, before)
        step, _, drawn = self._step(windows, place, there)
        least = drawn.left
        for _ in range(STEPS):
            place = place + step
            step, variance, drawn = self._step(windows, place, there)
        pixels = windows.inside.sum((1, 2, 3)).clamp_min(1) * windows.pixels.shape[1]
        error = (variance * (drawn.left / pixels).unsqueeze(-1)).sqrt()
        near = (place - before).abs().amax(-1) <= self.grid.reach
        return place, error, (there > 0) & near & (drawn.left <= least)

    def _grain(self, windows: Windows, drawn: _Drawn, part: Tensor) -> Tensor:
        """The variance of places for that in white noise of the same strength: residuals may be errors of shape, too.

        Args:
            windows: all windows.
            drawn: what is drawn in them.
            part: the windows in question, (e,).

        Returns:
            ratios of variances (e,).

        Reference: White, A heteroskedasticity-consistent covariance matrix estimator, 1980.
        """
        slopes = self._slopes(windows.slot[part], Weights(*(weight[part] for weight in drawn.weights)))
        residual = drawn.residual[part]
        pull = mean_square_pull(slopes, residual.unsqueeze(1))  # (e, 2)
        white = slopes.square().sum((2, 3, 4)) * residual.square().mean((1, 2, 3)).unsqueeze(-1)
        return (pull / white.clamp_min(1e-12)).mean(-1)


class _Sole(NamedTuple):
    """Windows that show an object alone, and whole, and their objects' places, (E, 2)."""

    windows: Windows
    place: Tensor

    def frames(self, objects: Tensor, tone: Tensor, grid: Grid) -> tuple[Tensor, Pose]:
        """Some windows of each of some objects (n,) as a sequence of bright frames (n, K, 1, k, k), and its pose there.

        Args:
            objects: their slots.
            tone: directions of each slot's contrast among the channels, (N, C).
            grid: the windows' grid.
        """
        side = grid.side
        frames = torch.zeros(len(objects), SOLE, 1, side, side)
        position, presence = torch.zeros(len(objects), SOLE, 1, 2), torch.zeros(len(objects), SOLE, 1)
        for row, slot in enumerate(objects.tolist()):
            its = _some((self.windows.slot == slot).nonzero().squeeze(-1), SOLE)
            grey = (self.windows.pixels[its] * tone[slot, :, None, None]).sum(1, keepdim=True).clamp_min(0)
            # below 1, from which on a pixel would be cut off at white
            frames[row, : len(its)] = grey / (1.001 * grey.amax().clamp_min(1e-12)) if len(its) else grey
            position[row, : len(its), 0] = (self.place[its] - self.windows.corner[its]) / side * 2 - 1
            presence[row, : len(its)] = 1
        size = torch.full((len(objects), 1, 1, 2), grid.extent / side).expand(-1, SOLE, -1, -1)
        return frames, Pose(position, size, presence)


def _some(values: Tensor, most: int) -> Tensor:
    """Some of many values (n,), evenly spread."""
    return values[torch.linspace(0, len(values) - 1, min(most, len(values))).long()]


def _pairs(windows: Windows, place: Tensor, reach: float) -> tuple[Tensor, Tensor]:
    """Windows, and those whose objects reach into them, (P,) each."""
    frame, rank, most = _ranked(windows.time)
    where = place.new_full((int(frame.max()) + 1, most, 2), torch.inf)
    where[frame, rank] = place
    index = torch.zeros(where.shape[:2], dtype=torch.long)
    index[frame, rank] = torch.arange(len(place))
    # no number between two that are not there
    apart = (where.unsqueeze(2) - where.unsqueeze(1)).abs().amax(-1)
    near = (apart < reach) & ~torch.eye(most, dtype=torch.bool)
    which, first, second = near.nonzero(as_tuple=True)
    return index[which, first], index[which, second]


def _ranked(time: Tensor) -> tuple[Tensor, Tensor, int]:
    """The frame of each window, counted from the first one's, its rank in that frame, and the most of any frame."""
    frame = time - time.min()
    number = frame.bincount()
    starts = number.cumsum(0) - number
    return frame, torch.arange(len(time)) - starts[frame], int(number.max())
