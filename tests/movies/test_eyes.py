"""What a camera or an editor adds to a scene changes nothing of what is seen in it, and is named."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from staged import COLUMN, ROW, H, T, W, blob, movie, paths

from vtssi_pyro.movies import Inspection, Movie, inspect, suggested_preparation
from vtssi_pyro.movies.kinds import recaptured
from vtssi_pyro.movies.regions import GAP, Regions, _labelled, regions
from vtssi_pyro.movies.steadiness import _without_movers, moved, offset

TEXTURE = ndimage.gaussian_filter(np.random.default_rng(9).standard_normal((H, W)), 1.5)
TEXTURE /= TEXTURE.std()


def made(frames: np.ndarray) -> Movie:
    stack = frames.clip(0, 1).astype(np.float32)
    return Movie("made", stack.shape[1:3], len(stack), None, lambda: iter(stack))


def discs(radius: float, centres: np.ndarray, contrast: float = 0.4) -> np.ndarray:
    """Discs (T, H, W) with centres (T, number, 2), as differences from what is behind."""
    return np.stack([
        contrast * np.max([(radius + 0.5 - np.hypot(COLUMN - x, ROW - y)).clip(0, 1) for x, y in places], 0)
        for places in centres
    ])  # fmt: skip


def noisy(frames: np.ndarray, noise: float = 0.015) -> np.ndarray:
    return frames + noise * np.random.default_rng(5).standard_normal(frames.shape)


def sizes(found: Inspection) -> list[tuple[int, float]]:
    return [(number, pytest.approx(size, rel=0.15)) for number, size in found.kinds]


def test_two_sizes_are_told_apart_and_not_averaged() -> None:
    centres = paths(5, seed=2)
    found = inspect(made(noisy(0.3 + discs(4, centres[:, :3]) + discs(12, centres[:, 3:]))))
    assert [number for number, _ in found.kinds] == [3, 2]
    assert "of different sizes: 3 of about 8 pixels, 2 of about" in "\n".join(found.lines())
    assert [size for _, size in found.kinds] == [pytest.approx(8, rel=0.2), pytest.approx(24, rel=0.15)]


@pytest.mark.parametrize(
    "change",
    [lambda frames: frames + 0.15, lambda frames: frames * (1 + 0.5 * np.arange(T) / T)[:, None, None]],
    ids=["offset", "growing light"],
)
def test_light_changes_nothing(change: Callable[[np.ndarray], np.ndarray]) -> None:
    plain = np.stack(list(movie(blob)))
    found = inspect(made(change(0.6 * plain)))
    assert found.odd == ()
    assert sizes(inspect(movie(blob))) == list(found.kinds)


@pytest.mark.parametrize("upright", [False, True])
def test_bars_are_left_out_and_points_are_mapped_back(upright: bool) -> None:
    plain = np.stack(list(movie(blob)))
    bars = ((0, 0), (0, 0), (14, 9)) if upright else ((0, 0), (14, 9), (0, 0))
    found = inspect(made(np.pad(plain, bars)))
    assert found.crop == ((14, 0, W, H) if upright else (0, 14, W, H))
    assert found.kinds == inspect(movie(blob)).kinds
    assert "--crop" in "\n".join(found.lines())
    point = np.array([[40.0, 30.0]])
    preparation = suggested_preparation(found, 96)
    np.testing.assert_allclose(preparation.to_source(preparation.to_model(point)), point)
    inner = suggested_preparation(inspect(movie(blob)), 96).to_model(point - found.crop[:2])
    np.testing.assert_allclose(preparation.to_model(point), inner)


def test_black_around_objects_is_no_bar() -> None:
    frames = discs(6, paths(2))
    assert not inspect(made(frames)).barred


def test_faint_spots_are_seen_by_smoothing_and_doubted() -> None:
    centres = paths(6)
    # Gaussian, 3 px wide at half of their height, three times the noise
    spots = [
        sum(np.exp(-((COLUMN - x) ** 2 + (ROW - y) ** 2) / 3.25) for x, y in places) for places in centres
    ]
    found = inspect(made(noisy(0.4 - 3 * 0.04 * np.stack(spots), 0.04)))
    assert found.polarity == "dark"
    assert found.objects == pytest.approx(6, abs=1)
    assert found.object_size == pytest.approx(4 * 1.27, rel=0.25)
    assert "noise" in found.doubts[0]
    assert f"in doubt: {found.doubts[0]}" in found.lines()


def test_clear_objects_are_not_doubted() -> None:
    assert inspect(movie(blob)).doubts == ()


def shaken(amount: float) -> tuple[np.ndarray, np.ndarray]:
    """Discs before a texture, and by how much each frame is shifted."""
    by = amount * np.random.default_rng(3).standard_normal((T, 2))
    frames = 0.4 + 0.12 * TEXTURE + discs(6, paths(), 0.5)
    return np.stack([moved(frame, shift) for frame, shift in zip(frames, by, strict=True)]), by


def test_shake_is_found_and_the_background_follows_it() -> None:
    frames, by = shaken(1.5)
    found = inspect(made(noisy(frames)))
    assert found.shaken == pytest.approx(np.abs(by - np.median(by, 0)).max(), rel=0.3)
    assert found.objects == pytest.approx(3, abs=1)
    assert found.object_size == pytest.approx(12, rel=0.2)
    preparation = suggested_preparation(found, 120)
    for frame, places, shift in zip(preparation(made(frames)), paths(), by, strict=True):
        away = np.min([np.hypot(COLUMN - x, ROW - y) for x, y in places + shift], 0)
        inner = frame[15:105]  # of the square of 120 px
        assert inner[away < 4].mean() > 0.8
        assert inner[away > 12].mean() < 0.02


def test_a_camera_that_stands_still_does_not_shake() -> None:
    frames, _ = shaken(0.0)
    assert inspect(made(noisy(frames))).shaken == 0
    assert inspect(movie(blob)).shaken == 0


def test_objects_before_a_plain_ground_are_no_shake() -> None:
    """Without noise or texture nothing but the objects could be registered: one goes right, the other left."""
    plain = np.stack([
        0.2 + sum(0.6 * np.exp(-((COLUMN - x) ** 2 + (ROW - y) ** 2) / 18) for x, y in ((30 + t, 30), (70 - t, 70)))
        for t in range(24)
    ])  # fmt: skip
    found = inspect(made(plain))
    assert (found.shaken, found.objects) == (0, 2)
    assert found.speed == pytest.approx(1, rel=0.1)


def test_objects_draw_no_frame_along() -> None:
    """What moves by itself is replaced by what stands behind it before a frame is registered for the last time."""
    ground, at = 0.05 * TEXTURE, paths(3)[7]
    frame = ground + discs(6, at[None])[0]
    left = _without_movers(frame + 0.01, ground)
    near = np.min([np.hypot(COLUMN - x, ROW - y) for x, y in at], 0)
    np.testing.assert_array_equal(left[near < 6], ground[near < 6])
    np.testing.assert_array_equal(left[near > 10], frame[near > 10] + 0.01)


def test_offsets_are_exact() -> None:
    by = np.array([2.4, -1.7])
    found = offset(moved(TEXTURE, by), TEXTURE)
    np.testing.assert_allclose(found, by, atol=0.15)


def test_a_counter_is_no_object() -> None:
    plain = 0.3 + discs(6, paths(2, seed=8) * [1, 0.7])
    random = np.random.default_rng(0)
    glyphs = random.random((10, 9, 6)) > 0.5
    for time, frame in enumerate(plain):
        for place, digit in enumerate(random.integers(0, 10, 4)):
            frame[78:87, 8 + 8 * place : 14 + 8 * place] = np.where(glyphs[digit], 1.0, 0.3)
        assert time < T
    found = inspect(made(noisy(plain)))
    assert found.objects == 2
    (left, top, width, height) = found.stamps[0]
    assert abs(left - 8) < 3
    assert abs(top - 78) < 3
    assert width > 20
    assert height < 14
    assert "written anew" in "\n".join(found.lines())
    preparation = suggested_preparation(found, 120)
    assert all(frame[15:105][79:86, 9:14].max() == 0 for frame in preparation(made(noisy(plain))))


def test_a_crowd_of_soft_spots_is_no_counter() -> None:
    rng = np.random.default_rng(4)
    places = rng.uniform(0, [W, H], (30, 2)) + 1.5 * rng.standard_normal((T, 30, 2)).cumsum(0)
    spots = np.stack([
        0.4 * np.exp(-0.5 * ((COLUMN - x[:, None, None]) ** 2 + (ROW - y[:, None, None]) ** 2) / 1.75**2).max(0)
        for x, y in places.transpose(0, 2, 1)
    ])  # fmt: skip
    found = inspect(made(noisy(0.3 + spots)))
    assert found.stamps == ()


def test_what_stands_out_from_noise_is_the_objects() -> None:
    """No spot is fitted into an object of another shape: a bar is as long as it is seen to be."""
    bar = [
        0.4 * ((np.abs(COLUMN - x) < 10) & (np.abs(ROW - y) < 1.5)) * (0.2 + 0.8 * (np.abs(COLUMN - x) < 3))
        for ((x, y),) in paths(1)
    ]
    found = inspect(made(noisy(0.3 + np.stack(bar), 0.01)))
    assert found.object_size == pytest.approx(20, abs=1.5)


def test_objects_that_leave_are_no_doubt() -> None:
    across = np.stack([np.linspace(-40, W + 40, T), np.full(T, H / 2)], -1)
    lower, upper = np.array([0, 25]), np.array([0, -25])
    centres = np.stack([across, across[::-1] + lower, np.roll(across, 11, 0) + upper], 1)
    found = inspect(made(noisy(0.3 + discs(7, centres))))
    assert found.changes
    assert found.doubts == ()


def test_reflections_are_no_objects() -> None:
    centres = paths(2, seed=6) * [1, 0.45] + [0, 2]
    mirrored = np.stack([centres[..., 0], 88 - centres[..., 1]], -1)
    found = inspect(made(noisy(0.4 + discs(5, centres) + discs(5, mirrored, 0.16))))
    assert found.objects == 2
    assert found.company == 2
    # as many that move by themselves are objects
    others = np.roll(mirrored, 11, 0)
    assert inspect(made(noisy(0.4 + discs(5, centres) + discs(5, others, 0.16)))).objects == 4


def test_bumped_and_repeated_frames_are_named() -> None:
    frames = noisy(0.4 + 0.06 * TEXTURE + discs(6, paths()))
    frames[11] = np.roll(frames[11], (5, 7), (0, 1))
    frames[25] = frames[24]
    found = inspect(made(frames))
    assert (found.odd, found.repeated) == ((11,), (25,))
    assert replace(found, first=100).lines()[-1] == "frame 125 is the same as before"


def test_those_that_are_seen_again_tell_the_number_of_all() -> None:
    random = np.random.default_rng(0)
    truth, share = 40, 0.6
    first, second = [], []
    for _ in range(60):
        places = random.uniform(0, 1000, (truth, 2))
        for side in (first, second):
            seen = places[random.random(truth) < share]
            ones = np.ones(len(seen))
            side.append(Regions(seen, ones, ones, ones, ones, ones, ones, seen, ones > 1))
    assert recaptured(first, second, 3.0, 1e6, 0.0) == pytest.approx(truth, rel=0.05)


@pytest.mark.parametrize("shape", [(40, 61), (1, 30), (3, 3)])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.4, 1.0])
def test_gaps_are_closed_and_holes_filled_as_scipy_does(shape: tuple[int, int], share: float) -> None:
    smooth = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=shape), 1.0)
    mask = smooth >= np.quantile(smooth, 1 - share) if share else np.zeros(shape, bool)
    closed = ndimage.binary_closing(mask, iterations=GAP) | mask
    labels, number = ndimage.label(ndimage.binary_fill_holes(closed), np.ones((3, 3)))
    found = _labelled(mask)
    assert found[1] == number
    np.testing.assert_array_equal(found[0], labels)


def test_regions_are_measured() -> None:
    found = regions(discs(7, np.array([[[40.3, 30.8]]]))[0], 0.02)
    assert len(found) == 1
    np.testing.assert_allclose(found.centre[0], (40.3, 30.8), atol=0.1)
    assert found.width[0] == pytest.approx(14, abs=1)
    assert found.slender[0] == pytest.approx(1, abs=0.05)
    assert found.flat[0] > 0.85
    assert not found.cut[0]
