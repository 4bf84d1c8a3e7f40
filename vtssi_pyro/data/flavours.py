"""The flavours of moving objects: which sprites a sequence shows, and how they move."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from vtssi_pyro.data.billiard import balls, billiard
from vtssi_pyro.data.digits import SIDE, Sprites, stretched
from vtssi_pyro.data.drawings import bar, discs, rods
from vtssi_pyro.data.motion import Motion, accelerated, clamped, elliptic, linear, turning
from vtssi_pyro.data.render import draw
from vtssi_pyro.data.sprites_mot import coloured, sprite_visits
from vtssi_pyro.data.visits import crossings
from vtssi_pyro.errors import UsageError

MAX_REDRAWS = 1000  # rounds of new starts for objects that overlap; two digits in 50x50 need a handful
TRIES = 5  # places that SQAIR's program tries for the digits of a sequence before it takes others
_CHUNK = 1024  # sequences drawn at a time in the search for shared pixels: two digits in 50x50 take 20 MB


class Order(NamedTuple):
    """The sequences to draw; all randomness is the generator's."""

    sprites: Sprites
    counts: Tensor  # (S,) number of objects
    objects: int  # slots N
    frame_size: tuple[int, int]  # (H, W), pixels
    length: int  # frames T
    generator: torch.Generator


class Scene(NamedTuple):
    """The objects of sequences; the fields are those of :class:`~vtssi_pyro.data.moving_mnist.MovingDigits`."""

    which: Tensor  # (S, N) int64, the sprite of each object
    position: Tensor  # (S, T, N, 2) centres of the tight boxes, pixels
    present: Tensor | None = None  # (S, T, N) bool; the order's counts then mean nothing
    depth: Tensor | None = None  # (S, N)
    angle: Tensor | None = None  # (S, T, N) radians


Scenes = Callable[[Order], Scene]


def _as_they_are(sprites: Sprites, frame_size: tuple[int, int]) -> Sprites:
    return sprites


@dataclass(frozen=True)
class Flavour:
    """A kind of moving objects."""

    scenes: Scenes
    overlap: bool = False  # whether objects may share a pixel in the first frame
    length: int = 20  # frames of a sequence by default
    frame_size: int | None = None  # side of the frames by default, pixels; None: the model's
    objects: int | None = None  # number of objects at once by default; None: the model's
    exact: bool = False  # whether each sequence has that number; else it is uniform on 0 to that number
    blend: str = "sum"  # see MovingDigits
    whole_pixels: bool = False  # whether corners are drawn at the nearest whole pixel, half to even
    sprites: Callable[[Sprites, tuple[int, int]], Sprites] = _as_they_are
    parts: tuple[str, ...] = ()  # the flavours that take turns in a mixture
    channels: int | None = None  # of the frames; None: grey
    front: Callable[[tuple[int, int]], Tensor] | None = None  # what stands before all objects, by (H, W)
    hides: bool = False  # whether objects may leave the frame or be hidden


def _digits(order: Order, motion: Motion, overlap: bool) -> Scene:
    """The paper's own digits: different ones, on paths of a motion (App. D.1)."""
    which = _different(order)
    position = motion(order.sprites.sizes[which], order.frame_size, order.length, order.generator)
    return Scene(which, position if overlap else _separate(order, which, position, motion))


def _ddpae(order: Order) -> Scene:
    """DDPAE's digits: any two, of untrimmed images, which stay in the frame."""
    which = _any(order)
    boxes = torch.full((*which.shape, 2), SIDE)
    middle = clamped(boxes, order.frame_size, order.length, order.generator)
    sizes, offsets = order.sprites.sizes[which], order.sprites.offsets[which]
    return Scene(which, middle + (offsets + (sizes - SIDE) / 2).unsqueeze(1))


def _sqair(order: Order, acceleration: float = 0.0, noise: float = 0.0) -> Scene:
    """SQAIR's digits: different ones, whose boxes do not overlap at first, and whose corners stay in the frame."""
    which, corner = _placed(order)
    path = accelerated(corner, order.frame_size, order.length, order.generator, acceleration, noise)
    return Scene(which, path + order.sprites.sizes[which].unsqueeze(1) / 2)


def _balls(order: Order) -> Scene:
    """DDPAE's bouncing balls, all of one sprite."""
    sequences, objects = len(order.counts), order.objects
    position = billiard(objects, sequences, order.frame_size, order.length, order.generator)
    return Scene(torch.zeros(sequences, objects, dtype=torch.int64), position)


