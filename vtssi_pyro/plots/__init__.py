"""Pictures of tracks and of training, drawn from tracks and numbers of any source.

Pictures count frames and identities from 1. Functions that write a file take its path first; those called ``plot_``
draw on axes of matplotlib, and count like tables, from 0.
"""

from vtssi_pyro.plots.calibration import plot_coverage, reliability
from vtssi_pyro.plots.contact_sheet import contact_sheet
from vtssi_pyro.plots.curves import CurveLine, CurvePanel, compared_curves, error_curves, learning_curves
from vtssi_pyro.plots.fan import futures, plot_futures
from vtssi_pyro.plots.film import film_strip
from vtssi_pyro.plots.overlay import Panel, overlay_film, overlay_gif
from vtssi_pyro.plots.player import Film, Player, film_of
from vtssi_pyro.plots.tracks import plot_confidence, plot_msd, plot_speed, plot_trajectories

__all__ = [
    "CurveLine",
    "CurvePanel",
    "Film",
    "Panel",
    "Player",
    "compared_curves",
    "contact_sheet",
    "error_curves",
    "film_of",
    "film_strip",
    "futures",
    "learning_curves",
    "overlay_film",
    "overlay_gif",
    "plot_confidence",
    "plot_coverage",
    "plot_futures",
    "plot_msd",
    "plot_speed",
    "plot_trajectories",
    "reliability",
]
