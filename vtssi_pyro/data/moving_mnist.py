"""Moving MNIST: objects that move through a frame, kept as sprites and paths, drawn on demand."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Self

import torch
from torch import Tensor

from vtssi_pyro.config import OneOf, Range, checked
from vtssi_pyro.config.ranges import FRAMES, OBJECTS, SEQUENCES, SIDE
from vtssi_pyro.data.dataset import Index, rows, span
from vtssi_pyro.data.digits import Sprites
from vtssi_pyro.data.flavours import Order, named
from vtssi_pyro.data.render import draw
from vtssi_pyro.errors import UsageError
from vtssi_pyro.tracks.tracks import Tracks

SEEDS = Range(0, 2**62)  # as of torch's generators, with room for those of the parts of a mixture


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
    whole_pixels: bool = (
        False  # whether the boxes' corners are drawn at the nearest whole pixel, half to even
    )

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
        if self.whole_pixels:
            half = boxes.unsqueeze(1) / 2
            position = (position - half).round() + half
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


@checked
def moving_digits(
    flavour: str,
    sprites: Sprites,
    *,
    sequences: Annotated[int, SEQUENCES],
    length: Annotated[int | None, FRAMES] = None,
    frame_size: Annotated[int | tuple[int, int] | None, SIDE] = None,
    objects: Annotated[int | None, OBJECTS] = None,
    seed: Annotated[int, SEEDS] = 0,
    blend: Annotated[str | None, OneOf("sum", "max")] = None,
) -> MovingDigits:
    """Draw sequences of moving objects; the same seed gives the same data.

    Args:
        flavour: a key of ``FLAVOURS``.
        sprites: the digits to choose from; ``balls`` are drawn without any.
        sequences: number of sequences S.
        length: frames of each sequence; None: the flavour's.
        frame_size: side of square frames, or (H, W), pixels; None: the flavour's, of the paper's own 50.
        objects: largest number of objects N; the number is uniform on 0..N, of ``ddpae`` and ``balls`` it is N; None:
            the flavour's, of the paper's own 2.
        seed: seed of all draws.
        blend: intensity of a pixel that two objects cover, ``sum`` (cut off at 1) or ``max``; None: the flavour's.

    Returns:
        The sequences.

    Raises:
        UsageError: an unknown flavour or blend, or objects that do not fit into the frame.

    Reference: App. D.1; for the baselines' data their official programs.
    """
    kind = named(flavour)
    length, blend = kind.length if length is None else length, kind.blend if blend is None else blend
    objects = kind.objects or 2 if objects is None else objects
    frame_size = kind.frame_size or 50 if frame_size is None else frame_size
    if kind.parts:
        return _in_turns(
            kind.parts, sequences, seed,
            partial(moving_digits, sprites=sprites, length=length, frame_size=frame_size, objects=objects, blend=blend),
        )  # fmt: skip
    size = (frame_size, frame_size) if isinstance(frame_size, int) else frame_size
    sprites = kind.sprites(sprites, size)
    _check(sprites, size)
    side = int(sprites.sizes.max())  # less empty border, less to draw
    sprites = sprites._replace(images=sprites.images[:, :side, :side].contiguous())
    generator = torch.Generator().manual_seed(seed)
    if kind.exact:
        counts = torch.full((sequences,), objects)
    else:
        counts = torch.randint(objects + 1, (sequences,), generator=generator)
    which, position = kind.scenes(Order(sprites, counts, objects, size, length, generator))
    return MovingDigits(sprites, which, position, counts, size, blend, kind.whole_pixels)


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


def _check(sprites: Sprites, size: tuple[int, int]) -> None:
    width, height = (int(x) for x in sprites.sizes.amax(0))
    if size[1] < width or size[0] < height:
        raise UsageError(
            f"frames of {size[0]}x{size[1]} (H x W) are too small for digits of up to {height}x{width}: "
            "use a larger frame size"
        )