def _visitors(order: Order) -> Scene:
    """Digits that cross the frame from any side to the opposite one, at any time."""
    sizes, length = order.sprites.sizes, order.length
    visits = crossings(sizes, len(order.counts), order.objects, order.frame_size, length, order.generator)
    return Scene(visits.which, visits.position(length).float(), visits.present(length))


def _sprites(order: Order) -> Scene:
    """The sprites of Sprites-MOT."""
    sizes, length = order.sprites.sizes, order.length
    visits, position = sprite_visits(
        sizes, len(order.counts), order.objects, order.frame_size, length, order.generator
    )
    depth = (order.objects - 1 - visits.lane).float()  # later lanes are nearer
    return Scene(visits.which, position, visits.present(length), depth)


def _discs(order: Order) -> Scene:
    """Discs of any textures, one nearer than the other."""
    which = _any(order)
    position = linear(order.sprites.sizes[which], order.frame_size, order.length, order.generator)
    depth = torch.rand(which.shape, generator=order.generator).argsort(1).float()
    return Scene(which, position, depth=depth)


def _rods(order: Order) -> Scene:
    """Rods of any kinds, which turn at constant speeds; the circle around each stays in the frame."""
    which = _any(order)
    across = order.sprites.sizes[which].double().norm(dim=-1, keepdim=True).expand(-1, -1, 2)
    position = linear(across, order.frame_size, order.length, order.generator)
    angle = turning((len(order.counts), order.objects), order.length, order.generator)
    return Scene(which, position, angle=angle)


def _paper(motion: Motion, overlap: bool = False, length: int = 20) -> Flavour:
    return Flavour(partial(_digits, motion=motion, overlap=overlap), overlap, length)


_SQAIR = Flavour(
    _sqair, length=10, frame_size=50, objects=2, blend="max", whole_pixels=True,
    sprites=lambda sprites, frame_size: stretched(sprites), hides=True,
)  # fmt: skip

FLAVOURS = {
    "linear": _paper(linear),
    "linear-overlap": _paper(linear, overlap=True),
    "elliptic": _paper(elliptic),
    "elliptic-overlap": _paper(elliptic, overlap=True),
    "linear-wide": _paper(partial(linear, margin=3.0), length=10),
}
FLAVOURS["mixed"] = Flavour(partial(_digits, motion=linear, overlap=True), True, parts=tuple(FLAVOURS)[:4])
# Those of the two baselines. The paper leaves out the acceleration and its noise, which SQAIR's original has.
FLAVOURS["ddpae"] = Flavour(_ddpae, True, 20, 64, 2, exact=True, blend="max")
FLAVOURS["sqair"] = _SQAIR
FLAVOURS["sqair-original"] = Flavour(
    partial(_sqair, acceleration=3.0, noise=0.01), length=10, frame_size=50, objects=2, blend="max",
    whole_pixels=True, sprites=_SQAIR.sprites, hides=True,
)  # fmt: skip
FLAVOURS["balls"] = Flavour(_balls, False, 60, 128, 4, exact=True, blend="max", sprites=balls)
# Objects that come and go, hide, and turn.
FLAVOURS["visitors"] = Flavour(_visitors, True, objects=3, hides=True)
FLAVOURS["discs-behind"] = Flavour(
    _discs, True, objects=3, blend="depth", sprites=discs, front=bar, hides=True
)
FLAVOURS["rods"] = Flavour(_rods, True, sprites=rods)
FLAVOURS["sprites"] = Flavour(
    _sprites, True, frame_size=64, objects=3, blend="depth", sprites=coloured, channels=3, hides=True
)


