"""Motions of sprites: centres of tight boxes over time, for many sequences at once.

A motion is a function of the boxes and a generator; lengths are in pixels of the continuous image plane, in
which the frame spans [0, W] x [0, H].
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from vtssi_pyro.system.memory import DOUBLE, places, refuse_beyond_memory

Motion = Callable[[Tensor, tuple[int, int], int, torch.Generator], Tensor]

# Copies of paths that are held at the peak: while they are drawn, and while some are chosen.
DRAWN, CHOSEN = 8, 3
SPEED = (1.0, 5.0)  # pixels per frame (reading D22)
SEMI_AXIS = (0.25, 1.0)  # fractions of the largest that keeps the box in the frame (reading D22)
ANGULAR_SPEED = (0.10, 0.35)  # radians per frame, of either sign (reading D22)
STEP = 0.1  # of DDPAE's digits in a frame, of the range of their corners
# Of SQAIR's digits along each axis: pixels per frame, and pixels per frame^2.
MAX_VELOCITY, MAX_ACCELERATION = 10.0, 3.0


def linear(
    boxes: Tensor, frame_size: tuple[int, int], length: int, generator: torch.Generator, margin: float = 0.0
) -> Tensor:
    """Draw straight paths of constant speed; an overshoot of a wall is reflected.

    A reflected path is a straight path folded at the walls, so all frames come from one formula. Starts are
    uniform inside the frame, wherever the walls are.

    Args:
        boxes: (S, N, 2) width and height of the tight boxes, pixels.
        frame_size: (H, W), pixels.
        length: number of frames T.
        generator: source of all randomness.
        margin: distance of the walls outside the frame, pixels.

    Returns:
        centres (S, T, N, 2), pixels.

    Reference: App. D.1.
    """
    half, room = _room(boxes, frame_size)  # (S, N, 2) each
    start = room * uniform(room.shape, (0, 1), generator)
    speed = uniform(room.shape[:-1], SPEED, generator)
    angle = uniform(room.shape[:-1], (0, 2 * math.pi), generator)
    velocity = speed.unsqueeze(-1) * torch.stack([angle.cos(), angle.sin()], -1)
    time = torch.arange(length, dtype=torch.float64)[:, None, None]  # (T, 1, 1)
    straight = (start + margin).unsqueeze(1) + velocity.unsqueeze(1) * time  # (S, T, N, 2)
    folded = _fold(straight, (room + 2 * margin).unsqueeze(1)) + (half - margin).unsqueeze(1)
    return _within(folded, half - margin, half + room + margin)


def elliptic(boxes: Tensor, frame_size: tuple[int, int], length: int, generator: torch.Generator) -> Tensor:
    """Draw ellipses inside the frame, passed through at a constant angular speed.

    Args:
        boxes: (S, N, 2) width and height of the tight boxes, pixels.
        frame_size: (H, W), pixels.
        length: number of frames T.
        generator: source of all randomness.

    Returns:
        centres (S, T, N, 2), pixels.

    Reference: App. D.1, reading D22.
    """
    half, room = _room(boxes, frame_size)  # (S, N, 2) each
    axes = room / 2 * uniform(room.shape, SEMI_AXIS, generator)
    middle = half + axes + (room - 2 * axes) * uniform(room.shape, (0, 1), generator)
    phase = uniform(room.shape[:-1], (0, 2 * math.pi), generator)
    speed = uniform(room.shape[:-1], ANGULAR_SPEED, generator)
    sign = uniform(room.shape[:-1], (-1, 1), generator).sign()
    time = torch.arange(length, dtype=torch.float64)[:, None]  # (T, 1)
    angle = phase.unsqueeze(1) + (sign * speed).unsqueeze(1) * time  # (S, T, N)
    path = middle.unsqueeze(1) + axes.unsqueeze(1) * torch.stack([angle.cos(), angle.sin()], -1)
    return _within(path, half, half + room)


def turning(shape: tuple[int, int], length: int, generator: torch.Generator) -> Tensor:
    """Draw angles that start anywhere and change at constant speeds, those of ellipses.

    Args:
        shape: (S, N), sequences and objects.
        length: number of frames T.
        generator: source of all randomness.

    Returns:
        angles (S, T, N), radians, from x towards y, beyond a whole turn, too.
    """
    phase = uniform(shape, (0, 2 * math.pi), generator)
    speed = uniform(shape, ANGULAR_SPEED, generator)
    sign = uniform(shape, (-1, 1), generator).sign()
    time = torch.arange(length, dtype=torch.float64)[:, None]  # (T, 1)
    return (phase.unsqueeze(1) + (sign * speed).unsqueeze(1) * time).float()


def clamped(boxes: Tensor, frame_size: tuple[int, int], length: int, generator: torch.Generator) -> Tensor:
    """Draw DDPAE's paths: steps of one length; a box that reaches a wall stays at it, and its direction flips.

    The first frame is one step after a uniform start. A step of a box of 28 pixels is 3.6 long in frames of 64.
    Corners are then cut off to whole pixels.

    Args:
        boxes: (S, N, 2) width and height of the boxes, pixels.
        frame_size: (H, W), pixels.
        length: number of frames T.
        generator: source of all randomness.

    Returns:
        centres (S, T, N, 2), pixels.

    Reference: Hsieh et al. 2018, official program.
    """
    half, room = _room(boxes, frame_size)  # (S, N, 2) each
    place = uniform(room.shape, (0, 1), generator)
    angle = uniform(room.shape[:-1], (0, 2 * math.pi), generator)
    velocity = torch.stack([angle.cos(), angle.sin()], -1)
    path = []
    for _ in range(length):
        place = place + STEP * velocity
        velocity = torch.where((place <= 0) | (place >= 1), -velocity, velocity)
        place = place.clamp(0, 1)
        path.append((room * place).trunc() + half)
    return torch.stack(path, 1).float()


def accelerated(
    corner: Tensor,
    frame_size: tuple[int, int],
    length: int,
    generator: torch.Generator,
    acceleration: float = 0.0,
    noise: float = 0.0,
) -> Tensor:
    """Draw SQAIR's paths: velocities that may change; a corner that leaves the frame is reflected.

    It is the upper left corner of a box that stays in the frame: at the lower and right wall boxes leave it. As in the
    official program the state makes one step from a place that is then replaced by the given corner; its velocity and
    acceleration have flipped if that place was reflected.

    Args:
        corner: (S, N, 2) upper left corners in the first frame, pixels.
        frame_size: (H, W), pixels.
        length: number of frames T.
        generator: source of all randomness.
        acceleration: largest first acceleration along each axis, pixels per frame^2.
        noise: standard deviation of its change in a frame.

    Returns:
        corners (S, T, N, 2), pixels.

    Reference: Kosiorek et al. 2018, official program.
    """
    height, width = frame_size
    wall = torch.tensor([width, height], dtype=torch.float64)
    place = wall * uniform(corner.shape, (0, 1), generator)
    velocity = uniform(corner.shape, (-MAX_VELOCITY, MAX_VELOCITY), generator)
    change = uniform(corner.shape, (-acceleration, acceleration), generator)
    path: list[Tensor] = []
    for _ in range(length):
        place, velocity = place + velocity, velocity + change
        change = change + noise * torch.randn(corner.shape, generator=generator, dtype=torch.float64)
        out = (place < 0) | (place > wall)
        place = torch.where(place < 0, -place, torch.where(place > wall, 2 * wall - place, place))
        velocity, change = (torch.where(out, -x, x) for x in (velocity, change))
        place = torch.minimum(place.clamp_min(0), wall)
        velocity = velocity.clamp(-MAX_VELOCITY, MAX_VELOCITY)
        change = change.clamp(-MAX_ACCELERATION, MAX_ACCELERATION)
        if not path:
            place = corner.double()
        path.append(place)
    return torch.stack(path, 1).float()


def _room(boxes: Tensor, frame_size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return half of each box, and the range of its centre within the frame, (S, N, 2) float64 each."""
    height, width = frame_size
    boxes = boxes.double()
    return boxes / 2, boxes.new_tensor([width, height]) - boxes


