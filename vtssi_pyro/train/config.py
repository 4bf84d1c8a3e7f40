"""A run, resolved: model, recipe and data."""

from dataclasses import dataclass, field, replace
from typing import Annotated

import vtssi_pyro.baselines  # noqa: F401  (it registers its models, so that files can name them)
from vtssi_pyro.config import Declared, OneOf, Text
from vtssi_pyro.config.ranges import DRAWN, FRAMES, SAMPLED, SEED, SEQUENCES
from vtssi_pyro.data.moving_mnist import BLENDS
from vtssi_pyro.errors import UsageError
from vtssi_pyro.inference.standalone import WholeModel, variant_of
from vtssi_pyro.model.config import ModelConfig
from vtssi_pyro.model.kinds import MODELS
from vtssi_pyro.train.recipe import TrainConfig


@dataclass(frozen=True)
class DataConfig(Declared):
    """The training data: a flavour of moving digits, a file of sequences, or clips of one movie."""

    source: Annotated[str, Text("a flavour or a path"), "A flavour, or the path of a file or folder."] = (
        "linear"
    )
    digits: Annotated[str, OneOf("embedded", "mnist"), "Source of the digits of a flavour."] = "embedded"
    blend: Annotated[
        str, OneOf(*BLENDS), "Intensity of a pixel that two objects of a flavour cover (reading D23)."
    ] = "sum"
    sequences: Annotated[int, SEQUENCES, "Sequences to learn from; of a movie, its frames."] = 50_000
    validation_sequences: Annotated[int, SEQUENCES, "Sequences that are evaluated during the training."] = 500
    test_sequences: Annotated[int, SEQUENCES, "Sequences that are evaluated at the end."] = 1000
    length: Annotated[int, FRAMES, "Frames of a sequence."] = 20
    train_length: Annotated[
        int | None, FRAMES, "Frames of a drawn sequence to learn from; null: those of a sequence."
    ] = None
    movie: Annotated[bool, "Whether the source is one movie, of which the last frames are held out."] = False


@dataclass(frozen=True)
class Config(Declared):
    """A run, resolved: all conditions of its result except the data themselves.

    Example:
        >>> from vtssi_pyro import Config
        >>> Config(seed=3).observe
        5
    """

    variant: Annotated[
        str, Text("a name"), "Name of the model's blocks, or of another model; it follows from the model."
    ] = "vtssi"
    preset: Annotated[str, Text("a name"), "Name of the recipe that the rest began with."] = "quick"
    seed: Annotated[int, SEED, "Seed of weights, batches and drawn sequences."] = 0
    observe: Annotated[
        int, FRAMES, "Frames seen before a prediction, at evaluation; fewer than a sequence has."
    ] = 5
    data: Annotated[DataConfig, "The training data."] = field(default_factory=DataConfig)
    model: Annotated[WholeModel, MODELS, "The model."] = field(default_factory=ModelConfig)
    train: Annotated[TrainConfig, "The recipe."] = field(default_factory=TrainConfig)
    start: Annotated[
        str | None,
        Text("pretrained:NAME or a run's folder"),
        "Initial weights: pretrained:NAME or a run's folder; null: fresh ones.",
    ] = None
    calibration: Annotated[
        int, DRAWN, "Futures of each held-out sequence for the calibration at the end; 0: no calibration."
    ] = SAMPLED

    def relate(self, where: str) -> None:
        """Refuse a single future, which has no spread."""
        if self.calibration == 1:
            raise UsageError(f"{where}calibration: expected 0, or 2 futures or more, found 1")


def renamed(config: Config) -> Config:
    """A configuration with the name that its model has, whatever changed it."""
    return replace(config, variant=variant_of(config.model))