def named(name: str) -> Flavour:
    """Return a flavour.

    Raises:
        UsageError: there is none of that name.
    """
    if name in FLAVOURS:
        return FLAVOURS[name]
    close = difflib.get_close_matches(name, FLAVOURS, 1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise UsageError(f"unknown flavour {name!r}: expected one of {', '.join(FLAVOURS)}{hint}")


def _any(order: Order) -> Tensor:
    """Draw sprites (S, N), each uniform over all."""
    shape = (len(order.counts), order.objects)
    return torch.randint(len(order.sprites.sizes), shape, generator=order.generator)


def _different(order: Order, sequences: int | None = None) -> Tensor:
    """Draw rows of different sprites, (S, N), uniform over all such rows."""
    num, total = len(order.sprites.sizes), len(order.counts) if sequences is None else sequences
    if num < order.objects:
        raise UsageError(f"{order.objects} different digits a sequence asked for, there are {num}")
    chosen = torch.empty(total, 0, dtype=torch.int64)
    for taken in range(order.objects):
        pick = torch.randint(num - taken, (total,), generator=order.generator)
        for earlier in chosen.sort(1).values.unbind(1):  # skip the numbers that are taken, smallest first
            pick = pick + (pick >= earlier)
        chosen = torch.cat([chosen, pick[:, None]], 1)
    return chosen


def _separate(order: Order, which: Tensor, position: Tensor, motion: Motion) -> Tensor:
    """Draw anew the paths of sequences whose objects share a non-zero pixel in the first frame."""
    position = position.clone()
    suspects = torch.arange(len(which))
    for _ in range(MAX_REDRAWS):
        suspects = suspects[_sharing(order, which, position[:, 0], suspects)]
        if not len(suspects):
            return position
        boxes = order.sprites.sizes[which[suspects]]
        position[suspects] = motion(boxes, order.frame_size, order.length, order.generator)
    raise _crowded(order, len(suspects))


def _sharing(order: Order, which: Tensor, position: Tensor, suspects: Tensor) -> Tensor:
    """Tell which suspects have a pixel that two objects, at positions (S, N, 2), cover: bool (len(suspects),)."""
    height, width = order.frame_size
    shared = []
    for chosen in suspects.split(_CHUNK):
        sprites = which[chosen].flatten()  # (b N,)
        centres = position[chosen].flatten(0, 1)[:, None, None]  # (b N, 1, 1, 2)
        images = (order.sprites.images[sprites] > 0).float().unsqueeze(1)
        drawn = draw(images, order.sprites.sizes[sprites].float().unsqueeze(1), centres, (height, width))
        covered = (drawn > 0).view(len(chosen), -1, height, width)  # (b, N, H, W)
        present = torch.arange(covered.shape[1]) < order.counts[chosen, None]
        shared.append(((covered & present[..., None, None]).sum(1) > 1).flatten(1).any(1))
    return torch.cat(shared)


def _placed(order: Order) -> tuple[Tensor, Tensor]:
    """Draw sprites and whole corners inside the frame as SQAIR's program does; boxes of a sequence do not overlap.

    Returns:
        the sprites (S, N), and the corners (S, N, 2), pixels.
    """
    total, objects = len(order.counts), order.objects
    which = torch.zeros(total, objects, dtype=torch.int64)
    corner, left = torch.zeros(total, objects, 2, dtype=torch.float64), torch.arange(total)
    for _ in range(MAX_REDRAWS):
        which[left] = _different(order, len(left))
        boxes = order.sprites.sizes[which[left]].double()
        corner[left], free = _tried(order, boxes, order.counts[left])
        left = left[~free]
        if not len(left):
            return which, corner
    raise _crowded(order, len(left))


def _tried(order: Order, boxes: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Place one box (s, N, 2) after another, with some tries for all of a sequence.

    Returns:
        the corners (s, N, 2), and whether tries were left, (s,) bool.
    """
    height, width = order.frame_size
    room = torch.tensor([width, height]) - boxes
    corner, tries = torch.zeros_like(boxes), torch.zeros(len(boxes), dtype=torch.int64)
    for i in range(boxes.shape[1]):
        drawn = torch.arange(len(boxes))
        while len(drawn):
            uniform = torch.rand(len(drawn), 2, generator=order.generator, dtype=torch.float64)
            corner[drawn, i] = (room[drawn, i] * uniform).round()
            low, high = corner[drawn], corner[drawn] + boxes[drawn]
            over = (low[:, :i] < high[:, i : i + 1]) & (low[:, i : i + 1] < high[:, :i])
            drawn = drawn[over.all(-1).any(-1) & (i < counts[drawn]) & (tries[drawn] < TRIES)]
            tries[drawn] += 1
    return corner, tries < TRIES


def _crowded(order: Order, left: int) -> UsageError:
    height, width = order.frame_size
    return UsageError(
        f"{left} of {len(order.counts)} sequences still begin with overlap after {MAX_REDRAWS} draws: "
        f"{order.objects} objects hardly fit into {height}x{width} pixels. "
        "Use a larger frame, fewer objects, or a flavour that allows overlap"
    )
