"""What a tracking was asked for is the same if its results are."""

from pathlib import Path

import numpy as np

from vtssi_pyro import Stored, TestTime
from vtssi_pyro.artifacts.requests import request


def test_two_requests_are_equal_if_their_results_are(tmp_path: Path) -> None:
    movie = tmp_path / "movie.npy"
    np.save(movie, np.zeros((4, 8, 8), np.uint8))
    plain = request(movie, "w")
    assert request(movie, "w", stored=Stored(), film=False, settle=None) == plain
    assert request(movie, "w", formats=("geff", "csv")) == request(movie, "w", formats=("csv", "geff"))
    others = [
        request(movie, "w", test_time=TestTime()), request(movie, "w", settle=3), request(movie, "v"),
        request(movie, "w", stored=Stored(channel=1)), request(movie, "w", formats=("csv",)),
        request(movie, "w", film=True),
    ]  # fmt: skip
    assert all(other != plain for other in others), "the plainest procedure is not the tracker's own"
    assert all(one != other for i, one in enumerate(others) for other in others[:i])
    np.save(movie, np.ones((4, 8, 8), np.uint8))
    assert request(movie, "w") != plain
