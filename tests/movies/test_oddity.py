"""No single frame decides anything: odd ones are found, named and left out."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from staged import COLUMN, ROW, H, T, W, blob, movie, paths

from vtssi_pyro.movies import Inspection, Movie, inspect
from vtssi_pyro.movies.prepared import look

Change = Callable[[np.ndarray], np.ndarray]


def changed(made: Movie, changes: dict[int, Change]) -> Movie:
    frames = np.stack(list(made))
    for number, change in changes.items():
        frames[number] = change(frames[number])
    return replace(made, reader=lambda: iter(frames))


def black(frame: np.ndarray) -> np.ndarray:
    return np.zeros_like(frame)


def dim(frame: np.ndarray) -> np.ndarray:
    return frame / 2


def flash(frame: np.ndarray) -> np.ndarray:
    return (frame + 0.5).clip(0, 1)


def dead(frame: np.ndarray) -> np.ndarray:
    return np.full_like(frame, 0.7)


def same(found: Inspection, wanted: Inspection) -> bool:
    return (found.objects, found.polarity, found.background) == (
        wanted.objects, wanted.polarity, wanted.background,
    ) and found.object_size == pytest.approx(wanted.object_size, rel=0.1)  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {0: black, 1: dim},
        {T - 1: dim},
        {17: flash},
        {5: black, 20: flash, 30: dead},
        {**dict.fromkeys(range(9, 16), black), **dict.fromkeys(range(T - 5, T), black)},
    ],
    ids=["fade in", "fade out", "flash", "several", "covered"],
)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_odd_frames_are_named_and_change_nothing(changes: dict[int, Change], sign: float) -> None:
    made = movie(blob, sign)
    found = inspect(changed(made, changes))
    assert found.odd == tuple(changes)
    assert same(found, inspect(made))
    assert found.contrast == pytest.approx(inspect(made).contrast, rel=0.1)
    assert "unlike the rest" in found.lines()[-1]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_slow_fade_changes_nothing(sign: float) -> None:
    """Its frames differ from the background everywhere, and would be large objects of the other sign."""
    made = movie(blob, sign)
    fading = {k: (lambda frame, k=k: frame * k / 8) for k in range(8)}
    assert same(inspect(changed(made, fading)), inspect(made))


def test_a_ground_without_objects_is_no_covered_camera() -> None:
    noise = np.random.default_rng(0).normal(0.3, 0.01, (T, H, W))
    shown = noise.copy()
    for t, places in enumerate(paths(2)[T // 4 :]):
        for x, y in places:
            shown[t] += 0.5 * np.exp(-((COLUMN - x) ** 2 + (ROW - y) ** 2) / 18)
    found = inspect(Movie("left", (H, W), T, None, lambda: iter(shown.astype(np.float32))))
    assert (found.odd, found.objects, found.fewest) == ((), 2, 0)


def test_movies_without_odd_frames_have_none() -> None:
    """Light that grows, objects that pass now and then before nothing, and one that fills much of the frame."""
    assert inspect(movie(blob)).odd == ()
    assert inspect(movie(blob, light=0.3)).odd == ()
    passing = np.stack(list(movie(blob, sign=0.0)))
    passing[10:14, 20:50, 30:90] += 0.4
    assert inspect(replace(movie(blob), reader=lambda: iter(passing.clip(0, 1)))).odd == ()
    large = np.stack([0.2 + 0.6 * (np.hypot(COLUMN - x, ROW - y) < 25) for x, y in paths(1)[:, 0]])
    assert inspect(Movie("large", (H, W), T, None, lambda: iter(large.astype(np.float32)))).odd == ()


def test_odd_frames_show_nothing_after_the_preparation() -> None:
    prepared = look(changed(movie(blob), {0: black, 17: flash}))
    shown = prepared.frames.flatten(1).amax(1)
    assert shown[[0, 17]].tolist() == [0, 0]
    assert (shown[[1, 16, 18]] > 100).all()


def discs(radii: list[float], centres: np.ndarray) -> Movie:
    """Discs before black; centres (T, number, 2)."""
    frames = [
        sum(0.8 * (np.hypot(COLUMN - x, ROW - y) < r) for r, (x, y) in zip(radii, places, strict=True))
        for places in centres
    ]
    stack = np.stack(frames).clip(0, 1).astype(np.float32)
    return Movie("discs", (H, W), T, None, lambda: iter(stack))


def test_objects_that_touch_for_half_of_the_movie_are_not_one() -> None:
    time = np.arange(T)[:, None]
    x = np.concatenate([30 + 0 * time, 42 + 12 * np.sin(time / 3), 90 + 0 * time], 1)
    y = np.concatenate([20 + time, 20 + time, 70 - time], 1)
    found = inspect(discs([6, 6, 6], np.stack([x, y], -1)))
    assert found.objects == 3
    assert found.object_size == pytest.approx(12, abs=1.5)


def test_smaller_objects_are_told_of() -> None:
    centres = paths(5)
    found = inspect(discs([14, 14, 3, 3, 3], centres))
    assert found.object_size == pytest.approx(28, abs=3)
    assert found.smaller in (2, 3)
    assert found.smaller_size == pytest.approx(6, abs=1.5)
    assert "--object-size 6" in "\n".join(found.lines())
    assert inspect(discs([14, 14], centres[:, :2])).smaller == 0
