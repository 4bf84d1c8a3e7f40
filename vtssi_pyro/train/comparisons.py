"""The paper's two comparisons with other models: how its data, sizes and training then differ (App. C.2)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vtssi_pyro.config.schedules import Constant, Decay, Schedule, Staircase
from vtssi_pyro.config.variants import Ablation
from vtssi_pyro.data import FLAVOURS
from vtssi_pyro.model.blocks.count_rect import CountRECTConfig
from vtssi_pyro.model.blocks.find import FINDConfig
from vtssi_pyro.model.blocks.mot import MOTConfig
from vtssi_pyro.model.blocks.rect import RECTConfig
from vtssi_pyro.model.blocks.residual_mot import ResidualMOTConfig
from vtssi_pyro.model.config import ModelConfig
from vtssi_pyro.model.kinds import SLOTS
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.objective import WHOLE
from vtssi_pyro.train.recipe import Stage


@dataclass(frozen=True)
class Comparison:
    """A comparison, as changes of any preset.

    Args:
        flavour: the other model's data.
        observe: number of observed frames, on which objects and motions are decided: K = M.
        ablation: the blocks that the paper compares.
        fuse: bounds of the fusion weight w in training.
        length: of sequences in the published training, frames.
        learning_rate: of the published training; None: the paper's usual one.
        frame_size: pixels.
        glimpse: pixels.
        kernel_side: of FIND, pixels.
        position_scale: factor on the tanh of the position means of FIND and MOT.
        sequences: number of training sequences.
    """

    flavour: str
    observe: int
    ablation: Ablation
    fuse: tuple[float, float]
    length: Schedule
    learning_rate: Schedule | None = None
    frame_size: int = 50
    glimpse: int = 25
    kernel_side: int = 10
    position_scale: float = 1.0
    sequences: int = 50_000

    def applied(self, config: Config, preset: str) -> Config:
        """The configuration of a preset under this comparison, whose name is then ``preset``."""
        assert isinstance(config.model, ModelConfig)
        stages, kind = tuple(map(self._stage, config.train.stages)), FLAVOURS[self.flavour]
        data = replace(
            config.data, source=self.flavour, blend=kind.blend, length=kind.length, sequences=self.sequences
        )
        return replace(
            config, preset=preset, observe=self.observe, data=data, model=self.model(config.model),
            train=replace(config.train, stages=stages),
        )  # fmt: skip

    def model(self, model: ModelConfig) -> ModelConfig:
        """A model with the sizes of this comparison."""
        blocks = {slot: getattr(model, slot) for slot in SLOTS}
        varied = {
            slot: replace(block, **self._changes.get(type(block), {})) for slot, block in blocks.items()
        }
        test_time = model.test_time
        if test_time.refine:  # looks are settled on the observed frames, however many
            test_time = replace(test_time, settled=self.observe)
        return replace(model, frame_size=self.frame_size, glimpse=self.glimpse, test_time=test_time, **varied)

    def published(self, config: Config) -> Config:
        """The published training under this comparison: a configuration with its schedules."""
        (stage,) = config.train.stages
        stage = replace(stage, length=self.length, learning_rate=self.learning_rate or stage.learning_rate)
        return replace(config, train=replace(config.train, stages=(stage,)))

    @property
    def _changes(self) -> Mapping[type, Mapping[str, Any]]:
        """The changes of blocks, by their kind; null objects have none."""
        consensus = {"K": self.observe}
        motion = {"M": self.observe, "position_scale": self.position_scale}
        return {
            RECTConfig: consensus,
            CountRECTConfig: consensus,
            FINDConfig: {"kernel_side": self.kernel_side, "position_scale": self.position_scale},
            MOTConfig: motion,
            ResidualMOTConfig: motion,
        }

    def _stage(self, stage: Stage) -> Stage:
        """A stage with this comparison's w if it trains the whole ELBO; roll-outs have that of the test time."""
        if stage.objective != WHOLE:
            return stage
        low, high = map(Constant, self.fuse)
        return replace(stage, fuse_low=low, fuse_high=high)


COMPARISONS = {
    "ddpae": Comparison(
        "ddpae",
        observe=10,
        ablation=Ablation.WHOLE,
        fuse=(0.5, 0.5),
        length=Staircase(2, 1, 30_000, 20),
        learning_rate=Decay(1e-4, 0.9, 20_000, 200_000, 5e-5),
        frame_size=64,
        glimpse=32,
        kernel_side=12,
    ),
    "sqair": Comparison(
        "sqair",
        observe=3,
        ablation=Ablation.MOTION,
        fuse=(0.1, 0.9),
        length=Staircase(6, 1, 30_000, 10),
        position_scale=1.5,
        sequences=60_000,
    ),
}
