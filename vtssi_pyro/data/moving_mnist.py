"""Moving MNIST: objects that move through a frame, kept as sprites and paths, drawn on demand."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from typing import Annotated, Any, Self

import torch
from torch import Tensor

from vtssi_pyro.config import OneOf, Range, checked
from vtssi_pyro.config.ranges import FRAMES, OBJECTS, SEQUENCES, SIDE
from vtssi_pyro.data.dataset import Index, rows, span
from vtssi_pyro.data.digits import Sprites
from vtssi_pyro.data.flavours import Order, named
from vtssi_pyro.data.motion import DRAWN, refuse_large
from vtssi_pyro.data.render import Cast, draw, turned
from vtssi_pyro.errors import UsageError
from vtssi_pyro.tracks.tracks import Tracks

BLENDS = ("sum", "max", "depth")
_FAR = -1e6  # pixels: an object so far outside the frame draws nothing
# Of the frames that are drawn object by object at a time: more of them are slower, since their planes leave the caches.
_PIXELS = 2**19
SEEDS = Range(0, 2**62)  # as of torch's generators, with room for those of the parts of a mixture


@dataclass(frozen=True)
class MovingDigits:
    """Sequences of moving digits, or other sprites, with truth; a :class:`~vtssi_pyro.data.dataset.Dataset`.

    A slot is one object, throughout its sequence. Slots are filled from the front: slot i holds an object if i < count.
    """

    sprites: Sprites
    which: Tensor  # (S, N) int64, index of each object's sprite
    position: Tensor  # (S, T, N, 2) centres of the tight boxes, pixels; of unused slots too
    counts: Tensor  # (S,) int64, number of objects of a sequence, at once or one after another
    frame_size: tuple[int, int]  # (H, W)
    # the intensity of a pixel of two objects: "sum", "max" (reading D23), or "depth": the nearer one covers the other
    blend: str = "sum"
    # whether the boxes' corners are drawn at the nearest whole pixel, half to even
    whole_pixels: bool = False
    present: Tensor | None = None  # (S, T, N) bool: in which frames an object exists; None: in all
    depth: Tensor | None = None  # (S, N), the smaller, the nearer; None: the first slot is the nearest
    angle: Tensor | None = None  # (S, T, N) radians, from x towards y; None: as the sprites are
    # (C + 1, H, W) in [0, 1]: what stands before all objects, its colours, multiplied by the opacity, and the opacity
    front: Tensor | None = None
    # whether objects may leave the frame or be hidden; truth then tells it frame by frame
    hides: bool = False

    def __len__(self) -> int:
        """Number of sequences S."""
        return self.position.shape[0]

    @property
    def length(self) -> int:
        """Number of frames T of each sequence."""
        return self.position.shape[1]

    @property
    def truth(self) -> Tracks:
        """Centres and tight boxes in pixels, depth and angle if there are any; NaN for an absent object.

        If objects may hide, an object is present as long as its box reaches into the frame, and ``visible`` is the
        share of its opacity that the frame shows: neither cut off at the edges nor covered.
        """
        present, box = self._existing(slice(None)), self._boxes(slice(None))  # (S, T, N), (S, T, N, 2)
        if self.hides:
            corner = self._drawn_at(slice(None)) - box / 2
            edge = torch.tensor(self.frame_size[::-1], device=corner.device)
            present = present & ((corner + box > 0) & (corner < edge)).all(-1)

        def known(values: Tensor | None) -> Tensor | None:
            return None if values is None else values.float().masked_fill(~present, torch.nan)

        absent = ~present.unsqueeze(-1)
        depth = None if self.depth is None else self.depth.unsqueeze(1).expand(present.shape)
        return Tracks(
            self.position.masked_fill(absent, torch.nan),
            present,
            box.masked_fill(absent, torch.nan),
            visible=known(self._visible) if self.hides else None,
            depth=known(depth),
            angle=known(self.angle),
        )

    def frames(self, index: Index, length: int | None = None, start: int = 0) -> Tensor:
        """Draw frames (b, t, C, H, W) in [0, 1]; overlapping objects blend as ``blend`` says."""
        chosen, times = rows(index, len(self)).to(self.counts.device), span(length, start, self.length)
        if self.blend == "sum" and self.present is None:
            return self._drawn(chosen, times)
        pieces = self._pieces(chosen, times)
        return torch.cat([torch.cat([self._drawn(*piece) for piece in row], 1) for row in pieces])

    def to(self, device: torch.device | str) -> Self:
        """Copy the data to another device, where frames are then drawn."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        moved: dict[str, Any] = {name: x.to(device) for name, x in values if isinstance(x, Tensor)}
        return replace(self, sprites=Sprites(*(x.to(device) for x in self.sprites)), **moved)

    @property
    def _opaque(self) -> int:
        """1 if sprites have a plane of opacity beside their colours, else 0: grey ones are as opaque as bright."""
        return int(self.sprites.images.dim() == 4)

    def _existing(self, chosen: Tensor | slice) -> Tensor:
        """In which frames a slot holds an object, inside the frame or outside, (b, T, N) bool."""
        counts = self.counts[chosen]
        slots = torch.arange(self.which.shape[1], device=counts.device)
        used = (slots < counts[:, None]).unsqueeze(1).expand(-1, self.length, -1)
        return used if self.present is None else used & self.present[chosen]

    def _boxes(self, chosen: Tensor | slice) -> Tensor:
        """Width and height of the tight boxes, (b, T, N, 2) pixels; those of turned objects are of their rectangles."""
        sizes = self.sprites.sizes[self.which[chosen]].float().unsqueeze(1)
        if self.angle is None:
            return sizes.expand_as(self.position[chosen])
        angle = self.angle[chosen].unsqueeze(-1)
        return (angle.cos() * sizes).abs() + (angle.sin() * sizes.flip(-1)).abs()

    def _drawn_at(self, chosen: Tensor | slice) -> Tensor:
        """Centres of the boxes as they are drawn, (b, T, N, 2) pixels."""
        position = self.position[chosen]
        if not self.whole_pixels:
            return position
        half = self.sprites.sizes[self.which[chosen]].float().unsqueeze(1) / 2
        return (position - half).round() + half

    def _pieces(self, chosen: Tensor, times: slice) -> list[list[tuple[Tensor, slice]]]:
        """Cut sequences (b,) and their frames into pieces that are drawn at a time, rows of the same sequences."""
        height, width = self.frame_size
        length = max(1, _PIXELS // (height * width))  # frames of one sequence
        number = max(1, length // (times.stop - times.start))
        parts = [slice(t, min(t + length, times.stop)) for t in range(times.start, times.stop, length)]
        return [[(some, part) for part in parts] for some in chosen.split(number)]

    def _slots(self, existing: Tensor) -> Tensor | slice:
        """Find the slots (n,) that hold an object in some frame, of flags (b, t, N); of objects that stay, all.

        Long sequences have many slots, of which few frames show a few.
        """
        if self.present is None:
            return slice(None)
        used = existing.any(0).any(0)
        used[0] = True  # at least one slot, though nobody be there
        return used.nonzero()[:, 0]

    def _drawn(self, chosen: Tensor, times: slice) -> Tensor:
        """Draw frames (b, t, C, H, W) of some sequences."""
        cast = self._cast(chosen, times)
        drawn = self._summed(cast) if self.blend == "sum" else self._blended(cast)
        if self.front is not None:
            drawn = drawn * (1 - self.front[-1]) + self.front[:-1]
        return drawn.view(len(chosen), times.stop - times.start, *drawn.shape[2:])

    def _cast(self, chosen: Tensor, times: slice) -> Cast:
        """The objects of some sequences (b,) in some frames, of n slots."""
        existing = self._existing(chosen)[:, times]
        slots = self._slots(existing)
        which, existing = self.which[chosen][:, slots], existing[..., slots]
        images = self.sprites.images[which].float() / 255  # (b, n, G, G) or (b, n, C + 1, G, G)
        images = images if self._opaque else images.unsqueeze(2)
        boxes = self.sprites.sizes[which].float()
        position = self._drawn_at(chosen)[:, times, slots].masked_fill(~existing.unsqueeze(-1), _FAR)
        if self.depth is None:
            order = torch.arange(which.shape[1], device=which.device).expand(which.shape)
        else:
            order = self.depth[chosen][:, slots].argsort(1)
        if self.angle is None:
            return Cast(images, boxes, position, order)
        angle = self.angle[chosen][:, times, slots]
        length = angle.shape[1]
        images, boxes, order = (
            x.unsqueeze(1).expand(-1, length, *x.shape[1:]).flatten(0, 1) for x in (images, boxes, order)
        )
        images = turned(images, boxes, angle.flatten(0, 1))
        boxes = torch.full_like(boxes, images.shape[-1])
        return Cast(images, boxes, position.flatten(0, 1).unsqueeze(1), order)

    def _summed(self, cast: Cast) -> Tensor:
        """Frames (b, t, C, H, W) in which intensities add up."""
        colours = cast.images[:, :, : cast.images.shape[2] - self._opaque]
        drawn = [draw(plane, cast.boxes, cast.position, self.frame_size) for plane in colours.unbind(2)]
        return torch.stack(drawn, 2).clamp_(0, 1)

    def _blended(self, cast: Cast) -> Tensor:
        """Frames (b, t, C, H, W) in which the brightest or the nearest object shows."""
        frames = None
        for slots in cast.order.flip(1).unbind(1):  # the nearest last
            planes = cast.drawn(slots, self.frame_size)
            colours, opacity = planes[:, :, : planes.shape[2] - self._opaque], planes[:, :, -1:]
            if frames is None:
                frames = colours
            elif self.blend == "max":
                frames = torch.maximum(frames, colours)
            else:
                frames = frames * (1 - opacity) + colours
        assert frames is not None, "a data set has one slot or more"
        return frames.clamp(0, 1)

    @cached_property
    def _visible(self) -> Tensor:
        """The shares of the objects' opacity that the frames show, (S, T, N)."""
        pieces = self._pieces(torch.arange(len(self), device=self.counts.device), slice(0, self.length))
        return torch.cat([torch.cat([self._shown(*piece) for piece in row], 1) for row in pieces])

    def _shown(self, chosen: Tensor, times: slice) -> Tensor:
        """The same of some sequences and frames, (b, t, N); 0 of slots without an object."""
        cast, slots = self._cast(chosen, times), self._slots(self._existing(chosen)[:, times])
        light = (
            torch.ones(self.frame_size, device=chosen.device) if self.front is None else 1 - self.front[-1]
        )
        shown = cast.position.new_empty(cast.position.shape[:3])  # (b, t, n)
        whole = cast.images[:, :, -1].flatten(2).sum(-1)  # (b, n)
        every = torch.arange(len(whole), device=chosen.device)
        for slot in cast.order.unbind(1):  # the nearest first
            opacity = cast.drawn(slot, self.frame_size, slice(-1, None))[:, :, 0]
            seen = (opacity * light).sum((-2, -1)) / whole[every, slot].unsqueeze(-1)
            shown[every, :, slot] = seen.clamp(0, 1)
            if self.blend == "depth":
                light = light * (1 - opacity)
        every_slot = shown.new_zeros(len(chosen), times.stop - times.start, self.which.shape[1])
        every_slot[..., slots] = shown.view(*every_slot.shape[:2], -1)
        return every_slot


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
    blend: Annotated[str | None, OneOf(*BLENDS)] = None,
) -> MovingDigits:
    """Draw sequences of moving objects; the same seed gives the same data.

    Args:
        flavour: a key of ``FLAVOURS``.
        sprites: the digits to choose from; flavours without digits, such as ``balls``, are drawn without any.
        sequences: number of sequences S.
        length: frames of each sequence; None: the flavour's.
        frame_size: side of square frames, or (H, W), pixels; None: the flavour's, of the paper's own 50.
        objects: largest number of objects N at once; the number is uniform on 0..N, of ``ddpae`` and ``balls`` it is
            N, of ``visitors`` and ``sprites`` it changes from frame to frame; None: the flavour's, of the paper's own
            2.
        seed: seed of all draws.
        blend: intensity of a pixel that two objects cover: ``sum`` (cut off at 1), ``max``, or ``depth``, that of the
            nearer one; None: the flavour's.

    Returns:
        The sequences.

    Raises:
        UsageError: an unknown flavour or blend, or objects that do not fit into the frame.

    Reference: App. D.1; for the baselines' data their official programs.

    Example:
        >>> from vtssi_pyro import load_digits, moving_digits
        >>> data = moving_digits("linear", load_digits("embedded", "test"), sequences=2)
        >>> data.frames(slice(None)).shape  # sequences, frames, channels, height, width
        torch.Size([2, 20, 1, 50, 50])
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
    refuse_large("", DRAWN, sequences, length, objects)
    side = int(sprites.sizes.max())  # less empty border, less to draw
    sprites = sprites._replace(images=sprites.images[..., :side, :side].contiguous())
    generator = torch.Generator().manual_seed(seed)
    if kind.exact:
        counts = torch.full((sequences,), objects)
    else:
        counts = torch.randint(objects + 1, (sequences,), generator=generator)
    scene = kind.scenes(Order(sprites, counts, objects, size, length, generator))
    if scene.present is not None:
        counts = scene.present.any(1).sum(-1)
    return MovingDigits(
        sprites, scene.which, scene.position, counts, size, blend, kind.whole_pixels, scene.present, scene.depth,
        scene.angle, kind.front(size) if kind.front else None, kind.hides,
    )  # fmt: skip


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
