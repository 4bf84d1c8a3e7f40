"""vtssi_pyro: find, track and predict several moving objects, learned from unlabelled video alone.

Public names are resolved when they are first used, so that ``vtssi-pyro --help`` need not load torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, filterwarnings

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
    "Tracker": "model.tracker",
    "Tracks": "tracks.tracks",
    "Units": "tracks.units",
    "VARIANTS": "model.config",
    "benchmark": "api",
    "build": "model.tracker",
    "calibrate": "api",
    "convert": "api",
    "evaluate": "api",
    "fit": "api",
    "fit_each": "many",
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
    "play": "api",
    "read_tracks": "tracks.formats",
    "register": "model.kinds",
    "reproduce": "api",
    "resume": "api",
    "sample_movie": "api",
    "scene": "data.scenes",
    "track": "api",
    "forecast_all": "many",
    "track_all": "many",
    "track_live": "api",
    "write_tracks": "tracks.formats",
}
__all__ = ["__version__", *_HOMES]


if (
    TYPE_CHECKING
):  # for type checkers and editors, which look nothing up when it is used; a test compares both
    from vtssi_pyro.api import benchmark as benchmark
    from vtssi_pyro.api import calibrate as calibrate
    from vtssi_pyro.api import convert as convert
    from vtssi_pyro.api import evaluate as evaluate
    from vtssi_pyro.api import fit as fit
    from vtssi_pyro.api import forecast as forecast
    from vtssi_pyro.api import generate as generate
    from vtssi_pyro.api import info as info
    from vtssi_pyro.api import inspect as inspect
    from vtssi_pyro.api import judge as judge
    from vtssi_pyro.api import overlay as overlay
    from vtssi_pyro.api import page as page
    from vtssi_pyro.api import play as play
    from vtssi_pyro.api import reproduce as reproduce
    from vtssi_pyro.api import resume as resume
    from vtssi_pyro.api import sample_movie as sample_movie
    from vtssi_pyro.api import track as track
    from vtssi_pyro.api import track_live as track_live
    from vtssi_pyro.artifacts.loading import Fitted as Fitted
    from vtssi_pyro.artifacts.loading import load as load
    from vtssi_pyro.artifacts.run import Run as Run
    from vtssi_pyro.data import load_digits as load_digits
    from vtssi_pyro.data import moving_digits as moving_digits
    from vtssi_pyro.data import open_frames as open_frames
    from vtssi_pyro.data.scenes import scene as scene
    from vtssi_pyro.inference.filter import Stream as Stream
    from vtssi_pyro.many import fit_each as fit_each
    from vtssi_pyro.many import forecast_all as forecast_all
    from vtssi_pyro.many import track_all as track_all
    from vtssi_pyro.model.blocks import AIR as AIR
    from vtssi_pyro.model.blocks import FIND as FIND
    from vtssi_pyro.model.blocks import MOT as MOT
    from vtssi_pyro.model.blocks import RECT as RECT
    from vtssi_pyro.model.blocks import FirstFrame as FirstFrame
    from vtssi_pyro.model.blocks import RandomWalk as RandomWalk
    from vtssi_pyro.model.blocks import ResidualMOT as ResidualMOT
    from vtssi_pyro.model.blocks import StateSpace as StateSpace
    from vtssi_pyro.model.blocks import TemplateFIND as TemplateFIND
    from vtssi_pyro.model.config import PUBLISHED as PUBLISHED
    from vtssi_pyro.model.config import VARIANTS as VARIANTS
    from vtssi_pyro.model.config import ModelConfig as ModelConfig
    from vtssi_pyro.model.config import TestTime as TestTime
    from vtssi_pyro.model.handlers import mode as mode
    from vtssi_pyro.model.kinds import register as register
    from vtssi_pyro.model.priors import DiagNormal as DiagNormal
    from vtssi_pyro.model.tracker import Tracker as Tracker
    from vtssi_pyro.model.tracker import build as build
    from vtssi_pyro.movies import Hints as Hints
    from vtssi_pyro.movies import Stored as Stored
    from vtssi_pyro.tracks.formats import read_tracks as read_tracks
    from vtssi_pyro.tracks.formats import write_tracks as write_tracks
    from vtssi_pyro.tracks.tracks import Tracks as Tracks
    from vtssi_pyro.tracks.units import Units as Units
    from vtssi_pyro.train.config import Config as Config
    from vtssi_pyro.train.elbo import Elbo as Elbo
    from vtssi_pyro.train.presets import PRESETS as PRESETS
    from vtssi_pyro.train.reporting import Silent as Silent
    from vtssi_pyro.types import Anneal as Anneal
else:  # so that they find names that are none

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module vtssi_pyro has no attribute {name!r}")
        with catch_warnings():  # a notebook's kernel without widgets, which nothing here needs, is no fault
            filterwarnings("ignore", "IProgress not found")
            return getattr(import_module(f"vtssi_pyro.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
