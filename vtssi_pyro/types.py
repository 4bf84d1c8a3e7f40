"""The values that pass between the parts, with their shapes and without logic.

Axes: ``...`` any leading particle or sample axes, ``B`` sequences, ``T`` frames, ``N`` object slots,
``D`` description, ``C, H, W`` channels and pixels of a frame, ``G`` of a glimpse. Letters of the paper: c count,
s size, d description, p position, m motion; ``p_hat`` is a proposal, ``p_tilde`` a prediction, a bare letter the final
variable.

Frame coordinates: x right, y down, the frame's edges at -1 and 1. Pixels: the continuous image plane, the
frame spans [0, W] x [0, H] and the centre of its top-left pixel is (0.5, 0.5).
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

Scalar = float | Tensor


class Site(NamedTuple):
    """A variable that a motion block samples in every frame t, as ``NAME_t``."""

    name: str
    dims: int

    def at(self, t: int) -> str:
        """Name of the sample statement of frame t, counted from 1."""
        return f"{self.name}_{t}"


# Values (..., B, N, dims) of one frame of the Markov chain, by the names of their sites.
State = dict[str, Tensor]


class Objects(NamedTuple):
    """The latent variables that are constant over a sequence, and which slots they fill.

    The scene derives ``steps`` and ``present`` (:meth:`~vtssi_pyro.model.interfaces.Scene.counted`), so that no other
    block knows how objects are counted.
    """

    count: Any  # Tensor (..., B, 1)  c, real; N sigmoid(c) objects. Any: a tuple has a method count
    size: Tensor  # (..., B, N, 2)  s, width and height as fractions of the frame
    description: Tensor  # (..., B, N, D)  d
    # Tensor (..., B, N), step values in [0, 1]: how far each slot is filled, 0 if it is empty
    steps: Any = None
    present: Any = None  # Tensor (..., B, N), bool: whether each object counts at test time


class Appearance(NamedTuple):
    """The objects' looks, decoded from their descriptions or settled on frames."""

    glimpses: Tensor  # (..., B, N, C, G, G)
    # the tight box: offset of its centre, frame coordinates, and size, fractions of the frame; (..., B, N, 2) each
    box: tuple[Tensor, Tensor]


class Pose(NamedTuple):
    """The objects' pose, which a picture renders; fields that are equal in all frames may have T = 1."""

    position: Tensor  # (..., T, N, 2) frame coordinates
    size: Tensor  # (..., N, 2) fractions of the frame
    presence: Tensor  # (..., T, N) from 0, absent, to 1
    depth: Tensor | None = None  # (..., T, N) the smaller, the nearer
    angle: Tensor | None = None  # (..., T, N) radians, from x towards y
    appearance: Tensor | None = None  # (..., T, N, C, G, G) glimpses; None: as decoded from descriptions


class Detections(NamedTuple):
    """A finder's detections of the objects in some frames."""

    position: Tensor  # (..., B, T, N, 2) draws; in a chain of the last frame alone
    appearance: Appearance | None = None
    memory: Any = None  # the finder's memory for the next frames
    frames: Tensor | None = None  # (B, T, C, H, W), for motions that read more off them; never in a chain


class Paths(NamedTuple):
    """Paths of objects, from which a motion learns: the modes of the latent variables that other blocks infer."""

    present: Tensor  # (B, N), bool
    static: Tensor  # (B, N, F), see StateSpace.static
    position: Tensor  # (B, T, N, 2)
    visible: Tensor  # (B, T, N), bool: whether the frame shows the object; else its position means nothing
    scale: Tensor  # (B, T, N, 2), of the proposals whose modes are the positions


class Chain(NamedTuple):
    """A guide's state for the next frames; its size does not grow with the number of frames before."""

    objects: Objects
    state: State  # of the last frame
    q: dict[str, Distribution]  # its density given the frame before, by site
    found: Detections  # of the last frame
    memory: Any  # of the motion block, None without one


class Latents(NamedTuple):
    """All latent variables that the likelihood renders, drawn by a guide."""

    objects: Objects
    states: list[State]  # frame by frame
    densities: dict[str, Distribution]  # the density of each site's draw, by the site's full name
    chain: Chain  # after the last observed frame

    @property
    def position(self) -> Tensor:
        """Positions in all frames, (..., B, T, N, 2)."""
        return torch.stack([state["position"] for state in self.states], -3)


class Plates(NamedTuple):
    """The two plates of a program, made once per trace and entered again and again."""

    sequences: Any  # dim -2
    objects: Any  # dim -1


class Anneal(NamedTuple):
    """The annealed numbers of a training step; the defaults are those of the trained program.

    Fields may be Python floats or 0-d tensors.

    Example:
        >>> from vtssi_pyro import Anneal
        >>> Anneal().bell
        1.0
    """

    count_shift: Scalar = 0.0  # added to the mean of the count's prior: from 1 (-2) to 0 (-3) in App. C
    bell: Scalar = 1.0  # flatness of the bell-curve mask: 0 bell, 1 flat; p / (1 + p) of App. B.1
    fuse_low: Scalar = 0.5  # bounds of the fusion weight w (App. B.2.3)
    fuse_high: Scalar = 0.5
    # 0: an object counts fully or not at all; 1: its KL is weighted by its step value
    step_weight: Scalar = 0.0
    # added, per object, to the logits of SQAIR's count of discoveries after the first frame
    discovery_shift: Scalar = 0.0
