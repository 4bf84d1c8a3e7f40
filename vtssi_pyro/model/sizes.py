"""The numbers that several parts of a model share; the defaults are appendix B's."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """What every block is told when it is built."""

    num_objects: int = 2  # N
    frame_size: int = 50  # H = W, pixels
    channels: int = 1  # C, of a frame: 1 for grey
    glimpse: int = 25  # G, pixels
    description: int = 20  # D
    size_loc: tuple[float, float] = (
        0.3,
        0.4,
    )  # of objects, fractions of the frame: the prior, and where attention starts
    size_scale: float = 0.1
    walk_scale: float = 0.1  # of positions, frame by frame, where no motion predicts them; frame coordinates
    scale_transform: str = "softplus"  # or "exp": how all networks make scales positive (reading D12)
