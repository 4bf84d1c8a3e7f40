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
from vtssi_pyro.config.serial import from_dict, override, to_dict

__all__ = [
    "AIRConfig",
    "FINDConfig",
    "MOTConfig",
    "ModelConfig",
    "RECTConfig",
    "SpotConfig",
    "TemplateConfig",
    "from_dict",
    "override",
    "to_dict",
]
