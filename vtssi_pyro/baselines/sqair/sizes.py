"""The numbers that the parts of SQAIR share."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SQAIRSizes:
    """The sizes of SQAIR; the defaults are those of the official configuration for digits."""

    num_objects: int = 3  # N, slots; as many discoveries are tried in every frame
    frame_size: int = 50  # H = W, pixels
    channels: int = 1  # C
    glimpse: int = 20  # G, pixels
    what: int = 50  # W, dimensions of an object's appearance
    units: int = 256  # U, of every recurrent state and every dense layer
    noise: float = 0.3  # standard deviation of a pixel
