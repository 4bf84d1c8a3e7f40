"""A run, resolved: model, recipe and data."""

from dataclasses import dataclass, field, replace
from typing import Annotated

import vtssi_pyro.baselines  # noqa: F401  (it registers its models, so that files can name them)
from vtssi_pyro.inference.standalone import WholeModel, variant_of
from vtssi_pyro.model.config import ModelConfig
from vtssi_pyro.model.kinds import MODELS
from vtssi_pyro.train.recipe import TrainConfig


@dataclass(frozen=True)
class DataConfig:
    """The training data: a flavour of moving digits, a file of sequences, or clips of one movie."""

    source: str = "linear"  # a flavour, or a path
    digits: str = "embedded"  # or "mnist"
    blend: str = "sum"  # or "max" (reading D23)
    sequences: int = 50_000
    validation_sequences: int = 500
    test_sequences: int = 1000
    length: int = 20
    train_length: int | None = None  # frames of a drawn sequence to learn from; None: length
    movie: bool = False  # whether the source is one movie, of which the last frames are held out


@dataclass(frozen=True)
class Config:
    """A run, resolved: all conditions of its result except the data themselves."""

    variant: str = "vtssi"  # the name of the model's blocks, or of another model, see ``renamed``
    preset: str = "quick"
    seed: int = 0
    observe: int = 5  # frames seen before a prediction, at evaluation
    data: DataConfig = field(default_factory=DataConfig)
    model: Annotated[WholeModel, MODELS] = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    start: str | None = None  # the initial weights: pretrained:NAME or a run's folder; None: fresh ones
    calibration: int = 40  # futures per held-out sequence for the calibration at the end; 0: none


def renamed(config: Config) -> Config:
    """A configuration with the name that its model has, whatever changed it."""
    return replace(config, variant=variant_of(config.model))
