"""The numbers that several parts of a model share; the defaults are appendix B's."""

from dataclasses import dataclass
from typing import Annotated

from vtssi_pyro.config import Declared, OneOf, Range
from vtssi_pyro.config.ranges import CHANNELS, DIMENSIONS, OBJECTS, SCALE, SIDE, SMALL
from vtssi_pyro.errors import UsageError


@dataclass(frozen=True)
class SceneSizes(Declared):
    """The sizes that the model of any tracker has."""

    num_objects: Annotated[int, OBJECTS, "Largest number of objects N."] = 2
    frame_size: Annotated[int, SIDE, "Side of the square frames H = W, pixels."] = 50
    channels: Annotated[int, CHANNELS, "Channels C of a frame; 1 for grey."] = 1


@dataclass(frozen=True)
class Sizes(SceneSizes):
    """The sizes with which every block is built."""

    # bilinear interpolation between pixels needs two
    glimpse: Annotated[int, Range(2, SIDE.high), "Side of an object's picture G, pixels."] = 25
    description: Annotated[int, DIMENSIONS, "Dimensions D of an object's description."] = 20
    # an object of twice the frame's side is no object, but a background
    size_loc: Annotated[
        tuple[float, float],
        Range(SMALL, 2),
        "Mean width and height of objects, fractions of the frame: of the prior, and the initial value of attention.",
    ] = (0.3, 0.4)
    size_scale: Annotated[
        float, SCALE, "Standard deviation of the prior of sizes, fractions of the frame."
    ] = 0.1
    walk_scale: Annotated[
        float, SCALE, "Scale of the positions' random walk without motion, frame coordinates."
    ] = 0.1
    scale_transform: Annotated[
        str, OneOf("softplus", "exp"), "The networks' transform to positive scales (reading D12)."
    ] = "softplus"

    def relate(self, where: str) -> None:
        """Refuse pictures of objects that are larger than a frame, whose networks would need memory for nothing."""
        no_larger(where, self.glimpse, self.frame_size)


def no_larger(where: str, glimpse: int, frame_size: int) -> None:
    """Refuse a side of objects' pictures that is more than that of the frames."""
    if glimpse > frame_size:
        raise UsageError(f"{where}glimpse: expected {frame_size} or less, {where}frame_size, found {glimpse}")
