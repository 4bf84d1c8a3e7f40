"""SQAIR's configuration."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vtssi_pyro.errors import UsageError
from vtssi_pyro.inference.standalone import StandaloneConfig
from vtssi_pyro.model.kinds import register

if TYPE_CHECKING:
    from vtssi_pyro.baselines.sqair.program import SQAIR


@register("model", "sqair")
@dataclass(frozen=True)
class SQAIRConfig(StandaloneConfig):
    """All numbers of SQAIR; the defaults are those of the official configuration for digits."""

    spare: int = 1  # slots beyond num_objects: the official model has three for two digits
    glimpse: int = 20  # G, pixels
    what: int = 50  # W, dimensions of an object's appearance
    units: int = 256  # U, of every recurrent state and every dense layer
    noise: float = 0.3  # standard deviation of a pixel
    # whether test time keeps every object that it has found, as in the VTSSI paper's evaluation (App. D.2)
    keeps: bool = True

    @property
    def slots(self) -> int:
        """Number of object slots N; as many discoveries are tried in every frame."""
        return self.num_objects + self.spare

    def build(self) -> "SQAIR":
        """Build an untrained tracker.

        Raises:
            UsageError: there is no slot, or a glimpse has no extent.
        """
        from vtssi_pyro.baselines.sqair.program import SQAIR

        if self.slots < 1:
            raise UsageError(f"model.spare: expected a slot or more in all, found {self.slots}")
        if self.glimpse < 2:
            raise UsageError(f"model.glimpse: expected 2 pixels or more, found {self.glimpse}")
        return SQAIR(self)
