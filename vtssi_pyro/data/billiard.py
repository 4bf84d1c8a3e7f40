"""DDPAE's bouncing balls: equal masses that collide elastically with each other and with the walls."""

import torch
from torch import Tensor

from vtssi_pyro.data.digits import Sprites
from vtssi_pyro.errors import UsageError

WORLD = 800  # side of the world in its own units, of which the shorter side of the frame shows all
RADIUS = 60  # of a ball, in these units; it is drawn with as many whole pixels as fit into it
# Largest first velocity along each axis, units per frame. The official data are a file whose velocities no program
# draws; this is the value in the program of the data set's makers, 3.2 pixels a frame in frames of 128.
MAX_VELOCITY = 20
MAX_DRAWS = 1000  # rounds of new starts for balls that overlap; four balls need a handful


def balls(sprites: Sprites, frame_size: tuple[int, int]) -> Sprites:
    """Return one white ball, whatever the sprites, as large as DDPAE's in frames of a size (H, W)."""
    radius = int(RADIUS * min(frame_size) / WORLD)
    axis = torch.arange(-radius, radius + 1)
    disc = axis[:, None] ** 2 + axis**2 <= radius**2
    size = torch.tensor([[2 * radius + 1, 2 * radius + 1]])
    return Sprites(255 * disc[None].byte(), size, torch.zeros_like(size))


def billiard(
    objects: int, sequences: int, frame_size: tuple[int, int], length: int, generator: torch.Generator
) -> Tensor:
    """Draw paths of balls; all collisions are exact, one after another.

    Args:
        objects: number of balls N.
        sequences: number of sequences S.
        frame_size: (H, W), pixels.
        length: number of frames T.
        generator: source of all randomness.

    Returns:
        centres (S, T, N, 2) of the drawn balls, centres of pixels.

    Raises:
        UsageError: the balls hardly fit into the frame.
    """
    height, width = frame_size
    unit = min(frame_size) / WORLD
    low = torch.full((2,), RADIUS * unit, dtype=torch.float64)
    high = torch.tensor([width, height], dtype=torch.float64) - low
    place = _starts(objects, sequences, low, high, generator)
    spread = torch.rand(place.shape, generator=generator, dtype=torch.float64)
    velocity = MAX_VELOCITY * unit * (2 * spread - 1)
    path = [place]
    for _ in range(length - 1):
        place, velocity = _moved(place, velocity, low, high)
        path.append(place)
    return torch.stack(path, 1).round().float() + 0.5


def _starts(objects: int, sequences: int, low: Tensor, high: Tensor, generator: torch.Generator) -> Tensor:
    """Draw uniform places (S, N, 2) of balls that do not overlap."""
    place, again = torch.empty(sequences, objects, 2, dtype=torch.float64), torch.arange(sequences)
    for _ in range(MAX_DRAWS):
        drawn = torch.rand(len(again), objects, 2, generator=generator, dtype=torch.float64)
        place[again] = low + (high - low) * drawn
        distance = torch.cdist(place[again], place[again]) + 4 * low[0] * torch.eye(objects)
        again = again[(distance < 2 * low[0]).flatten(1).any(1)]
        if not len(again):
            return place
    raise UsageError(f"{objects} balls hardly fit into the frame: use fewer")


def _moved(place: Tensor, velocity: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Move balls (S, N, 2) through one frame, from collision to collision."""
    place, velocity = place.clone(), velocity.clone()
    moving, left = torch.arange(len(place)), torch.ones(len(place), dtype=torch.float64)
    first, second = torch.triu_indices(place.shape[1], place.shape[1], 1).unbind()
    while len(moving):
        p, v, time = place[moving], velocity[moving], left[moving]
        wall = torch.where(v > 0, (high - p) / v, torch.where(v < 0, (low - p) / v, torch.inf))  # (s, N, 2)
        pair = _meeting(p[:, first] - p[:, second], v[:, first] - v[:, second], 2 * low[0])  # (s, pairs)
        events = torch.cat([wall.flatten(1), pair], 1).clamp_min(0)
        when, which = events.min(1)
        go = torch.minimum(when, time)
        place[moving] = p + v * go[:, None, None]
        left[moving] = time - go
        hit = when < time
        moving, which = moving[hit], which[hit]
        walls = 2 * place.shape[1]
        at_wall = which < walls
        ball, axis = which[at_wall] // 2, which[at_wall] % 2
        velocity[moving[at_wall], ball, axis] *= -1
        rows, i = moving[~at_wall], which[~at_wall] - walls
        a, b = first[i], second[i]
        normal = torch.nn.functional.normalize(place[rows, a] - place[rows, b], dim=-1)
        exchanged = ((velocity[rows, a] - velocity[rows, b]) * normal).sum(-1, keepdim=True) * normal
        velocity[rows, a] -= exchanged
        velocity[rows, b] += exchanged
    return place, velocity


def _meeting(apart: Tensor, velocity: Tensor, diameter: Tensor) -> Tensor:
    """Time (...) until balls touch, given their relative places and velocities (..., 2); infinity if they never do."""
    closing = (apart * velocity).sum(-1)
    speed = velocity.square().sum(-1)
    reach = closing.square() - speed * (apart.square().sum(-1) - diameter**2)
    time = (-closing - reach.clamp_min(0).sqrt()) / speed
    return torch.where((closing < 0) & (reach > 0), time, torch.inf)
