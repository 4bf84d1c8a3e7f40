"""Pictures of tracks and of training, drawn from tracks and numbers of any source.

Pictures count frames and identities from 1.
"""

from vtssi_pyro.plots.calibration import reliability
from vtssi_pyro.plots.contact_sheet import contact_sheet
from vtssi_pyro.plots.curves import CurveLine, CurvePanel, compared_curves, error_curves, learning_curves
from vtssi_pyro.plots.fan import futures
from vtssi_pyro.plots.film import film_strip
from vtssi_pyro.plots.overlay import Panel, overlay_film, overlay_gif

__all__ = [
    "CurveLine",
    "CurvePanel",
    "Panel",
    "compared_curves",
    "contact_sheet",
    "error_curves",
    "film_strip",
    "futures",
    "learning_curves",
    "overlay_film",
    "overlay_gif",
    "reliability",
]
