"""vtssi_pyro: find, track and predict several moving objects, learned from unlabelled video alone.

Public names are resolved when they are first used, so that ``vtssi-pyro --help`` need not load torch.
"""

from importlib import import_module
from typing import Any

from vtssi_pyro.version import __version__

_HOMES = {
    "AIR": "model.blocks",
    "FIND": "model.blocks",
    "MOT": "model.blocks",
    "RECT": "model.blocks",
    "Anneal": "types",
    "Config": "train.config",
    "DiagNormal": "model.priors",
    "Elbo": "train.elbo",
    "Fitted": "artifacts.loading",
    "FirstFrame": "model.blocks",
    "Hints": "movies",
    "ModelConfig": "model.config",
    "PRESETS": "train.presets",
    "RandomWalk": "model.blocks",
    "Run": "artifacts.run",
    "Silent": "train.reporting",
    "StateSpace": "model.blocks",
    "Stored": "movies",
    "PUBLISHED": "model.config",
    "ResidualMOT": "model.blocks",
    "Stream": "inference.filter",
    "TemplateFIND": "model.blocks",
    "TestTime": "model.config",
    "Tracker": "model.program",
    "Tracks": "tracks.tracks",
    "Units": "tracks.units",
    "VARIANTS": "model.config",
    "benchmark": "api",
    "build": "model.program",
    "calibrate": "api",
    "convert": "api",
    "evaluate": "api",
    "fit": "api",
    "forecast": "api",
    "generate": "api",
    "info": "api",
    "inspect": "api",
    "judge": "api",
    "load": "artifacts.loading",
    "load_digits": "data",
    "mode": "model.handlers",
    "moving_digits": "data",
    "open_frames": "data",
    "overlay": "api",
    "page": "api",
    "read_tracks": "tracks.formats",
    "register": "model.kinds",
    "reproduce": "api",
    "resume": "api",
    "sample_movie": "api",
    "scene": "data.scenes",
    "track": "api",
    "track_live": "api",
    "write_tracks": "tracks.formats",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module vtssi_pyro has no attribute {name!r}")
    return getattr(import_module(f"vtssi_pyro.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
