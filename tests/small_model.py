"""The model that most tests are about, and how they look at what it drew."""

from torch import Tensor

from vtssi_pyro.model.blocks.air import AdditiveConfig, AIRConfig
from vtssi_pyro.model.blocks.find import FINDConfig
from vtssi_pyro.model.blocks.following import FollowingConfig
from vtssi_pyro.model.blocks.mot import MOTConfig
from vtssi_pyro.model.blocks.rect import RECTConfig
from vtssi_pyro.model.blocks.template import TemplateConfig
from vtssi_pyro.model.config import PUBLISHED, ModelConfig, TestTime
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.interfaces import Motion
from vtssi_pyro.model.program import evolve, stacked
from vtssi_pyro.types import Latents, State

K = M = 3
SIDE = 20  # of the frames, pixels

FINDERS = {
    "learned": FINDConfig(
        num_kernels=3, kernel_side=5, kernel_dense=(8, 8), filters=((4, 3), (6, 3)), dense=(16, 8),
        features=8, position_trunk=(8, 8), position_heads=(8,),
    ),
    "template": TemplateConfig(kernel_side=5),
    "following": FollowingConfig(kernel_side=5),
}  # fmt: skip


def small(finder: str = "learned", num_objects: int = 2) -> ModelConfig:
    """Every part of the model, as small as its convolutions allow."""
    return ModelConfig(
        num_objects=num_objects,
        frame_size=SIDE,
        glimpse=9,
        description=4,
        attention=AIRConfig(
            counter_filters=((4, 3), (4, 3), (4, 3)), counter_dense=(16, 8),
            locator_filters=((4, 3), (4, 3)), locator_units=16, locator_head=8, encoder=(16, 8),
        ),
        picture=AdditiveConfig(decoder=(8, 16)),
        consensus=RECTConfig(K=K, units=8, dense=(8, 8)),
        finder=FINDERS[finder],
        motion=MOTConfig(M=M, motion=3, units=8, heads=(8,), transition=(8, 8)),
        test_time=PUBLISHED if finder == "learned" else TestTime(),  # the paper's has no template search
    )  # fmt: skip


def positions(latents: Latents) -> Tensor:
    """Final positions (..., B, T, N, 2) of all frames."""
    return stacked(latents.states)["position"]


def rolled_out(motion: Motion, start: State, horizon: int) -> State:
    """Modes of the next frames, (..., horizon, N, dims), by site."""
    with mode():
        return stacked(evolve(motion, range(1, horizon + 1), start, start["position"]))
