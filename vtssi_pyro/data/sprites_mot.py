"""Sprites-MOT: coloured sprites that come and go, by the rules of the benchmark of He et al. 2019.

Known, from the official program, and kept here, in frames of 128 pixels: there are up to three sprites at once, one in
each of three lanes. A lane waits six frames, and then for a success in every frame with a probability of 1/2, which
itself shows nothing. A sprite appears as a whole at one side (its middle is 10 pixels from the edge), aims at a place
on the opposite side, makes steps of 5.3 pixels, rounded to whole ones, and disappears once its middle would be nearer
than 10 pixels to an edge. Sides, places, shapes and colours are uniform. Its height and width are 21 pixels times a
scale, uniform on 0.9 to 1.1, times and divided by the root of a ratio, uniform on 0.8 to 1.2, and rounded. The sprite
of a later lane covers those of earlier ones. The background is black. Sequences of 20 frames begin at any stage.

Ours: lengths are multiplied by the shorter side of the frame / 128, so that a sprite is 11 pixels large in frames of
64. The fourth shape, a diamond, is left out: of 11 pixels, it hardly differs from a circle. Edges of shapes are drawn
by the share of a pixel that they cover, for which the official program resizes a picture of 21 pixels.

Reference: He et al. 2019, Tracking by Animation, official program.
"""

from itertools import product

import torch
from torch import Tensor

from vtssi_pyro.data.digits import Sprites
from vtssi_pyro.data.drawings import covered
from vtssi_pyro.data.visits import Visits, number_of, opposite_places, timetable

FRAME, SIDE = 128, 21  # pixels: the benchmark's frames, and the sprites of scale 1
SPEED = 5.3  # pixels per frame in frames of FRAME
SCALE, RATIO = 0.1, 0.2  # largest differences of scale and ratio from 1
PAUSE = 7  # frames between two sprites of a lane, if the first trial succeeds
COLOURS = torch.tensor([[0, 0, 1], [0, 1, 0], [0, 1, 1], [1, 0, 0], [1, 0, 1], [1, 1, 0]])  # red, green, blue


def _circle(x: Tensor, y: Tensor) -> Tensor:
    return x**2 + y**2 <= 1


def _rectangle(x: Tensor, y: Tensor) -> Tensor:
    return torch.ones_like(x, dtype=torch.bool)


def _triangle(x: Tensor, y: Tensor) -> Tensor:
    return 2 * x.abs() <= 1 + y  # the apex is above


SHAPES = (_circle, _rectangle, _triangle)


def coloured(sprites: Sprites, frame_size: tuple[int, int]) -> Sprites:
    """Return all sprites of the benchmark for frames of a size (H, W), whatever the sprites.

    They are in order of shape, colour, height and width.
    """
    sides = _sides(frame_size)
    masks, sizes = [], []
    for shape, height, width in product(SHAPES, sides, sides):
        mask = torch.zeros(sides.stop - 1, sides.stop - 1)
        mask[:height, :width] = covered(shape, height, width)
        masks.append(mask)
        sizes.append((width, height))
    each = torch.stack(masks).unflatten(0, (len(SHAPES), 1, -1, 1))  # (shapes, 1, sizes, 1, G, G)
    # (colours, 1, 4, 1, 1)
    planes = torch.cat([COLOURS, torch.ones(len(COLOURS), 1)], 1)[:, None, :, None, None]
    images = (255 * each * planes).round().byte().flatten(0, 2)
    size = torch.tensor(sizes).unflatten(0, (len(SHAPES), 1, -1))
    size = size.expand(-1, len(COLOURS), -1, -1).flatten(0, 2)
    return Sprites(images, size, torch.zeros_like(size))


def sprite_visits(
    sizes: Tensor,
    sequences: int,
    lanes: int,
    frame_size: tuple[int, int],
    length: int,
    generator: torch.Generator,
) -> tuple[Visits, Tensor]:
    """Draw the benchmark's sprites and their paths.

    Args:
        sizes: (num, 2) width and height of the sprites of :func:`coloured`, pixels.
        sequences: number of sequences S.
        lanes: largest number of sprites at once.
        frame_size: (H, W), pixels.
        length: number of frames T.
        generator: source of all randomness.

    Returns:
        the visits in these frames, and the centres of the boxes, which have whole corners, (S, T, N, 2) pixels.
    """
    height, width = frame_size
    edge, step = _side(frame_size) // 2, SPEED * min(frame_size) / FRAME
    # the middle's last place, in pixels from 0
    last = torch.tensor([width, height], dtype=torch.float64) - 1 - edge
    across = last - edge
    shortest = float(across.min()) / step + PAUSE
    # one lane of a thousand waits for more than 10 trials
    longest = float(across.norm()) / step + PAUSE + 10
    shape = (sequences, lanes, number_of(shortest, longest, length))
    which = _any_sprite(shape, frame_size, generator)
    near, far = (torch.as_tensor(x, dtype=torch.float64).expand(*shape, 2) for x in (edge, last))
    begin, end = opposite_places(near, far, near, far + 1, generator)
    begin, end = (torch.minimum(x.floor(), last) for x in (begin, end))
    velocity = torch.nn.functional.normalize(end - begin, dim=-1) * step
    # the first step that would round to a place beyond the opposite side
    stay = ((across + 0.5) / velocity.abs()).amin(-1).floor() + 1
    failures = torch.empty(shape, dtype=torch.float64).exponential_(generator=generator) / torch.log(
        torch.tensor(2.0)
    )
    visits = timetable(
        which, stay, PAUSE + failures.floor(), begin, velocity, shortest, longest, generator
    ).within(length)
    boxes = sizes[visits.which].unsqueeze(1)
    corner = (visits.position(length).round() - (boxes - 1) / 2).floor()
    return visits, (corner + boxes / 2).float()


def _any_sprite(shape: tuple[int, ...], frame_size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Draw numbers of sprites of :func:`coloured`."""
    sides = _sides(frame_size)
    kind = torch.randint(len(SHAPES) * len(COLOURS), shape, generator=generator)
    scale, ratio = (
        1 + change * (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1)
        for change in (SCALE, RATIO)
    )
    side = _side(frame_size) * scale
    height, width = ((side * x).round().long() - sides.start for x in (ratio.sqrt(), ratio.rsqrt()))
    return (kind * len(sides) + height) * len(sides) + width


def _side(frame_size: tuple[int, int]) -> int:
    """Side of a sprite of scale 1, pixels."""
    return int(SIDE * min(frame_size) / FRAME + 0.5)


def _sides(frame_size: tuple[int, int]) -> range:
    """All heights and widths of sprites, pixels."""
    side = _side(frame_size)
    least = side * (1 - SCALE) * min((1 - RATIO) ** 0.5, (1 + RATIO) ** -0.5)
    largest = side * (1 + SCALE) * max((1 + RATIO) ** 0.5, (1 - RATIO) ** -0.5)
    return range(round(least), round(largest) + 1)
