"""Inspection of drawn movies with known properties."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from staged import SPEED, H, T, W, blob, movie, ring

from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.movies import Hints, Movie, inspect, open_movie


@pytest.mark.parametrize(
    ("made", "polarity", "background", "size"),
    [
        (movie(blob), "bright", "static", (9, 16)),
        (movie(blob, -1.0), "dark", "static", (9, 16)),
        (movie(ring), "both", "static", (16, 28)),
        (movie(blob, light=0.3), "bright", "rolling", (9, 16)),
    ],
    ids=["bright", "dark", "rings", "growing light"],
)
def test_what_moves_before_what(made: Movie, polarity: str, background: str, size: tuple[int, int]) -> None:
    found = inspect(made)
    assert (found.polarity, found.background, found.objects) == (polarity, background, 3)
    assert size[0] <= found.object_size <= size[1]
    assert found.speed == pytest.approx(SPEED, abs=0.7)
    assert found.noise == pytest.approx(0.02, rel=0.3)
    assert (found.size, found.length, found.rate) == ((H, W), T, 25.0)
    assert found.low < found.high


@pytest.mark.slow
def test_large_frames_are_seen_smaller_and_told_in_their_own_pixels() -> None:
    small = movie(blob)
    large = Movie(
        "large", (8 * H, 8 * W), T, None, lambda: (frame.repeat(8, 0).repeat(8, 1) for frame in small)
    )
    found, expected = inspect(large), inspect(small)
    assert found.objects == expected.objects
    assert found.object_size == pytest.approx(8 * expected.object_size, rel=0.15)
    assert found.speed == pytest.approx(8 * expected.speed, rel=0.2)


def test_every_part_of_a_long_movie_is_looked_at(tmp_path: Path) -> None:
    """The memory does not grow, the length is counted, and what comes late counts as much as what comes early."""
    frames = np.zeros((1000, 40, 40), np.uint8)
    for time in range(500, 1000):
        for x in (8, 20, 32):
            frames[time, 5 + time % 30 : 9 + time % 30, x - 3 : x + 3] = 200
    np.save(tmp_path / "long.npy", frames)
    found = inspect(replace(open_movie(tmp_path / "long.npy"), length=None))
    assert found.length == 1000
    assert found.objects == 3
    assert (found.background, found.polarity) == ("none", "bright")


@pytest.mark.parametrize(("frames", "message"), [(1, "holds 1 frame"), (5, "every pixel is 0")])
def test_nothing_to_see(frames: int, message: str) -> None:
    black = Movie("black", (8, 8), frames, None, lambda: iter(np.zeros((frames, 8, 8), np.uint8)))
    with pytest.raises(DataError, match=message):
        inspect(black)


def test_noise_alone_holds_no_objects() -> None:
    found = inspect(movie(blob, sign=0.0))
    assert found.objects == 0
    assert found.speed == 0


def test_black_that_is_cut_off_hides_half_of_the_noise() -> None:
    """One small bright object, far less than a thousandth of the frame, before noise of which only half is seen."""
    random = np.random.default_rng(2)
    frames = np.clip(random.normal(0, 0.01, (20, 256, 256)), 0, None).astype(np.float32)
    for time in range(20):
        frames[time, 100:107, 20 + 3 * time : 27 + 3 * time] = 0.8
    found = inspect(Movie("clipped", (256, 256), 20, None, lambda: iter(frames)))
    assert (found.objects, found.polarity) == (1, "bright")
    assert found.object_size == pytest.approx(7, abs=1)
    assert found.speed == pytest.approx(3, abs=0.5)
    assert 0.005 < found.noise < 0.015
    assert found.contrast == pytest.approx(0.8, rel=0.05)


@pytest.mark.parametrize(
    "said",
    [
        {"objects": 0}, {"objects": 2.5}, {"object_size": math.nan}, {"object_size": -3.0}, {"background": "black"},
        {"polarity": "up"}, {"crop": (0, 0, 10)}, {"crop": (-1, 0, 10, 10)},
    ],
)  # fmt: skip
def test_impossible_hints_are_refused(said: dict[str, Any]) -> None:
    (name,) = said
    with pytest.raises(UsageError, match=f"Hints.{name}: expected "):
        Hints(**said)
