"""A training tells, soon after it began, how long all its work takes: what follows the training, too."""

import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from vtssi_pyro import Silent, fit
from vtssi_pyro.data import Dataset
from vtssi_pyro.data.scenes import scene
from vtssi_pyro.movies import array_movie
from vtssi_pyro.train import outlook


class Timed(Silent):
    """A reporter that notes when it was told how much time remains, in processor seconds, and what followed."""

    def __init__(self) -> None:
        self.told = list[tuple[float, float, str]]()

    def expects(self, seconds: float) -> None:
        self.told.append((time.process_time(), seconds, ""))

    def record(self, record: dict[str, Any]) -> None:
        self._name(record["kind"])

    def watched(self, dataset: Dataset, doing: str, times: int = 1) -> AbstractContextManager[Dataset]:
        self._name(doing)
        return super().watched(dataset, doing, times)

    def _name(self, what: str) -> None:
        if self.told and not self.told[-1][2]:
            self.told[-1] = (*self.told[-1][:2], what)


@pytest.mark.slow
def test_the_first_validation_of_a_movie_tells_what_remains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least half of it, at most three times: other work on the machine slows each part by its own factor."""
    monkeypatch.setattr(outlook, "clock", time.process_time)
    frames = scene("blobs", length=40, side=64, objects=2, size=12, seed=4).frames
    report, changes = (
        Timed(),
        ["train.budget=0.2", "train.log_every=10", "train.evaluate_every=60"],
    )
    fit(array_movie("drawn", frames), run=tmp_path / "run", changes=changes, device="cpu", report=report)
    end = time.process_time()
    ratios = {what: seconds / (end - now) for now, seconds, what in reversed(report.told)}
    assert 1 / 2 < ratios["validation"] < 3
    assert 1 / 2 < ratios["calibrating"] < 3
    assert report.told.pop()[1] == 0
    order = [what for _, _, what in report.told if what not in ("train", "validation")]
    assert order == ["calibrating", "judging", "drawing"]
