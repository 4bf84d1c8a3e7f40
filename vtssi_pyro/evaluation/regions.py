"""Regions of sampled forecasts: ellipses that hold a share of an object's samples, and the truth beside them.

A forecast of an object's position is a cloud of samples. Its region of level p is the ellipse around their mean, shaped
as their covariance, that holds the share p of them. An object with fewer than two finite samples is in no region.
"""

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor

from vtssi_pyro.errors import UsageError
from vtssi_pyro.evaluation.clouds import finite_number, finite_points, mahalanobis
from vtssi_pyro.tracks.matching import assign, cut
from vtssi_pyro.tracks.tracks import Tracks

# 0.5 and 0.9, which files hold and pictures show, among them
LEVELS = tuple(round(0.05 * i, 2) for i in range(1, 20))
EQUAL = 1e-9  # share of a cloud's spread: smaller differences of distances are rounding


class Row(NamedTuple):
    """One frame's matched objects."""

    truth: Tensor  # (R, 2)
    samples: Tensor  # (S, R, 2)

    @property
    def distance(self) -> Tensor:
        """Mahalanobis distance of the truth from the samples' mean, (R,)."""
        return mahalanobis(self.truth.unsqueeze(0), self.samples)[0].clamp_min(EQUAL)

    def radius(self, levels: Tensor) -> Tensor:
        """Return the Mahalanobis distances that hold these shares of the samples, (L, R)."""
        away = mahalanobis(self.samples, self.samples).nanquantile(levels, 0).clamp_min(EQUAL)
        return away * (1 + EQUAL)

    def within(self, levels: Tensor) -> Tensor:
        """Tell whether x and y are within the central intervals that hold these shares of the samples, (L, R, 2)."""
        low, high = (self.samples.nanquantile(q, 0) for q in ((1 - levels) / 2, (1 + levels) / 2))
        slack = EQUAL * (high - low)
        return (low - slack <= self.truth) & (self.truth <= high + slack)

    def forecast(self) -> "Row":
        """Return the row without the objects that have fewer than two finite samples."""
        some = finite_number(self.samples) > 1
        return Row(self.truth[some], self.samples[:, some])


def matched_rows(truth: Tracks, tracks: Tracks, observed: int) -> Iterator[Row]:
    """Yield the matched objects frame by frame after the observed ones, on which they are assigned."""
    if tracks.samples is None or len(tracks.samples) < 2:
        raise UsageError("regions need samples: draw 2 futures or more")
    slots = assign(truth, tracks, observed)  # (B, N)
    true, drawn = cut(truth, 0), finite_points(tracks.samples.cpu().double())
    for t in range(observed, truth.present.shape[1]):
        b, n = (true.present[:, t] & (slots >= 0)).nonzero(as_tuple=True)
        yield Row(true.position[b, t, n], drawn[:, b, t, slots[b, n]])
