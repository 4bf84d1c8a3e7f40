"""Every choice as data: frozen dataclasses, the presets made of them, and how they are read and changed."""

from vtssi_pyro.config.model import (
    AIRConfig,
    FINDConfig,
    ModelConfig,
    MOTConfig,
    RECTConfig,
    SpotConfig,
    TemplateConfig,
)
from vtssi_pyro.config.presets import PRESETS
from vtssi_pyro.config.recipe import Stage, TrainConfig
from vtssi_pyro.config.run import Config, DataConfig
from vtssi_pyro.config.serial import from_dict, override, to_dict

__all__ = [
    "PRESETS",
    "AIRConfig",
    "Config",
    "DataConfig",
    "FINDConfig",
    "MOTConfig",
    "ModelConfig",
    "RECTConfig",
    "SpotConfig",
    "Stage",
    "TemplateConfig",
    "TrainConfig",
    "from_dict",
    "override",
    "to_dict",
]
