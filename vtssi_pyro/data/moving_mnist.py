"""The paper's Moving MNIST: digits that move through a frame, kept as sprites and paths, drawn on demand."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Self

import torch
from torch import Tensor

from vtssi_pyro.data.dataset import Index, rows, span
from vtssi_pyro.data.digits import Sprites
from vtssi_pyro.data.motion import Motion, elliptic, linear
from vtssi_pyro.data.render import draw
from vtssi_pyro.errors import UsageError
from vtssi_pyro.tracks.tracks import Tracks

MAX_REDRAWS = 1000  # rounds of new paths for starts that share a pixel; two digits in 50x50 need a handful
_CHUNK = 1024  # sequences drawn at a time in the search for shared pixels: two digits in 50x50 take 20 MB


@dataclass(frozen=True)
class Flavour:
    """A kind of motion of the digits, and whether they may overlap in the first frame."""

    motion: Literal["linear", "elliptic"]
    overlap: bool = False
    margin: float = 0.0  # distance of the walls outside the frame, pixels
    length: int = 20  # frames of a sequence by default
    parts: tuple[str, ...] = ()  # the flavours that take turns in a mixture


FLAVOURS = {
    "linear": Flavour("linear"),
    "linear-overlap": Flavour("linear", overlap=True),
    "elliptic": Flavour("elliptic"),
    "elliptic-overlap": Flavour("elliptic", overlap=True),
    "linear-wide": Flavour("linear", margin=3.0, length=10),
}
FLAVOURS["mixed"] = Flavour("linear", overlap=True, parts=tuple(FLAVOURS)[:4])


@dataclass(frozen=True)
class MovingDigits:
    """Sequences of moving digits, with truth; a :class:`~vtssi_pyro.data.dataset.Dataset`.

    Object slots are filled from the front: slot i holds an object if i < count.
    """

    sprites: Sprites
    which: Tensor  # (S, N) int64, index of each object's sprite
    position: Tensor  # (S, T, N, 2) centres of the tight boxes, pixels; of unused slots too
    counts: Tensor  # (S,) int64
    frame_size: tuple[int, int]  # (H, W)
    blend: str = "sum"  # or "max": the intensity of a pixel of two digits (reading D23)

    def __len__(self) -> int:
        """Number of sequences S."""
        return self.position.shape[0]

    @property
    def length(self) -> int:
        """Number of frames T of each sequence."""
        return self.position.shape[1]

    @property
    def truth(self) -> Tracks:
        """Centres and tight boxes in pixels; NaN for an absent object."""
        slots = torch.arange(self.which.shape[1], device=self.counts.device)
        present = (slots < self.counts[:, None]).unsqueeze(1).expand(self.position.shape[:-1])  # (S, T, N)
        absent = ~present.unsqueeze(-1)
        box = self.sprites.sizes[self.which].float().unsqueeze(1).expand_as(self.position)
        nan = float("nan")
        return Tracks(self.position.masked_fill(absent, nan), present, box.masked_fill(absent, nan))

    def frames(self, index: Index, length: int | None = None, start: int = 0) -> Tensor:
        """Draw frames (b, t, 1, H, W) in [0, 1]; overlapping digits add up, cut off at 1, or the brighter shows."""
        chosen = rows(index, len(self)).to(self.counts.device)
        position = self.position[chosen][:, span(length, start, self.length)]
        which, counts = self.which[chosen], self.counts[chosen]
        present = torch.arange(which.shape[1], device=counts.device) < counts[:, None]  # (b, N)
        images = self.sprites.images[which].float() / 255 * present[..., None, None]  # (b, N, G, G)
        boxes = self.sprites.sizes[which].float()
        if self.blend == "sum":
            return draw(images, boxes, position, self.frame_size).clamp_(0, 1).unsqueeze(2)
        singles = (images[:, [i]] for i in range(images.shape[1]))
        drawn = (draw(x, boxes[:, [i]], position[:, :, [i]], self.frame_size) for i, x in enumerate(singles))
        return torch.stack(list(drawn)).amax(0).unsqueeze(2)

    def to(self, device: torch.device | str) -> Self:
        """Copy the data to another device, where frames are then drawn."""
        sprites = Sprites(*(x.to(device) for x in self.sprites))
        which, position, counts = (x.to(device) for x in (self.which, self.position, self.counts))
        return replace(self, sprites=sprites, which=which, position=position, counts=counts)


def moving_digits(
    flavour: str,
    sprites: Sprites,
    *,
    sequences: int,
    length: int | None = None,
    frame_size: int | tuple[int, int] = 50,
    objects: int = 2,
    seed: int = 0,
    blend: str = "sum",
) -> MovingDigits:
    """Draw sequences of 0 to ``objects`` different digits; the same seed gives the same data.

    Args:
        flavour: a key of ``FLAVOURS``.
        sprites: the digits to choose from.
        sequences: number of sequences S.
        length: frames of each sequence; None: the flavour's.
        frame_size: side of square frames, or (H, W), pixels.
        objects: largest number of objects N; the number is uniform on 0..N.
        seed: seed of all draws.
        blend: intensity of a pixel that two digits cover, ``sum`` (cut off at 1) or ``max``.

    Returns:
        The sequences.

    Raises:
        UsageError: an unknown flavour or blend, or digits that do not fit into the frame.

    Reference: App. D.1.
    """
    kind = _flavour(flavour)
    if blend not in ("sum", "max"):
        raise UsageError(f"unknown blend {blend!r}: expected sum or max")
    length = kind.length if length is None else length
    if kind.parts:
        return _in_turns(
            kind.parts, sequences, seed,
            partial(moving_digits, sprites=sprites, length=length, frame_size=frame_size, objects=objects, blend=blend),
        )  # fmt: skip
    size = (frame_size, frame_size) if isinstance(frame_size, int) else frame_size
    _check(sprites, sequences, length, size, objects)
    side = int(sprites.sizes.max())  # less empty border, less to draw
    sprites = Sprites(sprites.images[:, :side, :side].contiguous(), sprites.sizes)
    generator = torch.Generator().manual_seed(seed)
    counts = torch.randint(objects + 1, (sequences,), generator=generator)
    which = _different(len(sprites.sizes), (sequences, objects), generator)
    motion: Motion = partial(linear, margin=kind.margin) if kind.motion == "linear" else elliptic
    position = motion(sprites.sizes[which], size, length, generator)
    data = MovingDigits(sprites, which, position, counts, size, blend)
    return data if kind.overlap else _separate(data, motion, generator)


def _in_turns(
    flavours: tuple[str, ...], sequences: int, seed: int, make: Callable[..., MovingDigits]
) -> MovingDigits:
    """Mix flavours in turns: sequence i is of flavour i modulo their number."""
    each = -(-sequences // len(flavours))
    parts = [make(name, sequences=each, seed=seed + 1_000_003 * i) for i, name in enumerate(flavours)]
    mixed = (
        torch.stack([getattr(part, field) for part in parts], 1).flatten(0, 1)[:sequences]
        for field in ("which", "position", "counts")
    )
    which, position, counts = mixed
    return replace(parts[0], which=which, position=position, counts=counts)


def _separate(data: MovingDigits, motion: Motion, generator: torch.Generator) -> MovingDigits:
    """Draw anew the paths of sequences whose objects share a non-zero pixel in the first frame."""
    position = data.position.clone()
    suspects = torch.arange(len(data))
    for _ in range(MAX_REDRAWS):
        suspects = suspects[_sharing(replace(data, position=position), suspects)]
        if not len(suspects):
            return replace(data, position=position)
        boxes = data.sprites.sizes[data.which[suspects]]
        position[suspects] = motion(boxes, data.frame_size, data.length, generator)
    raise UsageError(
        f"{len(suspects)} of {len(data)} sequences still begin with overlap after {MAX_REDRAWS} draws: "
        f"{data.which.shape[1]} objects hardly fit into {data.frame_size[0]}x{data.frame_size[1]} pixels. "
        "Use a larger frame, fewer objects, or a flavour that allows overlap"
    )


def _sharing(data: MovingDigits, suspects: Tensor) -> Tensor:
    """Tell which suspects have a pixel that two objects cover in the first frame: bool (len(suspects),)."""
    height, width = data.frame_size
    shared = []
    for chosen in suspects.split(_CHUNK):
        which = data.which[chosen].flatten()  # (b N,)
        centres = data.position[chosen, 0].flatten(0, 1)[:, None, None]  # (b N, 1, 1, 2)
        images = (data.sprites.images[which] > 0).float().unsqueeze(1)
        drawn = draw(images, data.sprites.sizes[which].float().unsqueeze(1), centres, (height, width))
        covered = (drawn > 0).view(len(chosen), -1, height, width)  # (b, N, H, W)
        present = torch.arange(covered.shape[1]) < data.counts[chosen, None]
        shared.append(((covered & present[..., None, None]).sum(1) > 1).flatten(1).any(1))
    return torch.cat(shared)


def _different(num: int, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Draw rows of different numbers below ``num``, (S, N), uniform over all such rows."""
    sequences, objects = shape
    chosen = torch.empty(sequences, 0, dtype=torch.int64)
    for taken in range(objects):
        pick = torch.randint(num - taken, (sequences,), generator=generator)
        for earlier in chosen.sort(1).values.unbind(1):  # skip the numbers that are taken, smallest first
            pick = pick + (pick >= earlier)
        chosen = torch.cat([chosen, pick[:, None]], 1)
    return chosen


def _flavour(name: str) -> Flavour:
    if name in FLAVOURS:
        return FLAVOURS[name]
    close = difflib.get_close_matches(name, FLAVOURS, 1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise UsageError(f"unknown flavour {name!r}: expected one of {', '.join(FLAVOURS)}{hint}")


def _check(sprites: Sprites, sequences: int, length: int, size: tuple[int, int], objects: int) -> None:
    for name, value in (("sequences", sequences), ("length", length), ("objects", objects)):
        if value < 1:
            raise UsageError(f"{name} must be at least 1, found {value}")
    if len(sprites.sizes) < objects:
        raise UsageError(f"{objects} different digits a sequence asked for, there are {len(sprites.sizes)}")
    width, height = (int(x) for x in sprites.sizes.amax(0))
    if size[1] < width or size[0] < height:
        raise UsageError(
            f"frames of {size[0]}x{size[1]} (H x W) are too small for digits of up to {height}x{width}: "
            "use a larger frame size"
        )
