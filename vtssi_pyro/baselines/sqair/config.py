"""SQAIR's configuration."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from vtssi_pyro.config import Range
from vtssi_pyro.config.ranges import DIMENSIONS, OBJECTS, SCALE, SIDE, UNITS
from vtssi_pyro.inference.standalone import StandaloneConfig
from vtssi_pyro.model.kinds import register
from vtssi_pyro.model.sizes import no_larger

if TYPE_CHECKING:
    from vtssi_pyro.baselines.sqair.program import SQAIR


@register("model", "sqair")
@dataclass(frozen=True)
class SQAIRConfig(StandaloneConfig):
    """All numbers of SQAIR; the defaults are those of the official configuration for digits."""

    spare: Annotated[
        int, Range(0, OBJECTS.high), "Slots beyond num_objects: the official model has three for two digits."
    ] = 1
    # bilinear interpolation between pixels needs two
    glimpse: Annotated[int, Range(2, SIDE.high), "Side of an object's picture G, pixels."] = 20
    what: Annotated[int, DIMENSIONS, "Dimensions W of an object's appearance."] = 50
    units: Annotated[int, UNITS, "Units U of every recurrent state and every dense layer."] = 256
    noise: Annotated[float, SCALE, "Standard deviation of a pixel."] = 0.3
    keeps: Annotated[
        bool,
        "Whether test time keeps every object that it has found, as in the VTSSI paper's evaluation (App. D.2).",
    ] = True

    def relate(self, where: str) -> None:
        """Refuse pictures of objects that are larger than a frame."""
        no_larger(where, self.glimpse, self.frame_size)

    @property
    def slots(self) -> int:
        """Number of object slots N; as many discoveries are tried in every frame."""
        return self.num_objects + self.spare

    def build(self) -> "SQAIR":
        """Build an untrained tracker."""
        from vtssi_pyro.baselines.sqair.program import SQAIR

        return SQAIR(self)
