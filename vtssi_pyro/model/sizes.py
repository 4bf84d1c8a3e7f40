"""The numbers that several parts of a model share; the defaults are appendix B's."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SceneSizes:
    """The sizes that the model of any tracker has."""

    num_objects: int = 2  # N
    frame_size: int = 50  # H = W, pixels
    channels: int = 1  # C, of a frame: 1 for grey


@dataclass(frozen=True)
class Sizes(SceneSizes):
    """The sizes with which every block is built."""

    glimpse: int = 25  # G, pixels
    description: int = 20  # D
    size_loc: tuple[float, float] = (
        0.3,
        0.4,
    )  # mean size of objects, fractions of the frame: the prior, and the initial value of attention
    size_scale: float = 0.1
    walk_scale: float = 0.1  # scale of the positions' random walk without motion, frame coordinates
    scale_transform: str = "softplus"  # or "exp": the networks' transform to positive scales (reading D12)
