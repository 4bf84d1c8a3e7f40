"""vtssi_pyro: find, track and predict several moving objects, learned from unlabelled video alone.

Public names are resolved when they are first used, so that ``vtssi-pyro --help`` need not load torch.
"""

from importlib import import_module
from typing import Any

from vtssi_pyro.version import __version__

_HOMES = {
    "AIR": "blocks",
    "FIND": "blocks",
    "MOT": "blocks",
    "RECT": "blocks",
    "Anneal": "types",
    "Config": "config",
    "DiagNormal": "priors",
    "Elbo": "train.objective",
    "FirstFrame": "blocks",
    "ModelConfig": "config",
    "PRESETS": "config",
    "RandomWalk": "blocks",
    "Run": "runs",
    "StateSpace": "blocks",
    "Stream": "predict",
    "TemplateFIND": "blocks",
    "Tracker": "tracker",
    "Tracks": "types",
    "VARIANTS": "variants",
    "build": "variants",
    "fit": "fitting",
    "forecast": "predict",
    "judge": "evaluation",
    "load": "trained",
    "load_digits": "data",
    "mode": "handlers",
    "moving_digits": "data",
    "open_frames": "data",
    "track": "predict",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module vtssi_pyro has no attribute {name!r}")
    return getattr(import_module(f"vtssi_pyro.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
