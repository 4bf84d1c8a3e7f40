"""The functions behind the command line: fit a tracker, track with it, forecast, evaluate, calibrate, and so on.

A *tracker* is a :class:`~vtssi_pyro.model.tracker.Tracker`, a result of :func:`fit`, a run or its folder, the name of
weights that ship (``"moving-mnist"``), or a configuration; None is the newest run in the folder ``runs``, but for
:func:`fit` a new model. *Data* are tensors or arrays in grey, (S, T, H, W) or (T, H, W), or in C channels,
(S, T, C, H, W), uint8 or floats in [0, 1], a file of them, a data set, or a movie's file or folder. Of a movie's
colours the brightness is read, unless its inspection finds that they tell more, or ``stored`` says
``channel="colour"``.
"""

from vtssi_pyro.api.describing import info, page
from vtssi_pyro.api.inspecting import inspect
from vtssi_pyro.api.judging import OBSERVE, Calibrated, Judged, calibrate, evaluate, judge
from vtssi_pyro.api.measuring import benchmark, reproduce
from vtssi_pyro.api.showing import overlay, play
from vtssi_pyro.api.tracking import HORIZON, forecast, track, track_live
from vtssi_pyro.api.training import configuration, fit, resume
from vtssi_pyro.api.writing import convert, generate, sample_movie

__all__ = [
    "HORIZON",
    "OBSERVE",
    "Calibrated",
    "Judged",
    "benchmark",
    "calibrate",
    "configuration",
    "convert",
    "evaluate",
    "fit",
    "forecast",
    "generate",
    "info",
    "inspect",
    "judge",
    "overlay",
    "page",
    "play",
    "reproduce",
    "resume",
    "sample_movie",
    "track",
    "track_live",
]