def refuse_large(paths: str, copies: int, sequences: int, length: int, objects: int) -> None:
    """Refuse to draw paths, in double precision, that take more memory than is free.

    Args:
        paths: whose, for the message.
        copies: what is held of them at the peak: DRAWN while they are drawn, CHOSEN while some are chosen.
        sequences: number of sequences.
        length: frames of each.
        objects: objects of each.

    Raises:
        OutOfResources: so much is not free.
    """
    refuse_beyond_memory(
        places(copies, sequences, length, objects, number=DOUBLE),
        f"the paths of {paths}{sequences:,} sequences of {length:,} frames",
        "draw fewer or shorter ones",
    )


def uniform(shape: tuple[int, ...], bounds: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Draw numbers that are uniform between two bounds, (*shape) float64."""
    low, high = bounds
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)


def _fold(x: Tensor, span: Tensor) -> Tensor:
    """Reflect x at 0 and ``span`` until it lies between them."""
    period = (2 * span).clamp_min(1e-9)  # a box as wide as the frame cannot move
    x = x.remainder(period)
    return torch.minimum(x, period - x)


def _within(path: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Round to float32 without leaving [low, high] (S, N, 2), whose bounds are halves and thus exact."""
    return torch.clamp(path.float(), low.float().unsqueeze(1), high.float().unsqueeze(1))
