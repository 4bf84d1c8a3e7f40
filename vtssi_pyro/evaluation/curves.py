"""Position errors frame by frame, with their standard errors (Figs. 5 to 7)."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Self

from vtssi_pyro.config import Complete
from vtssi_pyro.evaluation.metrics import distances
from vtssi_pyro.evaluation.statistics import mean, standard_error
from vtssi_pyro.tracks.tracks import Tracks


@dataclass(frozen=True)
class Level(Complete):
    """A mean error and its standard error over sequences, px."""

    mean: float
    sem: float


@dataclass(frozen=True)
class ErrorCurve(Complete):
    """The errors of some tracks by frame; px, None if no value is known."""

    mean: list[float | None]  # over all matched objects of all sequences
    sem: list[float | None]  # standard error over sequences
    matched: list[float | None]  # share of the true objects to which a track is matched
    spans: dict[str, Level]  # by first and last frame, as in "1-20": over all frames of a span

    @classmethod
    def of(cls, truth: Tracks, found: Tracks, observe: int, spans: Iterable[tuple[int, int]] = ()) -> Self:
        """Compare tracks with the truth; objects are matched on the first ``observe`` frames, once for all (App. D.2).

        Args:
            truth: true tracks, (B, T, N, 2), px.
            found: tracks of the same frames, (B, T, M, 2), px.
            observe: number of frames that decide the matching.
            spans: first and last frame, from 1, of spans whose level is wanted; those beyond the T frames have none.
        """
        distance = distances(truth, found, observe, first=0)  # (B, T, N)
        present, known = (x.sum((0, 2)).tolist() for x in (truth.present.cpu(), ~distance.isnan()))
        levels = {}
        for first, last in spans:
            values = distance[:, first - 1 : last]
            level, error = mean(values), standard_error(values)
            if last <= distance.shape[1] and level is not None and error is not None:
                levels[f"{first}-{last}"] = Level(level, error)
        frames = distance.unbind(1)
        return cls(
            [mean(frame) for frame in frames],
            [standard_error(frame) for frame in frames],
            [found / true if true else None for found, true in zip(known, present, strict=True)],
            levels,
        )

    def as_dict(self) -> dict[str, Any]:
        """The fields by name, ready for JSON."""
        return asdict(self)
