"""The values that pass between the parts, with their shapes; no logic.

Axes: ``...`` any leading particle or sample axes, ``B`` sequences, ``T`` frames, ``N`` object slots,
``D`` description, ``H, W`` frame. Letters of the paper: c count, s size, d description, p position,
m motion; ``p_hat`` is a proposal, ``p_tilde`` a prediction, a bare letter the final variable.

Frame coordinates: x right, y down, the frame's edges at -1 and 1. Pixels: the continuous image plane, the
frame spans [0, W] x [0, H] and the centre of its top-left pixel is (0.5, 0.5).
"""

from typing import Any, NamedTuple

from torch import Tensor

Scalar = float | Tensor


class Objects(NamedTuple):
    """What does not change over a sequence."""

    count: Any  # Tensor (..., B, 1)  c, real; N sigmoid(c) objects. Any: a tuple has a method count
    size: Tensor  # (..., B, N, 2)  s, width and height as fractions of the frame
    description: Tensor  # (..., B, N, D)  d


class State(NamedTuple):
    """One frame of the Markov chain, all objects at once."""

    position: Tensor  # (..., B, N, 2)  p_t, frame coordinates
    motion: Tensor | None  # (..., B, N, 10) m_t; None before frame M and without MOT


class Heading(NamedTuple):
    """What a finder that follows expects the next frame to show."""

    place: Tensor  # (..., B, N, 2) of the last frame, frame coordinates
    velocity: Tensor  # (..., B, N, 2)
    seen: Tensor  # (..., B, N) how much of each object the last frame showed, from 0 to 1


class Found(NamedTuple):
    """What a finder makes of frames."""

    position: Tensor  # (..., B, T, N, 2) where the objects are, draws; in a carry of the last frame alone
    glimpses: Tensor | None = None  # (..., B, N, G, G) what they look like, if better known than decoded
    box: tuple[Tensor, Tensor] | None = None  # then also their tight boxes, offset and size, see ops.ink
    heading: Heading | None = None  # of a finder that follows


class Carry(NamedTuple):
    """What must be remembered of the frames so far to go on with the next; its size does not grow with them."""

    objects: Objects
    state: State  # of the last frame
    found: Found  # where the finder saw the objects
    memory: Any  # of the motion block, None without one


class Latents(NamedTuple):
    """Everything the likelihood renders."""

    objects: Objects
    position: Tensor  # (..., B, T, N, 2)
    carry: Carry | None = None  # after the last observed frame, where a guide drew them


class Plates(NamedTuple):
    """The two plates of a program, made once per trace and entered again and again."""

    sequences: Any  # dim -2
    objects: Any  # dim -1


class Anneal(NamedTuple):
    """Everything that changes with the training step; the defaults are the trained program's.

    Fields may be Python floats or 0-d tensors.
    """

    count_shift: Scalar = 0.0  # added to the mean of the count's prior: from 1 (-2) to 0 (-3) in App. C
    bell: Scalar = 1.0  # flatness of the bell-curve mask: 0 bell, 1 flat; p / (1 + p) of App. B.1
    fuse_low: Scalar = 0.5  # bounds of the fusion weight w (App. B.2.3)
    fuse_high: Scalar = 0.5
    step_weight: Scalar = (
        0.0  # 0: an object counts fully or not at all; 1: its KL is weighted by its step value
    )
